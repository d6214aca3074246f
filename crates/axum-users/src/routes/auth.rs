//! `POST /login` and `POST /logout` of one backend.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::request::Parts;

use super::{Paths, finish, uninterrupted};
use crate::{
    Audit, Error, Secret, UserProfile, Users,
    backend::AuthBackend,
    error::ApiError,
    extract::current,
    guard::{Anyone, Denied},
    input::{self, Form},
    origin,
};

/// The users, and the backend whose routes these are.
type OfBackend<P> = (Users<P>, AuthBackend<P>);

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(
    users: Users<P>,
    backend: AuthBackend<P>,
) -> Router<S> {
    let paths = Paths::of(&users);
    let mut router = paths.at(Router::new(), "/login", "POST", post(login::<P>));
    if backend.refresh_tokens().is_some() {
        router = paths.at(router, "/refresh", "POST", post(refresh::<P>));
    }
    finish(paths.at(router, "/logout", "POST", post(logout::<P>)), (users, backend))
}

impl<P: UserProfile> Users<P> {
    /// A login by password, for a route of your own: checks the credentials, ends the token of this backend that came with
    /// the request, and answers as the transport does.
    ///
    /// It does not ask where the request comes from: see [`Users::request_origin`].
    ///
    /// # Errors
    /// As [`UserManager::login`](crate::UserManager::login) and [`AuthBackend::login`].
    pub async fn log_in(
        &self,
        backend: &AuthBackend<P>,
        username: &str,
        password: Secret,
        request: &Parts,
    ) -> Result<Response, Error> {
        let mut info = self.request_info(request);
        info.backend = Some(backend.name().to_owned());
        let proof = self.login(username, password, self.requires_verification(), Some(&info)).await?;
        // Every authentication ends the token that was presented with it (ASVS 7.2.4).
        if let Some(old) = self.first_session(std::iter::once(backend), request).await? {
            backend.end(&old, self.manager(), Some(&info)).await?;
            Audit::of("token_ended", Some(&info)).user(&old.owner.user.id).succeeded_because("login");
        }
        let user = proof.user().clone();
        let (mut head, body) = backend.login(proof, self.manager(), Some(&info)).await?.into_parts();
        self.after_login(&user, Some(&info), &mut head).await;
        Ok(Response::from_parts(head, body))
    }
}

async fn login<P: UserProfile>(
    State((users, backend)): State<OfBackend<P>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, users.body_limit()).await?;
    if backend.transport().is_ambient() && origin::is_foreign(&parts.headers, users.allowed_origins()) {
        return Err(Denied::FORBIDDEN.into());
    }
    let form = Form::parse(&parts.headers, bytes).await?;
    let credentials = Credentials::from_form(form)?;
    uninterrupted(async move { Ok(users.log_in(&backend, &credentials.username, credentials.password, &parts).await?) })
        .await
}

async fn logout<P: UserProfile>(
    State((users, backend)): State<OfBackend<P>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = match current::<P, Anyone>(&users, &mut parts).await? {
        Ok(user) => Arc::clone(user.session()),
        Err(denied) => return Err(denied.into()),
    };
    users.admits(&session.owner.user)?;
    uninterrupted(async move {
        // The token that was presented ends, whichever backend's route was called (ASVS 7.4.1).
        session.log_out(users.manager(), Some(&users.request_info(&parts))).await?;
        Ok(backend.transport().logout_response().into_response())
    })
    .await
}

/// RFC 6749 section 6. Errors are those of section 5.2.
async fn refresh<P: UserProfile>(
    State((users, backend)): State<OfBackend<P>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, users.body_limit()).await?;
    let mut form = Form::parse(&parts.headers, bytes).await?;
    match form.text("grant_type").as_deref() {
        Some("refresh_token") => {}
        Some(_) => return Err(ApiError::OAuth("unsupported_grant_type", "grant_type is refresh_token here")),
        None => return Err(ApiError::OAuth("invalid_request", "grant_type is missing")),
    }
    let token = form.text("refresh_token").map(Secret::from);
    let token = token.ok_or(ApiError::OAuth("invalid_request", "refresh_token is missing"))?;
    uninterrupted(async move {
        let tokens = backend.refresh_tokens().ok_or(ApiError::NotFound)?;
        let mut info = users.request_info(&parts);
        info.backend = Some(backend.name().to_owned());
        let verified = users.requires_verification();
        Ok(backend.rotate(tokens, &token, verified, users.manager(), Some(&info)).await?)
    })
    .await
}

/// RFC 6749 section 4.3.2.
struct Credentials {
    username: String,
    password: Secret,
}

impl Credentials {
    fn from_form(mut form: Form) -> Result<Self, ApiError> {
        form.optional_matching("grant_type", "^password$", |value| value == "password");
        let username = form.required("username");
        let password = form.required("password");
        match (form.finish(), username, password) {
            (Ok(()), Some(username), Some(password)) => Ok(Self { username, password: Secret::from(password) }),
            (Err(issues), ..) => Err(ApiError::Unprocessable(issues)),
            (Ok(()), ..) => Err(ApiError::Internal),
        }
    }
}
