//! The stores that a configuration can name, as one: what the server asks of a store beside the users.

use std::future::Future;

use axum_users::{
    AccessTokenDatabase, MongoId, MongoStore, MongoStoreBuilder, RefreshTokenDatabase, SetupError, SqlId, SqlStore,
    SqlStoreBuilder, UserDatabase, UserId,
};

use crate::{
    Failure,
    config::Config,
    profile::{self, ServerProfile},
};

/// A store of users with these ids, and how it is opened.
pub(crate) trait Storage:
    UserDatabase<ServerProfile<Self::Id>>
    + AccessTokenDatabase<ServerProfile<Self::Id>>
    + RefreshTokenDatabase<ServerProfile<Self::Id>>
    + Clone
{
    /// What identifies its users.
    type Id: UserId;

    /// As it is configured.
    fn open(config: &Config) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// What is missing in it; nothing is made.
    fn missing(config: &Config) -> impl Future<Output = Result<Vec<String>, Failure>> + Send;

    /// Makes what is missing, with `adopt` also beside what somebody else made.
    fn migrate(config: &Config, adopt: bool) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Lets go of its connections.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

impl<Id: SqlId> Storage for SqlStore<ServerProfile<Id>> {
    type Id = Id;

    async fn open(config: &Config) -> Result<Self, Failure> {
        Ok(sql::<Id>(config)?.connect().await?)
    }

    async fn missing(config: &Config) -> Result<Vec<String>, Failure> {
        // Nothing is done, so tables of others may be looked at, too.
        let statements = sql::<Id>(config)?.adopt(true).plan().await?;
        Ok(statements.into_iter().map(|statement| format!("{statement};")).collect())
    }

    async fn migrate(config: &Config, adopt: bool) -> Result<(), Failure> {
        let store = sql::<Id>(config)?.adopt(adopt || config.database.adopt).migrate(true).connect().await?;
        store.close().await;
        Ok(())
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

impl<Id: MongoId> Storage for MongoStore<ServerProfile<Id>> {
    type Id = Id;

    async fn open(config: &Config) -> Result<Self, Failure> {
        Ok(mongo::<Id>(config)?.connect().await?)
    }

    async fn missing(config: &Config) -> Result<Vec<String>, Failure> {
        Ok(mongo::<Id>(config)?.plan().await?)
    }

    async fn migrate(config: &Config, _adopt: bool) -> Result<(), Failure> {
        let store = mongo::<Id>(config)?.migrate(true).connect().await?;
        store.close().await;
        Ok(())
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

fn sql<Id: SqlId>(config: &Config) -> Result<SqlStoreBuilder<ServerProfile<Id>>, Failure> {
    install_profile(config)?;
    let database = &config.database;
    let mut builder = SqlStore::builder(database.url.expose())
        .user_table(&database.user_table)
        .access_token_table(&database.access_token_table)
        .max_connections(database.max_connections)
        .migrate(database.migrate_on_start)
        .adopt(database.adopt);
    if let Some(table) = &database.oauth_account_table {
        builder = builder.oauth_account_table(table);
    }
    if let Some(limit) = database.time_limit {
        builder = builder.time_limit(limit);
    }
    for (ours, theirs) in &database.columns {
        builder = builder.column(*ours, theirs);
    }
    Ok(builder)
}

fn mongo<Id: MongoId>(config: &Config) -> Result<MongoStoreBuilder<ServerProfile<Id>>, Failure> {
    install_profile(config)?;
    let database = &config.database;
    let builder = MongoStore::builder(database.url.expose())
        .user_collection(&database.user_table)
        .access_token_collection(&database.access_token_table)
        .max_connections(database.max_connections)
        .migrate(database.migrate_on_start);
    Ok(match database.time_limit {
        Some(limit) => builder.time_limit(limit),
        None => builder,
    })
}

/// The own columns of this process are those of the configuration.
pub(crate) fn install_profile(config: &Config) -> Result<(), Failure> {
    if profile::install(&config.columns) {
        return Ok(());
    }
    Err(Failure::failed("this process serves other own columns already"))
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Url(_) | SetupError::Column(_) => Self::usage(error),
            SetupError::Ids(_) => Self::usage(format_args!("{error}: `database.user_id` says which")),
            other => Self::Failed(axum_users::error_chain(&other)),
        }
    }
}

/// The same work, whatever the store and the type of its ids.
macro_rules! for_store {
    ($config:expr, $store:ident => $work:expr) => {{
        use axum_users::{MongoStore, ObjectId, SqlStore};
        use $crate::{config::IdKind, profile::ServerProfile};
        match ($config.database.is_mongodb, $config.database.user_id) {
            (false, IdKind::Integer) => {
                type $store = SqlStore<ServerProfile<i64>>;
                $work
            }
            // The configuration refuses what a store does not have.
            (false, IdKind::Uuid | IdKind::ObjectId) => {
                type $store = SqlStore<ServerProfile<uuid::Uuid>>;
                $work
            }
            (true, IdKind::Uuid) => {
                type $store = MongoStore<ServerProfile<uuid::Uuid>>;
                $work
            }
            (true, IdKind::ObjectId | IdKind::Integer) => {
                type $store = MongoStore<ServerProfile<ObjectId>>;
                $work
            }
        }
    }};
}
pub(crate) use for_store;
