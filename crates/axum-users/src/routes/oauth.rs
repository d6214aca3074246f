//! `GET /authorize` and `GET /callback` of a provider: to log in with a backend, and to link an account to the user who asks.

use std::sync::Arc;

use axum::{
    Router,
    extract::{OriginalUri, RawQuery, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_users_core::{Audit, OAuthClient as _, OAuthReturn, oauth::OAuthFlow};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde_json::json;

use super::{
    Paths, finish,
    sessions::fresh,
    uninterrupted,
    users::{person, shown},
};
use crate::{
    Error, RequestInfo, Secret, Transport as _, UserProfile, Users,
    authenticator::Session,
    backend::AuthBackend,
    error::{ApiError, ErrorCode},
    guard::Denied,
    input::{self, Form},
    oauth_settings::{COOKIE_MAX_AGE, OAuthProvider},
    origin, redirect, respond,
};

/// The users, the provider, and the backend that logins are answered by.
type OfLogin<P> = (Users<P>, Arc<OAuthProvider>, AuthBackend<P>);
/// The users and the provider.
type OfAssociate<P> = (Users<P>, Arc<OAuthProvider>);

pub(super) fn login_router<P: UserProfile, S: Clone + Send + Sync + 'static>(
    users: Users<P>,
    provider: Arc<OAuthProvider>,
    backend: AuthBackend<P>,
) -> Router<S> {
    let paths = Paths::of(&users);
    let router = paths.at(Router::new(), "/authorize", "GET", get(authorize_login::<P>));
    let callback = get(callback_login::<P>);
    let callback = if provider.client.uses_form_post() { callback.post(posted_login::<P>) } else { callback };
    finish(paths.at(router, "/callback", methods(&provider), callback), (users, provider, backend))
}

pub(super) fn associate_router<P: UserProfile, S: Clone + Send + Sync + 'static>(
    users: Users<P>,
    provider: Arc<OAuthProvider>,
) -> Router<S> {
    let paths = Paths::of(&users);
    let router = paths.at(Router::new(), "/authorize", "GET", get(authorize_associate::<P>));
    let callback = get(callback_associate::<P>);
    let callback = if provider.client.uses_form_post() { callback.post(posted_associate::<P>) } else { callback };
    finish(paths.at(router, "/callback", methods(&provider), callback), (users, provider))
}

/// Those of the callback.
fn methods(provider: &OAuthProvider) -> &'static str {
    if provider.client.uses_form_post() { "GET, POST" } else { "GET" }
}

async fn authorize_login<P: UserProfile>(
    State((users, provider, backend)): State<OfLogin<P>>,
    query: RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let query = Query::parse(query);
    let redirect_to = target(&users, query.redirect_to.clone())?;
    if redirect_to.is_some() && !backend.transport().is_ambient() {
        // A token does not travel in an address.
        return Err(ApiError::Code(ErrorCode::OAuthRedirectNotAllowed));
    }
    let flow = OAuthFlow::Login { backend: backend.name().to_owned() };
    authorize(&users, &provider, flow, redirect_to, &query, &parts).await
}

async fn authorize_associate<P: UserProfile>(
    State((users, provider)): State<OfAssociate<P>>,
    query: RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    // Another site must not begin what ends in somebody's account being linked here: the provider may not ask.
    if session.backend.transport().is_ambient() && origin::is_foreign(&parts.headers, users.allowed_origins()) {
        return Err(Denied::FORBIDDEN.into());
    }
    if users.strict() {
        fresh(&users, &session)?;
    }
    let query = Query::parse(query);
    let redirect_to = target(&users, query.redirect_to.clone())?;
    authorize(&users, &provider, associate_flow(&session), redirect_to, &query, &parts).await
}

async fn callback_login<P: UserProfile>(
    State((users, provider, backend)): State<OfLogin<P>>,
    query: RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let flow = OAuthFlow::Login { backend: backend.name().to_owned() };
    let (returned, code) = match came_back(&users, &provider, &flow, Query::parse(query), &parts).await? {
        Ok(returned) => returned,
        Err(response) => return Ok(response),
    };
    let target = returned.state.redirect_to.clone();
    let answer = uninterrupted(async move {
        let mut info = users.request_info(&parts);
        info.backend = Some(backend.name().to_owned());
        let uri = redirect_uri(&users, &provider, &parts)?;
        let proof = users.oauth_login(&provider.client, returned, code, &uri, provider.rules, Some(&info)).await;
        let proof = proof.map_err(ApiError::of_oauth)?;
        end_presented(&users, &backend, &parts, &info).await?;
        let user = proof.user().clone();
        let (mut head, body) = backend.login(proof, users.manager(), Some(&info)).await?.into_parts();
        users.after_login(&user, Some(&info), &mut head).await;
        Ok(Response::from_parts(head, body))
    });
    sent_back(answer.await, target)
}

