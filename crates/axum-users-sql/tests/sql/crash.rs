//! SQLite, where there is no network to cut: a process that dies in a call, after each statement and in each write.
//!
//! The process is this test once more. It is given a copy of a database that is ready for the call, and where to die.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicI64, Ordering},
};

use axum_users_core::{Secret, random};
use axum_users_sql::SqlStore;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::proof::{Call, Mailbox, node, passwords, seen};

/// What a process is to do.
const ORDERS: &str = "AXUM_USERS_TEST_ORDERS";
/// It says so when the call was answered.
const DONE: &[u8] = b"the call was answered";

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// When so many statements have been run that do more than read.
    AfterStatement,
    /// In a write to a file: a limit of the process cuts it short, and a signal ends it. Half a page lies between two limits, so
    /// that it dies between two pages of a commit and within each of them.
    #[cfg(unix)]
    InWrite,
}

/// A page of the write-ahead log with what stands before it.
#[cfg(unix)]
const FRAME: u64 = 24 + 4096;

#[tokio::test(flavor = "multi_thread")]
async fn rg_07_a_process_that_dies_after_any_statement_leaves_all_or_nothing_on_sqlite() {
    let this = "crash::rg_07_a_process_that_dies_after_any_statement_leaves_all_or_nothing_on_sqlite";
    obey_or_watch(this, Death::AfterStatement).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn rg_07_a_process_that_dies_in_any_write_leaves_all_or_nothing_on_sqlite() {
    let this = "crash::rg_07_a_process_that_dies_in_any_write_leaves_all_or_nothing_on_sqlite";
    obey_or_watch(this, Death::InWrite).await;
}

/// The test is the process that dies, or the one that looks at what is left.
async fn obey_or_watch(this: &str, death: Death) {
    if let Ok(orders) = std::env::var(ORDERS) {
        return obey(&serde_json::from_str(&orders).unwrap()).await;
    }
    for call in Call::ALL {
        dies_everywhere(this, call, death).await;
    }
}

async fn dies_everywhere(this: &str, call: Call, death: Death) {
    let folder = Folder::new();
    let (ready, token) = folder.ready(call).await;
    let before = folder.copy(&ready).seen(call).await;
    let done = folder.copy(&ready);
    done.run(call, &token).await.unwrap();
    let after = done.seen(call).await;
    assert_ne!(before, after);
    let mut deaths = Vec::new();
    for point in 0..200_u32 {
        let database = folder.copy(&ready);
        let orders = json!({
            "call": Call::ALL.iter().position(|it| *it == call),
            "token": token.expose(),
            "url": database.url(),
            "death": death as u8,
            "point": point,
        });
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(ORDERS, orders.to_string())
            .output()
            .unwrap();
        let is_answered = process.stdout.windows(DONE.len()).any(|it| it == DONE);
        let what = format!("{call:?} {death:?} {point}, answered {is_answered}: {}", told(&process));
        database.is_whole(&what).await;
        let found = database.seen(call).await;
        assert!(found == before || found == after, "{what}: {found:?}");
        assert!(!is_answered || found == after, "{what}: it was said to be done: {found:?}");
        // Whoever tries again completes it.
        if let Err(error) = database.run(call, &token).await {
            assert!(call.is_done(&error), "{what}: {error:?}");
        }
        assert_eq!(database.seen(call).await, after, "{what}");
        database.remove();
        if process.status.success() {
            assert!(is_answered, "{what}");
            return died_often_enough(death, &deaths, &what);
        }
        deaths.push(found == after);
    }
    panic!("{call:?} {death:?}: it always dies");
}

/// Each death with whether all was done by then.
fn died_often_enough(death: Death, deaths: &[bool], what: &str) {
    match death {
        Death::AfterStatement => {
            assert_eq!(deaths.last(), Some(&true), "{what}: never between the commit and the answer")
        }
        #[cfg(unix)]
        Death::InWrite => assert!(deaths.len() >= 4 && !deaths.contains(&true), "{what}: {deaths:?}"),
    }
}

fn told(process: &Output) -> String {
    format!("{:?} {}", process.status, String::from_utf8_lossy(&process.stderr))
}

/// Makes the call, and dies in it.
async fn obey(orders: &Value) {
    let number = |name: &str| orders[name].as_u64().unwrap();
    let text = |name: &str| orders[name].as_str().unwrap();
    let call = *Call::ALL.get(usize::try_from(number("call")).unwrap()).unwrap();
    tracing::subscriber::set_global_default(Statements).unwrap();
    let store = SqlStore::builder(text("url")).migrate(false).connect().await.unwrap();
    let users = node(store.clone(), &passwords(), &Mailbox::default(), call.proves());
    let token = Secret::from(text("token"));
    let limits = Limits::set(number("death"), number("point"));
    if let Err(error) = call.run(&users, &token).await {
        // It outlived the write, as where the signal is ignored.
        let _ = writeln!(std::io::stderr(), "{error:?}");
        std::process::abort();
    }
    std::io::stdout().write_all(DONE).unwrap();
    std::io::stdout().flush().unwrap();
    limits.lift();
    // The answer to a statement comes before it is told of.
    store.close().await;
}

/// How many statements may still be run that do more than read.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

/// What a process may do before it dies.
struct Limits {
    #[cfg(unix)]
    before: Option<rustix::process::Rlimit>,
}

impl Limits {
    #[cfg(unix)]
    fn set(death: u64, point: u64) -> Self {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        if death == Death::AfterStatement as u64 {
            LEFT.store(i64::try_from(point).unwrap() + 1, Ordering::SeqCst);
            return Self { before: None };
        }
        let before = getrlimit(Resource::Fsize);
        // The file begins with 32 bytes of its own.
        let limit = Rlimit { current: Some(32 + point * FRAME / 2), maximum: before.maximum };
        setrlimit(Resource::Fsize, limit).unwrap();
        // It leaves no core.
        let core = getrlimit(Resource::Core);
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: core.maximum }).unwrap();
        Self { before: Some(before) }
    }

    #[cfg(not(unix))]
    fn set(_death: u64, point: u64) -> Self {
        LEFT.store(i64::try_from(point).unwrap() + 1, Ordering::SeqCst);
        Self {}
    }

    /// To close the file takes writes, and no statements.
    fn lift(self) {
        #[cfg(unix)]
        if let Some(before) = self.before {
            rustix::process::setrlimit(rustix::process::Resource::Fsize, before).unwrap();
        }
    }
}

