//! The suites.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use axum_users::{
    AccessTokenDatabase, Argon2Params, Clock, ColumnValue, DefaultHasher, Kind, MongoStore, PasswordHasher as _,
    PasswordPolicy, SqlId, SqlStore, UserDatabase, UserProfile, Users,
};
use axum_users_parity::{Answer, Replay, Suite, recorded};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    application::{SECRET, Settings, application},
    compare::difference,
    database::{Database, Engine},
};

/// When the exchanges were recorded: tokens of the recording still live.
const RECORDED_AT: i64 = 1_795_470_729;

/// When the suite `cookie_redirect` was.
const SHOWN_AT: i64 = 1_795_471_146;

/// The fingerprint in the reset tokens of the recording that fit the password hash of then.
const FINGERPRINT: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$V4NNXZ9zM1f3IA5JCaJlpw$SzWWq+kxJ+gK7CqYDXx1kGd0a4WEK/EGM9eG8LNhHbo";

/// Steps that may differ: suite, place, the status that ours has, and why.
const ALLOWED: &[(&str, usize, u16, &str)] = &[
    ("main", 30, 422, "UTF-16 is not read"),
    ("main", 38, 201, "a trailing slash is the same route; `x@camelot.bt` is registered then"),
    ("main", 102, 401, "`exp` must be an integer: text"),
    ("main", 103, 401, "`exp` must be an integer: fraction"),
    ("main", 137, 401, "`exp` must be an integer of 64 bits"),
    ("main", 333, 200, "the case of one's own address can be changed"),
    ("main", 365, 200, "a trailing slash is the same route"),
    ("main", 422, 400, "an inactive user is not verified, and `exp` must be there"),
    ("main", 423, 400, "the user is inactive"),
    ("main", 463, 400, "`exp` must be there"),
    ("main", 480, 400, "the provider's words are not repeated"),
    ("main", 481, 400, "the provider's words are not repeated"),
    ("main", 498, 400, "a state says what it is for, and when it ends"),
    ("main", 499, 400, "a state says what it is for, and when it ends"),
    ("main", 519, 400, "an account belongs to one user"),
    ("main", 520, 200, "an account belongs to one user"),
    ("main", 522, 400, "a state says what it is for"),
    ("main", 523, 400, "a state is for one flow"),
    ("main", 530, 400, "an empty address is none"),
    ("main", 531, 400, "nor is any text"),
    ("integer_ids", 6, 404, "an id has one spelling"),
    ("integer_ids", 7, 404, "an id has one spelling"),
];

/// No columns, ids that the database counts.
#[derive(Clone, Debug, axum_users::UserProfile)]
#[profile(id = i64)]
struct Counted {}

async fn sql<P: UserProfile<Id: SqlId>>(url: &str) -> SqlStore<P> {
    SqlStore::connect(url).await.unwrap()
}

async fn mongo(url: &str) -> MongoStore<()> {
    MongoStore::connect(url).await.unwrap()
}