async fn callback_associate<P: UserProfile>(
    State((users, provider)): State<OfAssociate<P>>,
    query: RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let session = person(&users, &mut parts).await?;
    let flow = associate_flow(&session);
    let (returned, code) = match came_back(&users, &provider, &flow, Query::parse(query), &parts).await? {
        Ok(returned) => returned,
        Err(response) => return Ok(response),
    };
    let target = returned.state.redirect_to.clone();
    let answer = uninterrupted(async move {
        let info = users.request_info(&parts);
        let uri = redirect_uri(&users, &provider, &parts)?;
        let acting = session.acting(Some(&info));
        let user = users.oauth_associate(&provider.client, returned, code, &uri, &acting, Some(&info)).await;
        Ok(respond::json(StatusCode::OK, &shown(&users, user.map_err(ApiError::of_oauth)?).await?))
    });
    sent_back(answer.await, target)
}

async fn posted_login<P: UserProfile>(
    State((users, provider, _)): State<OfLogin<P>>,
    request: Request,
) -> Result<Response, ApiError> {
    posted(&users, &provider, request).await
}

async fn posted_associate<P: UserProfile>(
    State((users, provider)): State<OfAssociate<P>>,
    request: Request,
) -> Result<Response, ApiError> {
    posted(&users, &provider, request).await
}

/// A provider that posts its answer does so from its own page, without our cookies. Sent on as a `GET`, the browser has them.
async fn posted<P: UserProfile>(
    users: &Users<P>,
    provider: &OAuthProvider,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, bytes) = input::read(request, input::BODY_LIMIT).await?;
    let path = callback_path(users, provider, &parts)?;
    let mut form = Form::parse(&parts.headers, bytes).await?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["code", "state", "error", "iss"] {
        if let Some(value) = form.text(name) {
            query.append_pair(name, &value);
        }
    }
    see_other(&format!("{path}?{}", query.finish()), HeaderMap::new())
}

fn associate_flow<P: UserProfile>(session: &Session<P>) -> OAuthFlow {
    OAuthFlow::Associate { user: session.owner.user.id.to_string() }
}

/// Where the browser wants to go afterwards, if that is looked at.
fn target<P: UserProfile>(users: &Users<P>, asked: Option<String>) -> Result<Option<String>, ApiError> {
    match (&users.oauth().redirects, asked) {
        (Some(allowed), Some(target)) if redirect::is_allowed(&target, allowed) => Ok(Some(target)),
        (Some(_), Some(_)) => Err(ApiError::Code(ErrorCode::OAuthRedirectNotAllowed)),
        _ => Ok(None),
    }
}

