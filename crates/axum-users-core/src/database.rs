//! Storage of users and of access tokens.

use std::future::Future;

use time::OffsetDateTime;

use crate::{
    email::{Email, EmailKey},
    oauth::{AccountId, NewOAuthAccount, OAuthAccount, OAuthIdentity},
    outbox::{Claimed, Message, Settled, StoredMessage},
    password::PasswordHash,
    profile::UserProfile,
    refresh::{NewRefreshToken, Rotation, Successor},
    session::{EndTokens, NewSession, SessionId, SessionState, StoredSession, TokenHash},
    throttle::{BucketKey, Limit, Taken},
    user::{NewUser, User},
};

/// Storage of users. Implement it to keep users anywhere; each method is one transaction.
///
/// A whole implementation stands in the example `custom-database`; `axum-users-testing` holds the suite that says whether
/// yours is right.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not store users of profile `{P}`",
    note = "use `SqlStore::<{P}>` (features `sqlite`, `postgres`, `mysql`), or implement `UserDatabase<{P}>`"
)]
pub trait UserDatabase<P: UserProfile>: Send + Sync + 'static {
    /// The user with this id.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Driver`].
    fn get(&self, id: &P::Id) -> impl Future<Output = Result<Option<User<P>>, DatabaseError>> + Send;

    /// The user with this id and what is stored of this session of theirs, in one query.
    ///
    /// The default answers [`get`](Self::get) and nothing stored: a logged-out JWT then lives until it expires.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn get_for_token(
        &self,
        id: &P::Id,
        session: &SessionId,
    ) -> impl Future<Output = Result<Option<WithSession<P>>, DatabaseError>> + Send {
        let _ = session;
        async move { Ok(self.get(id).await?.map(|user| (user, None))) }
    }

    /// The user of this mailbox: the row for which [`EmailKey::matches`] holds.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn get_by_email(&self, email: &EmailKey) -> impl Future<Output = Result<Option<User<P>>, DatabaseError>> + Send;

    /// Users in the order of their ids, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn list(
        &self,
        after: Option<&P::Id>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<User<P>>, DatabaseError>> + Send;

    /// Stores a new user.
    ///
    /// # Errors
    /// [`DatabaseError::Conflict`] names what clashed; a unique index decides, not a look before. Else as [`get`](Self::get).
    fn create(&self, user: NewUser<P>) -> impl Future<Output = Result<User<P>, DatabaseError>> + Send;

    /// Changes a user, all or nothing, only if the conditions hold in the same transaction.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    fn update(
        &self,
        id: &P::Id,
        change: UserChange<P>,
    ) -> impl Future<Output = Result<Outcome<User<P>>, DatabaseError>> + Send;

    /// Removes a user and everything that is theirs, only if the conditions hold in the same transaction.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn delete(
        &self,
        id: &P::Id,
        only_if: Vec<Condition>,
    ) -> impl Future<Output = Result<Outcome<()>, DatabaseError>> + Send;

    /// Stores a session that begins; answers whether it did: false when the user is gone or [what must
    /// hold](NewSession::only_if) does not, in the same transaction. The default stores nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn begin_session(
        &self,
        id: &P::Id,
        session: NewSession,
    ) -> impl Future<Output = Result<bool, DatabaseError>> + Send {
        let _ = (id, session);
        async { Ok(true) }
    }

    /// Notes that a session was used at `now` (Unix seconds), and stores one that is not known yet. An ended one stays ended.
    /// The default notes nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn touch_session(
        &self,
        id: &P::Id,
        session: NewSession,
        now: i64,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        let _ = (id, session, now);
        async { Ok(()) }
    }

    /// Ends a session of a user with all its tokens, access tokens and refresh tokens, in one transaction; it stays ended also
    /// when it was not stored yet. The default ends nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn end_session(&self, id: &P::Id, session: NewSession) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        let _ = (id, session);
        async { Ok(()) }
    }

    /// What is stored of a user's sessions, in any order, ended and expired ones included or not. The default knows of none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn sessions(&self, id: &P::Id) -> impl Future<Output = Result<Vec<StoredSession>, DatabaseError>> + Send {
        let _ = id;
        async { Ok(Vec::new()) }
    }

    /// Removes at most `limit` sessions whose last token expired before `now` (Unix seconds), and refresh tokens likewise;
    /// answers how many.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn delete_expired_sessions(&self, now: i64, limit: u32) -> impl Future<Output = Result<u64, DatabaseError>> + Send {
        let _ = (now, limit);
        async { Ok(0) }
    }

    /// Whether it keeps messages: those of [`UserChange::messages`], in the transaction of the change, and those of
    /// [`enqueue`](Self::enqueue). Default: no, and a queue in memory stands in.
    fn keeps_messages(&self) -> bool {
        false
    }

    /// Keeps a message that is due at `now` (Unix seconds).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn enqueue(&self, message: Message, now: i64) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        let _ = (message, now);
        async { Ok(()) }
    }

    /// At most `limit` messages that are due at `now` (Unix seconds), oldest first, each for this caller alone until
    /// [`LEASE`](crate::outbox::LEASE) seconds later.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn claim(&self, now: i64, limit: u32) -> impl Future<Output = Result<Vec<Claimed>, DatabaseError>> + Send {
        let _ = (now, limit);
        async { Ok(Vec::new()) }
    }

    /// Says what became of a message, if it is still this caller's: the lease is not over, and no other message has its key by now.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn settle(&self, claimed: &Claimed, settled: Settled) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        let _ = (claimed, settled);
        async { Ok(()) }
    }

    /// The message with this key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn message(&self, key: &str) -> impl Future<Output = Result<Option<Message>, DatabaseError>> + Send {
        let _ = key;
        async { Ok(None) }
    }

    /// Messages in the order of their keys, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn list_messages(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<StoredMessage>, DatabaseError>> + Send {
        let _ = (after, limit);
        async { Ok(Vec::new()) }
    }

    /// Makes a message that was given up due at `now` (Unix seconds), as if it had not been tried; answers whether there was one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn retry_message(&self, key: &str, now: i64) -> impl Future<Output = Result<bool, DatabaseError>> + Send {
        let _ = (key, now);
        async { Ok(false) }
    }

    /// Removes a message, whatever state it is in; answers whether there was one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn delete_message(&self, key: &str) -> impl Future<Output = Result<bool, DatabaseError>> + Send {
        let _ = key;
        async { Ok(false) }
    }

    /// Whether it keeps buckets of attempts ([`Throttle`](crate::Throttle)), for all nodes together. Default: no, and each process
    /// counts for itself.
    fn keeps_buckets(&self) -> bool {
        false
    }

    /// Takes one out of a bucket at `now` (Unix milliseconds) as [`Limit::take`] decides, in one atomic step: what is taken in
    /// parallel, by whatever node, is never more than there is. One that is not known yet is full.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn take_from_bucket(
        &self,
        bucket: &BucketKey,
        limit: Limit,
        now: i64,
    ) -> impl Future<Output = Result<Taken, DatabaseError>> + Send {
        let _ = (bucket, limit, now);
        async { Ok(Taken::Yes) }
    }

    /// Puts one back that was taken.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn give_back_to_bucket(
        &self,
        bucket: &BucketKey,
        limit: Limit,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        let _ = (bucket, limit);
        async { Ok(()) }
    }

    /// Fills a bucket.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn fill_bucket(&self, bucket: &BucketKey) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        let _ = bucket;
        async { Ok(()) }
    }

    /// Removes at most `limit` buckets that are full at `now` (Unix milliseconds); answers how many.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn delete_full_buckets(&self, now: i64, limit: u32) -> impl Future<Output = Result<u64, DatabaseError>> + Send {
        let _ = (now, limit);
        async { Ok(0) }
    }

    /// Whether it keeps accounts with providers. Default: no, and nobody can log in by one.
    fn keeps_oauth_accounts(&self) -> bool {
        false
    }

    /// The user whom an account with a provider is linked to, and the link, in one query. Of several rows of another system
    /// that stand for it, whichever, as long as they are of one user.
    ///
    /// # Errors
    /// [`Conflict::OAuthAccount`] when rows of another system link it to several users; as [`get`](Self::get).
    fn get_by_oauth_account(
        &self,
        identity: &OAuthIdentity,
    ) -> impl Future<Output = Result<Option<WithOAuthAccount<P>>, DatabaseError>> + Send {
        let _ = identity;
        async { Ok(None) }
    }

    /// Stores a new user with an account, both or neither.
    ///
    /// # Errors
    /// [`Conflict::OAuthAccount`] when it is linked already, decided by a unique index; else as [`create`](Self::create).
    fn create_with_oauth_account(
        &self,
        user: NewUser<P>,
        account: NewOAuthAccount,
    ) -> impl Future<Output = Result<User<P>, DatabaseError>> + Send {
        let _ = (user, account);
        async { Err(DatabaseError::Driver("this store keeps no accounts with providers".into())) }
    }

    /// Links an account to a user, or brings every row up to date that links it to them, only if the conditions hold in the
    /// same transaction. A store that keeps messages stores these in it, too, each with when it is due (Unix seconds).
    ///
    /// # Errors
    /// [`Conflict::OAuthAccount`] when it is linked to another user, decided by a unique index; else as [`get`](Self::get).
    fn put_oauth_account(
        &self,
        id: &P::Id,
        account: NewOAuthAccount,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> impl Future<Output = Result<Outcome<User<P>>, DatabaseError>> + Send {
        let _ = (id, account, only_if, messages);
        async { Err(DatabaseError::Driver("this store keeps no accounts with providers".into())) }
    }

    /// The accounts of a user, in the order in which they are stored.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn oauth_accounts(&self, id: &P::Id) -> impl Future<Output = Result<Vec<OAuthAccount<P>>, DatabaseError>> + Send {
        let _ = id;
        async { Ok(Vec::new()) }
    }

    /// Unlinks an account of a user by the id of the link, and every other row that stands for the same account, only if the
    /// conditions hold in the same transaction. Answers whether the user had it; if so, a store that keeps messages stores these in
    /// that transaction, too, each with when it is due (Unix seconds).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn remove_oauth_account(
        &self,
        id: &P::Id,
        account: AccountId,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> impl Future<Output = Result<Outcome<bool>, DatabaseError>> + Send {
        let _ = (id, account, only_if, messages);
        async { Ok(Outcome::Done(false)) }
    }

    /// Answers when the store is reachable; what `/health/ready` asks.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn ping(&self) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        async { Ok(()) }
    }
}

