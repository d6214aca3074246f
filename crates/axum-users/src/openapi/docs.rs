//! `/openapi.json`, and a page at `/docs` that works without the internet.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, StatusCode, header};

use super::OpenApi;
use crate::respond;

/// Swagger UI, compressed; see `assets/README.md` for origin and licence.
const SCRIPT: &[u8] = include_bytes!("../../assets/swagger-ui-bundle.js.gz");
const STYLE: &[u8] = include_bytes!("../../assets/swagger-ui.css.gz");

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>API documentation</title>
  <link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <noscript>This page needs JavaScript; the document itself is <a href="openapi.json">openapi.json</a>.</noscript>
  <script src="docs/swagger-ui-bundle.js"></script>
  <script src="docs/start.js"></script>
</body>
</html>
"#;

const START: &str = "SwaggerUIBundle({ url: 'openapi.json', dom_id: '#swagger-ui', deepLinking: true, \
                     validatorUrl: null, presets: [SwaggerUIBundle.presets.apis], layout: 'BaseLayout' });\n";

/// No third party, no inline script; Swagger UI sets styles and images of its own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Serves the document at `/openapi.json` and a page for it at `/docs`.
pub fn openapi_router<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let json: axum::body::Bytes = serde_json::to_vec(document).unwrap_or_default().into();
    Router::new()
        .route("/openapi.json", get(|State(json): State<axum::body::Bytes>| async { file("application/json", json) }))
        .route("/docs", get(|| async { page() }))
        .route("/docs/start.js", get(|| async { file("text/javascript; charset=utf-8", START) }))
        .route("/docs/swagger-ui-bundle.js", get(|| async { compressed("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/docs/swagger-ui.css", get(|| async { compressed("text/css; charset=utf-8", STYLE) }))
        .layer(axum::middleware::map_response(async |response| respond::with_safe_headers(response)))
        .with_state(json)
}

fn page() -> Response {
    let mut response = file("text/html; charset=utf-8", PAGE);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn file(content_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Every browser takes gzip.
fn compressed(content_type: &'static str, body: &'static [u8]) -> Response {
    let mut response = file(content_type, body);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}
