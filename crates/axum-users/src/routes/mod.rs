//! The routes. A handler parses, asks the manager once, hands the user to the backend if it logs in, and answers.

mod accounts;
mod auth;
mod oauth;
mod register;
mod reset;
mod sessions;
mod users;
mod verify;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use axum_users_core::{RequestInfo, StoredSession, Strategy as _, session::is_idle};
use http::{HeaderValue, StatusCode, header, request::Parts};
use tower::{Service, layer::layer_fn};
use tracing::Instrument as _;

use crate::{
    AuthBackend, ConfigError, User, UserProfile, Users,
    authenticator::Session,
    error::ApiError,
    guard::{Active, Denied, Guard, Verified},
    oauth_settings::OAuthProvider,
    respond,
};

impl<P: UserProfile> Users<P> {
    /// All routes at their conventional places: `/auth/<backend>/login|logout` for each backend (and `refresh`),
    /// `/auth/register`, those of verification, reset and providers where they are configured, `/users/me`, `/users/{id}` and their
    /// `sessions`. The application's state need not hold anything for it.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let people = self.users_router().merge(self.sessions_router());
        let mut auth = Router::new();
        if self.registers() {
            auth = auth.merge(self.register_router());
        }
        if self.verifies() {
            auth = auth.merge(verify::router(self.clone()));
        }
        if self.resets_passwords() {
            auth = auth.merge(reset::router(self.clone()));
        }
        let mut router = Router::new().nest("/auth", auth).nest("/users", people);
        for provider in &self.oauth().providers {
            for (prefix, backend) in self.oauth_prefixes(provider) {
                let login = oauth::login_router(self.clone(), Arc::clone(provider), backend.clone());
                router = router.nest(&prefix, login);
            }
            if provider.associates {
                let associate = oauth::associate_router(self.clone(), Arc::clone(provider));
                router = router.nest(&format!("/auth/associate/{}", provider.name()), associate);
            }
        }
        if !self.oauth().providers.is_empty() {
            router = router.nest("/users", self.oauth_accounts_router());
        }
        for backend in self.backends() {
            router = router.nest(&format!("/auth/{}", backend.name()), auth::router(self.clone(), backend.clone()));
        }
        router
    }

    /// `POST /login` and `POST /logout` of the backend of this name; the conventional place is `/auth/<backend>`.
    ///
    /// # Errors
    /// [`ConfigError`] when no backend has this name.
    pub fn auth_router<S: Clone + Send + Sync + 'static>(&self, backend: &str) -> Result<Router<S>, ConfigError> {
        let known = self.backend(backend).ok_or_else(|| {
            ConfigError::new(format!("there is no backend called {backend:?}: add it with `.backend(…)`"))
        })?;
        Ok(auth::router(self.clone(), known.clone()))
    }

    /// `POST /register`; the conventional place is `/auth`.
    pub fn register_router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        register::router(self.clone())
    }

    /// `POST /request-verify-token` and `POST /verify`; the conventional place is `/auth`.
    ///
    /// # Errors
    /// [`ConfigError`] without [`verification`](crate::UsersBuilder::verification).
    pub fn verify_router<S: Clone + Send + Sync + 'static>(&self) -> Result<Router<S>, ConfigError> {
        if self.verifies() {
            Ok(verify::router(self.clone()))
        } else {
            Err(ConfigError::new(
                "tokens that verify an address need a secret: `.verification(TokenSettings::new(…)?)`",
            ))
        }
    }

    /// `POST /forgot-password` and `POST /reset-password`; the conventional place is `/auth`.
    ///
    /// # Errors
    /// [`ConfigError`] without [`reset_password`](crate::UsersBuilder::reset_password).
    pub fn reset_password_router<S: Clone + Send + Sync + 'static>(&self) -> Result<Router<S>, ConfigError> {
        if self.resets_passwords() {
            Ok(reset::router(self.clone()))
        } else {
            Err(ConfigError::new("tokens that set a password need a secret: `.reset_password(TokenSettings::new(…)?)`"))
        }
    }

    /// `GET|PATCH /me` and `GET|PATCH|DELETE /{id}`; the conventional place is `/users`.
    pub fn users_router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        users::router(self.clone())
    }

    /// `GET|DELETE /me/sessions`, `DELETE /me/sessions/{session}`, and the same below `/{id}` for superusers; the conventional
    /// place is `/users`.
    ///
    /// A list tells of each session when it began and was last seen, from where, and whether it is the one that asks; never a
    /// token. Ending other sessions needs a login of the last [`FRESH`](axum_users_core::FRESH) seconds: 403 otherwise.
    pub fn sessions_router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        sessions::router(self.clone())
    }

    /// The sessions of a user that count, the one that was used last first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn sessions(&self, user: &User<P>) -> Result<Vec<StoredSession>, crate::Error> {
        let mut sessions = self.manager().sessions(user).await?;
        let now = self.clock().unix();
        sessions.retain(|session| {
            let idle = self.backend(&session.backend).and_then(|backend| backend.strategy().idle_lifetime());
            !is_idle(None, Some(&session.state), idle, now)
        });
        Ok(sessions)
    }

    /// Where the logins by a provider stand, each with its backend.
    pub(crate) fn oauth_prefixes(&self, provider: &OAuthProvider) -> Vec<(String, &AuthBackend<P>)> {
        let mut backends: Vec<_> = provider.backends.iter().filter_map(|name| self.backend(name)).collect();
        if backends.is_empty() {
            backends.extend(self.backends().first());
        }
        let first = format!("/auth/{}", provider.name());
        let prefix = |(index, backend): (usize, &AuthBackend<P>)| match index {
            0 => first.clone(),
            _ => format!("{first}/{}", backend.name()),
        };
        backends.iter().enumerate().map(|(index, backend)| (prefix((index, backend)), *backend)).collect()
    }

    pub(crate) fn oauth_provider(&self, name: &str) -> Result<&Arc<OAuthProvider>, ConfigError> {
        let unknown = || ConfigError::new(format!("there is no provider called {name:?}: add it with `.oauth(…)`"));
        self.oauth().provider(name).ok_or_else(unknown)
    }

    /// `GET /authorize` and `GET /callback` of the provider of this name, which log in with the backend of that name; the
    /// conventional place is `/auth/<provider>`.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no such provider or backend.
    pub fn oauth_router<S: Clone + Send + Sync + 'static>(
        &self,
        provider: &str,
        backend: &str,
    ) -> Result<Router<S>, ConfigError> {
        let provider = self.oauth_provider(provider)?;
        let backend =
            self.backend(backend).ok_or_else(|| ConfigError::new(format!("there is no backend called {backend:?}")))?;
        Ok(oauth::login_router(self.clone(), Arc::clone(provider), backend.clone()))
    }

    /// `GET /authorize` and `GET /callback` that link an account with the provider of this name to the user who asks; the
    /// conventional place is `/auth/associate/<provider>`.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no such provider.
    pub fn oauth_associate_router<S: Clone + Send + Sync + 'static>(
        &self,
        provider: &str,
    ) -> Result<Router<S>, ConfigError> {
        Ok(oauth::associate_router(self.clone(), Arc::clone(self.oauth_provider(provider)?)))
    }

    /// `GET /me/accounts` and `DELETE /me/accounts/{account}`; the conventional place is `/users`. Unlinking needs a login of the
    /// last [`FRESH`](axum_users_core::FRESH) seconds: 403 otherwise.
    pub fn oauth_accounts_router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        accounts::router(self.clone())
    }

    /// What hooks may know of a request; also for calls of the [`UserManager`](crate::UserManager) from routes of your own.
    pub fn request_info(&self, parts: &Parts) -> RequestInfo {
        let text = |name: header::HeaderName| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
        let mut info = RequestInfo::default();
        info.user_agent = text(header::USER_AGENT);
        info.languages = text(header::ACCEPT_LANGUAGE);
        info.request_id = text(header::HeaderName::from_static("x-request-id"));
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        info.client_address = client_address(&parts.headers, self.trusted_proxies(), peer);
        let devices = self.backends().iter().filter_map(|backend| backend.transport().read_device(&parts.headers));
        info.device = devices.filter_map(|token| self.manager().known_device(&token)).next();
        if let Some(session) = Session::<P>::found(parts) {
            info.actor = Some(session.owner.user.id.to_string());
            info.backend = Some(session.backend.name().to_owned());
        }
        info
    }

    /// Whether a user may use the routes of a logged-in person.
    pub(crate) fn admits(&self, user: &User<P>) -> Result<(), Denied> {
        if self.requires_verification() { Verified::check(user) } else { Active::check(user) }
    }
}

