//! The suites.

use std::collections::BTreeMap;

use axum_users::{Clock, ColumnValue, Kind, UserProfile};
use axum_users_parity::{Answer, Replay, Suite, recorded};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    application::{Settings, application},
    compare::difference,
    database::{Database, Engine},
};

/// When the exchanges were recorded: tokens of the recording still live.
const RECORDED_AT: i64 = 1_795_470_729;

/// Routes of later releases: their steps are not sent.
const LATER: [&str; 6] = [
    "/auth/forgot-password",
    "/auth/reset-password",
    "/auth/request-verify-token",
    "/auth/verify",
    "/auth/google/",
    "/auth/associate/",
];

/// Steps that may differ: suite, place, the status that ours has, and why.
const ALLOWED: &[(&str, usize, u16, &str)] = &[
    ("main", 30, 422, "UTF-16 is not read"),
    ("main", 38, 201, "a trailing slash is the same route; `x@camelot.bt` is registered then"),
    ("main", 102, 401, "`exp` must be an integer: text"),
    ("main", 103, 401, "`exp` must be an integer: fraction"),
    ("main", 137, 401, "`exp` must be an integer of 64 bits"),
    ("main", 333, 200, "the case of one's own address can be changed"),
    ("main", 365, 200, "a trailing slash is the same route"),
    ("main", 469, 400, "the password was set by a route of a later release"),
    ("integer_ids", 6, 404, "an id has one spelling"),
    ("integer_ids", 7, 404, "an id has one spelling"),
];

/// No columns, ids that the database counts.
#[derive(Clone, Debug, axum_users::UserProfile)]
#[profile(id = i64)]
struct Counted {}

macro_rules! suites {
    ($($engine:ident: $uuid:ident $counted:ident $verified:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $uuid() {
            Run::new::<()>(Engine::$engine, "main", Settings::default()).await.all::<()>().await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $counted() {
            Run::new::<Counted>(Engine::$engine, "integer_ids", Settings::default()).await.all::<Counted>().await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $verified() {
            let settings = Settings { requires_verification: true };
            Run::new::<()>(Engine::$engine, "requires_verification", settings).await.all::<()>().await;
        }
    )*};
}
suites! {
    Sqlite: sqlite_uuid_users sqlite_counted_users sqlite_where_verification_is_required;
    Postgres: postgres_uuid_users postgres_counted_users postgres_where_verification_is_required;
    MySql: mysql_uuid_users mysql_counted_users mysql_where_verification_is_required;
}

/// One suite on its way.
struct Run {
    suite: Suite,
    replay: Replay,
    database: Database,
    /// The login of each recorded token.
    logins: BTreeMap<String, Value>,
    /// Recorded tokens that a logout has ended here, though not there.
    ended: Vec<String>,
    wrong: Vec<String>,
}

impl Run {
    async fn new<P: UserProfile>(engine: Engine, name: &str, settings: Settings) -> Self {
        let suite = recorded().into_iter().find(|suite| suite.name == name).unwrap();
        let url = engine.empty().await;
        let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(RECORDED_AT).unwrap());
        let replay = Replay::new(application::<P>(&url, clock, settings).await);
        let database = engine.open(&url).await;
        Self { suite, replay, database, logins: BTreeMap::new(), ended: Vec::new(), wrong: Vec::new() }
    }

    async fn all<P: UserProfile>(mut self) {
        let mut sent = 0;
        for (index, step) in self.suite.steps.clone().iter().enumerate() {
            if let Some(sql) = step.get("setup_sql").and_then(Value::as_str) {
                let sql = self.replay.ours(sql);
                self.database.run(&sql).await;
                continue;
            }
            let path = step["request"]["path"].as_str().unwrap();
            if LATER.iter().any(|later| path.starts_with(later)) {
                continue;
            }
            sent += 1;
            self.one::<P>(index, step, path).await;
        }
        let Self { suite, wrong, .. } = self;
        assert!(sent > 0, "{}: nothing was sent", suite.name);
        assert!(wrong.is_empty(), "{} of {sent} exchanges differ:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn one<P: UserProfile>(&mut self, index: usize, step: &Value, path: &str) {
        let recorded = Answer::recorded(step);
        let token = presented(step);
        let mut ours = self.replay.send(step).await;
        if recorded.status != 401 && token.as_ref().is_some_and(|token| self.ended.contains(token)) {
            // Logged out here: the token is dead. Log in again, and go on with a token that lives.
            let nobody = ours.status == 401 || ours.json()["user"].is_null() && path.starts_with("/x/");
            assert!(nobody, "{index}: a token that was logged out still counts");
            let token = token.clone().unwrap();
            self.ended.retain(|it| *it != token);
            self.replay.send(&self.logins[&token].clone()).await;
            ours = self.replay.send(step).await;
        }
        if path.ends_with("/logout") && ours.status == 204 {
            self.ended.extend(token);
        }
        if let Some(token) = recorded.json()["access_token"].as_str() {
            self.logins.insert(token.to_owned(), step.clone());
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
        }
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