/// Storage of access tokens for [`DatabaseStrategy`](crate::strategy::DatabaseStrategy), beside the users.
pub trait AccessTokenDatabase<P: UserProfile>: Send + Sync + 'static {
    /// The row of this token with its user and what is stored of its session, in one query. A row that names no session
    /// belongs to `session`.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Driver`].
    fn get(
        &self,
        token: &str,
        session: &SessionId,
    ) -> impl Future<Output = Result<Option<StoredToken<P>>, DatabaseError>> + Send;

    /// Stores a token, and its session if it begins with it, in one transaction; answers whether it did: false when the user is
    /// gone, the session was ended, or [what must hold](NewSession::only_if) of one that begins does not.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn create(&self, token: NewToken<P>) -> impl Future<Output = Result<bool, DatabaseError>> + Send;

    /// Removes a token; one that is not there is no error.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn delete(&self, token: &str) -> impl Future<Output = Result<(), DatabaseError>> + Send;

    /// Removes at most `limit` tokens made before `before`; answers how many.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn delete_expired(
        &self,
        before: OffsetDateTime,
        limit: u32,
    ) -> impl Future<Output = Result<u64, DatabaseError>> + Send;
}

/// Storage of refresh tokens for [`RefreshTokens`](crate::RefreshTokens), beside the users and their sessions.
///
/// Ending a session ([`UserDatabase::end_session`], [`UserChange::end_tokens`]) and deleting a user remove theirs.
pub trait RefreshTokenDatabase<P: UserProfile>: Send + Sync + 'static {
    /// Stores the first refresh token of a session; answers whether it did: false when the user is gone.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Driver`].
    fn create(&self, token: NewRefreshToken<P>) -> impl Future<Output = Result<bool, DatabaseError>> + Send;

    /// Puts `successor` in the place of a token, in one transaction that has locked the user, as
    /// [`StoredRefreshToken::judge`](crate::refresh::StoredRefreshToken::judge) decides; a token that was used too often takes
    /// its whole session with it.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    fn rotate(
        &self,
        token: &TokenHash,
        successor: Successor,
        now: OffsetDateTime,
    ) -> impl Future<Output = Result<Rotation<P>, DatabaseError>> + Send;
}

