//! Private mirrors of the async traits with boxed futures, a line a method, so that handles hold `Arc<dyn …>`.

use std::{future::Future, pin::Pin};

use time::OffsetDateTime;

use crate::{
    database::{
        AccessTokenDatabase, Condition, DatabaseError, NewToken, Outcome, RefreshTokenDatabase, StoredToken,
        UserChange, UserDatabase, WithOAuthAccount, WithSession,
    },
    email::EmailKey,
    hooks::{Delivery, PasswordContext, RequestInfo, UserHooks, Veto},
    mail::{Mail, Mailer, Undelivered},
    oauth::{
        AccountId, AuthorizationRequest, ExternalIdentity, NewOAuthAccount, OAuthAccount, OAuthClient,
        OAuthClientError, OAuthCode, OAuthIdentity, OAuthToken,
    },
    outbox::{Claimed, Message, Settled, StoredMessage},
    password::InvalidPassword,
    profile::UserProfile,
    refresh::{NewRefreshToken, Rotation, Successor},
    secret::Secret,
    session::{NewSession, SessionId, StoredSession, TokenHash},
    throttle::{BucketKey, Limit, Taken},
    user::{NewUser, User, UserCreate, UserUpdate},
};

/// A boxed future.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Declares a mirror trait with boxed futures and implements it for every implementer of the original.
macro_rules! erase {
    ($(#[$doc:meta])* $mirror:ident of $original:ident {
        $( fn $method:ident( $($arg:ident : $type:ty),* ) -> $output:ty; )*
    }) => {
        $(#[$doc])*
        pub(crate) trait $mirror<P: UserProfile>: Send + Sync {
            $( fn $method<'a>(&'a self, $($arg: $type),*) -> BoxFuture<'a, $output>; )*
        }
        impl<P: UserProfile, T: $original<P>> $mirror<P> for T {
            $( fn $method<'a>(&'a self, $($arg: $type),*) -> BoxFuture<'a, $output> {
                Box::pin($original::$method(self, $($arg),*))
            } )*
        }
    };
}

