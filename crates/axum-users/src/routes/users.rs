//! `GET|PATCH /me` and `GET|PATCH|DELETE /{id}`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_users_core::UserId;
use http::{StatusCode, request::Parts};
use serde_json::Value;

use super::{Paths, finish, uninterrupted};
use crate::{
    Audit, Error, Fields, OAuthAccountRead, User, UserProfile, UserRead, Users,
    authenticator::Session,
    error::{ApiError, ErrorCode},
    extract::current,
    guard::{Anyone, Denied},
    input::{self, JsonBody},
    respond,
    schemas::user_update,
};

/// The text of the path; one that is not UTF-8 is the id of nobody.
pub(super) type PathId = Result<Path<String>, PathRejection>;

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(users: Users<P>) -> Router<S> {
    let paths = Paths::of(&users);
    let router =
        paths.at(Router::new(), "/me", "GET, PATCH, DELETE", get(me::<P>).patch(patch_me::<P>).delete(delete_me::<P>));
    let by_id = get(user::<P>).patch(patch_user::<P>).delete(delete_user::<P>);
    finish(paths.at(router, "/{id}", "GET, PATCH, DELETE", by_id), users)
}

async fn me<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    read(&users, session.owner.user.clone()).await
}

async fn patch_me<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, bytes) = input::read(request, users.body_limit()).await?;
    let body = JsonBody::parse(&parts.headers, &bytes, users.strict())?;
    let session = person(&users, &mut parts).await?;
    let user = session.owner.user.clone();
    update(users, parts, session, user, body, Fields::Safe).await
}

async fn user<P: UserProfile>(
    State(users): State<Users<P>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    superuser(&users, &mut parts).await?;
    read(&users, find(&users, id).await?).await
}

async fn patch_user<P: UserProfile>(
    State(users): State<Users<P>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, bytes) = input::read(request, users.body_limit()).await?;
    let body = JsonBody::parse(&parts.headers, &bytes, users.strict())?;
    let session = superuser(&users, &mut parts).await?;
    let user = find(&users, id).await?;
    update(users, parts, session, user, body, Fields::All).await
}

async fn delete_user<P: UserProfile>(
    State(users): State<Users<P>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    delete(users, id, request).await
}

/// `me` is an id like any other here: there is no route to delete oneself.
async fn delete_me<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    delete(users, Ok(Path("me".into())), request).await
}

async fn delete<P: UserProfile>(users: Users<P>, id: PathId, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    superuser(&users, &mut parts).await?;
    let user = find(&users, id).await?;
    uninterrupted(async move {
        let info = users.request_info(&parts);
        users.manager().delete(&user, Some(&info)).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

async fn update<P: UserProfile>(
    users: Users<P>,
    parts: Parts,
    session: Arc<Session<P>>,
    user: User<P>,
    body: JsonBody,
    fields: Fields,
) -> Result<Response, ApiError> {
    let update = user_update::<P>(body, fields)?;
    uninterrupted(async move {
        let info = users.request_info(&parts);
        let updated = users
            .manager()
            .update(&user, update, fields, Some(&session.acting(Some(&info))), Some(&info))
            .await
            .map_err(|error| match error {
                Error::UserAlreadyExists => ApiError::Code(ErrorCode::UpdateUserEmailAlreadyExists),
                Error::ValueAlreadyExists(field) => {
                    ApiError::Explained(ErrorCode::UpdateUserValueAlreadyExists, "field", Value::from(field))
                }
                Error::InvalidPassword(invalid) => {
                    ApiError::Explained(ErrorCode::UpdateUserInvalidPassword, "reason", invalid.reason().clone())
                }
                other => other.into(),
            })?;
        read(&users, updated).await
    })
    .await
}

/// The session of a person who may use these routes.
pub(super) async fn person<P: UserProfile>(users: &Users<P>, parts: &mut Parts) -> Result<Arc<Session<P>>, ApiError> {
    let session = match current::<P, Anyone>(users, parts).await? {
        Ok(user) => Arc::clone(user.session()),
        Err(denied) => {
            if let Some(session) = Session::<P>::found(parts) {
                refuse(users, parts, &session.owner.user, "foreign_origin");
            }
            return Err(denied.into());
        }
    };
    let user = &session.owner.user;
    if let Err(denied) = users.admits(user) {
        refuse(users, parts, user, if user.is_active { "not_verified" } else { "inactive" });
        return Err(denied.into());
    }
    Ok(session)
}

/// The session of a superuser; others learn nothing about any id (ASVS 8.2.2).
pub(super) async fn superuser<P: UserProfile>(
    users: &Users<P>,
    parts: &mut Parts,
) -> Result<Arc<Session<P>>, ApiError> {
    let session = person(users, parts).await?;
    if !session.owner.user.is_superuser {
        refuse(users, parts, &session.owner.user, "not_superuser");
        return Err(Denied::FORBIDDEN.into());
    }
    Ok(session)
}

/// Records that somebody known may not do this (ASVS 16.3.2).
fn refuse<P: UserProfile>(users: &Users<P>, parts: &Parts, user: &User<P>, reason: &'static str) {
    Audit::of("access", Some(&users.request_info(parts))).user(&user.id).refused(reason);
}

pub(super) async fn find<P: UserProfile>(users: &Users<P>, id: PathId) -> Result<User<P>, ApiError> {
    let id = id.ok().and_then(|Path(id)| P::Id::parse(&id)).ok_or(ApiError::NotFound)?;
    users.get(&id).await?.ok_or(ApiError::NotFound)
}

async fn read<P: UserProfile>(users: &Users<P>, user: User<P>) -> Result<Response, ApiError> {
    Ok(respond::json(StatusCode::OK, &shown(users, user).await?))
}

/// The user as an answer shows them, with their accounts where the application asked for that.
pub(super) async fn shown<P: UserProfile>(users: &Users<P>, user: User<P>) -> Result<UserRead<P>, ApiError> {
    let oauth = users.oauth();
    if !oauth.shown {
        return Ok(UserRead::from(user));
    }
    let mut accounts = Vec::new();
    for account in users.manager().oauth_accounts(&user).await? {
        accounts.push(match (users.strict(), oauth.exposes_tokens) {
            (_, true) => {
                let tokens = users.manager().stored_oauth_token(&account)?;
                OAuthAccountRead::danger_with_tokens(account, tokens)
            }
            (true, false) => OAuthAccountRead::without_tokens(account),
            (false, false) => OAuthAccountRead::with_empty_tokens(account),
        });
    }
    Ok(UserRead::from(user).with_oauth_accounts(accounts))
}
