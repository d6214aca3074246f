//! Transports, by the recorded vectors.

use std::time::Duration;

use axum_users::{BearerTransport, CookieTransport, SameSite, Secret, Transport};
use http::HeaderMap;
use serde_json::Value;

use crate::people::bytes;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/transports.json")).unwrap()
}

fn transport(options: &Value) -> CookieTransport {
    let mut transport = CookieTransport::new();
    for (name, value) in options.as_object().unwrap() {
        let text = || value.as_str().unwrap();
        transport = match name.as_str() {
            "cookie_name" => transport.name(text()),
            "cookie_max_age" => transport.max_age(Duration::from_secs(value.as_u64().unwrap())),
            "cookie_path" if value.is_null() => transport.without_path(),
            "cookie_path" => transport.path(text()),
            "cookie_domain" => transport.domain(text()),
            "cookie_secure" => transport.danger_secure(value.as_bool().unwrap()),
            "cookie_httponly" => transport.danger_http_only(value.as_bool().unwrap()),
            "cookie_samesite" => transport.same_site(match text() {
                "lax" => SameSite::Lax,
                "strict" => SameSite::Strict,
                _ => SameSite::None,
            }),
            other => unreachable!("{other}"),
        };
    }
    transport
}

#[test]
fn ck_01_cookies_are_the_recorded_ones() {
    let vectors = vectors();
    let cases = vectors["cookie_transport"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let transport = transport(&case["options"]);
        for (response, recorded) in [
            (transport.login_response(&Secret::from("TOKEN")), &case["login_headers"]),
            (transport.logout_response(), &case["logout_headers"]),
        ] {
            assert_eq!(response.status(), 204);
            assert_eq!(response.headers()["set-cookie"], recorded[0][1].as_str().unwrap());
        }
    }
}

#[test]
fn cookie_headers_are_read_as_recorded() {
    for case in vectors()["cookie_header_parsing"].as_array().unwrap() {
        let mut headers = HeaderMap::new();
        for value in case["cookie_headers"].as_array().unwrap() {
            headers.append("cookie", value.as_str().unwrap().parse().unwrap());
        }
        let found = CookieTransport::new().read_token(&headers).map(|token| token.expose().to_owned());
        // An empty value counts as absent.
        let recorded = case["value_of_fastapiusersauth"].as_str().filter(|value| !value.is_empty());
        assert_eq!(found.as_deref(), recorded, "{case}");
    }
}

#[test]
fn authorization_headers_are_read_as_recorded() {
    for case in vectors()["authorization_header_parsing"].as_array().unwrap() {
        let mut headers = HeaderMap::new();
        headers.append("authorization", case["header"].as_str().unwrap().parse().unwrap());
        let found = BearerTransport::new("x").read_token(&headers).map(|token| token.expose().to_owned());
        assert_eq!(found.as_deref(), case["token"].as_str(), "{case}");
    }
}

#[tokio::test]
async fn a_bearer_login_is_the_recorded_one() {
    let recorded = vectors()["bearer_login_response"].clone();
    let response = BearerTransport::new("x").login_response(&Secret::from("TOKEN"));
    assert_eq!(u64::from(response.status().as_u16()), recorded["status"].as_u64().unwrap());
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(bytes(response).await, recorded["body"].as_str().unwrap().as_bytes());
}

#[test]
fn ck_01_settings_that_a_browser_drops_are_refused() {
    assert!(CookieTransport::new().same_site(SameSite::None).danger_secure(false).checked().is_err());
    assert!(CookieTransport::new().name("a b").checked().is_err());
    assert!(CookieTransport::new().path("/;x").checked().is_err());
    assert!(CookieTransport::new().checked().is_ok());
}
