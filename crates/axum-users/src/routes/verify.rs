//! `POST /request-verify-token` and `POST /verify`.

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use http::StatusCode;

use super::{Paths, finish, uninterrupted, users::shown};
use crate::{
    UserProfile, Users,
    error::ApiError,
    input::{self, JsonBody},
    respond,
    schemas::{email_of, token_of},
};

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(users: Users<P>) -> Router<S> {
    let paths = Paths::of(&users);
    let router = paths.at(Router::new(), "/request-verify-token", "POST", post(request::<P>));
    finish(paths.at(router, "/verify", "POST", post(verify::<P>)), users)
}

/// The same answer for everybody; a worker sees whether there is anything to do.
async fn request<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, users.body_limit()).await?;
    let email = email_of(JsonBody::parse(&parts.headers, &bytes, users.strict())?)?;
    uninterrupted(async move {
        users.manager().request_verify(email.as_str(), Some(&users.request_info(&parts))).await?;
        Ok(respond::json(StatusCode::ACCEPTED, &()))
    })
    .await
}

async fn verify<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, users.body_limit()).await?;
    let token = token_of(JsonBody::parse(&parts.headers, &bytes, users.strict())?)?;
    uninterrupted(async move {
        let user = users.manager().verify(&token, Some(&users.request_info(&parts))).await?;
        Ok(respond::json(StatusCode::OK, &shown(&users, user).await?))
    })
    .await
}
