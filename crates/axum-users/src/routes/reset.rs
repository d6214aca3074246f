//! `POST /forgot-password` and `POST /reset-password`.

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use http::StatusCode;

use super::{Paths, finish, uninterrupted};
use crate::{
    AuthBackend, Error, UserProfile, Users,
    error::{ApiError, ErrorCode},
    input::{self, JsonBody},
    respond,
    schemas::{email_of, reset_of},
};

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(users: Users<P>) -> Router<S> {
    let paths = Paths::of(&users);
    let router = paths.at(Router::new(), "/forgot-password", "POST", post(forgot::<P>));
    finish(paths.at(router, "/reset-password", "POST", post(reset::<P>)), users)
}

/// The same answer for everybody; a worker sees whether there is anything to do.
async fn forgot<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, users.body_limit()).await?;
    let email = email_of(JsonBody::parse(&parts.headers, &bytes, users.strict())?)?;
    uninterrupted(async move {
        users.manager().forgot_password(email.as_str(), Some(&users.request_info(&parts))).await?;
        Ok(respond::json(StatusCode::ACCEPTED, &()))
    })
    .await
}

async fn reset<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, users.body_limit()).await?;
    let (token, password) = reset_of(JsonBody::parse(&parts.headers, &bytes, users.strict())?)?;
    uninterrupted(async move {
        let info = users.request_info(&parts);
        let user =
            users.manager().reset_password(&token, &password, Some(&info)).await.map_err(|error| match error {
                Error::InvalidPassword(invalid) => {
                    ApiError::Explained(ErrorCode::ResetPasswordInvalidPassword, "reason", invalid.reason().clone())
                }
                other => other.into(),
            })?;
        let mut response = respond::json(StatusCode::OK, &());
        // Whoever reads the mail of the user logs in with this browser next; strangers do not keep it out.
        let remembers =
            |backend: &AuthBackend<P>| backend.remember_device(&mut response, &user, users.manager(), Some(&info));
        let _ = users.backends().iter().any(remembers);
        Ok(response)
    })
    .await
}
