//! Verification and reset, through the mail.

use std::{
    sync::{Arc, Mutex},
    time::Duration as StdDuration,
};

use axum_users::{
    Clock, Email, Fields, TokenSettings, UserChange, UserDatabase, UserUpdate, Users, UsersBuilder,
    jwt::{Claims, JwtKey, JwtKeys, Validation},
    mail::{Mail, MailKind, Mailer, Undelivered},
    memory::MemoryStore,
};
use serde_json::{Value, json};
use time::Duration;

use crate::people::{COOKIE, DB, JWT, OTHER, OnDisk, PASSWORD, Person, application, bytes, change, visitor};

const VERIFY_SECRET: &[u8] = b"tQ3vY8mN5xR2kL7wZ9cB4hJ6dF1gS0pA";
const RESET_SECRET: &[u8] = b"uE6bH2nV9yC4mK8qT1xW5zG3jD7fR0sL";
pub(crate) const THIRD: &str = "blue lantern harbour";

/// Keeps what it is given, or says that it cannot.
#[derive(Clone, Default)]
pub(crate) struct Mailbox {
    mails: Arc<Mutex<Vec<Mail>>>,
    fails: Arc<Mutex<Option<bool>>>,
}

impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), Undelivered> {
        self.mails.lock().unwrap().push(mail.clone());
        match *self.fails.lock().unwrap() {
            None => Ok(()),
            Some(true) => Err(Undelivered::for_good("no such mailbox")),
            Some(false) => Err(Undelivered::for_now("greylisted")),
        }
    }
}

impl Mailbox {
    /// How many it was given.
    pub(crate) fn count(&self) -> usize {
        self.mails.lock().unwrap().len()
    }

    /// How many for this address.
    pub(crate) fn count_to(&self, email: &str) -> usize {
        self.mails.lock().unwrap().iter().filter(|mail| mail.to.as_str() == email).count()
    }

    /// The token of the last one.
    pub(crate) fn last_token(&self) -> String {
        self.mails.lock().unwrap().last().unwrap().token.as_ref().unwrap().expose().to_owned()
    }

    pub(crate) fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mails.lock().unwrap())
    }

    pub(crate) fn fail(&self, permanently: Option<bool>) {
        *self.fails.lock().unwrap() = permanently;
    }

    /// The one mail since the last look, besides notices of accounts with providers; it is of this kind.
    pub(crate) fn token(&self, kind: &MailKind) -> String {
        let mut mails = self.take();
        mails.retain(|it| !matches!(it.kind, MailKind::AccountLinked { .. } | MailKind::AccountUnlinked { .. }));
        assert_eq!(mails.len(), 1, "{mails:?}");
        assert_eq!(&mails[0].kind, kind);
        mails[0].token.as_ref().unwrap().expose().to_owned()
    }
}

pub(crate) fn mailed<D>(builder: UsersBuilder<()>, mailbox: &Mailbox, _store: &D) -> UsersBuilder<()> {
    builder
        .verification(TokenSettings::new(VERIFY_SECRET).unwrap())
        .reset_password(TokenSettings::new(RESET_SECRET).unwrap())
        .mailer(mailbox.clone())
}

/// An application with mail.
pub(crate) struct Post {
    pub(crate) users: Users<()>,
    pub(crate) store: MemoryStore<()>,
    pub(crate) mailbox: Mailbox,
    pub(crate) clock: Clock,
}

impl Post {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(settings: impl FnOnce(UsersBuilder<()>) -> UsersBuilder<()>) -> Self {
        let store = MemoryStore::new();
        let mailbox = Mailbox::default();
        let clock = Clock::mock(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let builder = mailed(application(store.clone()).clock(clock.clone()), &mailbox, &store);
        Self { users: settings(builder).build().unwrap(), store, mailbox, clock }
    }

    pub(crate) fn nobody(&self) -> Person {
        visitor(&self.users)
    }

    pub(crate) async fn post(&self, route: &str, body: &Value) -> (u16, Value) {
        let answer = self.nobody().json("POST", &format!("/auth/{route}"), body).await;
        while self.users.work_off().await.unwrap() > 0 {}
        answer
    }

    pub(crate) async fn ask(&self, route: &str, email: &str) {
        assert_eq!(self.post(route, &json!({ "email": email })).await, (202, json!(null)));
    }