erase! {
    /// [`UserDatabase`], erased.
    DynUserDatabase of UserDatabase {
        fn get(id: &'a P::Id) -> Result<Option<User<P>>, DatabaseError>;
        fn get_for_token(id: &'a P::Id, session: &'a SessionId) -> Result<Option<WithSession<P>>, DatabaseError>;
        fn get_by_email(email: &'a EmailKey) -> Result<Option<User<P>>, DatabaseError>;
        fn list(after: Option<&'a P::Id>, limit: u32) -> Result<Vec<User<P>>, DatabaseError>;
        fn create(user: NewUser<P>) -> Result<User<P>, DatabaseError>;
        fn update(id: &'a P::Id, change: UserChange<P>) -> Result<Outcome<User<P>>, DatabaseError>;
        fn delete(id: &'a P::Id, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError>;
        fn begin_session(id: &'a P::Id, session: NewSession) -> Result<bool, DatabaseError>;
        fn touch_session(id: &'a P::Id, session: NewSession, now: i64) -> Result<(), DatabaseError>;
        fn end_session(id: &'a P::Id, session: NewSession) -> Result<(), DatabaseError>;
        fn sessions(id: &'a P::Id) -> Result<Vec<StoredSession>, DatabaseError>;
        fn delete_expired_sessions(now: i64, limit: u32) -> Result<u64, DatabaseError>;
        fn enqueue(message: Message, now: i64) -> Result<(), DatabaseError>;
        fn claim(now: i64, limit: u32) -> Result<Vec<Claimed>, DatabaseError>;
        fn settle(claimed: &'a Claimed, settled: Settled) -> Result<(), DatabaseError>;
        fn message(key: &'a str) -> Result<Option<Message>, DatabaseError>;
        fn list_messages(after: Option<&'a str>, limit: u32) -> Result<Vec<StoredMessage>, DatabaseError>;
        fn retry_message(key: &'a str, now: i64) -> Result<bool, DatabaseError>;
        fn delete_message(key: &'a str) -> Result<bool, DatabaseError>;
        fn take_from_bucket(bucket: &'a BucketKey, limit: Limit, now: i64) -> Result<Taken, DatabaseError>;
        fn give_back_to_bucket(bucket: &'a BucketKey, limit: Limit) -> Result<(), DatabaseError>;
        fn fill_bucket(bucket: &'a BucketKey) -> Result<(), DatabaseError>;
        fn delete_full_buckets(now: i64, limit: u32) -> Result<u64, DatabaseError>;
        fn get_by_oauth_account(identity: &'a OAuthIdentity) -> Result<Option<WithOAuthAccount<P>>, DatabaseError>;
        fn create_with_oauth_account(user: NewUser<P>, account: NewOAuthAccount) -> Result<User<P>, DatabaseError>;
        fn put_oauth_account(id: &'a P::Id, account: NewOAuthAccount, only_if: Vec<Condition>, messages: Vec<(Message, i64)>) -> Result<Outcome<User<P>>, DatabaseError>;
        fn oauth_accounts(id: &'a P::Id) -> Result<Vec<OAuthAccount<P>>, DatabaseError>;
        fn remove_oauth_account(id: &'a P::Id, account: AccountId, only_if: Vec<Condition>, messages: Vec<(Message, i64)>) -> Result<Outcome<bool>, DatabaseError>;
        fn ping() -> Result<(), DatabaseError>;
    }
}

erase! {
    /// [`AccessTokenDatabase`], erased.
    DynAccessTokenDatabase of AccessTokenDatabase {
        fn get(token: &'a str, session: &'a SessionId) -> Result<Option<StoredToken<P>>, DatabaseError>;
        fn create(token: NewToken<P>) -> Result<bool, DatabaseError>;
        fn delete(token: &'a str) -> Result<(), DatabaseError>;
        fn delete_expired(before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError>;
    }
}

erase! {
    /// [`RefreshTokenDatabase`], erased.
    DynRefreshTokenDatabase of RefreshTokenDatabase {
        fn create(token: NewRefreshToken<P>) -> Result<bool, DatabaseError>;
        fn rotate(token: &'a TokenHash, successor: Successor, now: OffsetDateTime) -> Result<Rotation<P>, DatabaseError>;
    }
}

erase! {
    /// [`UserHooks`], erased.
    DynUserHooks of UserHooks {
        fn validate_password(password: &'a str, context: PasswordContext<'a, P>) -> Result<(), InvalidPassword>;
        fn before_register(create: &'a UserCreate<P>, request: Option<&'a RequestInfo>) -> Result<(), Veto>;
        fn on_after_register(user: &'a User<P>, request: Option<&'a RequestInfo>) -> ();
        fn on_after_update(user: &'a User<P>, update: &'a UserUpdate<P>, request: Option<&'a RequestInfo>) -> ();
        fn before_login(user: &'a User<P>, request: Option<&'a RequestInfo>) -> Result<(), Veto>;
        fn on_after_login(user: &'a User<P>, request: Option<&'a RequestInfo>, response: &'a mut http::response::Parts) -> ();
        fn on_after_request_verify(user: &'a User<P>, token: &'a Secret, delivery: Delivery<'a>) -> Result<(), Undelivered>;
        fn on_after_verify(user: &'a User<P>, request: Option<&'a RequestInfo>) -> ();
        fn on_after_forgot_password(user: &'a User<P>, token: &'a Secret, delivery: Delivery<'a>) -> Result<(), Undelivered>;
        fn on_after_reset_password(user: &'a User<P>, request: Option<&'a RequestInfo>) -> ();
        fn oauth_profile(provider: &'a str, identity: &'a ExternalIdentity) -> Option<P>;
        fn on_before_delete(user: &'a User<P>, request: Option<&'a RequestInfo>) -> Result<(), Veto>;
        fn on_after_delete(user: &'a User<P>, request: Option<&'a RequestInfo>) -> ();
    }
}

/// [`Mailer`], erased.
pub(crate) trait DynMailer: Send + Sync {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>>;
}

impl<T: Mailer> DynMailer for T {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(Mailer::send(self, mail))
    }
}

/// [`OAuthClient`], erased.
pub(crate) trait DynOAuthClient: Send + Sync {
    fn name(&self) -> &str;
    fn display_name(&self) -> &str;
    fn scopes(&self) -> &[String];
    fn issuer(&self) -> Option<&str>;
    fn uses_form_post(&self) -> bool;
    fn authorization_url<'a>(
        &'a self,
        request: &'a AuthorizationRequest,
    ) -> BoxFuture<'a, Result<String, OAuthClientError>>;
    fn exchange<'a>(&'a self, code: &'a OAuthCode) -> BoxFuture<'a, Result<OAuthToken, OAuthClientError>>;
    fn identity<'a>(
        &'a self,
        token: &'a OAuthToken,
        code: &'a OAuthCode,
    ) -> BoxFuture<'a, Result<ExternalIdentity, OAuthClientError>>;
    fn refresh<'a>(&'a self, refresh_token: &'a Secret) -> BoxFuture<'a, Result<OAuthToken, OAuthClientError>>;
    fn revoke<'a>(&'a self, token: &'a Secret) -> BoxFuture<'a, Result<(), OAuthClientError>>;
}

impl<T: OAuthClient> DynOAuthClient for T {
    fn name(&self) -> &str {
        OAuthClient::name(self)
    }
    fn display_name(&self) -> &str {
        OAuthClient::display_name(self)
    }
    fn scopes(&self) -> &[String] {
        OAuthClient::scopes(self)
    }
    fn issuer(&self) -> Option<&str> {
        OAuthClient::issuer(self)
    }
    fn uses_form_post(&self) -> bool {
        OAuthClient::uses_form_post(self)
    }
    fn authorization_url<'a>(
        &'a self,
        request: &'a AuthorizationRequest,
    ) -> BoxFuture<'a, Result<String, OAuthClientError>> {
        Box::pin(OAuthClient::authorization_url(self, request))
    }
    fn exchange<'a>(&'a self, code: &'a OAuthCode) -> BoxFuture<'a, Result<OAuthToken, OAuthClientError>> {
        Box::pin(OAuthClient::exchange(self, code))
    }
    fn identity<'a>(
        &'a self,
        token: &'a OAuthToken,
        code: &'a OAuthCode,
    ) -> BoxFuture<'a, Result<ExternalIdentity, OAuthClientError>> {
        Box::pin(OAuthClient::identity(self, token, code))
    }
    fn refresh<'a>(&'a self, refresh_token: &'a Secret) -> BoxFuture<'a, Result<OAuthToken, OAuthClientError>> {
        Box::pin(OAuthClient::refresh(self, refresh_token))
    }
    fn revoke<'a>(&'a self, token: &'a Secret) -> BoxFuture<'a, Result<(), OAuthClientError>> {
        Box::pin(OAuthClient::revoke(self, token))
    }
}
