//! Tables of their own on one of the engines, and questions that no store answers.

use std::{env, path::Path};

use anyhow::{Context as _, Result};
use axum_users::{SqlStore, SqlStoreBuilder, random};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool, SqlitePool};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "those that there are")]
pub enum Engine {
    /// A file.
    Sqlite,
    /// The server of `AXUM_USERS_TEST_POSTGRES_URL`.
    Postgres,
    /// The server of `AXUM_USERS_TEST_MYSQL_URL`.
    MariaDb,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MariaDb];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        }
    }

    fn url(self, folder: &Path) -> Result<String> {
        let variable = match self {
            Self::Sqlite => return Ok(format!("sqlite://{}", folder.join("races.db").display())),
            Self::Postgres => "AXUM_USERS_TEST_POSTGRES_URL",
            Self::MariaDb => "AXUM_USERS_TEST_MYSQL_URL",
        };
        env::var(variable)
            .with_context(|| format!("{variable} is not set: run `cargo xtask services` and export what it prints"))
    }
}

/// Where the users of an arena are.
pub struct Tables {
    /// What kind of database it is.
    pub engine: Engine,
    pub(crate) url: String,
    pub(crate) users: String,
    pub(crate) tokens: String,
    pool: Pool,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// Runs `$call` on a pool of whichever engine.
macro_rules! on {
    ($tables:expr, $pool:ident => $call:expr) => {
        match &$tables.pool {
            Pool::Sqlite($pool) => $call,
            Pool::Postgres($pool) => $call,
            Pool::MySql($pool) => $call,
        }
    };
}

impl Tables {
    /// Names that nobody has yet; the first store makes the tables. SQLite has a file in this folder.
    ///
    /// # Errors
    /// When the variable of the engine is not set.
    pub fn new(engine: Engine, folder: &Path) -> Result<Self> {
        let url = engine.url(folder)?;
        let name = random::uuid_v4().simple().to_string();
        let name = name.get(..16).unwrap_or_default();
        let pool = match engine {
            Engine::Sqlite => Pool::Sqlite(SqlitePool::connect_lazy(&url)?),
            Engine::Postgres => Pool::Postgres(PgPool::connect_lazy(&url)?),
            Engine::MariaDb => Pool::MySql(MySqlPool::connect_lazy(&url)?),
        };
        Ok(Self { engine, url, users: format!("u{name}"), tokens: format!("t{name}"), pool })
    }

    /// A store of its own connections.
    pub fn store(&self) -> SqlStoreBuilder<()> {
        SqlStore::builder(&self.url).user_table(&self.users).access_token_table(&self.tokens).max_connections(6)
    }

    /// Sessions, access tokens, refresh tokens and linked accounts of users that are gone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn orphans(&self) -> Result<i64> {
        let mut count = 0;
        let users = &self.users;
        for table in [self.tokens.clone(), self.sessions(), self.refresh_tokens(), format!("{users}_oauth_account")] {
            let sql = format!(
                "SELECT count(*) FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM {users} u WHERE u.id = t.user_id)"
            );
            count += self.count(sql).await?;
        }
        Ok(count)
    }

    /// Users of this mailbox, in any spelling.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn users_of(&self, email: &str) -> Result<i64> {
        let email = email.to_ascii_lowercase();
        self.count(format!("SELECT count(*) FROM {} WHERE lower(email) = '{email}'", self.users)).await
    }

    /// Refresh tokens whose session was ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn refresh_tokens_of_ended_sessions(&self) -> Result<i64> {
        let (refresh, sessions) = (self.refresh_tokens(), self.sessions());
        self.count(format!("SELECT count(*) FROM {refresh} r JOIN {sessions} s ON s.id = r.session_id WHERE s.ended"))
            .await
    }

    /// Refresh tokens of a session that were not used yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unused_refresh_tokens(&self, session: &str) -> Result<i64> {
        let refresh = self.refresh_tokens();
        self.count(format!("SELECT count(*) FROM {refresh} WHERE session_id = '{session}' AND used_at IS NULL")).await
    }

    /// Gives the refresh tokens of a session to another one.
    pub(crate) async fn move_refresh_tokens(&self, from: &str, to: &str) -> Result<()> {
        let refresh = self.refresh_tokens();
        self.execute(format!("UPDATE {refresh} SET session_id = '{to}' WHERE session_id = '{from}'")).await
    }

    /// Removes the tables.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove(&self) -> Result<()> {
        let users = &self.users;
        let ours = ["schema", "outbox", "bucket"].map(|kind| format!("axum_users_{users}_{kind}"));
        let of_users = [self.tokens.clone(), self.refresh_tokens(), self.sessions(), format!("{users}_oauth_account")];
        for table in ours.iter().chain(&of_users).chain([users]) {
            self.execute(format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }

    fn sessions(&self) -> String {
        format!("axum_users_{}_session", self.users)
    }

    fn refresh_tokens(&self) -> String {
        format!("axum_users_{}_refresh", self.users)
    }

    async fn count(&self, sql: String) -> Result<i64> {
        Ok(on!(self, pool => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await?))
    }

    async fn execute(&self, sql: String) -> Result<()> {
        on!(self, pool => sqlx::query(AssertSqlSafe(sql)).execute(pool).await.map(drop)?);
        Ok(())
    }
}