    pub(crate) async fn reset_token(&self, email: &str) -> String {
        self.ask("forgot-password", email).await;
        self.mailbox.token(&MailKind::ResetPassword)
    }

    pub(crate) async fn verify_token(&self, email: &str) -> String {
        self.ask("request-verify-token", email).await;
        self.mailbox.token(&MailKind::VerifyAddress)
    }

    pub(crate) async fn reset(&self, token: &str, password: &str) -> (u16, Value) {
        self.post("reset-password", &json!({ "token": token, "password": password })).await
    }

    pub(crate) async fn verify(&self, token: &str) -> (u16, Value) {
        self.post("verify", &json!({ "token": token })).await
    }

    pub(crate) async fn logs_in(&self, password: &str) -> bool {
        self.nobody().login(JWT, "a@camelot.bt", password).await.status() == 200
    }
}

pub(crate) fn bad_reset() -> (u16, Value) {
    (400, json!({ "detail": "RESET_PASSWORD_BAD_TOKEN" }))
}

pub(crate) fn bad_verify() -> (u16, Value) {
    (400, json!({ "detail": "VERIFY_USER_BAD_TOKEN" }))
}

/// The answers that have codes of their own.
pub(crate) async fn codes() -> Vec<Value> {
    let post = Post::new();
    post.nobody().register("a@camelot.bt").await;
    let (verify, reset) = (post.verify_token("a@camelot.bt").await, post.reset_token("a@camelot.bt").await);
    vec![
        post.verify("x").await.1,
        post.verify(&verify).await.1,
        post.verify(&verify).await.1,
        post.reset("x", OTHER).await.1,
        post.reset(&reset, "short").await.1,
    ]
}

#[tokio::test]
async fn an_address_is_verified_by_the_token_in_the_mail() {
    let post = Post::new();
    let user = post.nobody().register("A@camelot.bt").await;
    post.ask("request-verify-token", "a@CAMELOT.bt").await;
    let mails = post.mailbox.take();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let mail = &mails[0];
    assert_eq!((mail.kind.clone(), mail.to.as_str()), (MailKind::VerifyAddress, "A@camelot.bt"));
    let token = mail.token.as_ref().unwrap().expose();
    let (status, verified) = post.verify(token).await;
    assert_eq!((status, &verified["id"], &verified["is_verified"]), (200, &user["id"], &json!(true)));
    assert_eq!(post.verify(token).await, (400, json!({ "detail": "VERIFY_USER_ALREADY_VERIFIED" })));
    post.ask("request-verify-token", "a@camelot.bt").await;
    assert!(post.mailbox.take().is_empty(), "there is nothing left to prove");
}

#[tokio::test]
async fn rc_06_a_reset_sets_the_password_and_ends_every_session() {
    let post = Post::new();
    post.nobody().register("a@camelot.bt").await;
    let mut people = Vec::new();
    for backend in [JWT, COOKIE, DB] {
        people.push(post.nobody().logged_in("a@camelot.bt", PASSWORD, backend).await);
    }
    let token = post.reset_token("A@camelot.bt").await;
    assert_eq!(post.reset(&token, "short").await.1["detail"]["code"], "RESET_PASSWORD_INVALID_PASSWORD");
    assert!(post.logs_in(PASSWORD).await && people[0].is_known().await, "asking changes nothing");
    assert_eq!(post.reset(&token, OTHER).await, (200, json!(null)), "a refused password did not use it up");
    for person in people {
        assert!(!person.is_known().await);
    }
    assert!(post.logs_in(OTHER).await && !post.logs_in(PASSWORD).await);
    let told = post.mailbox.take();
    assert!(
        matches!(told.as_slice(), [mail] if mail.kind == MailKind::PasswordChanged && mail.token.is_none()),
        "{told:?}"
    );
    assert_eq!(post.reset(&token, THIRD).await, bad_reset(), "once");
}

#[tokio::test]
async fn rc_01_rc_05_a_token_is_for_its_purpose_its_time_and_its_secret() {
    let post = Post::new();
    let id = post.nobody().register("a@camelot.bt").await["id"].as_str().unwrap().to_owned();
    let (verify, reset) = (post.verify_token("a@camelot.bt").await, post.reset_token("a@camelot.bt").await);
    let access = post.nobody().logged_in("a@camelot.bt", PASSWORD, JWT).await.token().to_owned();
    for token in [&reset, &access] {
        assert_eq!(post.verify(token).await, bad_verify());
    }
    for token in [&verify, &access] {
        assert_eq!(post.reset(token, OTHER).await, bad_reset());
    }
    for token in [&verify, &reset] {
        let mut thief = post.nobody();
        thief.header = Some(("authorization", format!("Bearer {token}")));
        assert!(!thief.is_known().await);
    }
    // The claims of the contract, in its order, and nothing else.
    let keys = |secret: &[u8]| JwtKeys::new(JwtKey::hs256(secret));
    let decoded =
        keys(RESET_SECRET).decode(&reset, &Validation::audience("fastapi-users:reset"), 1_800_000_000).unwrap();
    let names: Vec<&str> = decoded.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["sub", "password_fgpt", "aud", "exp"]);
    let decoded =
        keys(VERIFY_SECRET).decode(&verify, &Validation::audience("fastapi-users:verify"), 1_800_000_000).unwrap();
    let names: Vec<&str> = decoded.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["sub", "email", "aud", "exp"]);
    assert_eq!((decoded.text("email"), decoded.expires_at()), (Some("a@camelot.bt"), Some(1_800_003_600)));
    // Forged, tampered, without an end.
    let claims =
        || Claims::new().with("sub", id.clone()).with("email", "a@camelot.bt").with("aud", "fastapi-users:verify");
    let exp = 1_800_003_000_i64;
    for forged in [
        keys(RESET_SECRET).encode(&claims().with("exp", exp)).unwrap(),
        keys(VERIFY_SECRET).encode(&claims()).unwrap(),
        keys(VERIFY_SECRET).encode(&claims().with("exp", 1_799_999_999_i64)).unwrap(),
        keys(VERIFY_SECRET).encode(&claims().with("email", "b@camelot.bt").with("exp", exp)).unwrap(),
        keys(VERIFY_SECRET).encode(&claims().with("aud", "fastapi-users:reset").with("exp", exp)).unwrap(),
        format!("{verify}A"),
        verify.replacen('.', "..", 1),
        String::new(),
        "\u{1f5e1}".into(),
        "a".repeat(20_000),
    ] {
        assert_eq!(post.verify(&forged).await, bad_verify(), "{forged:.80}");
        assert_eq!(post.reset(&forged, OTHER).await, bad_reset(), "{forged:.80}");
    }
    post.clock.advance(Duration::seconds(3600));
    assert_eq!(post.verify(&verify).await, bad_verify(), "an hour later");
    assert_eq!(post.reset(&reset, OTHER).await, bad_reset(), "an hour later");
}

