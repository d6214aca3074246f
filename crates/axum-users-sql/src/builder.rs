//! How a store is opened.

use std::{marker::PhantomData, str::FromStr as _, sync::Arc};

use axum_users_core::UserProfile;
use sqlx::pool::PoolOptions;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use sqlx::{Connection, Database, Pool};

use crate::{
    names::Names,
    schema::{self, SchemaError},
    store::{ACQUIRE_TIMEOUT, Inner, SqlStore, Store},
};

/// Opens a [`SqlStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SqlStoreBuilder<P: UserProfile> {
    url: String,
    names: Names,
    max_connections: u32,
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
        Ok(SqlStore(match self.pool(Purpose::Use).await? {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(pool) => Inner::Sqlite(Arc::new(Store::open(pool, names, migrate, adopt).await?)),
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(pool) => Inner::Postgres(Arc::new(Store::open(pool, names, migrate, adopt).await?)),
            #[cfg(feature = "mysql")]
            AnyPool::MySql(pool) => Inner::MySql(Arc::new(Store::open(pool, names, migrate, adopt).await?)),
        }))
    }

    /// The statements that [`connect`](Self::connect) would run; none when the schema is up to date. Nothing is made, not
    /// even the file of SQLite.
    ///
    /// # Errors
    /// [`SchemaError`] when the schema cannot be brought up to date at all.
    pub async fn plan(self) -> Result<Vec<String>, SchemaError> {
        let (names, adopt) = (self.names.clone(), self.adopt);
        match self.pool(Purpose::Look).await? {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(pool) => schema::plan::<P, _>(&pool, &names, adopt).await,
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(pool) => schema::plan::<P, _>(&pool, &names, adopt).await,
            #[cfg(feature = "mysql")]
            AnyPool::MySql(pool) => schema::plan::<P, _>(&pool, &names, adopt).await,
        }
    }

    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "a server has its database already"))]
    async fn pool(&self, purpose: Purpose) -> Result<AnyPool, SchemaError> {
        let scheme = self.url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "sqlite")]
            "sqlite" => {
                use std::time::Duration;

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
                let options = options
                    .foreign_keys(true)
                    .synchronous(SqliteSynchronous::Normal)
                    .busy_timeout(Duration::from_secs(5));
                // A database in memory lives as long as its connection.
                let pool = PoolOptions::new()
                    .max_connections(if in_memory { 1 } else { self.max_connections })
                    .acquire_timeout(if in_memory { Duration::from_secs(30) } else { ACQUIRE_TIMEOUT })
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
                        connected => return Ok(AnyPool::Sqlite(connected?)),
                    }
                }
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let options = sqlx::postgres::PgConnectOptions::from_str(&self.url)
                    .map_err(SchemaError::url)?
                    .application_name("axum-users");
                Ok(AnyPool::Postgres(self.open::<sqlx::PgConnection>(options).await?))
            }
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => {
                let options = sqlx::mysql::MySqlConnectOptions::from_str(&self.url).map_err(SchemaError::url)?;
                Ok(AnyPool::MySql(self.open::<sqlx::MySqlConnection>(options).await?))
            }
            _ => Err(SchemaError::Url(
                "a database URL begins with `sqlite:`, `postgres:` or `mysql:`, and the feature of that name is on"
                    .into(),
            )),
        }
    }

    /// A pool on a server. It asks again for a while where nobody listens, and forgets why: one more connection tells.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    async fn open<C: Connection>(&self, options: C::Options) -> Result<Pool<C::Database>, SchemaError>
    where
        C::Database: Database<Connection = C>,
    {
        let pool = PoolOptions::new().max_connections(self.max_connections).acquire_timeout(ACQUIRE_TIMEOUT);
        match pool.connect_with(options.clone()).await {
            Err(sqlx::Error::PoolTimedOut) => {
                let Ok(Err(error)) = tokio::time::timeout(ACQUIRE_TIMEOUT, C::connect_with(&options)).await else {
                    return Err(sqlx::Error::PoolTimedOut.into());
                };
                Err(error.into())
            }
            opened => Ok(opened?),
        }
    }
}

/// Why a database is opened.
#[derive(Clone, Copy)]
enum Purpose {
    /// To keep users in it.
    Use,
    /// To see what is there.
    Look,
}

enum AnyPool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
}
