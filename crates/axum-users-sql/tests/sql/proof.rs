//! What is made by the proof of a mailbox: once, whatever runs in parallel, and whole, wherever it is cut off.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use axum_users_core::{
    DatabaseError, Email, Error, Fields, Secret, TokenSettings, User, UserCreate, UserManager, UserUpdate,
    mail::{Mail, Mailer, Undelivered},
    password::{Argon2Params, DefaultHasher, PasswordPool},
};
use axum_users_sql::SqlStore;

use crate::databases::Engine;

const OLD: &str = "plum tomato engine";
const NEW: &str = "green river stone";
const A: &str = "a@camelot.bt";
const B: &str = "b@camelot.bt";

/// Keeps what it is given.
#[derive(Clone, Default)]
pub(crate) struct Mailbox(Arc<Mutex<Vec<Mail>>>);

impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), Undelivered> {
        self.0.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

impl Mailbox {
    /// The tokens since the last look.
    fn tokens(&self) -> Vec<Secret> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().filter_map(|mail| mail.token).collect()
    }
}

pub(crate) fn passwords() -> PasswordPool {
    let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
    PasswordPool::builder(hasher).queue(100).build().unwrap()
}

/// One that proves mailboxes first, or not; it works off messages when it is told to.
pub(crate) fn node(store: SqlStore<()>, passwords: &PasswordPool, mailbox: &Mailbox, proves: bool) -> UserManager<()> {
    UserManager::builder(store)
        .passwords(passwords.clone())
        .throttle(None)
        .verification(TokenSettings::new(b"tQ3vY8mN5xR2kL7wZ9cB4hJ6dF1gS0pA").unwrap())
        .reset_password(TokenSettings::new(b"uE6bH2nV9yC4mK8qT1xW5zG3jD7fR0sL").unwrap())
        .mailer(mailbox.clone())
        .works_off_messages(false)
        .prove_mailbox_first(proves)
        .build()
        .unwrap()
}

fn address(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn new(email: &str, password: &str) -> UserCreate<()> {
    UserCreate::new(address(email), Secret::from(password), ())
}

fn to(email: &str) -> UserUpdate<()> {
    UserUpdate { email: Some(address(email)), ..UserUpdate::default() }
}

pub(crate) async fn work_off(users: &UserManager<()>, mailbox: &Mailbox) -> Vec<Secret> {
    while users.work_off().await.unwrap() > 0 {}
    mailbox.tokens()
}

/// Three nodes, each with a pool of its own.
async fn nodes(url: &str, mailbox: &Mailbox) -> Vec<UserManager<()>> {
    let passwords = passwords();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(node(SqlStore::connect(url).await.unwrap(), &passwords, mailbox, true));
    }
    nodes
}

/// All at once, each on another node; who won.
async fn verify_all(nodes: &[UserManager<()>], tokens: &[Secret]) -> Vec<User<()>> {
    let uses: Vec<_> = nodes
        .iter()
        .cycle()
        .zip(tokens)
        .map(|(node, token)| {
            let (node, token) = (node.clone(), token.clone());
            tokio::spawn(async move { node.verify(&token, None, None).await })
        })
        .collect();
    let mut winners = Vec::new();
    for one in uses {
        match one.await.unwrap() {
            Ok(user) => winners.push(user),
            Err(error) => assert!(matches!(error, Error::InvalidVerifyToken), "{error:?}"),
        }
    }
    winners
}

