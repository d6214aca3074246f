//! How a token stands for a user.

mod database;
mod jwt;

use std::{future::Future, sync::Arc};

pub use database::DatabaseStrategy;
pub use jwt::JwtStrategy;

use crate::{
    erased::BoxFuture,
    error::Error,
    manager::{Authenticated, UserManager},
    profile::UserProfile,
    secret::Secret,
    session::TokenHash,
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

    /// A new token for a proved user.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    fn write_token(
        &self,
        proof: &Authenticated<P>,
        users: &UserManager<P>,
    ) -> impl Future<Output = Result<Secret, Error>> + Send;

    /// Ends a token that [`read_token`](Self::read_token) accepted.
    ///
    /// # Errors
    /// [`Error::Database`].
    fn destroy_token(
        &self,
        token: &str,
        owner: &TokenOwner<P>,
        users: &UserManager<P>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Whose a token is.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by strategies")]
pub struct TokenOwner<P: UserProfile> {
    /// The user, active or not.
    pub user: User<P>,
    /// What the token is remembered by; the same for every spelling of it that counts.
    pub token_hash: TokenHash,
    /// When the token expires (Unix seconds); `None`: never.
    pub expires_at: Option<i64>,
    /// When its user proved who they are (Unix seconds); `None` when the token does not tell.
    pub authenticated_at: Option<i64>,
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
    async fn write_token(&self, proof: &Authenticated<P>, users: &UserManager<P>) -> Result<Secret, Error> {
        self.0.write_token(proof, users).await
    }
    async fn destroy_token(&self, token: &str, owner: &TokenOwner<P>, users: &UserManager<P>) -> Result<(), Error> {
        self.0.destroy_token(token, owner, users).await
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
    ) -> BoxFuture<'a, Result<Secret, Error>>;
    fn destroy_token<'a>(
        &'a self,
        token: &'a str,
        owner: &'a TokenOwner<P>,
        users: &'a UserManager<P>,
    ) -> BoxFuture<'a, Result<(), Error>>;
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
    ) -> BoxFuture<'a, Result<Secret, Error>> {
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
}
