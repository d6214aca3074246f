//! An authentication backend: a name, a transport and a strategy.

use std::sync::Arc;

use axum::response::Response;

use crate::{
    AnyStrategy, ConfigError, Error, RefreshTokens, RequestInfo, Secret, Strategy, User, UserManager, UserProfile,
    authenticator::Session,
    transport::{LoginTokens, Transport},
};
use axum_users_core::Authenticated;
use http::header;

/// A name, a transport and a strategy. A cheap handle.
pub struct AuthBackend<P: UserProfile> {
    name: Arc<str>,
    transport: Arc<dyn Transport>,
    strategy: AnyStrategy<P>,
    refresh: Option<RefreshTokens<P>>,
}

impl<P: UserProfile> Clone for AuthBackend<P> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            transport: Arc::clone(&self.transport),
            strategy: self.strategy.clone(),
            refresh: self.refresh.clone(),
        }
    }
}

impl<P: UserProfile> AuthBackend<P> {
    /// A backend; its name is part of routes and of OpenAPI's operation ids.
    pub fn new(name: &str, transport: impl Transport, strategy: impl Strategy<P>) -> Self {
        Self { name: name.into(), transport: Arc::new(transport), strategy: AnyStrategy::new(strategy), refresh: None }
    }

    /// Logins also answer a refresh token, and `POST /refresh` takes it (RFC 6749 section 6). Default: none.
    ///
    /// For [`BearerTransport`](crate::BearerTransport) with short-lived access tokens.
    #[must_use]
    pub fn refresh(mut self, tokens: RefreshTokens<P>) -> Self {
        self.refresh = Some(tokens);
        self
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

    /// Its refresh tokens, if it has them.
    #[must_use]
    pub fn refresh_tokens(&self) -> Option<&RefreshTokens<P>> {
        self.refresh.as_ref()
    }

    /// Writes a token, begins a session, and answers as the transport does. `request` is what the list of sessions tells.
    ///
    /// # Errors
    /// As [`Strategy::write_token`]; [`Error::BadCredentials`] when the user is gone meanwhile.
    pub async fn login(
        &self,
        proof: Authenticated<P>,
        users: &UserManager<P>,
        request: Option<&RequestInfo>,
    ) -> Result<Response, Error> {
        let proof = proof.through(&self.name, request);
        let user = proof.user().clone();
        let gone = |error| if matches!(error, Error::SessionEnded) { Error::BadCredentials } else { error };
        let mut response = if let Some(refresh) = &self.refresh {
            let until = refresh.session_end(&proof);
            let proof = proof.session_until(until);
            let issued = self.strategy.write_token(&proof, users).await.map_err(gone)?;
            let refresh_token = refresh.issue(&self.name, &proof).await.map_err(gone)?;
            self.answer(LoginTokens::new(issued, refresh_token, users.clock()))
        } else {
            let issued = self.strategy.write_token(&proof, users).await.map_err(gone)?;
            self.transport.login_response(&issued.token)
        };
        self.remember_device(&mut response, &user, users, request);
        Ok(response)
    }

    /// Makes the browser known that this answer goes to, which has proved that its user is this one; answers whether the
    /// transport can and whether there are [known devices](crate::UsersBuilder::known_devices).
    ///
    /// A login does it by itself; a route of your own for mailed tokens may.
    pub fn remember_device(
        &self,
        response: &mut Response,
        user: &User<P>,
        users: &UserManager<P>,
        request: Option<&RequestInfo>,
    ) -> bool {
        let cookie = users.device_token(user, request).and_then(|token| self.transport.device_cookie(&token));
        cookie.map(|cookie| response.headers_mut().append(header::SET_COOKIE, cookie)).is_some()
    }

    /// A new access token and a new refresh token for a refresh token of this backend.
    ///
    /// # Errors
    /// As [`RefreshTokens::rotate`] and [`Strategy::write_token`].
    pub(crate) async fn rotate(
        &self,
        refresh: &RefreshTokens<P>,
        token: &Secret,
        requires_verification: bool,
        users: &UserManager<P>,
        request: Option<&RequestInfo>,
    ) -> Result<Response, Error> {
        let idle = self.strategy.idle_lifetime();
        let (proof, successor) = refresh.rotate(&self.name, token, requires_verification, idle, users, request).await?;
        let issued = self.strategy.write_token(&proof, users).await.map_err(|error| match error {
            Error::SessionEnded => Error::InvalidRefreshToken,
            other => other,
        })?;
        Ok(self.answer(LoginTokens::new(issued, successor, users.clock())))
    }

    fn answer(&self, tokens: LoginTokens) -> Response {
        // `checked` has seen that this transport carries both.
        self.transport
            .refreshable_login_response(&tokens)
            .unwrap_or_else(|| self.transport.login_response(&tokens.access_token))
    }

    /// Ends the session of a token that this backend accepted.
    ///
    /// # Errors
    /// As [`Strategy::destroy_token`].
    pub(crate) async fn end(
        &self,
        session: &Session<P>,
        users: &UserManager<P>,
        request: Option<&RequestInfo>,
    ) -> Result<(), Error> {
        let owner = &session.owner;
        users.end_session(&owner.user, owner.session(&self.name, request)).await?;
        self.strategy.destroy_token(session.token.expose(), owner, users).await
    }

    /// Whether its parts fit together.
    pub(crate) fn checked(&self) -> Result<(), ConfigError> {
        self.transport.checked()?;
        let name = &self.name;
        if name.chars().count() > 64 {
            return Err(ConfigError::new(format!("the name of a backend has 64 characters at most: {name:?}")));
        }
        let Some(refresh) = &self.refresh else { return Ok(()) };
        if !self.transport.carries_refresh_tokens() {
            return Err(ConfigError::new(format!("the transport of {name:?} carries no refresh tokens: use a bearer")));
        }
        if !self.strategy.names_sessions() {
            return Err(ConfigError::new(format!(
                "the tokens of {name:?} cannot name the session that a refresh token belongs to: do not share them with \
                 FastAPI Users, or leave refresh tokens out"
            )));
        }
        if refresh.lifetime().as_secs() == 0 {
            return Err(ConfigError::new(format!(
                "the refresh tokens of {name:?} need a lifetime of a second or more"
            )));
        }
        Ok(())
    }
}
