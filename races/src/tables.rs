//! Tables of their own on one of the engines, and questions that no store answers.

use std::{env, path::Path};

use anyhow::{Context as _, Result, bail};
use axum_users::{MongoStore, MongoStoreBuilder, SqlStore, random};
use mongodb::{
    Client, Database,
    bson::{Bson, Document, doc},
};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool, SqlitePool};

use crate::Store;

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
    /// The server of `AXUM_USERS_TEST_MONGODB_URL`.
    MongoDb,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sqlite, Self::Postgres, Self::MariaDb, Self::MongoDb];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
            Self::MongoDb => "MongoDB",
        }
    }

    fn url(self, folder: &Path) -> Result<String> {
        let variable = match self {
            Self::Sqlite => return Ok(format!("sqlite://{}", folder.join("races.db").display())),
            Self::Postgres => "AXUM_USERS_TEST_POSTGRES_URL",
            Self::MariaDb => "AXUM_USERS_TEST_MYSQL_URL",
            Self::MongoDb => "AXUM_USERS_TEST_MONGODB_URL",
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
    Mongo(Database),
}

/// Runs `$call` on a pool of whichever engine with SQL.
macro_rules! on {
    ($tables:expr, $pool:ident => $call:expr) => {
        match &$tables.pool {
            Pool::Sqlite($pool) => $call,
            Pool::Postgres($pool) => $call,
            Pool::MySql($pool) => $call,
            Pool::Mongo(_) => bail!("MongoDB is not asked in SQL"),
        }
    };
}

impl Tables {
    /// Names that nobody has yet; the first store makes the tables. SQLite has a file in this folder, MongoDB a database.
    ///
    /// # Errors
    /// When the variable of the engine is not set.
    pub async fn new(engine: Engine, folder: &Path) -> Result<Self> {
        let mut url = engine.url(folder)?;
        let name = random::uuid_v4().simple().to_string();
        let name = name.get(..16).unwrap_or_default();
        let pool = match engine {
            Engine::Sqlite => Pool::Sqlite(SqlitePool::connect_lazy(&url)?),
            Engine::Postgres => Pool::Postgres(PgPool::connect_lazy(&url)?),
            Engine::MariaDb => Pool::MySql(MySqlPool::connect_lazy(&url)?),
            Engine::MongoDb => {
                let (server, options) = url.split_once('?').unwrap_or((&url, ""));
                url = format!("{}/r{name}?{options}", server.trim_end_matches('/'));
                Pool::Mongo(Client::with_uri_str(&url).await?.database(&format!("r{name}")))
            }
        };
        Ok(Self { engine, url, users: format!("u{name}"), tokens: format!("t{name}"), pool })
    }

    /// A store of its own connections.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn store(&self) -> Result<Store> {
        Ok(match self.engine {
            Engine::MongoDb => Store::Mongo(self.mongo().connect().await?),
            _ => Store::Sql(self.sql_store().await?),
        })
    }

    /// The same, of an engine with SQL.
    ///
    /// # Errors
    /// When it does not open, and of MongoDB.
    pub async fn sql_store(&self) -> Result<SqlStore<()>> {
        let store = SqlStore::builder(&self.url).user_table(&self.users).access_token_table(&self.tokens);
        Ok(store.max_connections(6).connect().await?)
    }

    fn mongo(&self) -> MongoStoreBuilder<()> {
        let store = MongoStore::builder(&self.url).user_collection(&self.users).access_token_collection(&self.tokens);
        store.max_connections(6)
    }

    /// Sessions, access tokens, refresh tokens and linked accounts of users that are gone; `None` where they may be left, and
    /// only must not count.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn orphans(&self) -> Result<Option<i64>> {
        if matches!(self.pool, Pool::Mongo(_)) {
            return Ok(None);
        }
        let mut count = 0;
        let users = &self.users;
        for table in [self.tokens.clone(), self.sessions(), self.refresh_tokens(), format!("{users}_oauth_account")] {
            let sql = format!(
                "SELECT count(*) FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM {users} u WHERE u.id = t.user_id)"
            );
            count += self.count(sql).await?;
        }
        Ok(Some(count))
    }

    /// Users of this mailbox, in any spelling.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn users_of(&self, email: &str) -> Result<i64> {
        let email = email.to_ascii_lowercase();
        if let Pool::Mongo(database) = &self.pool {
            let of_email = doc! { "email": { "$regex": format!("^{}$", email.replace('.', "\\.")), "$options": "i" } };
            return documents(database, &self.users, of_email).await;
        }
        self.count(format!("SELECT count(*) FROM {} WHERE lower(email) = '{email}'", self.users)).await
    }

    /// Refresh tokens whose session was ended; `None` where they may be left, and only must not count.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn refresh_tokens_of_ended_sessions(&self) -> Result<Option<i64>> {
        if matches!(self.pool, Pool::Mongo(_)) {
            return Ok(None);
        }
        let (refresh, sessions) = (self.refresh_tokens(), self.sessions());
        let of_ended =
            format!("SELECT count(*) FROM {refresh} r JOIN {sessions} s ON s.id = r.session_id WHERE s.ended");
        Ok(Some(self.count(of_ended).await?))
    }

    /// Refresh tokens of a session that were not used yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unused_refresh_tokens(&self, session: &str) -> Result<i64> {
        let refresh = self.refresh_tokens();
        if let Pool::Mongo(database) = &self.pool {
            return documents(database, &refresh, doc! { "session": session, "used_at": Bson::Null }).await;
        }
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
        if let Pool::Mongo(database) = &self.pool {
            return Ok(database.drop().await?);
        }
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

async fn documents(database: &Database, collection: &str, filter: Document) -> Result<i64> {
    Ok(i64::try_from(database.collection::<Document>(collection).count_documents(filter).await?)?)
}