/// A user, and what is stored of the session whose token asks for it.
pub type WithSession<P> = (User<P>, Option<SessionState>);

/// A user, and the account with a provider that they were found by.
pub type WithOAuthAccount<P> = (User<P>, OAuthAccount<P>);

/// A stored access token and its user.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters")]
pub struct StoredToken<P: UserProfile> {
    /// Whose it is.
    pub user: User<P>,
    /// When it was issued.
    pub created_at: OffsetDateTime,
    /// Its session, if the row names one.
    pub session: Option<SessionId>,
    /// What is stored of the session.
    pub state: Option<SessionState>,
}

/// An access token that is about to be stored.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "read by adapters")]
pub struct NewToken<P: UserProfile> {
    /// What is stored: the token's hash, or the token as issued where another system reads it too. 43 characters.
    pub token: String,
    /// Whose it is.
    pub user_id: P::Id,
    /// When it was issued.
    pub created_at: OffsetDateTime,
    /// Its session.
    pub session: NewSession,
    /// Whether the session is there already: a refresh token asked for this one.
    pub continues: bool,
}

/// One write, all or nothing.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "read by adapters, built with `..Default::default()`")]
pub struct UserChange<P: UserProfile> {
    /// See [`User::email`].
    pub email: Option<Email>,
    /// See [`User::hashed_password`].
    pub hashed_password: Option<PasswordHash>,
    /// See [`User::is_active`].
    pub is_active: Option<bool>,
    /// See [`User::is_superuser`].
    pub is_superuser: Option<bool>,
    /// See [`User::is_verified`].
    pub is_verified: Option<bool>,
    /// The application's own columns.
    pub profile: P::Update,
    /// See [`User::reset_token_hash`]; `Some(None)` clears it.
    pub reset_token_hash: Option<Option<String>>,
    /// What must hold, or nothing is written.
    pub only_if: Vec<Condition>,
    /// What is told after the change, and only if the change is there, with when it is due (Unix seconds); for stores that keep
    /// messages.
    pub messages: Vec<(Message, i64)>,
    /// The message that asked for this change: it is taken away in the same transaction, and one that is not there (any more), or
    /// asks for something else, is a [`Conflict::Message`].
    pub consumes: Option<Message>,
    /// Keys of messages that count for nothing after this change: they are removed, if they are there, before
    /// [`messages`](Self::messages) are stored.
    pub drops: Vec<String>,
    /// Whether the user's accounts with providers are unlinked; for stores that keep them.
    pub unlinks_accounts: bool,
    /// Moves `tokens_valid_after`, and removes the user's sessions with their access tokens and refresh tokens, but for the one
    /// that is kept.
    pub end_tokens: Option<EndTokens>,
}