/// Dies when a statement has been run: sqlx tells of it where it ran it, before anything else runs there.
struct Statements;

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn event(&self, event: &Event<'_>) {
        let mut statement = OnlyReads(true);
        event.record(&mut statement);
        if !statement.0 && LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

/// Whether a statement only reads, as all do that open a store.
struct OnlyReads(bool);

impl Visit for OnlyReads {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            self.0 = value.starts_with("SELECT") || value.starts_with("PRAGMA");
        }
    }
    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

/// Databases, and their end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("axum-users-sql-{}", random::uuid_v4().simple()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// A database in which the call can begin, in one file, and the token that it needs.
    async fn ready(&self, call: Call) -> (Database, Secret) {
        let (database, mailbox) = (self.another(), Mailbox::default());
        let store = SqlStore::connect(&database.url()).await.unwrap();
        let token = call.prepare(&node(store.clone(), &passwords(), &mailbox, call.proves()), &mailbox).await;
        store.close().await;
        database.pragma("PRAGMA wal_checkpoint(TRUNCATE)").await;
        (database, token)
    }

    fn copy(&self, database: &Database) -> Database {
        let copy = self.another();
        fs::copy(&database.0, &copy.0).unwrap();
        copy
    }

    fn another(&self) -> Database {
        Database(self.0.join(format!("{}.db", random::uuid_v4().simple())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file.
struct Database(PathBuf);

impl Database {
    fn url(&self) -> String {
        format!("sqlite://{}", self.0.display())
    }

    /// All that a call may have changed.
    async fn seen(&self, call: Call) -> (BTreeSet<String>, BTreeSet<String>) {
        let store = SqlStore::builder(&self.url()).migrate(false).connect().await.unwrap();
        let found = seen(&node(store.clone(), &passwords(), &Mailbox::default(), call.proves())).await;
        store.close().await;
        found
    }

    async fn run(&self, call: Call, token: &Secret) -> Result<(), axum_users_core::Error> {
        let store = SqlStore::builder(&self.url()).migrate(false).connect().await.unwrap();
        let answer = call.run(&node(store.clone(), &passwords(), &Mailbox::default(), call.proves()), token).await;
        store.close().await;
        answer
    }

    async fn is_whole(&self, what: &str) {
        assert_eq!(self.pragma("PRAGMA integrity_check").await, ["ok"], "{what}");
        assert!(self.pragma("SELECT \"table\" FROM pragma_foreign_key_check").await.is_empty(), "{what}");
    }

    async fn pragma(&self, sql: &'static str) -> Vec<String> {
        let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows.iter().map(|row| sqlx::Row::get_unchecked::<String, _>(row, 0)).collect()
    }

    fn remove(self) {
        let with = |ending: &str| PathBuf::from(format!("{}{ending}", self.0.display()));
        for file in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(Path::new(&with(file)));
        }
    }
}
