//! The store: one client, and the collections.

use std::{future::Future, sync::Arc, time::Duration};

use axum_users_core::{
    AccessTokenDatabase, AccountId, BucketKey, Clock, ColumnValue, Condition, DatabaseError, EmailKey, Limit,
    NewOAuthAccount, NewRefreshToken, NewSession, NewToken, NewUser, OAuthAccount, OAuthIdentity, ObjectId, Outcome,
    RefreshTokenDatabase, Rotation, SessionId, StoredSession, StoredToken, Successor, Taken, TokenHash, User,
    UserChange, UserDatabase, UserId, UserProfile, WithOAuthAccount, WithSession,
    outbox::{Claimed, Message, Settled, StoredMessage},
};
use mongodb::{
    Client, Collection, Cursor, Database,
    bson::{Bson, Document, doc},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    builder::{MongoStoreBuilder, SetupError},
    document::{OURS, to_bson},
    error::{Failure, classify},
    names::Names,
};

/// Users and access tokens in MongoDB, on the documents of FastAPI Users. A cheap handle. Ids are [`ObjectId`]s or UUIDs.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum_users_mongodb::MongoStore;
///
/// let store = MongoStore::<()>::connect("mongodb://localhost/app").await?;
/// # let _ = store;
/// # Ok(()) }
/// ```
pub struct MongoStore<P: UserProfile>(pub(crate) Arc<Store<P>>);

impl<P: UserProfile> Clone for MongoStore<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A type of ids that MongoDB keeps: [`ObjectId`] and [`Uuid`]; it counts none.
#[diagnostic::on_unimplemented(
    message = "MongoDB keeps no users whose ids are `{Self}`",
    note = "use `ObjectId` or `uuid::Uuid`: `#[profile(id = ObjectId)]`"
)]
pub trait MongoId: UserId {}

impl MongoId for ObjectId {}
impl MongoId for Uuid {}

impl<P: UserProfile<Id: MongoId>> MongoStore<P> {
    /// Connects, and makes the indexes when they are missing. The URL names the database: `mongodb://host/app`. See
    /// [`MongoStoreBuilder`] for everything else.
    ///
    /// # Errors
    /// [`SetupError`] says what to do.
    pub async fn connect(url: &str) -> Result<Self, SetupError> {
        Self::builder(url).connect().await
    }

    /// With other names, sizes and rules.
    pub fn builder(url: &str) -> MongoStoreBuilder<P> {
        MongoStoreBuilder::new(url)
    }

    /// Closes the connections, once what runs has finished; it waits for a few seconds at most.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(3), self.0.client.clone().shutdown()).await;
    }
}

/// One client and its collections.
pub(crate) struct Store<P: UserProfile> {
    pub(crate) client: Client,
    pub(crate) users: Collection<Document>,
    pub(crate) access_tokens: Collection<Document>,
    pub(crate) refresh_tokens: Collection<Document>,
    pub(crate) outbox: Collection<Document>,
    pub(crate) buckets: Collection<Document>,
    pub(crate) meta: Collection<Document>,
    /// Whether the index of FastAPI Users over addresses is there, in any case of letters.
    pub(crate) finds_by_collation: bool,
    pub(crate) clock: Clock,
    /// The fields that make a user, and no more: neither sessions nor accounts, nor what waits to be moved.
    pub(crate) fields: Document,
    limit: Duration,
    profile: std::marker::PhantomData<fn() -> P>,
}

impl<P: UserProfile> Store<P> {
    pub(crate) fn new(client: Client, database: &Database, names: &Names, limit: Duration) -> Self {
        let ours = |what: &str| database.collection(&names.ours(what));
        Self {
            users: database.collection(&names.users),
            access_tokens: database.collection(&names.access_tokens),
            refresh_tokens: ours("refresh"),
            outbox: ours("outbox"),
            buckets: ours("bucket"),
            meta: ours("meta"),
            client,
            finds_by_collation: false,
            clock: Clock::default(),
            fields: fields_of_user::<P>(),
            limit,
            profile: std::marker::PhantomData,
        }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, DatabaseError>>) -> Result<T, DatabaseError> {
        tokio::time::timeout(self.limit, call).await.unwrap_or_else(|late| Err(DatabaseError::Unavailable(late.into())))
    }