/// The client's address: the hop of `X-Forwarded-For` that the outermost of our own proxies saw, `trusted` from the right. A
/// header that is too short or does not parse tells nothing, and the peer counts (ASVS 4.1.3).
#[must_use]
pub fn client_address(headers: &http::HeaderMap, trusted: usize, peer: Option<IpAddr>) -> Option<IpAddr> {
    if trusted == 0 {
        return peer;
    }
    let hops = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    let index = hops.len().checked_sub(trusted);
    index.and_then(|index| hops.get(index)?.parse().ok()).or(peer)
}

/// Which spellings of a path are served.
#[derive(Clone, Copy)]
struct Paths {
    with_slash: bool,
}

impl Paths {
    /// A slash at the end is another path in strict, and the same one elsewhere.
    fn of<P: UserProfile>(users: &Users<P>) -> Self {
        Self { with_slash: !users.strict() }
    }

    /// Serves a path. `allow` names the methods for 405.
    fn at<S: Clone + Send + Sync + 'static>(
        self,
        router: Router<S>,
        path: &str,
        allow: &'static str,
        methods: MethodRouter<S>,
    ) -> Router<S> {
        let not_allowed = move || async move {
            let mut response = respond::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
            response
        };
        // `get` would answer HEAD too.
        let methods = if allow.contains("GET") { methods.head(not_allowed) } else { methods };
        let methods = methods.fallback(not_allowed);
        let router = router.route(path, methods.clone());
        if self.with_slash { router.route(&format!("{path}/"), methods) } else { router }
    }
}

/// The state goes in, a panic becomes an answer, the headers of all our answers go on.
fn finish<S: Clone + Send + Sync + 'static, T: Clone + Send + Sync + 'static>(
    router: Router<S>,
    state: S,
) -> Router<T> {
    router.layer(layer_fn(Guarded)).with_state(state)
}

/// A panic is one 500 (ASVS 16.5.4); what was said is not logged: it may hold what a request brought along. Every answer gets our
/// headers.
#[derive(Clone)]
struct Guarded<S>(S);

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut work = Box::pin(self.0.call(request));
        Box::pin(async move {
            let answer = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(polled) => polled,
                Err(_) => {
                    tracing::error!("a handler panicked");
                    Poll::Ready(Ok(ApiError::Internal.into_response()))
                }
            });
            answer.await.map(respond::with_safe_headers)
        })
    }
}

/// Runs to its end though the client hangs up, so that what follows a write happens.
async fn uninterrupted(
    work: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
) -> Result<Response, ApiError> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(answer) => answer,
        // As if there had been no task in between.
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => Err(ApiError::Internal),
    }
}