impl<P: UserProfile> Default for UserChange<P> {
    fn default() -> Self {
        Self {
            email: None,
            hashed_password: None,
            is_active: None,
            is_superuser: None,
            is_verified: None,
            profile: P::Update::default(),
            reset_token_hash: None,
            only_if: Vec::new(),
            messages: Vec::new(),
            consumes: None,
            drops: Vec::new(),
            unlinks_accounts: false,
            end_tokens: None,
        }
    }
}

impl<P: UserProfile> UserChange<P> {
    /// Whether it writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.email.is_none()
            && self.hashed_password.is_none()
            && self.is_active.is_none()
            && self.is_superuser.is_none()
            && self.is_verified.is_none()
            && self.reset_token_hash.is_none()
            && self.messages.is_empty()
            && self.consumes.is_none()
            && self.drops.is_empty()
            && !self.unlinks_accounts
            && self.end_tokens.is_none()
            && P::changes(&self.profile).is_empty()
    }
}

/// What must hold in the transaction of a write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Condition {
    /// The stored hash is still this one: upgrade at login.
    HashIs(PasswordHash),
    /// The stored address is still this one, to the letter.
    EmailIs(Email),
    /// The user's tokens were not ended since: `tokens_valid_after` is still this one.
    TokensValidAfterIs(Option<i64>),
    /// This session was not ended; one that is not stored was not, nor is any in a store without sessions.
    SessionNotEnded(SessionId),
    /// The user's [reset tokens](User::reset_token_hash) are still held against this.
    ResetTokenHashIs(Option<String>),
    /// The user is no active superuser, or another one remains, whatever runs in parallel (ASVS 2.3.2).
    AnotherSuperuserRemains,
    /// The user has an account with a provider beside the one that is removed, whatever runs in parallel.
    AnotherOAuthAccountRemains,
    /// This account with a provider is linked to the user: it is brought up to date, and never linked again.
    OAuthAccountLinked(OAuthIdentity),
    /// This account with a provider is not linked to the user yet: it is linked now, and never only brought up to date.
    OAuthAccountNotLinked(OAuthIdentity),
}

/// How a conditional write ended.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "adapters answer exactly these")]
pub enum Outcome<T> {
    /// Written.
    Done(T),
    /// This condition did not hold; nothing was written.
    Refused(Condition),
    /// There is no such user.
    Missing,
}

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// A unique index refused it.
    #[error("conflict on {0}")]
    Conflict(Conflict),
    /// The database cannot be reached, or is too busy; the same call may go through later.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
    /// A value does not fit its column: too long, too large, not of its character set.
    #[error("a value does not fit its column")]
    OutOfRange(#[source] Source),
    /// Anything else.
    #[error("the database refused")]
    Driver(#[source] Source),
}

/// An error of a driver, whatever its type.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// What clashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// The address is taken.
    Email,
    /// The account with a provider belongs to another user.
    OAuthAccount,
    /// A unique column of the application's own, by its field.
    Column(&'static str),
    /// The message that asked for it is not there any more.
    Message,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Email => "the e-mail address",
            Self::OAuthAccount => "the account with the provider",
            Self::Column(field) => field,
            Self::Message => "the message that asked for it",
        })
    }
}
