//! How a token stands for a user.

mod database;
mod jwt;

use std::{future::Future, sync::Arc, time::Duration};

pub use database::DatabaseStrategy;
pub use jwt::JwtStrategy;

use crate::{
    erased::BoxFuture,
    error::Error,
    hooks::RequestInfo,
    manager::{Authenticated, UserManager},
    profile::UserProfile,
    secret::Secret,
    session::{NewSession, SessionId, SessionState},
    user::User,
};

/// How a token stands for a user.
pub trait Strategy<P: UserProfile>: Send + Sync + 'static {
    /// The owner of a token that counts; `None` for any other text.
    ///
    /// # Errors
    /// [`Error::Database`] when it cannot be known now: that is never an answer of `None`.
    fn read_token(
        &self,
        token: &str,
        users: &UserManager<P>,
    ) -> impl Future<Output = Result<Option<TokenOwner<P>>, Error>> + Send;

    /// A new token for a proved user, and its [session](Authenticated::session) stored.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] when the user is gone or the session was ended meanwhile, [`Error::Database`],
    /// [`Error::Internal`].
    fn write_token(
        &self,
        proof: &Authenticated<P>,
        users: &UserManager<P>,
    ) -> impl Future<Output = Result<IssuedToken, Error>> + Send;

    /// Ends a token that [`read_token`](Self::read_token) accepted, where it is kept; its session is ended by the caller.
    ///
    /// # Errors
    /// [`Error::Database`].
    fn destroy_token(
        &self,
        token: &str,
        owner: &TokenOwner<P>,
        users: &UserManager<P>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = (token, owner, users);
        async { Ok(()) }
    }

    /// After how long without use a session ends; `None`: it does not.
    fn idle_lifetime(&self) -> Option<Duration> {
        None
    }

    /// Whether a token can say which session it belongs to; refresh tokens need that.
    fn names_sessions(&self) -> bool {
        true
    }
}

/// A token that was written.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by strategies")]
pub struct IssuedToken {
    /// The token itself.
    pub token: Secret,
    /// When it expires (Unix seconds); `None`: never.
    pub expires_at: Option<i64>,
}

/// Whose a token is.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by strategies")]
pub struct TokenOwner<P: UserProfile> {
    /// The user, active or not.
    pub user: User<P>,
    /// The session that the token belongs to; the same for every spelling of the token that counts.
    pub session: SessionId,
    /// What is stored of the session.
    pub state: Option<SessionState>,
    /// What the token is stored as, where the store of the users keeps it.
    pub stored_token: Option<Secret>,
    /// When the token expires (Unix seconds); `None`: never.
    pub expires_at: Option<i64>,
    /// When its user proved who they are (Unix seconds); `None` when the token does not tell.
    pub authenticated_at: Option<i64>,
}

impl<P: UserProfile> TokenOwner<P> {
    /// The session, to be stored where it is not known yet.
    #[must_use]
    pub fn session(&self, backend: &str, request: Option<&RequestInfo>) -> NewSession {
        let created_at = self.authenticated_at.unwrap_or_default();
        NewSession::of(self.session.clone(), backend, created_at, self.expires_at.unwrap_or(i64::MAX), request)
    }
}

/// Any strategy behind one type. A cheap handle.
pub struct AnyStrategy<P: UserProfile>(Arc<dyn DynStrategy<P>>);

impl<P: UserProfile> Clone for AnyStrategy<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: UserProfile> AnyStrategy<P> {
    /// Hides which strategy it is.
    pub fn new(strategy: impl Strategy<P>) -> Self {
        Self(Arc::new(strategy))
    }
}

impl<P: UserProfile> Strategy<P> for AnyStrategy<P> {
    async fn read_token(&self, token: &str, users: &UserManager<P>) -> Result<Option<TokenOwner<P>>, Error> {
        self.0.read_token(token, users).await
    }
    async fn write_token(&self, proof: &Authenticated<P>, users: &UserManager<P>) -> Result<IssuedToken, Error> {
        self.0.write_token(proof, users).await
    }
    async fn destroy_token(&self, token: &str, owner: &TokenOwner<P>, users: &UserManager<P>) -> Result<(), Error> {
        self.0.destroy_token(token, owner, users).await
    }
    fn idle_lifetime(&self) -> Option<Duration> {
        self.0.idle_lifetime()
    }
    fn names_sessions(&self) -> bool {
        self.0.names_sessions()
    }
}

trait DynStrategy<P: UserProfile>: Send + Sync {
    fn read_token<'a>(
        &'a self,
        token: &'a str,
        users: &'a UserManager<P>,
    ) -> BoxFuture<'a, Result<Option<TokenOwner<P>>, Error>>;
    fn write_token<'a>(
        &'a self,
        proof: &'a Authenticated<P>,
        users: &'a UserManager<P>,
    ) -> BoxFuture<'a, Result<IssuedToken, Error>>;
    fn destroy_token<'a>(
        &'a self,
        token: &'a str,
        owner: &'a TokenOwner<P>,
        users: &'a UserManager<P>,
    ) -> BoxFuture<'a, Result<(), Error>>;
    fn idle_lifetime(&self) -> Option<Duration>;
    fn names_sessions(&self) -> bool;
}

impl<P: UserProfile, T: Strategy<P>> DynStrategy<P> for T {
    fn read_token<'a>(
        &'a self,
        token: &'a str,
        users: &'a UserManager<P>,
    ) -> BoxFuture<'a, Result<Option<TokenOwner<P>>, Error>> {
        Box::pin(Strategy::read_token(self, token, users))
    }
    fn write_token<'a>(
        &'a self,
        proof: &'a Authenticated<P>,
        users: &'a UserManager<P>,
    ) -> BoxFuture<'a, Result<IssuedToken, Error>> {
        Box::pin(Strategy::write_token(self, proof, users))
    }
    fn destroy_token<'a>(
        &'a self,
        token: &'a str,
        owner: &'a TokenOwner<P>,
        users: &'a UserManager<P>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(Strategy::destroy_token(self, token, owner, users))
    }
    fn idle_lifetime(&self) -> Option<Duration> {
        Strategy::idle_lifetime(self)
    }
    fn names_sessions(&self) -> bool {
        Strategy::names_sessions(self)
    }
}
