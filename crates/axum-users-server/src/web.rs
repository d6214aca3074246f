//! The router of the server: the routes of the library, health, and what every request goes through.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, middleware::from_fn_with_state, response::Response, routing::get};
use axum_users::{UserManager, UserProfile, Users};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::{sync::Semaphore, time::timeout};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};

use crate::{
    config::{Config, ServerSettings},
    middleware::{Limits, Observation, REQUEST_ID, detail, limit, observe, panicked},
};

/// How long the store may take to say that it is there.
const PING: Duration = Duration::from_secs(2);

/// All routes, and the layers around them.
pub(crate) fn router<P: UserProfile>(config: &Config, users: &Users<P>) -> Router {
    let settings = &config.server;
    let limits = Limits {
        body_bytes: settings.body_limit,
        time: settings.request_timeout,
        requests: Arc::new(Semaphore::new(settings.max_connections)),
    };
    let observation = Observation { trusted_proxies: settings.trusted_proxies, is_https: settings.public_url.is_https };
    let mut router = user_routes(config, users)
        .fallback(|| async { detail(StatusCode::NOT_FOUND, "Not Found") })
        .layer(from_fn_with_state(limits, limit))
        .merge(health(users.manager().clone()))
        .method_not_allowed_fallback(|| async { detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") });
    if let Some(cors) = cors(settings) {
        router = router.layer(cors);
    }
    router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(observation, observe))
}

/// The routes of the library that this configuration asks for.
fn user_routes<P: UserProfile>(config: &Config, users: &Users<P>) -> Router {
    if config.registration {
        return users.router();
    }
    users.backends().iter().fold(Router::new().nest("/users", users.users_router()), |router, backend| {
        match users.auth_router(backend.name()) {
            Ok(routes) => router.nest(&format!("/auth/{}", backend.name()), routes),
            // Its name comes from the same list.
            Err(_) => router,
        }
    })
}

/// Up or not, and nothing else (ASVS 13.4.5).
fn health<P: UserProfile>(manager: UserManager<P>) -> Router {
    let up = || async { status(StatusCode::OK) };
    Router::new().route("/health/live", get(up)).route("/health/ready", get(ready::<P>)).with_state(manager)
}

async fn ready<P: UserProfile>(State(manager): State<UserManager<P>>) -> Response {
    match timeout(PING, manager.ping()).await {
        Ok(Ok(())) => status(StatusCode::OK),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            status(StatusCode::SERVICE_UNAVAILABLE)
        }
        Err(_) => {
            tracing::warn!("not ready: the database does not answer");
            status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

fn status(status: StatusCode) -> Response {
    detail(status, if status.is_success() { "up" } else { "down" })
}

/// For pages on the origins that the configuration names; for all others browsers keep the answer to themselves.
fn cors(settings: &ServerSettings) -> Option<CorsLayer> {
    let origins = settings.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let origins: Vec<HeaderValue> = origins.collect();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, REQUEST_ID])
            .expose_headers([header::RETRY_AFTER, REQUEST_ID])
            .max_age(Duration::from_secs(600))
    })
}
