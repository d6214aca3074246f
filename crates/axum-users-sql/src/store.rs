//! The store: one pool, and statements built once.

use std::{future::Future, sync::Arc};

use axum_users_core::{
    AccessTokenDatabase, AccountId, BucketKey, Condition, DatabaseError, EmailKey, Kind, Limit, NewOAuthAccount,
    NewRefreshToken, NewSession, NewToken, NewUser, OAuthAccount, OAuthIdentity, Outcome, RefreshTokenDatabase,
    Rotation, SessionId, StoredSession, StoredToken, Successor, Taken, TokenHash, User, UserChange, UserDatabase,
    UserId, UserProfile, Value, WithOAuthAccount, WithSession,
    outbox::{Claimed, Message, Settled, StoredMessage},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    builder::SqlStoreBuilder,
    engine::Engine,
    error::classify,
    names::Names,
    pool::Pool,
    schema::{self, SchemaError},
    statements::Statements,
};

/// Users and access tokens in SQLite, PostgreSQL or MySQL/MariaDB, on the tables of FastAPI Users. A cheap handle.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum_users_sql::SqlStore;
///
/// // Makes its tables when they are missing. Files: "sqlite://app.db"; servers: "postgres://…", "mysql://…".
/// let store = SqlStore::<()>::connect("sqlite::memory:").await?;
/// # let _ = store;
/// # Ok(()) }
/// ```
pub struct SqlStore<P: UserProfile>(pub(crate) Inner<P>);

impl<P: UserProfile> Clone for SqlStore<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

pub(crate) enum Inner<P: UserProfile> {
    #[cfg(feature = "sqlite")]
    Sqlite(Arc<Store<P, sqlx::Sqlite>>),
    #[cfg(feature = "postgres")]
    Postgres(Arc<Store<P, sqlx::Postgres>>),
    #[cfg(feature = "mysql")]
    MySql(Arc<Store<P, sqlx::MySql>>),
}

impl<P: UserProfile> Clone for Inner<P> {
    fn clone(&self) -> Self {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => Self::Sqlite(Arc::clone(store)),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Self::Postgres(Arc::clone(store)),
            #[cfg(feature = "mysql")]
            Self::MySql(store) => Self::MySql(Arc::clone(store)),
        }
    }
}

/// The same call on whichever engine it is.
macro_rules! on_engine {
    ($self:expr, $store:ident => $call:expr) => {
        match &$self.0 {
            #[cfg(feature = "sqlite")]
            $crate::store::Inner::Sqlite($store) => $call,
            #[cfg(feature = "postgres")]
            $crate::store::Inner::Postgres($store) => $call,
            #[cfg(feature = "mysql")]
            $crate::store::Inner::MySql($store) => $call,
        }
    };
}

/// A read ends when its time is over.
macro_rules! within_limit {
    ($self:expr, $store:ident => $call:expr) => {
        on_engine!($self, $store => $store.pool.read_within($call).await)
    };
}

/// So does a write. It goes on when its caller is gone: a client that hangs up leaves no half of it behind.
macro_rules! finished {
    ($self:expr, $store:ident => $call:expr) => {
        on_engine!($self, store => {
            let $store = Arc::clone(store);
            uninterrupted(async move { $store.pool.within($call).await }).await
        })
    };
}

async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, DatabaseError>> + Send + 'static,
) -> Result<T, DatabaseError> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(DatabaseError::Driver(error.into())))
}

/// A type of ids that SQL keeps: UUIDs, and `i64`, which the database counts.
#[diagnostic::on_unimplemented(
    message = "SQL keeps no users whose ids are `{Self}`",
    note = "use `uuid::Uuid` (default) or `i64`: `#[profile(id = i64)]`"
)]
pub trait SqlId: UserId {}

impl SqlId for Uuid {}
impl SqlId for i64 {}

