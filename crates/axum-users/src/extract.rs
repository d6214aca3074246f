//! Extractors.

use std::{convert::Infallible, marker::PhantomData, ops::Deref, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{Method, request::Parts};

use crate::{
    Active, Denied, Error, Guard, RequestInfo, Secret, SessionId, User, UserManager, UserProfile, Users,
    authenticator::Session, error::ApiError, origin,
};

/// The user who is calling, if the guard `G` lets them pass; else 401 or 403. In an `Option`, `None` instead.
///
/// ```
/// use axum::{Router, routing::get};
/// use axum_users::{CurrentUser, Superuser, Users, Verified};
///
/// async fn hello(user: CurrentUser<()>) -> String {
///     format!("Hello {}", user.email)
/// }
/// async fn news(user: Option<CurrentUser<(), Verified>>) -> &'static str {
///     if user.is_some() { "for you" } else { "for all" }
/// }
/// async fn admin(_: CurrentUser<(), (Superuser, Verified)>) {}
///
/// let app: Router<Users<()>> =
///     Router::new().route("/hello", get(hello)).route("/news", get(news)).route("/admin", get(admin));
/// ```
pub struct CurrentUser<P: UserProfile, G = Active> {
    session: Arc<Session<P>>,
    guard: PhantomData<fn() -> G>,
}

impl<P: UserProfile, G> CurrentUser<P, G> {
    /// The user itself.
    #[must_use]
    pub fn into_user(self) -> User<P> {
        self.session.owner.user.clone()
    }

    /// The token that proved it, as it was sent.
    #[must_use]
    pub fn token(&self) -> &Secret {
        &self.session.token
    }

    /// The name of the backend that accepted it.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.session.backend.name()
    }

    /// When the token expires (Unix seconds); `None`: never.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        self.session.owner.expires_at
    }

    /// The session that the token belongs to.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        &self.session.owner.session
    }

    /// This session as the one that asks for a change, for [`UserManager::update`](crate::UserManager::update).
    #[must_use]
    pub fn acting(&self) -> crate::Acting<P> {
        self.session.acting(None)
    }

    /// Whether its user proved who they are a short while ago: what ends other sessions should ask for it.
    #[must_use]
    pub fn is_fresh(&self, users: &UserManager<P>) -> bool {
        users.is_fresh(self.session.owner.authenticated_at)
    }

    /// Ends this session with its token, and answers as the transport does at a logout.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_out(&self, users: &UserManager<P>, request: Option<&RequestInfo>) -> Result<Response, Error> {
        self.session.log_out(users, request).await?;
        Ok(self.session.backend.transport().logout_response())
    }

    pub(crate) fn session(&self) -> &Arc<Session<P>> {
        &self.session
    }
}

impl<P: UserProfile, G> Deref for CurrentUser<P, G> {
    type Target = User<P>;
    fn deref(&self) -> &User<P> {
        &self.session.owner.user
    }
}

impl<S, P, G> FromRequestParts<S> for CurrentUser<P, G>
where
    S: Send + Sync,
    P: UserProfile,
    G: Guard<P>,
    Users<P>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let users = Users::<P>::from_ref(state);
        current(&users, parts).await.map_err(ApiError::into_response)?.map_err(Denied::into_response)
    }
}

impl<S, P, G> OptionalFromRequestParts<S> for CurrentUser<P, G>
where
    S: Send + Sync,
    P: UserProfile,
    G: Guard<P>,
    Users<P>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Response> {
        let users = Users::<P>::from_ref(state);
        Ok(current(&users, parts).await.map_err(ApiError::into_response)?.ok())
    }
}

/// The current user, or why there is none.
pub(crate) async fn current<P: UserProfile, G: Guard<P>>(
    users: &Users<P>,
    parts: &mut Parts,
) -> Result<Result<CurrentUser<P, G>, Denied>, ApiError> {
    let Some(session) = users.session::<G>(parts).await? else { return Ok(Err(Denied::UNAUTHORIZED)) };
    if let Err(denied) = G::check(&session.owner.user) {
        return Ok(Err(denied));
    }
    // A browser sends a cookie by itself: a write needs proof of where it comes from (ASVS 3.5.1).
    let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && session.backend.transport().is_ambient() && origin::is_foreign(&parts.headers, users.allowed_origins())
    {
        return Ok(Err(Denied::FORBIDDEN));
    }
    Ok(Ok(CurrentUser { session, guard: PhantomData }))
}

/// The token that a request presents, whether it counts or not: beside an optional current user.
///
/// It is the token of the session when there is one, else what the last enabled backend saw.
pub struct PresentedToken<P: UserProfile, G = Active> {
    /// The token.
    pub token: Option<Secret>,
    guard: PhantomData<fn() -> (P, G)>,
}

impl<S, P, G> FromRequestParts<S> for PresentedToken<P, G>
where
    S: Send + Sync,
    P: UserProfile,
    G: Guard<P>,
    Users<P>: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let users = Users::<P>::from_ref(state);
        let session = users.session::<G>(parts).await.ok().flatten();
        let token = session.map(|it| it.token.clone()).or_else(|| users.presented_token::<G>(parts));
        Ok(Self { token, guard: PhantomData })
    }
}
