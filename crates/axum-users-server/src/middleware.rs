//! What every request goes through: an id, a line in the log, limits, safe headers; and a panic is one 500.

use std::{any::Any, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use axum_users::random;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tracing::Instrument as _;

/// The id of a request, from the client or ours.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How much of a path the log shows.
const LOGGED_PATH: usize = 256;

/// How requests are observed.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    /// Hops of `X-Forwarded-For` that are ours.
    pub(crate) trusted_proxies: usize,
    /// Whether browsers may remember that this host speaks HTTPS only.
    pub(crate) is_https: bool,
}

/// Gives the request an id, the log a line, and the answer its headers.
pub(crate) async fn observe(State(observation): State<Observation>, mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let id_text = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::info_span!("request", request_id = %id_text);
    let mut access = Access::new(&request, id_text, observation.trusted_proxies);
    let mut response = next.run(request).instrument(span).await;
    access.status = Some(response.status());
    drop(access);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    for (name, value) in SAFE_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if observation.is_https {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(year);
    }
    response
}

/// ASVS 3.4, 14.3.2.
const SAFE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// One that a client or a proxy chose counts if it can do no harm in a log; else there is a new one.
fn request_id(request: &Request) -> HeaderValue {
    let is_sane = |value: &&HeaderValue| {
        (1..=64).contains(&value.len())
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    request.headers().get(REQUEST_ID).filter(is_sane).cloned().unwrap_or_else(|| {
        let id = random::uuid_v4().to_string();
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// A line of the access log, written when the answer is there or the client has gone. No header, no query, no body.
struct Access {
    request_id: String,
    method: Method,
    path: String,
    client: String,
    start: Instant,
    status: Option<StatusCode>,
}

impl Access {
    fn new(request: &Request, request_id: String, trusted_proxies: usize) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let client = axum_users::client_address(request.headers(), trusted_proxies, peer);
        Self {
            request_id,
            method: request.method().clone(),
            path: request.uri().path().chars().take(LOGGED_PATH).collect(),
            client: client.map_or_else(String::new, |address| address.to_string()),
            start: Instant::now(),
            status: None,
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let Self { request_id, method, path, client, .. } = self;
        let latency_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.status.map(|status| status.as_u16()) {
            // A probe every few seconds says nothing while all is well.
            Some(status @ 200) if path.starts_with("/health/") => {
                tracing::debug!(target: "axum_users::access", %method, path, status, latency_ms, request_id, client, "request");
            }
            Some(status) => {
                tracing::info!(target: "axum_users::access", %method, path, status, latency_ms, request_id, client, "request");
            }
            None => {
                tracing::info!(target: "axum_users::access", %method, path, latency_ms, request_id, client, "client went away");
            }
        }
    }
}

/// How much a request may ask for.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) body_bytes: usize,
    /// Body and answer together.
    pub(crate) time: Duration,
    /// A body that takes longer has to come at [`MIN_RATE`].
    pub(crate) patience: Duration,
    /// Requests that run at the same time.
    pub(crate) requests: Arc<Semaphore>,
}

/// Bytes of a body a second: each earns its sender time, so that a place is not held by dripping.
const MIN_RATE: u64 = 500;

/// Reads the body up to its limit, and ends what takes too long: 408 if the client was slow, 503 if we were.
pub(crate) async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let Ok(_permit) = limits.requests.try_acquire() else { return unavailable() };
    let deadline = Instant::now() + limits.time;
    let (parts, body) = request.into_parts();
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes as u64) {
        return closing(StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large");
    }
    let body = match read(body, &limits, deadline).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let answer = next.run(Request::from_parts(parts, Body::from(body)));
    timeout_at(deadline, answer).await.unwrap_or_else(|_| {
        tracing::error!("a request took longer than server.request_timeout_seconds");
        unavailable()
    })
}

async fn read(body: Body, limits: &Limits, deadline: Instant) -> Result<Vec<u8>, Response> {
    let mut body = Limited::new(body, limits.body_bytes);
    let patience = Instant::now() + limits.patience;
    let mut bytes = Vec::new();
    loop {
        let earned = Duration::from_secs(bytes.len() as u64 / MIN_RATE);
        match timeout_at(deadline.min(patience + earned), body.frame()).await {
            Ok(None) => return Ok(bytes),
            Ok(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    bytes.extend_from_slice(data);
                }
            }
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => {
                return Err(closing(StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large"));
            }
            Ok(Some(Err(_))) => return Err(closing(StatusCode::BAD_REQUEST, "There was an error parsing the body")),
            // RFC 9110 section 15.5.9.
            Err(_) => return Err(closing(StatusCode::REQUEST_TIMEOUT, "Request Timeout")),
        }
    }
}

/// The one answer to a panic; what happened stands in the log (ASVS 16.5.1).
pub(crate) fn panicked(_payload: Box<dyn Any + Send>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::INTERNAL_SERVER_ERROR, content_type, "Internal Server Error").into_response()
}

/// `{"detail": …}`.
pub(crate) fn detail(status: StatusCode, detail: &str) -> Response {
    let body = json!({ "detail": detail }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn closing(status: StatusCode, text: &str) -> Response {
    let mut response = detail(status, text);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn unavailable() -> Response {
    let mut response = detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