async fn authorize<P: UserProfile>(
    users: &Users<P>,
    provider: &OAuthProvider,
    flow: OAuthFlow,
    redirect_to: Option<String>,
    query: &Query,
    parts: &Parts,
) -> Result<Response, ApiError> {
    let uri = redirect_uri(users, provider, parts)?;
    // A browser that came by a link goes on by itself; a script reads the address.
    let goes_on = redirect_to.is_some() && origin::is_navigation(&parts.headers);
    let start = users.oauth_begin(&provider.client, flow, redirect_to, &uri, provider.scopes(&query.scopes)).await;
    let start = start.map_err(ApiError::of_oauth)?;
    let cookie =
        users.oauth().cookie.carrying(&start.browser_secret, Some(COOKIE_MAX_AGE)).ok_or(ApiError::Internal)?;
    let mut response = if goes_on {
        see_other(&start.url, HeaderMap::new())?
    } else {
        respond::json(StatusCode::OK, &json!({ "authorization_url": start.url }))
    };
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// What came back, in the order of the contract: the provider's error, the code, the state. The provider's own words are not
/// repeated (RFC 6749 section 10.14). The inner error is an answer, where the state says whither.
async fn came_back<P: UserProfile>(
    users: &Users<P>,
    provider: &OAuthProvider,
    flow: &OAuthFlow,
    query: Query,
    parts: &Parts,
) -> Result<Result<(OAuthReturn, Secret), Response>, ApiError> {
    let browser = users.oauth().cookie.read_token(&parts.headers).unwrap_or_else(|| Secret::from(""));
    let state = Secret::from(query.state.unwrap_or_default());
    let info = users.request_info(parts);
    let returned = users.oauth_return(&provider.client, flow, &state, &browser, Some(&info));
    if query.error.is_some() {
        let returned = match returned.await {
            Err(error @ Error::Throttled { .. }) => return Err(error.into()),
            returned => returned,
        };
        let refused = Err(ApiError::Code(ErrorCode::OAuthProviderError));
        let event = if matches!(flow, OAuthFlow::Login { .. }) { "login" } else { "oauth_link" };
        Audit::of(event, Some(&info)).method("oauth").provider(provider.name()).refused("provider");
        return sent_back(refused, returned.ok().and_then(|it| it.state.redirect_to)).map(Err);
    }
    let code = query.code.filter(|code| !code.is_empty()).ok_or_else(|| ApiError::BadBody("Bad Request".into()))?;
    let returned = returned.await.map_err(ApiError::of_oauth)?;
    // RFC 9207 section 2.4.
    if let (Some(expected), Some(issuer)) = (provider.client.issuer(), &query.issuer)
        && expected != issuer
    {
        return Err(ApiError::Code(ErrorCode::OAuthInvalidState));
    }
    Ok(Ok((returned, Secret::from(code))))
}

/// The answer itself, or the way back to the page that the browser came from.
fn sent_back(answer: Result<Response, ApiError>, target: Option<String>) -> Result<Response, ApiError> {
    match (answer, target) {
        (Ok(response), Some(target)) if response.status().is_success() => {
            // A cookie goes along; a body would not be seen.
            let mut headers = response.into_parts().0.headers;
            for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
                headers.remove(name);
            }
            see_other(&target, headers)
        }
        (Err(ApiError::Code(code)), Some(target)) => {
            see_other(&redirect::with_error(&target, code.as_str()), HeaderMap::new())
        }
        (answer, _) => answer,
    }
}

fn see_other(target: &str, headers: HeaderMap) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(target).map_err(|_| ApiError::Internal)?;
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// Every authentication ends the token that was presented with it (ASVS 7.2.4).
async fn end_presented<P: UserProfile>(
    users: &Users<P>,
    backend: &AuthBackend<P>,
    parts: &Parts,
    info: &RequestInfo,
) -> Result<(), ApiError> {
    if let Some(old) = users.first_session(std::iter::once(backend), parts).await? {
        backend.end(&old, users.manager(), Some(info)).await?;
        Audit::of("token_ended", Some(info)).user(&old.owner.user.id).succeeded_because("login");
    }
    Ok(())
}

fn redirect_uri<P: UserProfile>(users: &Users<P>, provider: &OAuthProvider, parts: &Parts) -> Result<String, ApiError> {
    let path = original_path(&parts.extensions, parts.uri.path());
    provider.redirect_uri(users.oauth().public_url.as_deref(), &path).ok_or(ApiError::Internal)
}

/// Where a browser finds this callback: a proxy may have taken a part of the path off.
fn callback_path<P: UserProfile>(
    users: &Users<P>,
    provider: &OAuthProvider,
    parts: &Parts,
) -> Result<String, ApiError> {
    let path = original_path(&parts.extensions, parts.uri.path());
    let Some(public_url) = users.oauth().public_url.as_deref() else { return Ok(path) };
    let url = provider.route(public_url, &path).ok_or(ApiError::Internal)?;
    let path = url.split_once("://").and_then(|(_, rest)| Some(rest.split_at(rest.find('/')?).1.to_owned()));
    path.ok_or(ApiError::Internal)
}

/// The path as it was asked for, above all routers that this one stands in.
fn original_path(extensions: &http::Extensions, here: &str) -> String {
    extensions.get::<OriginalUri>().map_or(here, |original| original.0.path()).to_owned()
}

/// The parameters of these routes; of several of one name the last counts, but for `scopes`.
#[derive(Default)]
struct Query {
    scopes: Vec<String>,
    redirect_to: Option<String>,
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Query {
    fn parse(RawQuery(query): RawQuery) -> Self {
        let mut found = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "scopes" => found.scopes.push(value),
                "redirect_to" => found.redirect_to = Some(value),
                "code" => found.code = Some(value),
                "state" => found.state = Some(value),
                "error" => found.error = Some(value),
                "iss" => found.issuer = Some(value),
                _ => {}
            }
        }
        found
    }
}