#[tokio::test]
async fn rc_03_the_newest_reset_token_is_the_only_one() {
    let post = Post::new();
    post.nobody().register("a@camelot.bt").await;
    let first = post.reset_token("a@camelot.bt").await;
    let second = post.reset_token("a@camelot.bt").await;
    assert_ne!(first, second);
    assert_eq!(post.reset(&first, OTHER).await, bad_reset());
    assert_eq!(post.reset(&second, OTHER).await.0, 200);
}

#[tokio::test]
async fn rc_04_rc_08_what_changes_a_user_ends_the_tokens_that_were_mailed() {
    let email = |text: &str| Some(Email::parse(text).unwrap());
    let changes = [
        ("password", UserUpdate { password: Some(OTHER.into()), ..UserUpdate::default() }),
        ("address", UserUpdate { email: email("b@camelot.bt"), ..UserUpdate::default() }),
        ("deactivation", UserUpdate { is_active: Some(false), ..UserUpdate::default() }),
        ("there and back", UserUpdate { email: email("c@camelot.bt"), ..UserUpdate::default() }),
    ];
    for (what, update) in changes {
        let post = Post::new();
        post.nobody().register("a@camelot.bt").await;
        let (verify, reset) = (post.verify_token("a@camelot.bt").await, post.reset_token("a@camelot.bt").await);
        change(&post.users, "a@camelot.bt", update).await;
        let now = if what == "there and back" {
            change(&post.users, "c@camelot.bt", UserUpdate { email: email("a@camelot.bt"), ..UserUpdate::default() })
                .await;
            "a@camelot.bt"
        } else if what == "address" {
            "b@camelot.bt"
        } else {
            "a@camelot.bt"
        };
        if what == "deactivation" {
            let again = UserUpdate { is_active: Some(true), ..UserUpdate::default() };
            change(&post.users, now, again).await;
        }
        while post.users.work_off().await.unwrap() > 0 {}
        post.mailbox.take();
        // Back at the address that it was mailed to, the verification is worth what it was.
        if what != "there and back" {
            assert_eq!(post.verify(&verify).await, bad_verify(), "{what}");
        }
        assert_eq!(post.reset(&reset, THIRD).await, bad_reset(), "{what}");
        let newer = post.reset_token(now).await;
        assert_eq!(post.reset(&newer, THIRD).await.0, 200, "{what}");
    }
}