macro_rules! suites {
    ($($engine:ident $open:ident: $uuid:ident $verified:ident $linked:ident $shown:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $uuid() {
            Run::<()>::new(Engine::$engine, "main", Settings::default(), $open).await.all().await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $verified() {
            let settings = Settings { requires_verification: true, ..Settings::default() };
            Run::<()>::new(Engine::$engine, "requires_verification", settings, $open).await.all().await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $linked() {
            let settings = Settings { associate_by_email: true, ..Settings::default() };
            Run::<()>::new(Engine::$engine, "assoc_by_email", settings, $open).await.all().await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $shown() {
            let settings = Settings { cookie_redirect: true, ..Settings::default() };
            Run::<()>::new(Engine::$engine, "cookie_redirect", settings, $open).await.all().await;
        }
    )*};
}
suites! {
    Sqlite sql: sqlite_uuid_users sqlite_where_verification_is_required sqlite_linked_by_address sqlite_with_accounts_shown;
    Postgres sql: postgres_uuid_users postgres_where_verification_is_required postgres_linked_by_address postgres_with_accounts_shown;
    MySql sql: mysql_uuid_users mysql_where_verification_is_required mysql_linked_by_address mysql_with_accounts_shown;
    Mongo mongo: mongo_uuid_users mongo_where_verification_is_required mongo_linked_by_address mongo_with_accounts_shown;
    Ferret mongo: ferret_uuid_users ferret_where_verification_is_required ferret_linked_by_address ferret_with_accounts_shown;
}

macro_rules! counted {
    ($($engine:ident: $counted:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $counted() {
            Run::<Counted>::new(Engine::$engine, "integer_ids", Settings::default(), sql).await.all().await;
        }
    )*};
}
counted! {
    Sqlite: sqlite_counted_users;
    Postgres: postgres_counted_users;
    MySql: mysql_counted_users;
}

/// One suite on its way.
struct Run<P: UserProfile> {
    suite: Suite,
    users: Users<P>,
    replay: Replay,
    database: Database,
    /// The login of each recorded token.
    logins: BTreeMap<String, Value>,
    /// Recorded tokens that a logout has ended here, though not there.
    ended: Vec<String>,
    wrong: Vec<String>,
    clock: Clock,
    /// Ours in the place of [`FINGERPRINT`].
    fingerprint: Option<String>,
    /// How each recorded state began.
    starts: BTreeMap<String, Value>,
}

impl<P: UserProfile> Run<P> {
    async fn new<S>(engine: Engine, name: &str, settings: Settings, open: impl AsyncFnOnce(&str) -> S) -> Self
    where
        S: UserDatabase<P> + AccessTokenDatabase<P> + Clone,
    {
        let suite = recorded().into_iter().find(|suite| suite.name == name).unwrap();
        let url = engine.empty().await;
        // Where accounts are shown, so is when their tokens expire.
        let at = if settings.cookie_redirect { SHOWN_AT } else { RECORDED_AT };
        let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(at).unwrap());
        let (router, users) = application(open(&url).await, clock.clone(), settings);
        let replay = Replay::new(router);
        let database = engine.open(&url).await;
        Self {
            suite,
            users,
            replay,
            database,
            logins: BTreeMap::new(),
            ended: Vec::new(),
            wrong: Vec::new(),
            clock,
            fingerprint: None,
            starts: BTreeMap::new(),
        }
    }

    async fn all(mut self) {
        let mut sent = 0;
        for (index, step) in self.suite.steps.clone().iter().enumerate() {
            if let Some(sql) = step.get("setup_sql").and_then(Value::as_str) {
                let sql = self.replay.ours(sql);
                self.database.run(&sql).await;
                continue;
            }
            sent += 1;
            if step["title"] == "state expired" {
                self.clock.advance(time::Duration::seconds(10));
            }
            if step["title"] == "request verify ok" {
                // Tokens that were made to expire soon have expired by now.
                self.clock.advance(time::Duration::seconds(6));
            }
            let step = &self.with_our_fingerprint(step).await;
            let path = step["request"]["path"].as_str().unwrap();
            self.one(index, step, path).await;
        }
        let Self { suite, wrong, .. } = self;
        assert!(sent > 0, "{}: nothing was sent", suite.name);
        assert!(wrong.is_empty(), "{} of {sent} exchanges differ:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn one(&mut self, index: usize, step: &Value, path: &str) {
        let recorded = Answer::recorded(step);
        let token = presented(step);
        let mut ours = self.send(step).await;
        if recorded.status != 401 && token.as_ref().is_some_and(|token| self.ended.contains(token)) {
            // Logged out here: the token is dead. Log in again, and go on with a token that lives.
            let nobody = ours.status == 401 || ours.json()["user"].is_null() && path.starts_with("/x/");
            assert!(nobody, "{index}: a token that was logged out still counts");
            let token = token.clone().unwrap();
            self.ended.retain(|it| *it != token);
            self.send(&self.logins[&token].clone()).await;
            ours = self.send(step).await;
        }
        if path.ends_with("/logout") && ours.status == 204 {
            self.ended.extend(token);
        }
        if let Some(token) = recorded.json()["access_token"].as_str() {
            self.logins.insert(token.to_owned(), step.clone());
        }
        if let Some((_, token)) = recorded.header("set-cookie").and_then(|it| it.split_once("fastapiusersauth=")) {
            self.logins.insert(token.split(';').next().unwrap().to_owned(), step.clone());
        }
        let allowed = ALLOWED.iter().find(|(suite, at, ..)| *suite == self.suite.name && *at == index);
        match allowed {
            Some((.., status, reason)) => assert_eq!(ours.status, *status, "{index}: {reason}, {}", ours.body),
            None => {
                if let Some(difference) = difference(&recorded, &ours, |text| self.replay.ours(text)) {
                    self.wrong.push(format!("{index} {} {path}\n    {difference}", step["request"]["method"]));
                }
            }
        }
        if path == "/auth/register" && ours.status == 201 && <P::Id as ColumnValue>::KIND == Kind::Uuid {
            self.take_recorded_id(&recorded, &ours).await;
            if self.suite.name == "assoc_by_email" {
                // Ours links only to an address that was proved here.
                self.database.run("UPDATE user SET is_verified=1").await;
            }
        }
    }

    /// A recorded state is used over and over; ours counts once, so each use gets one of its own.
    async fn send(&mut self, step: &Value) -> Answer {
        let path = step["request"]["path"].as_str().unwrap();
        let start = self.starts.iter().find(|(state, _)| path.contains(&format!("state={state}")));
        if let Some((_, start)) = start {
            self.replay.send(&start.clone()).await;
        }
        let recorded = Answer::recorded(step).json();
        if let Some((_, rest)) = recorded["authorization_url"].as_str().and_then(|it| it.split_once("&state=")) {
            self.starts.insert(rest.split('&').next().unwrap().to_owned(), step.clone());
        }
        self.replay.send(step).await
    }

    /// A reset token holds a fingerprint of the stored hash, and our hash is another one.
    async fn with_our_fingerprint(&mut self, step: &Value) -> Value {
        let Some(body) = step["request"]["body"].as_str() else { return step.clone() };
        let Some(token) =
            serde_json::from_str::<Value>(body).ok().and_then(|body| Some(body["token"].as_str()?.to_owned()))
        else {
            return step.clone();
        };
        let segments: Vec<&str> = token.split('.').collect();
        let payload = segments.get(1).and_then(|it| String::from_utf8(URL_SAFE_NO_PAD.decode(it).ok()?).ok());
        let Some(payload) = payload.filter(|payload| payload.contains(FINGERPRINT)) else { return step.clone() };
        // What a worker stored for the requests before does not count: these tokens are older than it.
        while self.users.work_off().await.unwrap() > 0 {}
        self.database.run("UPDATE user SET reset_token_hash = NULL").await;
        if self.fingerprint.is_none() {
            let user = self.users.get_by_email("bors2@camelot.bt").await.unwrap().unwrap();
            let hash = PasswordPolicy::default().check(user.hashed_password.as_str(), None).unwrap();
            let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
            self.fingerprint = Some(hasher.hash(&hash).unwrap().as_str().to_owned());
        }
        let payload = payload.replace(FINGERPRINT, self.fingerprint.as_deref().unwrap());
        let ours = signed(segments[0], &payload);
        let mut step = step.clone();
        step["request"]["body"] = body.replace(&token, &ours).into();
        step
    }

    /// Tokens of the recording name the recorded ids.
    async fn take_recorded_id(&mut self, recorded: &Answer, ours: &Answer) {
        let (theirs, mine) = (recorded.json(), ours.json());
        let (Some(theirs), Some(mine)) = (theirs["id"].as_str(), mine["id"].as_str()) else { return };
        self.database.run(&format!("UPDATE user SET id = '{theirs}' WHERE id = '{mine}'")).await;
        self.replay.forget(theirs);
    }
}

/// The recorded token that a step presents.
fn presented(step: &Value) -> Option<String> {
    let headers = step["request"]["headers"].as_array()?;
    let value = |name: &str| headers.iter().find(|pair| pair[0] == name)?[1].as_str();
    let token = match value("Authorization") {
        Some(value) => value.split_once(' ')?.1,
        None => value("Cookie")?.split_once('=')?.1,
    };
    Some(token.to_owned())
}

/// A token with this header, signed with the secret of the recording.
fn signed(header: &str, payload: &str) -> String {
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}
