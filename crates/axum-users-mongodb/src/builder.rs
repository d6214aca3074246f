//! How a store is opened.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use axum_users_core::{ColumnValue, Kind, UserProfile};
use mongodb::{
    Client,
    bson::doc,
    options::{ClientOptions, WriteConcern},
};

use crate::{
    document::{RESERVED, id_of},
    indexes,
    names::Names,
    store::{MongoId, MongoStore, Store},
};

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The database's address is wrong; it is not repeated here, it may hold a password.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// A column of the application's own has a name that is taken.
    #[error("a column cannot be stored as `{0}`: that is the name of another field")]
    Column(&'static str),
    /// The users that are there have ids of another kind.
    #[error("the users that are there have ids of another kind than {0:?}")]
    Ids(Kind),
    /// Indexes are missing, and none may be made.
    #[error("indexes are missing: {}", .0.join(", "))]
    Outdated(Vec<String>),
    /// Documents that are there contradict a unique index.
    #[error("the unique index `{index}` cannot be made: documents that are there contradict it")]
    Collisions {
        /// Its name.
        index: String,
    },
    /// The database did not do it.
    #[error("the database did not answer as expected")]
    Mongo(#[from] mongodb::error::Error),
}

/// Opens a [`MongoStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MongoStoreBuilder<P: UserProfile> {
    url: String,
    names: Names,
    time_limit: Duration,
    max_connections: Option<u32>,
    migrate: bool,
    profile: PhantomData<fn() -> P>,
}

impl<P: UserProfile<Id: MongoId>> MongoStoreBuilder<P> {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            names: Names::default(),
            time_limit: Duration::from_secs(5),
            max_connections: None,
            migrate: true,
            profile: PhantomData,
        }
    }

    /// The collection of users. Default: `User`. Collections of ours are named after it.
    pub fn user_collection(mut self, name: impl Into<String>) -> Self {
        self.names.users = name.into();
        self
    }

    /// The collection of the database strategy. Default: `AccessToken`.
    pub fn access_token_collection(mut self, name: impl Into<String>) -> Self {
        self.names.access_tokens = name.into();
        self
    }

    /// How many connections are opened to a server at most. Default: `maxPoolSize` of the URL, else 10.
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = Some(max.max(1));
        self
    }

    /// How long one call may take, the wait for a server and for a connection included. Default: 5 seconds. What takes longer is
    /// [`DatabaseError::Unavailable`](axum_users_core::DatabaseError). A write that was cut off may have been done or not.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Whether missing indexes are made when connecting; it is safe on several nodes at once. Default: true. With false, missing
    /// ones are an error that names them.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connects, and makes or checks the indexes. The URL names the database: `mongodb://host/app`.
    ///
    /// # Errors
    /// [`SetupError`] says what to do.
    pub async fn connect(self) -> Result<MongoStore<P>, SetupError> {
        if let Some(column) = P::columns().iter().find(|column| RESERVED.contains(&column.name)) {
            return Err(SetupError::Column(column.name));
        }
        let migrate = self.migrate;
        let mut store = self.open().await?;
        store.finds_by_collation = indexes::ensure::<P>(&store, migrate).await?;
        Ok(MongoStore(Arc::new(store)))
    }

    /// The indexes that [`connect`](Self::connect) would make.
    ///
    /// # Errors
    /// [`SetupError`] when the database cannot be looked at.
    pub async fn plan(self) -> Result<Vec<String>, SetupError> {
        indexes::missing::<P>(&self.open().await?).await
    }

    async fn open(self) -> Result<Store<P>, SetupError> {
        let mut options =
            ClientOptions::parse(&self.url).await.map_err(|error| SetupError::Url(without_url(&error)))?;
        options.app_name.get_or_insert_with(|| "axum-users".into());
        options.server_selection_timeout.get_or_insert(self.time_limit);
        options.connect_timeout.get_or_insert(self.time_limit);
        options.write_concern.get_or_insert_with(WriteConcern::majority);
        options.max_pool_size = self.max_connections.or(options.max_pool_size).or(Some(10));
        let client = Client::with_options(options)?;
        let database = client
            .default_database()
            .ok_or_else(|| SetupError::Url("it names no database; write it at the end: mongodb://host/app".into()))?;
        let store = Store::new(client, &database, &self.names, self.time_limit);
        check_ids(&store).await?;
        Ok(store)
    }
}

/// One user tells: whoever has others could not be read at any request.
async fn check_ids<P: UserProfile>(store: &Store<P>) -> Result<(), SetupError> {
    let Some(user) = store.users.find_one(doc! {}).projection(doc! { "_id": 1 }).await? else { return Ok(()) };
    id_of::<P>(&user, "_id").map(drop).map_err(|_| SetupError::Ids(<P::Id as ColumnValue>::KIND))
}

/// What the driver says of a URL, unless it repeats it.
fn without_url(error: &mongodb::error::Error) -> String {
    let text = error.to_string();
    if text.contains("://") || text.contains('@') { "it cannot be read".into() } else { text }
}
