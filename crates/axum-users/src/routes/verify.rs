//! `POST /request-verify-token` and `POST /verify`.

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use http::{StatusCode, request::Parts};
use serde_json::Value;

use super::{Paths, finish, uninterrupted, users::shown};
use crate::{
    Error, Secret, User, UserProfile, Users,
    error::{ApiError, ErrorCode},
    guard::Anyone,
    input::{self, JsonBody},
    respond,
    schemas::{email_of, token_of},
};

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(users: Users<P>) -> Router<S> {
    let paths = Paths::of(&users);
    let router = paths.at(Router::new(), "/request-verify-token", "POST", post(request::<P>));
    finish(paths.at(router, "/verify", "POST", post(verify::<P>)), users)
}

impl<P: UserProfile> Users<P> {
    /// Proves an address with a mailed token, for a route of your own: as [`UserManager::verify`](crate::UserManager::verify), with
    /// the session that comes with the request, if there is one that counts.
    ///
    /// # Errors
    /// As [`UserManager::verify`](crate::UserManager::verify); [`Error::Database`] also when a token came along that cannot be
    /// looked up.
    pub async fn verify_address(&self, token: &Secret, request: &mut Parts) -> Result<User<P>, Error> {
        let session = self.session::<Anyone>(request).await?;
        let info = self.request_info(request);
        let acting = session.map(|session| session.acting(Some(&info)));
        self.verify(token, acting.as_ref(), Some(&info)).await
    }
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
    let (mut parts, bytes) = input::read(request, users.body_limit()).await?;
    let token = token_of(JsonBody::parse(&parts.headers, &bytes, users.strict())?)?;
    uninterrupted(async move {
        let user = users.verify_address(&token, &mut parts).await.map_err(|error| match error {
            // A registration that waited; somebody else was quicker.
            Error::ValueAlreadyExists(field) => {
                ApiError::Explained(ErrorCode::RegisterValueAlreadyExists, "field", Value::from(field))
            }
            other => other.into(),
        })?;
        Ok(respond::json(StatusCode::OK, &shown(&users, user).await?))
    })
    .await
}