impl<P: UserProfile<Id: SqlId>> SqlStore<P> {
    /// Connects, and makes the tables when they are missing. See [`SqlStoreBuilder`] for everything else.
    ///
    /// # Errors
    /// [`SchemaError`] says what to do.
    pub async fn connect(url: &str) -> Result<Self, SchemaError> {
        Self::builder(url).connect().await
    }

    /// With other names, sizes and rules.
    pub fn builder(url: &str) -> SqlStoreBuilder<P> {
        SqlStoreBuilder::new(url)
    }
}

impl<P: UserProfile> SqlStore<P> {
    /// Closes the connections, once what runs has finished.
    pub async fn close(&self) {
        on_engine!(self, store => store.pool.close().await);
    }
}

impl<P: UserProfile> UserDatabase<P> for SqlStore<P> {
    async fn get(&self, id: &P::Id) -> Result<Option<User<P>>, DatabaseError> {
        within_limit!(self, store => store.get(id))
    }
    async fn get_for_token(&self, id: &P::Id, session: &SessionId) -> Result<Option<WithSession<P>>, DatabaseError> {
        within_limit!(self, store => store.get_for_token(id, session))
    }
    async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<P>>, DatabaseError> {
        within_limit!(self, store => store.get_by_email(email))
    }
    async fn list(&self, after: Option<&P::Id>, limit: u32) -> Result<Vec<User<P>>, DatabaseError> {
        within_limit!(self, store => store.list(after, limit))
    }
    async fn create(&self, user: NewUser<P>) -> Result<User<P>, DatabaseError> {
        finished!(self, store => store.create(user))
    }
    async fn update(&self, id: &P::Id, change: UserChange<P>) -> Result<Outcome<User<P>>, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.update(&id, change))
    }
    async fn delete(&self, id: &P::Id, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.delete(&id, only_if))
    }
    async fn begin_session(&self, id: &P::Id, session: NewSession) -> Result<bool, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.begin_session(&id, session))
    }
    async fn touch_session(&self, id: &P::Id, session: NewSession, now: i64) -> Result<(), DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.touch_session(&id, session, now))
    }
    async fn end_session(&self, id: &P::Id, session: NewSession) -> Result<(), DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.end_session(&id, session))
    }
    async fn sessions(&self, id: &P::Id) -> Result<Vec<StoredSession>, DatabaseError> {
        within_limit!(self, store => store.sessions(id))
    }
    async fn delete_expired_sessions(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        finished!(self, store => store.delete_expired_sessions(now, limit))
    }
    fn keeps_messages(&self) -> bool {
        true
    }
    async fn enqueue(&self, message: Message, now: i64) -> Result<(), DatabaseError> {
        finished!(self, store => store.enqueue(message, now))
    }
    async fn claim(&self, now: i64, limit: u32) -> Result<Vec<Claimed>, DatabaseError> {
        finished!(self, store => store.claim(now, limit))
    }
    async fn settle(&self, claimed: &Claimed, settled: Settled) -> Result<(), DatabaseError> {
        let claimed = claimed.clone();
        finished!(self, store => store.settle(&claimed, settled))
    }
    async fn message(&self, key: &str) -> Result<Option<Message>, DatabaseError> {
        within_limit!(self, store => store.message(key))
    }
    async fn list_messages(&self, after: Option<&str>, limit: u32) -> Result<Vec<StoredMessage>, DatabaseError> {
        within_limit!(self, store => store.list_messages(after, limit))
    }
    async fn retry_message(&self, key: &str, now: i64) -> Result<bool, DatabaseError> {
        let key = key.to_owned();
        finished!(self, store => store.retry_message(&key, now))
    }
    async fn delete_message(&self, key: &str) -> Result<bool, DatabaseError> {
        let key = key.to_owned();
        finished!(self, store => store.delete_message(&key))
    }
    fn keeps_buckets(&self) -> bool {
        true
    }
    async fn take_from_bucket(&self, bucket: &BucketKey, limit: Limit, now: i64) -> Result<Taken, DatabaseError> {
        let bucket = bucket.clone();
        finished!(self, store => store.take_from_bucket(&bucket, limit, now))
    }
    async fn give_back_to_bucket(&self, bucket: &BucketKey, limit: Limit) -> Result<(), DatabaseError> {
        let bucket = bucket.clone();
        finished!(self, store => store.give_back_to_bucket(&bucket, limit))
    }
    async fn fill_bucket(&self, bucket: &BucketKey) -> Result<(), DatabaseError> {
        let bucket = bucket.clone();
        finished!(self, store => store.fill_bucket(&bucket))
    }
    async fn delete_full_buckets(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        finished!(self, store => store.delete_full_buckets(now, limit))
    }
    fn keeps_oauth_accounts(&self) -> bool {
        true
    }
    async fn get_by_oauth_account(
        &self,
        identity: &OAuthIdentity,
    ) -> Result<Option<WithOAuthAccount<P>>, DatabaseError> {
        within_limit!(self, store => store.get_by_oauth_account(identity))
    }
    async fn create_with_oauth_account(
        &self,
        user: NewUser<P>,
        account: NewOAuthAccount,
    ) -> Result<User<P>, DatabaseError> {
        finished!(self, store => store.create_with_oauth_account(user, account))
    }
    async fn put_oauth_account(
        &self,
        id: &P::Id,
        account: NewOAuthAccount,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<User<P>>, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.put_oauth_account(&id, account, only_if, messages))
    }
    async fn oauth_accounts(&self, id: &P::Id) -> Result<Vec<OAuthAccount<P>>, DatabaseError> {
        within_limit!(self, store => store.oauth_accounts(id))
    }
    async fn remove_oauth_account(
        &self,
        id: &P::Id,
        account: AccountId,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<bool>, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.remove_oauth_account(&id, account, only_if, messages))
    }
    async fn ping(&self) -> Result<(), DatabaseError> {
        within_limit!(self, store => store.ping())
    }
}

