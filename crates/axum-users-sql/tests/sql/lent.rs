//! Connections that are lent: what the server ends, and what callers give up.

use std::time::Duration;

use axum_users_core::{
    DatabaseError, Email, NewUser, Outcome, PasswordHash, User, UserChange, UserDatabase as _, random,
};
use axum_users_sql::SqlStore;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection};
use tokio::task::JoinSet;

use crate::databases::Engine;

/// InnoDB shows the same picture of its transactions to whoever looks again within 100 ms.
const PAUSE: Duration = Duration::from_millis(150);
/// As many as wait for a lock at once.
const CROWD: u32 = 5;

async fn king(store: &SqlStore<()>) -> User<()> {
    let king = NewUser {
        id: Some(random::uuid_v4()),
        email: Email::from_stored("king@camelot.bt".into()),
        hashed_password: PasswordHash::from_stored("-".into()),
        is_active: true,
        is_superuser: false,
        is_verified: false,
        tokens_valid_after: None,
        profile: (),
        consumes: None,
    };
    store.create(king).await.unwrap()
}

fn verified() -> UserChange<()> {
    UserChange { is_verified: Some(true), ..UserChange::default() }
}

/// Somebody with a connection of their own to the same database.
enum Other {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Other {
    async fn on(engine: Engine, url: &str) -> Self {
        match engine {
            Engine::Postgres => Self::Postgres(PgConnection::connect(url).await.unwrap()),
            _ => Self::MySql(MySqlConnection::connect(url).await.unwrap()),
        }
    }

    async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Postgres(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
            Self::MySql(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
        }
    }

    async fn numbers(&mut self, sql: &'static str) -> Vec<i64> {
        match self {
            Self::Postgres(connection) => {
                // Else a transaction sees what it saw first.
                sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *connection).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
            }
            Self::MySql(connection) => sqlx::query_scalar(sql).fetch_all(connection).await.unwrap(),
        }
    }

    /// The connections of everybody else.
    async fn others(&mut self) -> Vec<i64> {
        self.numbers(match self {
            Self::Postgres(_) => {
                "SELECT pid::bigint FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            }
            Self::MySql(_) => {
                "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
                 WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            }
        })
        .await
    }

    /// How many wait for a lock.
    async fn waiting(&mut self) -> usize {
        let waiting = self.numbers(match self {
            Self::Postgres(_) => {
                "SELECT pid::bigint FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            }
            Self::MySql(_) => {
                "SELECT CAST(p.id AS SIGNED) FROM information_schema.processlist p \
                 LEFT JOIN information_schema.innodb_trx t ON p.id = t.trx_mysql_thread_id \
                 WHERE p.db = DATABASE() AND (t.trx_state = 'LOCK WAIT' OR p.state = 'Waiting for table metadata lock')"
            }
        });
        waiting.await.len()
    }

    /// How many transactions of others are open.
    async fn open(&mut self) -> usize {
        let open = self.numbers(match self {
            Self::Postgres(_) => {
                "SELECT pid::bigint FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            }
            Self::MySql(_) => {
                "SELECT CAST(p.id AS SIGNED) FROM information_schema.innodb_trx t \
                 JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.db = DATABASE()"
            }
        });
        open.await.len()
    }

    async fn lock_users(&mut self) {
        self.run("BEGIN").await.unwrap();
        self.run(match self {
            Self::Postgres(_) => "SELECT id FROM \"user\" FOR UPDATE",
            Self::MySql(_) => "SELECT id FROM `user` FOR UPDATE",
        })
        .await
        .unwrap();
    }

    /// Nobody can even read.
    async fn lock_table(&mut self) {
        let lock = match self {
            Self::Postgres(_) => "BEGIN; LOCK TABLE \"user\"",
            Self::MySql(_) => "LOCK TABLES `user` WRITE",
        };
        self.run(lock).await.unwrap();
    }

    async fn unlock_table(&mut self) {
        let unlock = match self {
            Self::Postgres(_) => "ROLLBACK",
            Self::MySql(_) => "UNLOCK TABLES",
        };
        self.run(unlock).await.unwrap();
    }

    /// From now on changes of users fail with this code.
    async fn refuse_changes(&mut self, code: &str) {
        let statements = match self {
            Self::Postgres(_) => [
                format!(
                    "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                     $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$"
                ),
                "CREATE OR REPLACE TRIGGER refuse BEFORE UPDATE ON \"user\" FOR EACH ROW EXECUTE FUNCTION refuse()"
                    .into(),
            ],
            Self::MySql(_) => [
                "DROP TRIGGER IF EXISTS refuse".into(),
                format!(
                    "CREATE TRIGGER refuse BEFORE UPDATE ON `user` FOR EACH ROW \
                     SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}"
                ),
            ],
        };
        for sql in statements {
            self.run(&sql).await.unwrap();
        }
    }

    /// Ends the connections of everybody else.
    async fn end_all(&mut self) {
        for number in self.others().await {
            let ended = match self {
                Self::Postgres(_) => self.run(&format!("SELECT pg_terminate_backend({number})")).await,
                Self::MySql(_) => self.run(&format!("KILL {number}")).await,
            };
            // One may be gone already.
            assert!(matches!(ended, Ok(()) | Err(sqlx::Error::Database(_))), "{ended:?}");
        }
        until(async || self.others().await.is_empty()).await;
    }
}

/// Asks again until it is so.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let patience = async {
        while !holds().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), patience).await.expect("it never becomes so");
}

