//! Where races run: nodes, the store below them, and what was seen.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use axum_users::{
    Argon2Params, Clock, DefaultHasher, Email, NewUser, PasswordHash, PasswordPool, Secret, SessionState, UserId as _,
    ValidatedPassword, random, session::admits,
};
use tokio::{sync::Barrier, task::JoinSet, time::sleep};
use uuid::Uuid;

use crate::{Answer, Backend, Engine, Node, Person, Request, Session, Store, Tables};

pub(crate) const PASSWORD: &str = "plum tomato engine";
pub(crate) const OTHER: &str = "green river stone";

/// How often somebody logs in, and refreshes, at most.
const LOGINS: usize = 8;
const REFRESHES: usize = 20;

/// Nodes that serve the same users, and a handle of ours on their store. A cheap handle.
pub struct Arena<N>(Arc<Inner<N>>);

impl<N> Clone for Arena<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<N> {
    nodes: Vec<N>,
    turn: AtomicUsize,
    tables: Arc<Tables>,
    store: Store,
    clock: Option<Clock>,
    /// Of [`PASSWORD`], as the nodes would store it.
    hash: PasswordHash,
    /// Of [`PASSWORD`], as the nodes would replace it.
    outdated: PasswordHash,
    requests: AtomicUsize,
    unavailable: AtomicUsize,
    violations: Mutex<Vec<String>>,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Figures {
    /// Requests that were sent.
    pub requests: usize,
    /// Answers with 503 and `Retry-After`.
    pub unavailable: usize,
    /// What must not be, in words.
    pub violations: Vec<String>,
}

/// Tells the others that what they race against was answered. A cheap handle.
#[derive(Clone, Default)]
pub(crate) struct Answered(Arc<AtomicBool>);

impl Answered {
    pub(crate) fn tell(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_told(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What somebody does when all begin.
pub(crate) type Act<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<N: Node> Arena<N> {
    /// Over these nodes, whose users are in these tables and which hash with `params`. With a clock, the nodes go by it.
    ///
    /// # Errors
    /// When the store does not open.
    pub async fn new(nodes: Vec<N>, tables: Arc<Tables>, params: Argon2Params, clock: Option<Clock>) -> Result<Self> {
        let store = tables.store().await?;
        let outdated = Argon2Params::danger_below_floor(16, 1, 1)?;
        Ok(Self(Arc::new(Inner {
            nodes,
            turn: AtomicUsize::new(0),
            tables,
            store,
            clock,
            hash: hash_of(params).await?,
            outdated: hash_of(outdated).await?,
            requests: AtomicUsize::new(0),
            unavailable: AtomicUsize::new(0),
            violations: Mutex::new(Vec::new()),
        })))
    }

    /// What was seen since the last time.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            requests: self.0.requests.swap(0, Ordering::SeqCst),
            unavailable: self.0.unavailable.swap(0, Ordering::SeqCst),
            violations: std::mem::take(&mut *self.0.violations.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// How many of them there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.nodes.len()
    }

    /// Closes the store and removes the tables.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn close(self) -> Result<()> {
        self.0.store.close().await;
        self.0.tables.remove().await
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.0.tables
    }

    pub(crate) fn clock(&self) -> Option<&Clock> {
        self.0.clock.as_ref()
    }

    pub(crate) fn outdated_hash(&self) -> PasswordHash {
        self.0.outdated.clone()
    }

    /// How many do the same at once where a race wants many.
    pub(crate) fn crowd(&self) -> usize {
        if self.0.tables.engine == Engine::Sqlite { 20 } else { 50 }
    }

    /// Notes what must not be.
    pub(crate) fn violation(&self, what: impl Into<String>) {
        self.0.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    pub(crate) fn expect(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violation(what());
        }
    }

    /// Sends a request to the node whose turn it is.
    pub(crate) async fn ask(&self, request: Request) -> Answer {
        self.ask_node(self.0.turn.fetch_add(1, Ordering::Relaxed), request).await
    }

    async fn ask_node(&self, number: usize, request: Request) -> Answer {
        let what = format!("{} {}", request.method, request.path);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        let answer = match self.0.nodes.get(number % self.0.nodes.len().max(1)) {
            Some(node) => node.send(request).await,
            None => Err(anyhow::anyhow!("there are no nodes")),
        };
        match answer {
            Ok(answer) => {
                if answer.is_unavailable() {
                    self.0.unavailable.fetch_add(1, Ordering::Relaxed);
                } else if answer.status >= 500 {
                    self.violation(format!("{what}: {} {}", answer.status, answer.body));
                }
                answer
            }
            Err(error) => {
                self.violation(format!("{what}: no answer: {error:#}"));
                Answer::new(0, |_| None, b"")
            }
        }
    }

    /// Sends a request until the nodes have time for it.
    pub(crate) async fn insist(&self, request: Request) -> Answer {
        self.insist_on(self.0.turn.fetch_add(1, Ordering::Relaxed), request).await
    }

    async fn insist_on(&self, number: usize, request: Request) -> Answer {
        for _ in 0..100 {
            let answer = self.ask_node(number, request.clone()).await;
            if !answer.is_unavailable() {
                return answer;
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.violation(format!("{} {}: 503 for ever", request.method, request.path));
        Answer::new(503, |_| None, b"")
    }

    /// Somebody new, with [`PASSWORD`].
    pub(crate) async fn person(&self) -> Result<Person> {
        self.stored(false).await
    }

    /// A superuser, logged in.
    pub(crate) async fn superuser(&self) -> Result<(Person, Session)> {
        let person = self.stored(true).await?;
        let session = self.logged_in(&person, PASSWORD, Backend::Jwt).await?;
        Ok((person, session))
    }

    async fn stored(&self, is_superuser: bool) -> Result<Person> {
        let email = format!("p{}@camelot.bt", random::uuid_v4().simple());
        let user = NewUser {
            id: Uuid::generate(),
            email: Email::parse(&email)?,
            hashed_password: self.0.hash.clone(),
            is_active: true,
            is_superuser,
            is_verified: true,
            tokens_valid_after: None,
            profile: (),
            consumes: None,
        };
        Ok(Person { id: self.0.store.create(user).await?.id, email })
    }

    /// A login that has to succeed.
    pub(crate) async fn logged_in(&self, person: &Person, password: &str, backend: Backend) -> Result<Session> {
        let answer = self.insist(login(person, password, backend)).await;
        Session::of(&answer, backend).with_context(|| format!("a login was refused: {answer:?}"))
    }

    /// A login with whatever answer; the session, if there is one.
    pub(crate) async fn log_in(&self, person: &Person, password: &str, backend: Backend) -> Option<Session> {
        let answer = self.ask(login(person, password, backend)).await;
        let allowed = [200, 204, 400, 503].contains(&answer.status);
        self.expect(allowed, || format!("a login is answered {}", answer.status));
        Session::of(&answer, backend)
    }

    /// Somebody who logs in again and again, until what they race against is answered; what that gave.
    pub(crate) fn logins(
        &self,
        person: &Person,
        password: &'static str,
        first: usize,
        end: &Answered,
    ) -> Act<Vec<Session>> {
        let (arena, person, end) = (self.clone(), person.clone(), end.clone());
        Box::pin(async move {
            let mut gained = Vec::new();
            for number in first..first + LOGINS {
                gained.extend(arena.log_in(&person, password, Backend::number(number)).await);
                if end.is_told() {
                    break;
                }
            }
            gained
        })
    }

    /// A client that uses its token, and refreshes it, until what they race against is answered; what that gave.
    pub(crate) fn works(&self, session: &Session, end: &Answered) -> Act<Vec<Session>> {
        let (arena, mut session, end) = (self.clone(), session.clone(), end.clone());
        Box::pin(async move {
            let mut gained = Vec::new();
            for _ in 0..REFRESHES {
                let status = arena.ask(Request::me().by(&session)).await.status;
                arena.expect([200, 401, 503].contains(&status), || format!("a live session is answered {status}"));
                if let Some(next) = arena.refresh(&session).await {
                    gained.push(next.clone());
                    session = next;
                }
                if end.is_told() {
                    break;
                }
            }
            gained
        })
    }

    /// Sends a request until it is answered, which has to be so, and tells the others.
    pub(crate) fn ends(&self, request: Request, expected: u16, end: &Answered) -> Act<Vec<Session>> {
        let (arena, end) = (self.clone(), end.clone());
        Box::pin(async move {
            let what = format!("{} {}", request.method, request.path);
            let status = arena.insist(request).await.status;
            end.tell();
            arena.expect(status == expected, || format!("{what} is answered {status}"));
            Vec::new()
        })
    }

    /// What the list of sessions calls the one that asks.
    pub(crate) async fn id_of(&self, session: &Session) -> Result<String> {
        let answer = self.insist(Request::new("GET", "/users/me/sessions").by(session)).await;
        let list = answer.body.as_array().map_or(&[][..], Vec::as_slice);
        let current = list.iter().find(|it| it.get("current").and_then(serde_json::Value::as_bool) == Some(true));
        let id = current.and_then(|it| it.get("id")?.as_str()).context("the session is not in its list")?;
        Ok(id.to_owned())
    }

    /// A refresh with whatever answer; what it gave, if it did.
    pub(crate) async fn refresh(&self, session: &Session) -> Option<Session> {
        let answer = self.ask(refresh(session)?).await;
        let allowed = [200, 400, 503].contains(&answer.status);
        self.expect(allowed, || format!("a refresh is answered {}", answer.status));
        Session::of(&answer, session.backend)
    }

    /// Notes a violation if a session counts anywhere.
    pub(crate) async fn dead(&self, session: &Session, what: &str) {
        for number in 0..self.nodes() {
            let status = self.insist_on(number, Request::me().by(session)).await.status;
            self.expect(status == 401, || {
                format!("{what}: an access token of {} is answered {status}", session.backend.name())
            });
            let Some(refresh) = refresh(session) else { continue };
            let status = self.insist_on(number, refresh).await.status;
            self.expect(status == 400, || {
                format!("{what}: a refresh token of {} is answered {status}", session.backend.name())
            });
        }
    }

    /// Notes a violation if a session does not count everywhere.
    pub(crate) async fn alive(&self, session: &Session, what: &str) {
        for number in 0..self.nodes() {
            let status = self.insist_on(number, Request::me().by(session)).await.status;
            self.expect(status == 200, || {
                format!("{what}: an access token of {} is answered {status}", session.backend.name())
            });
        }
    }

    /// Notes a violation unless the password is, or is not, the one of this person.
    pub(crate) async fn password_is(&self, person: &Person, password: &str, right: bool, what: &str) {
        let status = self.insist(login(person, password, Backend::Db)).await.status;
        let expected = if right { 200 } else { 400 };
        self.expect(status == expected, || format!("{what}: a login is answered {status}, not {expected}"));
    }

    /// How many stored sessions of somebody count.
    pub(crate) async fn sessions_that_count(&self, person: &Person) -> Result<usize> {
        let user = self.0.store.get(&person.id).await?.context("the user is gone")?;
        let sessions = self.0.store.sessions(&person.id).await?;
        let counts = |state: &SessionState| admits(Some(state.created_at), user.tokens_valid_after, Some(state));
        Ok(sessions.iter().filter(|session| counts(&session.state)).count())
    }

    /// [`at_once`](Self::at_once), while a second goes by every millisecond on clocks that can be moved.
    pub(crate) async fn while_time_flies<T: Send + 'static>(&self, acts: Vec<Act<T>>) -> Result<Vec<T>> {
        let mut time = JoinSet::new();
        if let Some(clock) = self.0.clock.clone() {
            time.spawn(async move {
                loop {
                    clock.advance(time::Duration::SECOND);
                    sleep(Duration::from_millis(1)).await;
                }
            });
        }
        self.at_once(acts).await
    }

    /// All begin at once, give or take two milliseconds, and are waited for.
    pub(crate) async fn at_once<T: Send + 'static>(&self, acts: Vec<Act<T>>) -> Result<Vec<T>> {
        let barrier = Arc::new(Barrier::new(acts.len()));
        let mut set = JoinSet::new();
        for act in acts {
            let barrier = Arc::clone(&barrier);
            set.spawn(async move {
                barrier.wait().await;
                jitter().await;
                act.await
            });
        }
        let mut ended = Vec::new();
        while let Some(one) = set.join_next().await {
            match one {
                Ok(value) => ended.push(value),
                Err(error) => bail!("a racer fell: {error}"),
            }
        }
        Ok(ended)
    }
}

/// `POST /auth/<backend>/login`.
pub(crate) fn login(person: &Person, password: &str, backend: Backend) -> Request {
    let form = [("username", person.email.as_str()), ("password", password)];
    Request::new("POST", format!("/auth/{}/login", backend.name())).form(&form)
}

/// `POST /auth/<backend>/refresh`, if the session has a refresh token.
pub(crate) fn refresh(session: &Session) -> Option<Request> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", session.refresh.as_deref()?)];
    Some(Request::new("POST", format!("/auth/{}/refresh", session.backend.name())).form(&form))
}

/// Up to two milliseconds, finer than the timer's.
async fn jitter() {
    let mut bytes = [0; 2];
    random::fill(&mut bytes);
    let (begin, wait) = (Instant::now(), Duration::from_micros(u64::from(u16::from_le_bytes(bytes)) * 2000 / 65_536));
    while begin.elapsed() < wait {
        tokio::task::yield_now().await;
    }
}

async fn hash_of(params: Argon2Params) -> Result<PasswordHash> {
    let pool = PasswordPool::builder(DefaultHasher::new(params)).threads(1).build()?;
    Ok(pool.hash(ValidatedPassword::accepted_by_hook(Secret::from(PASSWORD.to_owned()))).await?)
}
