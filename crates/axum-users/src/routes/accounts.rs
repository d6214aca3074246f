//! `GET /me/accounts` and `DELETE /me/accounts/{id}`.

use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use axum_users_core::AccountId;
use http::StatusCode;

use super::{Paths, finish, sessions::fresh, uninterrupted, users::person};
use crate::{OAuthAccountRead, UserProfile, Users, error::ApiError, respond};

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(users: Users<P>) -> Router<S> {
    let paths = Paths::of(&users);
    let router = paths.at(Router::new(), "/me/accounts", "GET", get(list::<P>));
    finish(paths.at(router, "/me/accounts/{account}", "DELETE", delete(unlink::<P>)), users)
}

async fn list<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    let accounts = users.oauth_accounts(&session.owner.user).await?;
    let accounts: Vec<_> = accounts.into_iter().map(OAuthAccountRead::without_tokens).collect();
    Ok(respond::json(StatusCode::OK, &accounts))
}

async fn unlink<P: UserProfile>(
    State(users): State<Users<P>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    fresh(&users, &session)?;
    let id = id.ok().and_then(|Path(id)| AccountId::parse(&id)).ok_or(ApiError::NotFound)?;
    uninterrupted(async move {
        let info = users.request_info(&parts);
        let acting = session.acting(Some(&info));
        if users.remove_oauth_account(&session.owner.user, id, Some(&acting), Some(&info)).await? {
            Ok(StatusCode::NO_CONTENT.into_response())
        } else {
            Err(ApiError::NotFound)
        }
    })
    .await
}