impl<P: UserProfile> AccessTokenDatabase<P> for SqlStore<P> {
    async fn get(&self, token: &str, session: &SessionId) -> Result<Option<StoredToken<P>>, DatabaseError> {
        within_limit!(self, store => store.token(token, session))
    }
    async fn create(&self, token: NewToken<P>) -> Result<bool, DatabaseError> {
        finished!(self, store => store.create_token(token))
    }
    async fn delete(&self, token: &str) -> Result<(), DatabaseError> {
        let token = token.to_owned();
        finished!(self, store => store.delete_token(&token))
    }
    async fn delete_expired(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        finished!(self, store => store.delete_expired_tokens(before, limit))
    }
}

impl<P: UserProfile> RefreshTokenDatabase<P> for SqlStore<P> {
    async fn create(&self, token: NewRefreshToken<P>) -> Result<bool, DatabaseError> {
        finished!(self, store => store.create_refresh_token(token))
    }
    async fn rotate(
        &self,
        token: &TokenHash,
        successor: Successor,
        now: OffsetDateTime,
    ) -> Result<Rotation<P>, DatabaseError> {
        let token = token.clone();
        finished!(self, store => store.rotate(&token, successor, now))
    }
}

/// The store on one engine.
pub(crate) struct Store<P: UserProfile, E: Engine> {
    pub(crate) pool: Pool<E>,
    pub(crate) names: Names,
    pub(crate) sql: Statements,
    profile: std::marker::PhantomData<fn() -> P>,
}

impl<P: UserProfile, E: Engine> Store<P, E> {
    /// Over a pool whose schema is brought up to date first, if `migrate` says so, and then checked.
    pub(crate) async fn open(
        schema: &sqlx::Pool<E>,
        pool: Pool<E>,
        names: Names,
        migrate: bool,
        adopt: bool,
    ) -> Result<Self, SchemaError> {
        if migrate {
            schema::migrate::<P, E>(schema, &names, adopt).await?;
        } else {
            schema::check::<P, E>(schema, &names).await?;
        }
        let mut connection = schema.acquire().await.map_err(SchemaError::Sql)?;
        let users = E::columns_of(&mut connection, &names.user_table).await.map_err(SchemaError::Sql)?;
        let tokens = E::columns_of(&mut connection, &names.access_token_table).await.map_err(SchemaError::Sql)?;
        let accounts = E::columns_of(&mut connection, &names.oauth_account_table()).await.map_err(SchemaError::Sql)?;
        drop(connection);
        if E::OVER_NETWORK {
            schema.close().await;
        }
        let sql = Statements::new::<P, E>(&names, &users, &tokens, &accounts);
        Ok(Self { pool, names, sql, profile: std::marker::PhantomData })
    }

