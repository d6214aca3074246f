//! `POST /register`.

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use http::StatusCode;
use serde_json::Value;

use super::{Paths, finish, uninterrupted, users::shown};
use crate::{
    Error, Fields, UserProfile, Users,
    error::{ApiError, ErrorCode},
    guard::Denied,
    input::{self, JsonBody},
    origin, respond,
    schemas::user_create,
};

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(users: Users<P>) -> Router<S> {
    let paths = Paths::of(&users);
    finish(paths.at(Router::new(), "/register", "POST", post(register::<P>)), users)
}

async fn register<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, users.body_limit()).await?;
    let with_cookies = users.backends().iter().any(|backend| backend.transport().is_ambient());
    if with_cookies && origin::is_foreign(&parts.headers, users.allowed_origins()) {
        return Err(Denied::FORBIDDEN.into());
    }
    let create = user_create::<P>(JsonBody::parse(&parts.headers, &bytes, users.strict())?)?;
    uninterrupted(async move {
        let info = users.request_info(&parts);
        let user = users.create(create, Fields::Safe, Some(&info)).await.map_err(|error| match error {
            Error::UserAlreadyExists => ApiError::Code(ErrorCode::RegisterUserAlreadyExists),
            Error::ValueAlreadyExists(field) => {
                ApiError::Explained(ErrorCode::RegisterValueAlreadyExists, "field", Value::from(field))
            }
            Error::InvalidPassword(invalid) => {
                ApiError::Explained(ErrorCode::RegisterInvalidPassword, "reason", invalid.reason().clone())
            }
            other => other.into(),
        })?;
        Ok(respond::json(StatusCode::CREATED, &shown(&users, user).await?))
    })
    .await
}