/// `CROWD` changes that wait for a lock of `other`, each on a connection.
async fn crowd(store: &SqlStore<()>, user: &User<()>, other: &mut Other) -> JoinSet<Result<bool, DatabaseError>> {
    other.lock_users().await;
    let mut waiting = JoinSet::new();
    for _ in 0..CROWD {
        let (store, id) = (store.clone(), user.id);
        waiting.spawn(async move { Ok(matches!(store.update(&id, verified()).await?, Outcome::Done(_))) });
    }
    until(async || other.waiting().await == CROWD as usize).await;
    waiting
}

/// How many reads fail before one does not.
async fn failures(store: &SqlStore<()>, user: &User<()>) -> usize {
    let mut failures = 0;
    loop {
        match store.get(&user.id).await {
            Ok(found) => {
                assert!(found.is_some());
                return failures;
            }
            Err(error) => assert!(matches!(error, DatabaseError::Unavailable(_)), "{error:?}"),
        }
        failures += 1;
        assert!(failures < 20, "it does not come back");
    }
}

async fn ended_by_the_server(engine: Engine) {
    let url = engine.empty().await;
    let limit = Duration::from_secs(20);
    let store = SqlStore::<()>::builder(&url).max_connections(CROWD).time_limit(limit).connect().await.unwrap();
    let user = king(&store).await;
    let mut other = Other::on(engine, &url).await;
    // One that was idle.
    for _ in 0..10 {
        assert!(store.get(&user.id).await.unwrap().is_some());
        other.end_all().await;
        assert!(failures(&store, &user).await <= 1, "it was lent again");
    }
    // Many that were reading, and many that were writing: they are told so, and nobody is lent what is left of them.
    other.lock_table().await;
    let mut ended = JoinSet::new();
    for _ in 0..CROWD {
        let (store, id) = (store.clone(), user.id);
        ended.spawn(async move { store.get(&id).await.map(|user| user.is_some()) });
    }
    until(async || other.waiting().await == CROWD as usize).await;
    other.end_all().await;
    while let Some(one) = ended.join_next().await {
        let answer = one.unwrap();
        assert!(matches!(answer, Err(DatabaseError::Unavailable(_))), "{answer:?}");
    }
    other.unlock_table().await;
    assert_eq!(failures(&store, &user).await, 0);
    let mut ended = crowd(&store, &user, &mut other).await;
    other.end_all().await;
    while let Some(one) = ended.join_next().await {
        let answer = one.unwrap();
        assert!(matches!(answer, Err(DatabaseError::Unavailable(_))), "{answer:?}");
    }
    assert_eq!(failures(&store, &user).await, 0);
    other.run("ROLLBACK").await.unwrap();
    // Many that have just answered: one is found out for all of them.
    let mut done = crowd(&store, &user, &mut other).await;
    other.run("ROLLBACK").await.unwrap();
    while let Some(one) = done.join_next().await {
        assert!(one.unwrap().unwrap());
    }
    other.end_all().await;
    assert!(failures(&store, &user).await <= 1, "the next one is dead as well");
    let change = store.update(&user.id, verified()).await;
    assert!(matches!(change, Ok(Outcome::Done(_))), "{change:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn av_03_av_06_connections_that_postgres_ended_fail_one_call_and_are_not_lent_again() {
    ended_by_the_server(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn av_03_av_06_connections_that_mariadb_ended_fail_one_call_and_are_not_lent_again() {
    ended_by_the_server(Engine::MySql).await;
}

/// Not every server closes the connection at once.
#[tokio::test]
async fn av_03_the_code_of_an_error_says_whether_its_connection_is_lent_again() {
    for (engine, codes) in [
        (Engine::Postgres, [("57P01", false), ("57P03", false), ("08006", false), ("23514", true)]),
        (Engine::MySql, [("1053", false), ("1927", false), ("1159", false), ("1644", true)]),
    ] {
        let url = engine.empty().await;
        let store = SqlStore::<()>::builder(&url).max_connections(1).connect().await.unwrap();
        let user = king(&store).await;
        let mut other = Other::on(engine, &url).await;
        for (code, is_kept) in codes {
            other.refuse_changes(code).await;
            until(async || other.others().await.len() == 1).await;
            let before = other.others().await;
            let error = store.update(&user.id, verified()).await.unwrap_err();
            assert_eq!(matches!(error, DatabaseError::Driver(_)), is_kept, "{code}: {error:?}");
            assert_eq!(matches!(error, DatabaseError::Unavailable(_)), !is_kept, "{code}: {error:?}");
            assert!(store.get(&user.id).await.unwrap().is_some());
            assert_eq!(other.others().await == before, is_kept, "{code}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn av_03_calls_that_are_given_up_leave_nothing_open_and_every_place_free() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        let builder = SqlStore::<()>::builder(&url).max_connections(3).time_limit(Duration::from_secs(10));
        let store = builder.connect().await.unwrap();
        let user = king(&store).await;
        for round in 0..200_u64 {
            let mut running = JoinSet::new();
            for number in 0..8 {
                let (store, id) = (store.clone(), user.id);
                running.spawn(async move {
                    if number % 2 == 0 {
                        store.get(&id).await.map(drop)
                    } else {
                        store.update(&id, verified()).await.map(drop)
                    }
                });
            }
            // Wherever they are by then.
            tokio::time::sleep(Duration::from_micros(round * 7)).await;
            running.shutdown().await;
        }
        if engine != Engine::Sqlite {
            let mut other = Other::on(engine, &url).await;
            until(async || other.open().await == 0).await;
        }
        let mut all = JoinSet::new();
        for _ in 0..30 {
            let (store, id) = (store.clone(), user.id);
            all.spawn(async move { store.get(&id).await.unwrap().is_some() });
        }
        assert!(all.join_all().await.into_iter().all(|is_there| is_there), "{engine:?}");
        let change = store.update(&user.id, verified()).await;
        assert!(matches!(change, Ok(Outcome::Done(_))), "{engine:?}: {change:?}");
        // Twice at once, while somebody reads.
        let reader = tokio::spawn({
            let (store, id) = (store.clone(), user.id);
            async move { while store.get(&id).await.is_ok() {} }
        });
        let closed = async { tokio::join!(store.close(), store.close()) };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("it does not close");
        tokio::time::timeout(Duration::from_secs(20), reader).await.expect("it goes on").unwrap();
    }
}
