//! The work of a public route does not depend on who is named: the same calls of the store, hash runs, messages and bytes.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum_users::{
    AccessTokenDatabase, BucketKey, Condition, DatabaseError, Email, EmailKey, Fields, Limit, NewSession, NewToken,
    NewUser, Outcome, PasswordHash, SessionId, StoredSession, StoredToken, Taken, Throttle, User, UserChange,
    UserCreate, UserDatabase, UserUpdate, WithSession,
    memory::MemoryStore,
    outbox::{Claimed, Message, Settled},
    password::{Argon2Params, DefaultHasher, PasswordPool},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    identity::Counting,
    mailed::{Mailbox, mailed},
    people::{Person, application, bytes, visitor},
};

type Uuid = <() as axum_users::UserProfile>::Id;

/// A store in memory that keeps messages, and notes every call.
#[derive(Clone)]
struct Noting {
    inner: MemoryStore<()>,
    calls: Arc<Mutex<Vec<&'static str>>>,
    keeps_buckets: bool,
}

impl Noting {
    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

impl UserDatabase<()> for Noting {
    async fn get(&self, id: &Uuid) -> Result<Option<User<()>>, DatabaseError> {
        self.note("get");
        UserDatabase::get(&self.inner, id).await
    }
    async fn get_for_token(&self, id: &Uuid, session: &SessionId) -> Result<Option<WithSession<()>>, DatabaseError> {
        self.note("get_for_token");
        self.inner.get_for_token(id, session).await
    }
    async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<()>>, DatabaseError> {
        self.note("get_by_email");
        self.inner.get_by_email(email).await
    }
    async fn list(&self, after: Option<&Uuid>, limit: u32) -> Result<Vec<User<()>>, DatabaseError> {
        self.inner.list(after, limit).await
    }
    async fn create(&self, user: NewUser<()>) -> Result<User<()>, DatabaseError> {
        self.note("create");
        UserDatabase::create(&self.inner, user).await
    }
    async fn update(&self, id: &Uuid, change: UserChange<()>) -> Result<Outcome<User<()>>, DatabaseError> {
        self.note("update");
        self.inner.update(id, change).await
    }
    async fn delete(&self, id: &Uuid, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        UserDatabase::delete(&self.inner, id, only_if).await
    }
    async fn begin_session(&self, id: &Uuid, session: NewSession) -> Result<bool, DatabaseError> {
        self.note("begin_session");
        self.inner.begin_session(id, session).await
    }
    async fn sessions(&self, id: &Uuid) -> Result<Vec<StoredSession>, DatabaseError> {
        self.inner.sessions(id).await
    }
    fn keeps_buckets(&self) -> bool {
        self.keeps_buckets
    }
    async fn take_from_bucket(&self, bucket: &BucketKey, limit: Limit, now: i64) -> Result<Taken, DatabaseError> {
        self.note("take");
        self.inner.take_from_bucket(bucket, limit, now).await
    }
    async fn give_back_to_bucket(&self, bucket: &BucketKey, limit: Limit) -> Result<(), DatabaseError> {
        self.note("give_back");
        self.inner.give_back_to_bucket(bucket, limit).await
    }
    async fn fill_bucket(&self, bucket: &BucketKey) -> Result<(), DatabaseError> {
        self.note("fill");
        self.inner.fill_bucket(bucket).await
    }
    fn keeps_messages(&self) -> bool {
        true
    }
    async fn enqueue(&self, message: Message, _now: i64) -> Result<(), DatabaseError> {
        assert!(!message.to_text().is_empty());
        self.note("enqueue");
        Ok(())
    }
    async fn claim(&self, _now: i64, _limit: u32) -> Result<Vec<Claimed>, DatabaseError> {
        Ok(Vec::new())
    }
    async fn settle(&self, _claimed: &Claimed, _settled: Settled) -> Result<(), DatabaseError> {
        Ok(())
    }
}

impl AccessTokenDatabase<()> for Noting {
    async fn get(&self, token: &str, session: &SessionId) -> Result<Option<StoredToken<()>>, DatabaseError> {
        self.note("token");
        AccessTokenDatabase::get(&self.inner, token, session).await
    }
    async fn create(&self, token: NewToken<()>) -> Result<bool, DatabaseError> {
        self.note("create_token");
        AccessTokenDatabase::create(&self.inner, token).await
    }
    async fn delete(&self, token: &str) -> Result<(), DatabaseError> {
        AccessTokenDatabase::delete(&self.inner, token).await
    }
    async fn delete_expired(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        self.inner.delete_expired(before, limit).await
    }
}

/// Everybody's addresses are equally long.
const CLASSES: [&str; 6] = ["unknown0", "active00", "verified", "inactive", "superusr", "damaged0"];

fn email(class: &str) -> String {
    format!("{class}@camelot.bt")
}

#[tokio::test]
async fn en_03_en_04_en_08_a_public_route_does_the_same_whoever_is_named() {
    let runs = Arc::new(AtomicUsize::new(0));
    let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
    let passwords = PasswordPool::builder(Counting(hasher, Arc::clone(&runs))).build().unwrap();
    let store = Noting { inner: MemoryStore::new(), calls: Arc::default(), keeps_buckets: true };
    let application = application(store.clone()).passwords(passwords).throttle(Throttle::default());
    let users = mailed(application, &Mailbox::default(), &store).build().unwrap();
    let nobody: Person = visitor(&users);
    for class in CLASSES.into_iter().skip(1) {
        nobody.register(&email(class)).await;
        let user = users.get_by_email(&email(class)).await.unwrap().unwrap();
        let flags = UserUpdate {
            is_verified: Some(class == "verified"),
            is_superuser: Some(class == "superusr"),
            is_active: Some(class != "inactive"),
            ..UserUpdate::default()
        };
        users.update(&user, flags, Fields::All, None, None).await.unwrap();
    }
    let damaged = users.get_by_email(&email("damaged0")).await.unwrap().unwrap();
    let hash = Some(PasswordHash::from_stored("$2b$12$damaged".into()));
    let _ = UserDatabase::update(&store, &damaged.id, UserChange { hashed_password: hash, ..UserChange::default() })
        .await
        .unwrap();

    let form = "application/x-www-form-urlencoded";
    let login = |class: &str| format!("username={}&password=wrong", email(class).replace('@', "%40"));
    let named = |class: &str| json!({ "email": email(class) }).to_string();
    type Body<'a> = &'a dyn Fn(&str) -> String;
    let routes: [(&str, &str, Body<'_>, u16, &[&str]); 4] = [
        ("/auth/jwt/login", form, &login, 400, &["get_by_email", "take", "take"]),
        ("/auth/cookie/login", form, &login, 400, &["get_by_email", "take", "take"]),
        ("/auth/forgot-password", "application/json", &named, 202, &["take", "enqueue"]),
        ("/auth/request-verify-token", "application/json", &named, 202, &["take", "enqueue"]),
    ];
    for (path, kind, body, status, calls) in routes {
        let mut seen = Vec::new();
        for class in CLASSES {
            store.calls.lock().unwrap().clear();
            let before = runs.load(Ordering::SeqCst);
            let response = nobody.raw("POST", path, &[("content-type", kind)], body(class)).await;
            let answer = (response.status().as_u16(), format!("{:?}", response.headers()), bytes(response).await);
            let work = (store.calls.lock().unwrap().clone(), runs.load(Ordering::SeqCst) - before);
            assert_eq!((answer.0, work.0.as_slice()), (status, calls), "{path} {class}");
            seen.push((answer, work));
        }
        assert!(seen.iter().all(|it| *it == seen[0]), "{path}: {seen:?}");
        assert_eq!(seen[0].1.1, usize::from(path.ends_with("login")), "{path}: hash runs");
    }
}

/// What asks for the proof of a mailbox looks nobody up.
#[tokio::test]
async fn en_05_en_06_en_08_what_asks_for_a_proof_does_the_same_whoever_has_the_mailbox() {
    let runs = Arc::new(AtomicUsize::new(0));
    let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
    let passwords = PasswordPool::builder(Counting(hasher, Arc::clone(&runs))).build().unwrap();
    let store = Noting { inner: MemoryStore::new(), calls: Arc::default(), keeps_buckets: true };
    let application = application(store.clone()).passwords(passwords).throttle(Throttle::default());
    let users = mailed(application, &Mailbox::default(), &store).prove_mailbox_first(true).build().unwrap();
    for class in CLASSES.into_iter().skip(1) {
        let email = Email::parse(&email(class)).unwrap();
        let create = UserCreate {
            is_verified: Some(class != "active00"),
            is_superuser: Some(class == "superusr"),
            is_active: Some(class != "inactive"),
            ..UserCreate::new(email, "plum tomato engine".into(), ())
        };
        users.create(create, Fields::All, None).await.unwrap();
    }
    let nobody = visitor(&users);
    let person = nobody.logged_in(&email("verified"), "plum tomato engine", "/auth/jwt").await;
    let register = json!({ "email": "…", "password": "green river stone" });
    type Case<'a> = (&'a Person, &'a str, &'a str, Value, u16, &'a [&'a str], usize);
    let cases: [Case<'_>; 2] = [
        (&nobody, "POST", "/auth/register", register, 201, &["take", "take", "enqueue"], 1),
        (&person, "PATCH", "/users/me", json!({ "email": "…" }), 200, &["get_for_token", "take", "update"], 0),
    ];
    for (person, method, path, body, status, calls, hashes) in cases {
        let mut seen = Vec::new();
        for class in CLASSES.into_iter().filter(|class| method == "POST" || *class != "verified") {
            store.calls.lock().unwrap().clear();
            let before = runs.load(Ordering::SeqCst);
            let body = body.to_string().replace('…', &email(class));
            let response = person.raw(method, path, &[("content-type", "application/json")], body).await;
            let (code, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
            let length = bytes(response).await.len();
            let work = (store.calls.lock().unwrap().clone(), runs.load(Ordering::SeqCst) - before);
            assert_eq!((code, work.0.as_slice(), work.1), (status, calls, hashes), "{path} {class}");
            seen.push((headers, length));
        }
        assert!(seen.iter().all(|it| *it == seen[0]), "{path}: {seen:?}");
    }
}

/// Tokens that nobody made: no look-up before the signature, no hash at all (ASVS 15.2.2).
#[tokio::test]
async fn rc_12_a_token_that_is_none_costs_neither_a_hash_nor_a_look_up() {
    let runs = Arc::new(AtomicUsize::new(0));
    let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
    let passwords = PasswordPool::builder(Counting(hasher, Arc::clone(&runs))).build().unwrap();
    let store = Noting { inner: MemoryStore::new(), calls: Arc::default(), keeps_buckets: true };
    let users = mailed(application(store.clone()).passwords(passwords), &Mailbox::default(), &store).build().unwrap();
    let nobody = visitor(&users);
    let id = nobody.register("a@camelot.bt").await["id"].as_str().unwrap().to_owned();
    store.calls.lock().unwrap().clear();
    let before = runs.load(Ordering::SeqCst);
    let claims =
        json!({ "sub": id, "password_fgpt": "$argon2id$v=19$m=65536,t=3,p=4$AAAA$AAAA", "aud": "fastapi-users:reset" });
    let unsigned = format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{}.AAAA", claims.to_string().len());
    for number in 0..100 {
        let token = if number % 2 == 0 { unsigned.clone() } else { format!("bogus {number}") };
        let body: Value = json!({ "token": token, "password": "plum tomato engine" });
        assert_eq!(nobody.json("POST", "/auth/reset-password", &body).await.0, 400);
        assert_eq!(nobody.json("POST", "/auth/verify", &json!({ "token": token })).await.0, 400);
    }
    assert_eq!((store.calls.lock().unwrap().len(), runs.load(Ordering::SeqCst) - before), (0, 0));
}

/// For a store that keeps no buckets, the process counts.
#[tokio::test]
async fn au_01_attempts_are_counted_in_memory_where_the_store_does_not_count_them() {
    let store = Noting { inner: MemoryStore::new(), calls: Arc::default(), keeps_buckets: false };
    let users = application(store.clone()).throttle(Throttle::default()).build().unwrap();
    let nobody = visitor(&users);
    nobody.register("a@camelot.bt").await;
    for number in 0..12 {
        let expected = if number < 10 { 400 } else { 429 };
        assert_eq!(nobody.login("/auth/jwt", "A@camelot.bt", "wrong").await.status(), expected, "{number}");
        assert_eq!(nobody.login("/auth/jwt", "b@camelot.bt", "wrong").await.status(), expected, "{number}");
    }
    assert!(!store.calls.lock().unwrap().contains(&"take"));
}