#[tokio::test]
async fn au_08_an_inactive_user_gets_nothing_and_can_use_nothing() {
    let post = Post::new();
    post.nobody().register("a@camelot.bt").await;
    let (verify, reset) = (post.verify_token("a@camelot.bt").await, post.reset_token("a@camelot.bt").await);
    // Straight into the store, so that tokens live on.
    let user = post.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    let _ = post.store.update(&user.id, UserChange { is_active: Some(false), ..UserChange::default() }).await.unwrap();
    assert_eq!((post.verify(&verify).await, post.reset(&reset, OTHER).await), (bad_verify(), bad_reset()));
    for route in ["forgot-password", "request-verify-token"] {
        for email in ["a@camelot.bt", "nobody@camelot.bt"] {
            post.ask(route, email).await;
        }
    }
    assert!(post.mailbox.take().is_empty());
}

#[tokio::test]
async fn au_11_both_addresses_are_told_of_a_change() {
    let post = Post::new();
    let nobody = post.nobody();
    nobody.register("a@camelot.bt").await;
    let person = nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    let (status, _) = person.json("PATCH", "/users/me", &json!({ "email": "b@camelot.bt", "password": OTHER })).await;
    assert_eq!(status, 200);
    while post.users.work_off().await.unwrap() > 0 {}
    let mails = post.mailbox.take();
    let mut told: Vec<_> =
        mails.iter().map(|mail| (mail.to.as_str(), matches!(mail.kind, MailKind::PasswordChanged))).collect();
    told.sort_unstable();
    assert_eq!(told, [("a@camelot.bt", false), ("a@camelot.bt", true), ("b@camelot.bt", false)]);
    let (status, _) = person.json("PATCH", "/users/me", &json!({ "email": "B@camelot.bt" })).await;
    assert_eq!(status, 200);
    while post.users.work_off().await.unwrap() > 0 {}
    assert!(post.mailbox.take().is_empty(), "another case is no other address");
    let silent = Post::with(|builder| builder.notices(false));
    silent.nobody().register("a@camelot.bt").await;
    change(&silent.users, "a@camelot.bt", UserUpdate { password: Some(OTHER.into()), ..UserUpdate::default() }).await;
    assert_eq!(silent.users.work_off().await.unwrap(), 0);
}

#[tokio::test]
async fn av_07_a_mail_that_is_not_taken_is_sent_again_and_holds_the_same_token() {
    let post = Post::new();
    post.nobody().register("a@camelot.bt").await;
    post.mailbox.fail(Some(false));
    post.ask("forgot-password", "a@camelot.bt").await;
    let first = post.mailbox.take();
    assert_eq!(post.users.work_off().await.unwrap(), 0, "not at once");
    post.clock.advance(Duration::seconds(5));
    post.mailbox.fail(None);
    assert_eq!(post.users.work_off().await.unwrap(), 1);
    let second = post.mailbox.take();
    let text = |mails: &[Mail]| (mails[0].key.clone(), mails[0].token.as_ref().unwrap().expose().to_owned());
    assert_eq!(text(&first), text(&second));
    assert_eq!(post.reset(&text(&second).1, OTHER).await.0, 200);
    // One that never will be is given up at once.
    post.mailbox.take();
    post.mailbox.fail(Some(true));
    post.ask("forgot-password", "a@camelot.bt").await;
    assert_eq!(post.mailbox.take().len(), 1);
    post.clock.advance(Duration::days(2));
    assert_eq!(post.users.work_off().await.unwrap(), 0);
    // After an outage of hours, the lifetime of the token begins with the sending.
    post.mailbox.fail(Some(false));
    post.ask("forgot-password", "a@camelot.bt").await;
    post.clock.advance(Duration::hours(5));
    post.mailbox.fail(None);
    assert_eq!(post.users.work_off().await.unwrap(), 1);
    let late = text(&post.mailbox.take()[1..]).1;
    post.clock.advance(Duration::seconds(3599));
    assert_eq!(post.reset(&late, THIRD).await.0, 200);
}

