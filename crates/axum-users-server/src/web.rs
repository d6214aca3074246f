//! The router of the server: the routes of the library, health, and what every request goes through.

use std::{fmt::Display, sync::Arc, time::Duration};

use axum::{Router, extract::State, middleware::from_fn_with_state, response::Response, routing::get};
use axum_users::{
    RedisClient, UserManager, UserProfile, Users,
    openapi::{OpenApi, openapi_router},
};
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

/// How long a store may take to say that it is there.
const PING: Duration = Duration::from_secs(2);

/// All routes, those of the library and the pages among them, and the layers around them.
pub(crate) fn router<P: UserProfile>(config: &Config, users: &Users<P>, mut routes: Router) -> Router {
    if config.server.docs {
        routes = routes.merge(openapi_router(&openapi(users)));
    }
    let redis = config.redis.as_ref().map(|redis| redis.client.clone());
    around(&config.server, routes, health(users.manager().clone(), redis))
}

/// The document of the routes that this configuration asks for.
pub(crate) fn openapi<P: UserProfile>(users: &Users<P>) -> OpenApi {
    users.openapi().info("axum-users", env!("CARGO_PKG_VERSION"))
}

/// What every request goes through. Health is asked for by machines that must get an answer while all is busy, so it has no
/// limits.
fn around(settings: &ServerSettings, limited: Router, unlimited: Router) -> Router {
    let limits = Limits {
        body_bytes: settings.body_limit,
        time: settings.request_timeout,
        patience: settings.header_timeout,
        requests: Arc::new(Semaphore::new(settings.max_connections)),
    };
    let observation = Observation { trusted_proxies: settings.trusted_proxies, is_https: settings.public_url.is_https };
    let mut router = limited
        .fallback(|| async { detail(StatusCode::NOT_FOUND, "Not Found") })
        .layer(from_fn_with_state(limits, limit))
        .merge(unlimited)
        .method_not_allowed_fallback(|| async { detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") });
    if let Some(cors) = cors(settings) {
        router = router.layer(cors);
    }
    router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(observation, observe))
}

/// Up or not, and nothing else (ASVS 13.4.5).
fn health<P: UserProfile>(manager: UserManager<P>, redis: Option<RedisClient>) -> Router {
    let up = || async { status(StatusCode::OK) };
    Router::new().route("/health/live", get(up)).route("/health/ready", get(ready::<P>)).with_state((manager, redis))
}

/// The users, and Redis where a backend keeps its tokens there.
type Stores<P> = (UserManager<P>, Option<RedisClient>);

async fn ready<P: UserProfile>(State((manager, redis)): State<Stores<P>>) -> Response {
    let database = answers("the database", manager.ping());
    let redis = async {
        match &redis {
            Some(redis) => answers("Redis", redis.ping()).await,
            None => true,
        }
    };
    let (database, redis) = tokio::join!(database, redis);
    status(if database && redis { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
}

async fn answers<E: Display>(store: &str, ping: impl Future<Output = Result<(), E>>) -> bool {
    match timeout(PING, ping).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::warn!(%error, "not ready: {store} cannot be used"),
        Err(_) => tracing::warn!("not ready: {store} does not answer"),
    }
    false
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

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::Sources;

    async fn panics() -> &'static str {
        panic!("canary")
    }

    async fn never_ends() -> &'static str {
        std::future::pending().await
    }

    async fn ask(path: &str, change: impl FnOnce(&mut ServerSettings)) -> (StatusCode, String) {
        let mut settings = Config::load(&Sources::folder("/nowhere")).unwrap().server;
        change(&mut settings);
        let limited = Router::new().route("/panics", get(panics)).route("/never-ends", get(never_ends));
        let unlimited = Router::new().route("/panics-too", get(panics));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = around(&settings, limited, unlimited).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn lg_05_a_panic_is_one_500_that_tells_nothing() {
        for path in ["/panics", "/panics-too"] {
            let (status, body) = ask(path, |_| ()).await;
            assert_eq!((status, body.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
        }
    }

    #[tokio::test]
    async fn in_06_what_takes_too_long_is_503() {
        let (status, _) = ask("/never-ends", |settings| settings.request_timeout = Duration::from_millis(1)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn av_01_more_requests_than_there_is_room_for_are_503() {
        let (status, _) = ask("/panics", |settings| settings.max_connections = 0).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