    pub(crate) fn classify(&self, error: sqlx::Error) -> DatabaseError {
        classify::<P, E>(error, &self.names)
    }

    pub(crate) fn arguments(&self, values: Vec<(Kind, Value)>) -> Result<E::Arguments, DatabaseError> {
        let mut arguments = E::Arguments::default();
        for (kind, value) in values {
            E::bind(&mut arguments, kind, value).map_err(|error| self.classify(error))?;
        }
        Ok(arguments)
    }

    pub(crate) async fn fetch_one(
        &self,
        sql: &Arc<str>,
        values: Vec<(Kind, Value)>,
    ) -> Result<Option<E::Row>, DatabaseError> {
        let arguments = self.arguments(values)?;
        self.try_fetch_one(Arc::clone(sql), arguments).await.map_err(|error| self.classify(error))
    }

    pub(crate) async fn fetch(&self, sql: &Arc<str>, values: Vec<(Kind, Value)>) -> Result<Vec<E::Row>, DatabaseError> {
        let mut connection = self.pool.reader().await.map_err(|error| self.classify(error))?;
        let rows = connection.fetch(Arc::clone(sql), self.arguments(values)?).await;
        rows.map_err(|error| self.classify(error))
    }

    /// Runs one statement that is a transaction of its own; answers how many rows it touched.
    pub(crate) async fn execute(&self, sql: &Arc<str>, values: Vec<(Kind, Value)>) -> Result<u64, DatabaseError> {
        retried!(self, self.try_execute(sql, values.clone()))
    }

    pub(crate) async fn try_execute(&self, sql: &Arc<str>, values: Vec<(Kind, Value)>) -> Result<u64, Failure> {
        let mut connection = self.pool.writer().await?;
        Ok(connection.execute(Arc::clone(sql), self.arguments(values)?).await?.rows)
    }

    pub(crate) fn failure(&self, failure: Failure) -> DatabaseError {
        match failure {
            Failure::Sql(error) => self.classify(error),
            Failure::Database(error) => error,
        }
    }

    async fn ping(&self) -> Result<(), DatabaseError> {
        let answer = self.try_fetch_one("SELECT 1".into(), E::Arguments::default()).await;
        answer.map(drop).map_err(|error| self.classify(error))
    }

    async fn try_fetch_one(&self, sql: Arc<str>, arguments: E::Arguments) -> Result<Option<E::Row>, sqlx::Error> {
        self.pool.reader().await?.fetch_one(sql, arguments).await
    }
}

/// How often a transaction that the database gave up for another one is tried.
pub(crate) const TRIES: usize = 4;

/// Runs a transaction, again if the database gave it up for another one.
macro_rules! retried {
    ($self:expr, $attempt:expr) => {{
        let mut left = $crate::store::TRIES;
        loop {
            left -= 1;
            match $attempt.await {
                Err($crate::store::Failure::Sql(error)) if left > 0 && $crate::error::may_retry::<E>(&error) => {}
                other => break other.map_err(|failure| $self.failure(failure)),
            }
        }
    }};
}
pub(crate) use retried;

/// Why a transaction failed.
pub(crate) enum Failure {
    Sql(sqlx::Error),
    Database(DatabaseError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// A text as a parameter.
pub(crate) fn text(text: &str) -> (Kind, Value) {
    (Kind::Text, Value::Text(text.into()))
}

/// A number as a parameter.
pub(crate) fn integer(number: i64) -> (Kind, Value) {
    (Kind::Integer, Value::Integer(number))
}
