//! The page for the document: complete without the internet, at any place, under a strict policy.

use axum::{Router, body::Body, response::Response};
use axum_users::{
    AuthBackend, BearerTransport, DatabaseStrategy, Users,
    memory::MemoryStore,
    openapi::{OpenApi, openapi_router},
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

fn document() -> OpenApi {
    let store = MemoryStore::<()>::new();
    let strategy = DatabaseStrategy::new(store.clone(), std::time::Duration::from_secs(60));
    let backend = AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), strategy);
    Users::builder(store).backend(backend).build().unwrap().openapi()
}

async fn get(router: &Router, path: &str) -> Response {
    router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn header_of(response: &Response, name: header::HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Every `src="…"` and `href="…"` of the page.
fn links(page: &str) -> Vec<&str> {
    ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| page.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let response = get(&openapi_router(&document()), "/openapi.json").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header_of(&response, header::CONTENT_TYPE), "application/json");
    assert_eq!(text(response).await, document().into_value().to_string());
}

#[tokio::test]
async fn the_page_has_all_it_needs_wherever_it_is() {
    for (prefix, router) in [
        ("", openapi_router(&document())),
        ("/deep/below", Router::new().nest("/deep/below", openapi_router(&document()))),
    ] {
        let page = text(get(&router, &format!("{prefix}/docs")).await).await;
        assert!(!page.contains("<script>") && !page.contains("//"), "{page}");
        let links = links(&page);
        assert_eq!(links.len(), 4, "{links:?}");
        for link in links {
            let response = get(&router, &format!("{prefix}/{link}")).await;
            assert_eq!(response.status(), StatusCode::OK, "{link}");
            assert_eq!(header_of(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{link}");
            let is_compressed = link.contains("swagger-ui");
            let encoding = if is_compressed { "gzip" } else { "" };
            assert_eq!(header_of(&response, header::CONTENT_ENCODING), encoding, "{link}");
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(bytes.starts_with(&[0x1f, 0x8b]), is_compressed, "{link}");
        }
        let start = text(get(&router, &format!("{prefix}/docs/start.js")).await).await;
        assert!(start.contains("url: 'openapi.json'"), "{start}");
    }
}

#[tokio::test]
async fn the_page_runs_its_own_scripts_only() {
    let response = get(&openapi_router(&document()), "/docs").await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                  connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    assert_eq!(header_of(&response, header::CONTENT_SECURITY_POLICY), policy);
    assert_eq!(header_of(&response, header::CONTENT_TYPE), "text/html; charset=utf-8");
    let missing = get(&openapi_router(&document()), "/docs/other").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}
