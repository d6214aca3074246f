//! An authentication backend: a name, a transport and a strategy.

use std::sync::Arc;

use axum::response::Response;

use crate::{AnyStrategy, Error, Strategy, UserManager, UserProfile, authenticator::Session, transport::Transport};
use axum_users_core::Authenticated;

/// A name, a transport and a strategy. A cheap handle.
pub struct AuthBackend<P: UserProfile> {
    name: Arc<str>,
    transport: Arc<dyn Transport>,
    strategy: AnyStrategy<P>,
}

impl<P: UserProfile> Clone for AuthBackend<P> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), transport: Arc::clone(&self.transport), strategy: self.strategy.clone() }
    }
}

impl<P: UserProfile> AuthBackend<P> {
    /// A backend; its name is part of routes and of OpenAPI's operation ids.
    pub fn new(name: &str, transport: impl Transport, strategy: impl Strategy<P>) -> Self {
        Self { name: name.into(), transport: Arc::new(transport), strategy: AnyStrategy::new(strategy) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its tokens travel.
    #[must_use]
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// How its tokens stand for a user.
    #[must_use]
    pub fn strategy(&self) -> &AnyStrategy<P> {
        &self.strategy
    }

    /// Writes a token and answers as the transport does.
    ///
    /// # Errors
    /// As [`Strategy::write_token`].
    pub async fn login(&self, proof: &Authenticated<P>, users: &UserManager<P>) -> Result<Response, Error> {
        let token = self.strategy.write_token(proof, users).await?;
        Ok(self.transport.login_response(&token))
    }

    /// Ends a token that this backend accepted.
    ///
    /// # Errors
    /// As [`Strategy::destroy_token`].
    pub(crate) async fn end(&self, session: &Session<P>, users: &UserManager<P>) -> Result<(), Error> {
        self.strategy.destroy_token(session.token.expose(), &session.owner, users).await
    }
}