/// The worker runs by itself, and a message that was stored survives the process.
#[tokio::test(flavor = "multi_thread")]
async fn av_07_messages_are_kept_in_the_database_and_worked_off_by_whoever_runs() {
    let disk = OnDisk::<()>::new().await;
    let mailbox = Mailbox::default();
    let user = axum_users::Message::new(axum_users::Task::PasswordChanged { to: "a@camelot.bt".into() }, None);
    UserDatabase::<()>::enqueue(&disk.store, user, 100).await.unwrap();
    let users = mailed(application(disk.store.clone()).clock(Clock::system()), &mailbox, &disk.store).build().unwrap();
    visitor(&users).register("a@camelot.bt").await;
    users.start_worker();
    let answer = visitor(&users).json("POST", "/auth/forgot-password", &json!({ "email": "a@camelot.bt" })).await;
    assert_eq!(answer, (202, json!(null)));
    for _ in 0..600 {
        if mailbox.mails.lock().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(StdDuration::from_millis(50)).await;
    }
    let mut kinds: Vec<_> = mailbox.take().into_iter().map(|mail| format!("{:?}", mail.kind)).collect();
    kinds.sort();
    assert_eq!(kinds, ["PasswordChanged", "ResetPassword"]);
}

#[tokio::test]
async fn rc_05_strict_tokens_say_what_they_are_for() {
    let (compat, strict) = (Post::new(), Post::with(|builder| builder.strict(true)));
    for post in [&compat, &strict] {
        post.nobody().register("a@camelot.bt").await;
    }
    let tokens = |post: Arc<Post>| async move {
        (post.verify_token("a@camelot.bt").await, post.reset_token("a@camelot.bt").await)
    };
    let (compat, strict) = (Arc::new(compat), Arc::new(strict));
    let theirs = tokens(compat).await;
    assert_eq!(strict.verify(&theirs.0).await, bad_verify());
    assert_eq!(strict.reset(&theirs.1, OTHER).await, bad_reset());
    let ours = tokens(Arc::clone(&strict)).await;
    assert_eq!(strict.verify(&ours.0).await.0, 200);
    assert_eq!(strict.reset(&ours.1, OTHER).await, bad_reset(), "the first proof ends what was issued before");
    assert_eq!(strict.reset(&strict.reset_token("a@camelot.bt").await, OTHER).await.0, 200);
}

#[tokio::test]
async fn an_application_sends_its_own_mail_and_may_do_without_routes() {
    let post = Post::new();
    post.nobody().register("a@camelot.bt").await;
    let user = post.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    let token = post.users.verify_token(&user).unwrap();
    assert!(post.users.verify(&token, None, None).await.unwrap().is_verified);
    let token = post.users.reset_password_token(&user).await.unwrap();
    post.users.reset_password(&token, &OTHER.into(), None).await.unwrap();
    assert!(post.logs_in(OTHER).await);
    let users = application(MemoryStore::<()>::new()).build().unwrap();
    assert!(users.verify_router::<()>().is_err() && users.reset_password_router::<()>().is_err());
    assert_eq!(visitor(&users).status("POST", "/auth/forgot-password").await, 404);
    let response = visitor(&users).raw("POST", "/auth/verify", &[], "").await;
    assert_eq!((response.status().as_u16(), bytes(response).await.len()), (404, 0));
    let created = post.users.create(
        axum_users::UserCreate::new(Email::parse("c@camelot.bt").unwrap(), PASSWORD.into(), ()),
        Fields::All,
        None,
    );
    assert!(created.await.is_ok());
}