#[tokio::test(flavor = "multi_thread")]
async fn rg_01_en_05_of_parallel_proofs_of_one_address_one_makes_the_user() {
    for engine in Engine::ALL {
        let mailbox = Mailbox::default();
        let nodes = nodes(&engine.empty().await, &mailbox).await;
        for _ in 0..12 {
            nodes[0].create(new(A, OLD), Fields::Safe, None).await.unwrap();
        }
        let tokens = work_off(&nodes[0], &mailbox).await;
        assert_eq!(tokens.len(), 12);
        assert_eq!(verify_all(&nodes, &tokens).await.len(), 1, "{engine:?}");
        assert_eq!(nodes[0].list(None, 10).await.unwrap().len(), 1);
        // And of one of them, however often it is used.
        nodes[0].create(new(B, OLD), Fields::Safe, None).await.unwrap();
        let token = work_off(&nodes[0], &mailbox).await;
        assert_eq!(verify_all(&nodes, &vec![token[0].clone(); 20]).await.len(), 1, "{engine:?}");
        assert_eq!(nodes[0].list(None, 10).await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rg_01_en_06_of_parallel_proofs_of_one_change_one_counts() {
    for engine in Engine::ALL {
        let mailbox = Mailbox::default();
        let nodes = nodes(&engine.empty().await, &mailbox).await;
        let mut tokens = Vec::new();
        for number in 0..4 {
            let user = nodes[0].create(new(&format!("{number}@camelot.bt"), OLD), Fields::All, None).await.unwrap();
            nodes[0].update(&user, to(A), Fields::Safe, None, None).await.unwrap();
            let asked = work_off(&nodes[0], &mailbox).await;
            tokens.extend(vec![asked[0].clone(); 4]);
        }
        let winners = verify_all(&nodes, &tokens).await;
        assert_eq!(winners.len(), 1, "{engine:?}");
        assert_eq!(winners[0].email.as_str(), A);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rg_01_rc_07_a_proof_that_meets_a_deletion_leaves_nobody() {
    for engine in Engine::ALL {
        let mailbox = Mailbox::default();
        let nodes = nodes(&engine.empty().await, &mailbox).await;
        for _ in 0..6 {
            let user = nodes[0].create(new(A, OLD), Fields::All, None).await.unwrap();
            nodes[0].update(&user, to(B), Fields::Safe, None, None).await.unwrap();
            let tokens = work_off(&nodes[0], &mailbox).await;
            let deletion = {
                let node = nodes[2].clone();
                tokio::spawn(async move { node.delete(&user, None).await })
            };
            assert!(verify_all(&nodes, &vec![tokens[0].clone(); 3]).await.len() <= 1);
            deletion.await.unwrap().unwrap();
            assert!(nodes[0].list(None, 10).await.unwrap().is_empty(), "{engine:?}");
            assert!(verify_all(&nodes, &tokens).await.is_empty(), "{engine:?}");
        }
    }
}

/// What is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Register,
    AskToRegister,
    ProveRegistration,
    AskToMove,
    ProveMove,
    MoveBack,
    Reset,
}

impl Call {
    pub(crate) const ALL: [Self; 7] = [
        Self::Register,
        Self::AskToRegister,
        Self::ProveRegistration,
        Self::AskToMove,
        Self::ProveMove,
        Self::MoveBack,
        Self::Reset,
    ];

    /// Whether it is one of a node that proves mailboxes first.
    pub(crate) fn proves(self) -> bool {
        self != Self::Register
    }

    /// Brings an empty store to where the call begins; the token that it needs.
    pub(crate) async fn prepare(self, users: &UserManager<()>, mailbox: &Mailbox) -> Secret {
        if self == Self::ProveRegistration {
            users.create(new(A, OLD), Fields::Safe, None).await.unwrap();
        }
        if matches!(self, Self::AskToMove | Self::ProveMove | Self::MoveBack | Self::Reset) {
            let user = users.create(new(A, OLD), Fields::All, None).await.unwrap();
            if matches!(self, Self::ProveMove | Self::MoveBack) {
                users.update(&user, to(B), Fields::Safe, None, None).await.unwrap();
            }
        }
        if self == Self::Reset {
            users.forgot_password(A, None).await.unwrap();
        }
        let mut token = work_off(users, mailbox).await.pop();
        if self == Self::MoveBack {
            users.verify(&token.unwrap(), None, None).await.unwrap();
            token = work_off(users, mailbox).await.pop();
        }
        token.unwrap_or_else(|| Secret::from("none"))
    }

    pub(crate) async fn run(self, users: &UserManager<()>, token: &Secret) -> Result<(), Error> {
        match self {
            Self::Register | Self::AskToRegister => users.create(new(A, OLD), Fields::Safe, None).await.map(drop),
            Self::ProveRegistration | Self::ProveMove | Self::MoveBack => {
                users.verify(token, None, None).await.map(drop)
            }
            Self::AskToMove => {
                let Some(user) = users.get_by_email(A).await? else { return Err(Error::UserNotExists) };
                let update = UserUpdate { password: Some(NEW.into()), ..to(B) };
                users.update(&user, update, Fields::Safe, None, None).await.map(drop)
            }
            Self::Reset => users.reset_password(token, &Secret::from(NEW), None).await.map(drop),
        }
    }

    /// Whether this says that it was done before.
    pub(crate) fn is_done(self, error: &Error) -> bool {
        match self {
            Self::Register => matches!(error, Error::UserAlreadyExists),
            Self::ProveRegistration | Self::ProveMove | Self::MoveBack => matches!(error, Error::InvalidVerifyToken),
            Self::Reset => matches!(error, Error::InvalidResetToken),
            Self::AskToRegister | Self::AskToMove => false,
        }
    }
}

/// All that a call may change: users with what proves them and whether their tokens were ended, and kinds of messages.
pub(crate) async fn seen(users: &UserManager<()>) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut people = BTreeSet::new();
    for user in users.list(None, 10).await.unwrap() {
        let email = user.email.as_str();
        let is_new = users.authenticate(email, Secret::from(NEW)).await.unwrap().is_some();
        people.insert(format!(
            "{email} verified {} new password {is_new} ended {} reset {}",
            user.is_verified,
            user.tokens_valid_after.is_some(),
            user.reset_token_hash.is_some(),
        ));
    }
    let messages = users.messages(None, 100).await.unwrap();
    (people, messages.iter().map(|it| it.message.as_ref().unwrap().task.kind().to_owned()).collect())
}

async fn empty(users: &UserManager<()>) {
    for user in users.list(None, 10).await.unwrap() {
        users.delete(&user, None).await.unwrap();
    }
    for message in users.messages(None, 100).await.unwrap() {
        users.delete_message(&message.key).await.unwrap();
    }
}

/// Between a node and its database: it cuts all connections at the n-th packet that the node sends, or right behind it.
struct Proxy {
    address: SocketAddr,
    state: Arc<Cut>,
}

struct Cut {
    upstream: String,
    left: AtomicI64,
    behind: AtomicBool,
    is_cut: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

const NEVER: i64 = i64::MAX / 2;

impl Proxy {
    fn to(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Cut {
            upstream: upstream.to_owned(),
            left: AtomicI64::new(NEVER),
            behind: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepting.carry(stream);
            }
        });
        Self { address, state }
    }

    fn arm(&self, packets: i64, behind: bool) {
        self.state.behind.store(behind, Ordering::SeqCst);
        self.state.left.store(packets, Ordering::SeqCst);
    }

    /// Lets everything through again; whether it had cut.
    fn mend(&self) -> bool {
        self.state.left.store(NEVER, Ordering::SeqCst);
        self.state.streams.lock().unwrap().clear();
        self.state.is_cut.swap(false, Ordering::SeqCst)
    }
}

impl Cut {
    fn carry(self: &Arc<Self>, client: TcpStream) {
        if self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(&self.upstream) else { return };
        let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        self.streams.lock().unwrap().extend(ends);
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let cut = Arc::clone(self);
        let (mut from_client, mut to_server) = (client, server);
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(length @ 1..) = from_client.read(&mut buffer) {
                let is_last = cut.left.fetch_sub(1, Ordering::SeqCst) <= 1;
                let passes = !is_last || cut.behind.load(Ordering::SeqCst);
                if passes && to_server.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                    break;
                }
                if is_last {
                    cut.is_cut.store(true, Ordering::SeqCst);
                    for stream in cut.streams.lock().unwrap().drain(..) {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                }
            }
            let _ = to_server.shutdown(Shutdown::Both);
        });
    }
}