    async fn ping(&self) -> Result<(), DatabaseError> {
        let ping = self.client.database("admin").run_command(doc! { "ping": 1 }).await;
        ping.map(drop).map_err(classify)
    }
}

fn fields_of_user<P: UserProfile>() -> Document {
    let mut fields = doc! {
        "_id": 1, "email": 1, "hashed_password": 1, "is_active": 1, "is_superuser": 1, "is_verified": 1,
    };
    for column in P::columns() {
        fields.insert(column.name, 1);
    }
    for ours in ["tokens_valid_after", "reset_token_hash"] {
        fields.insert(format!("{OURS}.{ours}"), 1);
    }
    fields
}

/// An id as it is stored.
pub(crate) fn id_bson<I: ColumnValue>(id: &I) -> Result<Bson, DatabaseError> {
    to_bson(&id.to_value())
}

/// All documents of a cursor.
pub(crate) async fn all(mut cursor: Cursor<Document>) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    while cursor.advance().await? {
        documents.push(cursor.deserialize_current()?);
    }
    Ok(documents)
}

/// A read ends when its time is over.
macro_rules! within_limit {
    ($self:expr, $store:ident => $call:expr) => {{
        let $store = &$self.0;
        $store.within($call).await
    }};
}

/// So does a write. It goes on when its caller is gone: a client that hangs up leaves no half of it behind.
macro_rules! finished {
    ($self:expr, $store:ident => $call:expr) => {{
        let $store = Arc::clone(&$self.0);
        let work = async move { $store.within($call).await };
        tokio::spawn(work).await.unwrap_or_else(|error| Err(DatabaseError::Driver(error.into())))
    }};
}

impl<P: UserProfile<Id: MongoId>> UserDatabase<P> for MongoStore<P> {
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
        finished!(self, store => store.create(user, None))
    }
    async fn update(&self, id: &P::Id, change: UserChange<P>) -> Result<Outcome<User<P>>, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.update(&id, change))
    }
    async fn delete(&self, id: &P::Id, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.delete(&id, &only_if))
    }
    async fn begin_session(&self, id: &P::Id, session: NewSession) -> Result<bool, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.begin_session(&id, &session))
    }
    async fn touch_session(&self, id: &P::Id, session: NewSession, now: i64) -> Result<(), DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.touch_session(&id, &session, now))
    }
    async fn end_session(&self, id: &P::Id, session: NewSession) -> Result<(), DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.end_session(&id, &session))
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
        finished!(self, store => store.enqueue(&message, now))
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
        finished!(self, store => store.create(user, Some(account)))
    }
    async fn put_oauth_account(
        &self,
        id: &P::Id,
        account: NewOAuthAccount,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<User<P>>, DatabaseError> {
        let id = id.clone();
        finished!(self, store => store.put_oauth_account(&id, &account, &only_if, &messages))
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
        finished!(self, store => store.remove_oauth_account(&id, account, &only_if, &messages))
    }
    async fn ping(&self) -> Result<(), DatabaseError> {
        within_limit!(self, store => store.ping())
    }
}

impl<P: UserProfile<Id: MongoId>> AccessTokenDatabase<P> for MongoStore<P> {
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

impl<P: UserProfile<Id: MongoId>> RefreshTokenDatabase<P> for MongoStore<P> {
    async fn create(&self, token: NewRefreshToken<P>) -> Result<bool, DatabaseError> {
        finished!(self, store => store.create_refresh_token(&token))
    }
    async fn rotate(
        &self,
        token: &TokenHash,
        successor: Successor,
        now: OffsetDateTime,
    ) -> Result<Rotation<P>, DatabaseError> {
        let token = token.clone();
        finished!(self, store => store.rotate(&token, &successor, now))
    }
}
