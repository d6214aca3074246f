//! `GET|DELETE /me/sessions` and `DELETE /me/sessions/{session}`; the same below `/{id}` for superusers.

use axum::{
    Router,
    extract::{Path, RawQuery, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use axum_users_core::SessionId;
use http::{StatusCode, request::Parts};

use super::{
    Paths, finish, uninterrupted,
    users::{PathId, find, person, superuser},
};
use crate::{SessionRead, User, UserProfile, Users, authenticator::Session, error::ApiError, respond};

pub(super) fn router<P: UserProfile, S: Clone + Send + Sync + 'static>(users: Users<P>) -> Router<S> {
    let paths = Paths::of(&users);
    let mine = get(list_mine::<P>).delete(end_mine::<P>);
    let router = paths.at(Router::new(), "/me/sessions", "GET, DELETE", mine);
    let router = paths.at(router, "/me/sessions/{session}", "DELETE", delete(end_one_of_mine::<P>));
    let theirs = get(list_theirs::<P>).delete(end_theirs::<P>);
    let router = paths.at(router, "/{id}/sessions", "GET, DELETE", theirs);
    finish(paths.at(router, "/{id}/sessions/{session}", "DELETE", delete(end_one_of_theirs::<P>)), users)
}

async fn list_mine<P: UserProfile>(State(users): State<Users<P>>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    list(&users, &session.owner.user, Some(&session.owner.session)).await
}

/// Ends all sessions, the acting one too unless `keep_current=true` is asked for.
async fn end_mine<P: UserProfile>(
    State(users): State<Users<P>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    fresh(&users, &session)?;
    let keeps = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(name, value)| name == "keep_current" && matches!(&*value, "true" | "1"));
    uninterrupted(async move {
        let info = users.request_info(&parts);
        let acting = session.acting(Some(&info));
        users.manager().end_sessions(&session.owner.user, keeps.then_some(&acting), Some(&info)).await?;
        if keeps { Ok(no_content()) } else { Ok(session.backend.transport().logout_response()) }
    })
    .await
}

async fn end_one_of_mine<P: UserProfile>(
    State(users): State<Users<P>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    let id = id.ok().and_then(|Path(id)| SessionId::parse(&id)).ok_or(ApiError::NotFound)?;
    let current = id == session.owner.session;
    if !current {
        fresh(&users, &session)?;
    }
    uninterrupted(async move {
        if current {
            session.log_out(users.manager(), Some(&users.request_info(&parts))).await?;
            return Ok(session.backend.transport().logout_response());
        }
        end(&users, &session.owner.user, &id, &parts).await
    })
    .await
}

async fn list_theirs<P: UserProfile>(
    State(users): State<Users<P>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    superuser(&users, &mut parts).await?;
    list(&users, &find(&users, id).await?, None).await
}

async fn end_theirs<P: UserProfile>(
    State(users): State<Users<P>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    fresh(&users, &*superuser(&users, &mut parts).await?)?;
    let user = find(&users, id).await?;
    uninterrupted(async move {
        users.manager().end_sessions(&user, None, Some(&users.request_info(&parts))).await?;
        Ok(no_content())
    })
    .await
}

async fn end_one_of_theirs<P: UserProfile>(
    State(users): State<Users<P>>,
    ids: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    fresh(&users, &*superuser(&users, &mut parts).await?)?;
    let Ok(Path((id, session))) = ids else { return Err(ApiError::NotFound) };
    let user = find(&users, Ok(Path(id))).await?;
    let session = SessionId::parse(&session).ok_or(ApiError::NotFound)?;
    uninterrupted(async move { end(&users, &user, &session, &parts).await }).await
}

async fn list<P: UserProfile>(
    users: &Users<P>,
    user: &User<P>,
    current: Option<&SessionId>,
) -> Result<Response, ApiError> {
    let sessions = users.sessions(user).await?;
    let sessions: Vec<_> = sessions.into_iter().map(|it| SessionRead::new(it, current)).collect();
    Ok(respond::json(StatusCode::OK, &sessions))
}

async fn end<P: UserProfile>(
    users: &Users<P>,
    user: &User<P>,
    id: &SessionId,
    parts: &Parts,
) -> Result<Response, ApiError> {
    if users.manager().end_session_by_id(user, id, Some(&users.request_info(parts))).await? {
        Ok(no_content())
    } else {
        Err(ApiError::NotFound)
    }
}

/// Ending sessions, and what else changes how a user logs in, asks for a session whose user proved who they are a short while ago (ASVS 7.5.2).
pub(super) fn fresh<P: UserProfile>(users: &Users<P>, session: &Session<P>) -> Result<(), ApiError> {
    if users.is_fresh(session.owner.authenticated_at) { Ok(()) } else { Err(ApiError::NotFresh) }
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
