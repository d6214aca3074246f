//! A store that fails, a full queue, code of the application that panics.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU8, AtomicUsize, Ordering},
    mpsc,
};

use axum_users::{
    AccessTokenDatabase, Condition, DatabaseError, EmailKey, Message, NewOAuthAccount, NewSession, NewToken, NewUser,
    OAuthIdentity, OAuthSettings, Outcome, PasswordHash, PasswordHasher, RequestInfo, SessionId, StoredSession,
    StoredToken, User, UserChange, UserDatabase, UserHooks, ValidatedPassword, Verification, WithOAuthAccount,
    WithSession,
    memory::MemoryStore,
    password::{HasherError, PasswordPool},
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use crate::{
    oauth::GOOGLE,
    people::{COOKIE, DB, JWT, OTHER, PASSWORD, application, bytes, superuser, visitor},
    provider::{Browser, Provider, with_provider},
};

type Uuid = <() as axum_users::UserProfile>::Id;

const FINE: u8 = 0;
const AWAY: u8 = 1;
const BROKEN: u8 = 2;
const PANICS: u8 = 3;
/// The next question for an account with a provider finds none, as if it came before the account.
const LATE: u8 = 4;

/// A store that fails when told to.
#[derive(Clone)]
struct Fragile {
    inner: MemoryStore<()>,
    state: Arc<AtomicU8>,
}

impl Fragile {
    fn check(&self) -> Result<(), DatabaseError> {
        let source = "canary: 10.0.0.7:5432 refused `SELECT`";
        let state = self.state.load(Ordering::SeqCst);
        assert_ne!(state, PANICS, "{source}");
        match state {
            FINE | LATE => Ok(()),
            AWAY => Err(DatabaseError::Unavailable(source.into())),
            _ => Err(DatabaseError::Driver(source.into())),
        }
    }
}

impl UserDatabase<()> for Fragile {
    async fn get(&self, id: &Uuid) -> Result<Option<User<()>>, DatabaseError> {
        self.check()?;
        UserDatabase::get(&self.inner, id).await
    }
    async fn get_for_token(&self, id: &Uuid, session: &SessionId) -> Result<Option<WithSession<()>>, DatabaseError> {
        self.check()?;
        self.inner.get_for_token(id, session).await
    }
    async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<()>>, DatabaseError> {
        self.check()?;
        self.inner.get_by_email(email).await
    }
    async fn list(&self, after: Option<&Uuid>, limit: u32) -> Result<Vec<User<()>>, DatabaseError> {
        self.check()?;
        self.inner.list(after, limit).await
    }
    async fn create(&self, user: NewUser<()>) -> Result<User<()>, DatabaseError> {
        self.check()?;
        UserDatabase::create(&self.inner, user).await
    }
    async fn update(&self, id: &Uuid, change: UserChange<()>) -> Result<Outcome<User<()>>, DatabaseError> {
        self.check()?;
        self.inner.update(id, change).await
    }
    async fn delete(&self, id: &Uuid, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        self.check()?;
        UserDatabase::delete(&self.inner, id, only_if).await
    }
    async fn begin_session(&self, id: &Uuid, session: NewSession) -> Result<bool, DatabaseError> {
        self.check()?;
        self.inner.begin_session(id, session).await
    }
    async fn touch_session(&self, id: &Uuid, session: NewSession, now: i64) -> Result<(), DatabaseError> {
        self.check()?;
        self.inner.touch_session(id, session, now).await
    }
    async fn end_session(&self, id: &Uuid, session: NewSession) -> Result<(), DatabaseError> {
        self.check()?;
        self.inner.end_session(id, session).await
    }
    async fn sessions(&self, id: &Uuid) -> Result<Vec<StoredSession>, DatabaseError> {
        self.check()?;
        self.inner.sessions(id).await
    }
    fn keeps_oauth_accounts(&self) -> bool {
        true
    }
    async fn get_by_oauth_account(
        &self,
        identity: &OAuthIdentity,
    ) -> Result<Option<WithOAuthAccount<()>>, DatabaseError> {
        self.check()?;
        if self.state.compare_exchange(LATE, FINE, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return Ok(None);
        }
        self.inner.get_by_oauth_account(identity).await
    }
    async fn create_with_oauth_account(
        &self,
        user: NewUser<()>,
        account: NewOAuthAccount,
    ) -> Result<User<()>, DatabaseError> {
        self.check()?;
        self.inner.create_with_oauth_account(user, account).await
    }
    async fn put_oauth_account(
        &self,
        id: &Uuid,
        account: NewOAuthAccount,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<User<()>>, DatabaseError> {
        self.check()?;
        self.inner.put_oauth_account(id, account, only_if, messages).await
    }
}

impl AccessTokenDatabase<()> for Fragile {
    async fn get(&self, token: &str, session: &SessionId) -> Result<Option<StoredToken<()>>, DatabaseError> {
        self.check()?;
        AccessTokenDatabase::get(&self.inner, token, session).await
    }
    async fn create(&self, token: NewToken<()>) -> Result<bool, DatabaseError> {
        self.check()?;
        AccessTokenDatabase::create(&self.inner, token).await
    }
    async fn delete(&self, token: &str) -> Result<(), DatabaseError> {
        self.check()?;
        AccessTokenDatabase::delete(&self.inner, token).await
    }
    async fn delete_expired(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        self.check()?;
        self.inner.delete_expired(before, limit).await
    }
}

#[tokio::test]
async fn lg_04_av_03_a_store_that_fails_is_told_without_details_and_nobody_is_turned_away() {
    let store = Fragile { inner: MemoryStore::new(), state: Arc::default() };
    let users = application(store.clone()).build().unwrap();
    let nobody = visitor(&users);
    let boss = superuser(&users, "boss@camelot.bt").await;
    nobody.register("a@camelot.bt").await;
    let id = nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await.id().await;
    for backend in [JWT, COOKIE, DB] {
        let person = nobody.logged_in("a@camelot.bt", PASSWORD, backend).await;
        for state in [AWAY, BROKEN] {
            store.state.store(state, Ordering::SeqCst);
            let json = [("content-type", "application/json")];
            let new = json!({ "email": "b@camelot.bt", "password": PASSWORD }).to_string();
            let by_id = format!("/users/{id}");
            let mut answers = vec![
                ("register", nobody.raw("POST", "/auth/register", &json, new).await),
                ("login", nobody.login(backend, "a@camelot.bt", PASSWORD).await),
                ("login of nobody", nobody.login(backend, "nobody@camelot.bt", PASSWORD).await),
            ];
            for (who, method, path) in [
                (&person, "GET", "/users/me"),
                (&person, "PATCH", "/users/me"),
                (&person, "POST", "/auth/jwt/logout"),
                (&person, "POST", "/auth/cookie/logout"),
                (&boss, "GET", &by_id),
                (&boss, "PATCH", &by_id),
                (&boss, "DELETE", &by_id),
            ] {
                answers.push((method, who.raw(method, path, &json, json!({ "password": OTHER }).to_string()).await));
            }
            for (what, response) in answers {
                let status = response.status().as_u16();
                let retry = response.headers().get("retry-after").map(|it| it.to_str().unwrap().to_owned());
                let text = String::from_utf8(bytes(response).await).unwrap();
                let expected = if state == AWAY {
                    (503, Some("1".to_owned()), r#"{"detail":"Service Unavailable"}"#.to_owned())
                } else {
                    (500, None, "Internal Server Error".to_owned())
                };
                assert_eq!((status, retry, text), expected, "{what} {backend}");
            }
            assert_eq!(nobody.status("GET", "/users/me").await, 401, "no token, no question");
            store.state.store(FINE, Ordering::SeqCst);
            assert!(person.is_known().await && boss.is_known().await, "{backend}: as before");
        }
    }
}

/// A login that meets the first one of the same identity: it asks for the account before that is there, and for the user after.
#[tokio::test]
async fn oa_13_a_login_that_finds_the_user_and_not_yet_the_account_looks_again() {
    let store = Fragile { inner: MemoryStore::new(), state: Arc::default() };
    let provider = Provider::new("google");
    let settings = OAuthSettings::new().backend("jwt");
    let users = with_provider(application(store.clone()), &provider, settings).build().unwrap();
    let mut first = Browser::new(&users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|v").await;
    store.state.store(LATE, Ordering::SeqCst);
    let mut second = Browser::new(&users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|v").await;
    assert_eq!(store.state.load(Ordering::SeqCst), FINE, "it was asked");
    assert_eq!(first.get("/users/me").await.body, second.get("/users/me").await.body);
    // Whoever comes with another identity of the same address looks again, too, and is refused.
    let other = Browser::new(&users).go(&provider, GOOGLE, "2|a@camelot.bt|v").await;
    assert_eq!(other.detail(), (400, "OAUTH_USER_ALREADY_EXISTS"));
}

#[tokio::test]
async fn lg_05_a_store_that_panics_is_one_500_on_every_route() {
    let store = Fragile { inner: MemoryStore::new(), state: Arc::default() };
    let users = application(store.clone()).build().unwrap();
    let nobody = visitor(&users);
    let boss = superuser(&users, "boss@camelot.bt").await;
    nobody.register("a@camelot.bt").await;
    let person = nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    let by_id = format!("/users/{}", person.id().await);
    for (who, method, path) in [
        (&person, "GET", "/users/me"),
        (&person, "PATCH", "/users/me"),
        (&boss, "GET", by_id.as_str()),
        (&boss, "PATCH", &by_id),
        (&boss, "DELETE", &by_id),
        (&boss, "DELETE", "/users/me"),
        (&person, "POST", "/auth/jwt/logout"),
        (&nobody, "POST", "/auth/jwt/login"),
        (&nobody, "POST", "/auth/register"),
    ] {
        let (kind, body) = if path.ends_with("login") {
            ("application/x-www-form-urlencoded", "username=a%40camelot.bt&password=x".to_owned())
        } else {
            ("application/json", json!({ "email": "b@camelot.bt", "password": OTHER }).to_string())
        };
        store.state.store(PANICS, Ordering::SeqCst);
        let response = who.raw(method, path, &[("content-type", kind)], body).await;
        store.state.store(FINE, Ordering::SeqCst);
        assert_eq!(response.status(), 500, "{method} {path}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{method} {path}");
        assert_eq!(bytes(response).await, b"Internal Server Error", "{method} {path}");
        assert!(person.is_known().await && boss.is_known().await, "{method} {path}: as before");
    }
}

/// Panics in the hook of this number.
struct Clumsy(Arc<AtomicUsize>);

impl Clumsy {
    fn stumble(&self, hook: usize) {
        assert_ne!(self.0.load(Ordering::SeqCst), hook, "canary");
    }
}

impl UserHooks<()> for Clumsy {
    async fn validate_password(
        &self,
        _: &str,
        _: axum_users::PasswordContext<'_, ()>,
    ) -> Result<(), axum_users::InvalidPassword> {
        self.stumble(1);
        Ok(())
    }
    async fn before_register(
        &self,
        _: &axum_users::UserCreate<()>,
        _: Option<&RequestInfo>,
    ) -> Result<(), axum_users::Veto> {
        self.stumble(2);
        Ok(())
    }
    async fn on_after_register(&self, _: &User<()>, _: Option<&RequestInfo>) {
        self.stumble(3);
    }
    async fn before_login(&self, _: &User<()>, _: Option<&RequestInfo>) -> Result<(), axum_users::Veto> {
        self.stumble(4);
        Ok(())
    }
    async fn on_after_login(&self, _: &User<()>, _: Option<&RequestInfo>, _: &mut http::response::Parts) {
        self.stumble(5);
    }
    async fn on_after_update(&self, _: &User<()>, _: &axum_users::UserUpdate<()>, _: Option<&RequestInfo>) {
        self.stumble(6);
    }
    async fn on_before_delete(&self, _: &User<()>, _: Option<&RequestInfo>) -> Result<(), axum_users::Veto> {
        self.stumble(7);
        Ok(())
    }
    async fn on_after_delete(&self, _: &User<()>, _: Option<&RequestInfo>) {
        self.stumble(8);
    }
}

#[tokio::test]
async fn lg_05_a_hook_that_panics_is_one_500() {
    let hook = Arc::new(AtomicUsize::new(0));
    let users = application(MemoryStore::new()).hooks(Clumsy(Arc::clone(&hook))).build().unwrap();
    let nobody = visitor(&users);
    let boss = superuser(&users, "boss@camelot.bt").await;
    for number in 1..=8 {
        let email = format!("a{number}@camelot.bt");
        nobody.register(&email).await;
        let person = nobody.logged_in(&email, PASSWORD, JWT).await;
        let id = person.id().await;
        hook.store(number, Ordering::SeqCst);
        let json = [("content-type", "application/json")];
        let response = match number {
            1..=3 => {
                let body = json!({ "email": format!("b{number}@camelot.bt"), "password": PASSWORD }).to_string();
                nobody.raw("POST", "/auth/register", &json, body).await
            }
            4 | 5 => nobody.login(COOKIE, &email, PASSWORD).await,
            6 => person.raw("PATCH", "/users/me", &json, "{}").await,
            _ => boss.raw("DELETE", &format!("/users/{id}"), &json, "").await,
        };
        assert_eq!(response.status(), 500, "hook {number}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers().get("set-cookie"), None);
        assert_eq!(bytes(response).await, b"Internal Server Error");
        hook.store(0, Ordering::SeqCst);
        assert_eq!(person.is_known().await, number != 8, "what happened has happened: {number}");
        nobody.register(&format!("c{number}@camelot.bt")).await;
    }
}

/// Says that it was asked, and does nothing before it is let go.
struct Blocked {
    asked: UnboundedSender<()>,
    gate: Mutex<mpsc::Receiver<()>>,
}

impl Blocked {
    fn wait(&self) {
        let _ = self.asked.send(());
        let _ = self.gate.lock().unwrap().recv();
    }
}

impl PasswordHasher for Blocked {
    fn hash(&self, _: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
        self.wait();
        Ok(PasswordHash::from_stored("x".into()))
    }
    fn verify(&self, _: &str, _: &PasswordHash) -> Result<Verification, HasherError> {
        self.wait();
        Ok(Verification::Valid)
    }
}

#[tokio::test]
async fn av_01_a_full_queue_says_when_to_come_back_and_others_are_served() {
    let (go, gate) = mpsc::channel();
    let (asked, mut arrivals) = unbounded_channel();
    let passwords = PasswordPool::builder(Blocked { asked, gate: Mutex::new(gate) })
        .threads(1)
        .queue(1)
        .max_wait(std::time::Duration::from_secs(3600))
        .build()
        .unwrap();
    let users = application(MemoryStore::<()>::new()).passwords(passwords).build().unwrap();
    let nobody = visitor(&users);
    go.send(()).unwrap();
    nobody.register("a@camelot.bt").await;
    arrivals.recv().await.unwrap();
    go.send(()).unwrap();
    let person = nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    arrivals.recv().await.unwrap();

    let login = |email: &'static str| {
        let nobody = nobody.clone();
        async move { nobody.login(JWT, email, PASSWORD).await }
    };
    let mut logins = JoinSet::new();
    logins.spawn(login("a@camelot.bt"));
    arrivals.recv().await.unwrap();
    // The thread is busy: one of these waits in the queue, the others do not fit.
    for number in 0..7 {
        logins.spawn(login(if number % 2 == 0 { "a@camelot.bt" } else { "unknown@camelot.bt" }));
    }
    for _ in 0..6 {
        let response = logins.join_next().await.unwrap().unwrap();
        assert_eq!(response.status(), 503);
        let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(seconds >= 1);
        assert_eq!(bytes(response).await, br#"{"detail":"Service Unavailable"}"#);
    }
    let new = json!({ "email": "b@camelot.bt", "password": OTHER });
    assert_eq!(nobody.json("POST", "/auth/register", &new).await.0, 503);
    assert!(person.is_known().await, "who needs no hash is served");
    drop(go);
    while let Some(response) = logins.join_next().await {
        assert!([200, 400].contains(&response.unwrap().status().as_u16()), "those in the queue get their answer");
    }
    assert!(nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await.is_known().await, "and then all is well");
}