/// The database behind a proxy: the URL through it.
fn through_proxy(url: &str) -> (Proxy, String) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let (login, host) = authority.rsplit_once('@').unwrap();
    let proxy = Proxy::to(host);
    let through = format!("{scheme}://{login}@{}/{path}", proxy.address);
    (proxy, through)
}

async fn cut_everywhere(engine: Engine, call: Call) {
    let url = engine.empty().await;
    let (passwords, mailbox) = (passwords(), Mailbox::default());
    let proves = call.proves();
    let direct = node(SqlStore::connect(&url).await.unwrap(), &passwords, &mailbox, proves);
    let token = call.prepare(&direct, &mailbox).await;
    call.run(&direct, &token).await.unwrap();
    let after = seen(&direct).await;
    let (proxy, through) = through_proxy(&url);
    for behind in [false, true] {
        let mut points = 0;
        for packets in 1..200 {
            empty(&direct).await;
            let token = call.prepare(&direct, &mailbox).await;
            let before = seen(&direct).await;
            assert_ne!(before, after);
            let builder = SqlStore::builder(&through).migrate(false).time_limit(Duration::from_secs(1));
            let store = builder.connect().await.unwrap();
            let users = node(store.clone(), &passwords, &mailbox, proves);
            proxy.arm(packets, behind);
            let answer = call.run(&users, &token).await;
            let was_cut = proxy.mend();
            let what = format!("{engine:?} {call:?} packet {packets} behind {behind}: {answer:?}");
            // Users and messages are read one after the other, and the last packet may take effect in between.
            let mut found = seen(&direct).await;
            for _ in 0..20 {
                if found == before || found == after {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                found = seen(&direct).await;
            }
            assert!(found == before || found == after, "{what}: {found:?}");
            assert!(answer.is_err() || found == after, "{what}: it was said to be done: {found:?}");
            // Whoever tries again completes it; the server may still hold what the dead connection had locked.
            for _ in 0..100 {
                match call.run(&direct, &token).await {
                    Ok(()) => break,
                    Err(Error::Database(DatabaseError::Unavailable(_))) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => {
                        assert!(call.is_done(&error), "{what}: {error:?}");
                        break;
                    }
                }
            }
            assert_eq!(seen(&direct).await, after, "{what}");
            store.close().await;
            if answer.is_ok() && !was_cut {
                break;
            }
            points += 1;
        }
        assert!(points >= 2, "{engine:?} {call:?}: {points} points");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rg_07_a_node_that_dies_between_any_two_statements_leaves_all_or_nothing_on_postgres() {
    for call in Call::ALL {
        cut_everywhere(Engine::Postgres, call).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rg_07_a_node_that_dies_between_any_two_statements_leaves_all_or_nothing_on_mysql() {
    for call in Call::ALL {
        cut_everywhere(Engine::MySql, call).await;
    }
}
