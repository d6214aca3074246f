//! A store of whichever engine.

use anyhow::Result;
use axum_users::{
    Clock, Condition, DatabaseError, MongoStore, NewUser, Outcome, SqlStore, StoredSession, User, UserChange,
    UserDatabase,
};
use uuid::Uuid;

use crate::{Local, Provider};

/// One of the two. A cheap handle.
#[derive(Clone)]
#[expect(clippy::exhaustive_enums, reason = "those that there are")]
pub enum Store {
    /// Of a database with SQL.
    Sql(SqlStore<()>),
    /// Of MongoDB.
    Mongo(MongoStore<()>),
}

/// Runs `$call` on whichever it is.
macro_rules! on {
    ($this:expr, $store:ident => $call:expr) => {
        match $this {
            Store::Sql($store) => $call,
            Store::Mongo($store) => $call,
        }
    };
}

impl Store {
    /// A node over it.
    ///
    /// # Errors
    /// When the parts do not fit together.
    pub fn node(&self, clock: &Clock, provider: &Provider) -> Result<Local> {
        on!(self, store => Local::new(store.clone(), clock, provider))
    }

    /// Closes its connections.
    pub async fn close(&self) {
        on!(self, store => store.close().await);
    }

    pub(crate) async fn get(&self, id: &Uuid) -> Result<Option<User<()>>, DatabaseError> {
        on!(self, store => UserDatabase::get(store, id).await)
    }

    pub(crate) async fn create(&self, user: NewUser<()>) -> Result<User<()>, DatabaseError> {
        on!(self, store => UserDatabase::create(store, user).await)
    }

    pub(crate) async fn update(&self, id: &Uuid, change: UserChange<()>) -> Result<Outcome<User<()>>, DatabaseError> {
        on!(self, store => UserDatabase::update(store, id, change).await)
    }

    pub(crate) async fn delete(&self, id: &Uuid, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        on!(self, store => UserDatabase::delete(store, id, only_if).await)
    }

    pub(crate) async fn sessions(&self, id: &Uuid) -> Result<Vec<StoredSession>, DatabaseError> {
        on!(self, store => UserDatabase::sessions(store, id).await)
    }
}
