//! How a store is opened.

use std::{marker::PhantomData, str::FromStr as _, sync::Arc, time::Duration};

use axum_users_core::UserProfile;
use sqlx::pool::PoolOptions;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use sqlx::{Connection, Database};

#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::{engine::Engine, pool::over_network};
use crate::{
    names::Names,
    pool::Pool,
    schema::{self, SchemaError},
    store::{Inner, SqlStore, Store},
};

/// Opens a [`SqlStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SqlStoreBuilder<P: UserProfile> {
    url: String,
    names: Names,
    max_connections: u32,
    time_limit: Option<Duration>,
    migrate: bool,
    adopt: bool,
    profile: PhantomData<fn() -> P>,
}

impl<P: UserProfile> SqlStoreBuilder<P> {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            names: Names::default(),
            max_connections: 10,
            time_limit: None,
            migrate: true,
            adopt: false,
            profile: PhantomData,
        }
    }

    /// The user table. Default: `user`.
    pub fn user_table(mut self, name: impl Into<String>) -> Self {
        self.names.user_table = name.into();
        self
    }

    /// The table of the database strategy. Default: `accesstoken`.
    pub fn access_token_table(mut self, name: impl Into<String>) -> Self {
        self.names.access_token_table = name.into();
        self
    }

    /// The table of accounts with providers. Default: `oauth_account`; with another [`user_table`](Self::user_table), its name
    /// and `_oauth_account`.
    pub fn oauth_account_table(mut self, name: impl Into<String>) -> Self {
        self.names.oauth_account_table = Some(name.into());
        self
    }

    /// Another name for one of our columns of the user table: `column("email", "mail")`.
    pub fn column(mut self, ours: impl Into<String>, theirs: impl Into<String>) -> Self {
        self.names.columns.push((ours.into(), theirs.into()));
        self
    }

    /// How many connections the pool opens at most. Default: 10. A SQLite database in memory has one.
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = max.max(1);
        self
    }

    /// How long one call may take, the wait for a connection included. Default: 2 seconds; SQLite 5 seconds, as it lets one
    /// write at a time. What takes longer is [`DatabaseError::Unavailable`](axum_users_core::DatabaseError), and its
    /// connection is not used again. A write that was cut off may have been done or not.
    ///
    /// The server is told to give up at the same time (PostgreSQL: `statement_timeout`, `idle_in_transaction_session_timeout`;
    /// MySQL: `innodb_lock_wait_timeout`, `lock_wait_timeout`, `max_execution_time`; MariaDB: `max_statement_time` instead of
    /// the last, and `idle_transaction_timeout`), by `SET` on each new connection. Migrations have no limit.
    ///
    /// Raise it where rows of the application hang on a user and take long to delete. Too long, and requests pile up while a
    /// database is silent.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Whether missing tables, columns and indexes are made when connecting. Default: true. With false, a schema that is
    /// not up to date is an error that lists the statements.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Whether tables that somebody else made may get our columns, indexes and side tables. Default: false, and such tables
    /// are an error that lists the statements. No row of theirs is rewritten.
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Connects, and migrates or checks.
    ///
    /// # Errors
    /// [`SchemaError`] says what to do.
    pub async fn connect(self) -> Result<SqlStore<P>, SchemaError> {
        let Self { names, migrate, adopt, .. } = &self;
        let (names, migrate, adopt) = (names.clone(), *migrate, *adopt);
        Ok(SqlStore(match self.open(Purpose::Use).await? {
            #[cfg(feature = "sqlite")]
            Opened::Sqlite(schema, pool) => {
                Inner::Sqlite(Arc::new(Store::open(&schema, pool, names, migrate, adopt).await?))
            }
            #[cfg(feature = "postgres")]
            Opened::Postgres(schema, pool) => {
                Inner::Postgres(Arc::new(Store::open(&schema, pool, names, migrate, adopt).await?))
            }
            #[cfg(feature = "mysql")]
            Opened::MySql(schema, pool) => {
                Inner::MySql(Arc::new(Store::open(&schema, pool, names, migrate, adopt).await?))
            }
        }))
    }

    /// The statements that [`connect`](Self::connect) would run; none when the schema is up to date. Nothing is made, not
    /// even the file of SQLite.
    ///
    /// # Errors
    /// [`SchemaError`] when the schema cannot be brought up to date at all.
    pub async fn plan(self) -> Result<Vec<String>, SchemaError> {
        let (names, adopt) = (self.names.clone(), self.adopt);
        match self.open(Purpose::Look).await? {
            #[cfg(feature = "sqlite")]
            Opened::Sqlite(schema, _) => schema::plan::<P, _>(&schema, &names, adopt).await,
            #[cfg(feature = "postgres")]
            Opened::Postgres(schema, _) => schema::plan::<P, _>(&schema, &names, adopt).await,
            #[cfg(feature = "mysql")]
            Opened::MySql(schema, _) => schema::plan::<P, _>(&schema, &names, adopt).await,
        }
    }

    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "a server has its database already"))]
    async fn open(&self, purpose: Purpose) -> Result<Opened, SchemaError> {
        let scheme = self.url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "sqlite")]
            "sqlite" => {
                use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
                let mut in_memory = self.url.contains(":memory:") || self.url.contains("mode=memory");
                let mut options = SqliteConnectOptions::from_str(&self.url).map_err(SchemaError::url)?;
                match purpose {
                    Purpose::Use => options = options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal),
                    Purpose::Look if in_memory || options.get_filename().exists() => {}
                    Purpose::Look => {
                        // A file that is not there has what an empty database has.
                        options = SqliteConnectOptions::new().in_memory(true);
                        in_memory = true;
                    }
                }
                // All wait for the one connection to memory.
                let usual = Duration::from_secs(if in_memory { 30 } else { 5 });
                let limit = self.time_limit.unwrap_or(usual);
                let options = options.foreign_keys(true).synchronous(SqliteSynchronous::Normal).busy_timeout(limit);
                // A database in memory lives as long as its connection.
                let pool = PoolOptions::new()
                    .max_connections(if in_memory { 1 } else { self.max_connections })
                    .acquire_timeout(limit)
                    .test_before_acquire(false)
                    .idle_timeout(None)
                    .max_lifetime(None);
                // A new file becomes WAL under a lock that no busy timeout waits for: of two that start at once, one tries again.
                let mut attempts = 0;
                loop {
                    match pool.clone().connect_with(options.clone()).await {
                        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("5") && attempts < 100 => {
                            attempts += 1;
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        connected => {
                            let pool = connected?;
                            return Ok(Opened::Sqlite(pool.clone(), Pool::new(pool, limit)));
                        }
                    }
                }
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let options = sqlx::postgres::PgConnectOptions::from_str(&self.url)
                    .map_err(SchemaError::url)?
                    .application_name("axum-users");
                let (schema, pool) = self.server::<sqlx::PgConnection>(options).await?;
                Ok(Opened::Postgres(schema, pool))
            }
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => {
                let options = sqlx::mysql::MySqlConnectOptions::from_str(&self.url).map_err(SchemaError::url)?;
                let (schema, pool) = self.server::<sqlx::MySqlConnection>(options).await?;
                Ok(Opened::MySql(schema, pool))
            }
            _ => Err(SchemaError::Url(
                "a database URL begins with `sqlite:`, `postgres:` or `mysql:`, and the feature of that name is on"
                    .into(),
            )),
        }
    }

    /// Two pools on a server: one without limits, for the schema, and one to use.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    async fn server<C: Connection>(&self, options: C::Options) -> Result<Pools<C::Database>, SchemaError>
    where
        C::Database: Database<Connection = C> + Engine,
    {
        let limit = self.time_limit.unwrap_or(TIME_LIMIT);
        let schema = PoolOptions::new().max_connections(1).acquire_timeout(TIME_LIMIT);
        // It asks again for a while where nobody listens, and forgets why: one more connection tells.
        let schema = match schema.connect_with(options.clone()).await {
            Err(sqlx::Error::PoolTimedOut) => {
                let Ok(Err(error)) = tokio::time::timeout(TIME_LIMIT, C::connect_with(&options)).await else {
                    return Err(sqlx::Error::PoolTimedOut.into());
                };
                return Err(error.into());
            }
            opened => opened?,
        };
        let pool = over_network(PoolOptions::new().max_connections(self.max_connections), limit);
        Ok((schema, Pool::new(pool.connect_lazy_with(options), limit)))
    }
}

/// How long a call to a server may take.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const TIME_LIMIT: Duration = Duration::from_secs(2);

#[cfg(any(feature = "postgres", feature = "mysql"))]
type Pools<E> = (sqlx::Pool<E>, Pool<E>);

/// Why a database is opened.
#[derive(Clone, Copy)]
enum Purpose {
    /// To keep users in it.
    Use,
    /// To see what is there.
    Look,
}

/// The pool for the schema, and the one to use.
enum Opened {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool, Pool<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool, Pool<sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool, Pool<sqlx::MySql>),
}
