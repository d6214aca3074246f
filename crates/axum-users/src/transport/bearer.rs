//! The token in the header `Authorization` (RFC 6750 section 2.1).

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::{LoginTokens, Transport};
use crate::{Secret, openapi::SecurityScheme, respond};

/// `Authorization: Bearer <token>`.
#[derive(Clone, Debug)]
pub struct BearerTransport {
    token_url: String,
}

impl BearerTransport {
    /// `token_url` is the login route as the documentation shows it, for instance `auth/jwt/login`.
    pub fn new(token_url: impl Into<String>) -> Self {
        Self { token_url: token_url.into() }
    }
}

impl Transport for BearerTransport {
    fn read_token(&self, headers: &HeaderMap) -> Option<Secret> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| Secret::from(token.trim()))
    }

    fn login_response(&self, token: &Secret) -> Response {
        // RFC 6749 section 5.1.
        respond::json(StatusCode::OK, &json!({ "access_token": token.expose(), "token_type": "bearer" }))
    }

    fn carries_refresh_tokens(&self) -> bool {
        true
    }

    fn refreshable_login_response(&self, tokens: &LoginTokens) -> Option<Response> {
        let mut body = json!({
            "access_token": tokens.access_token.expose(),
            "token_type": "bearer",
            "refresh_token": tokens.refresh_token.expose(),
        });
        if let (Some(body), Some(seconds)) = (body.as_object_mut(), tokens.expires_in) {
            body.insert("expires_in".into(), seconds.into());
        }
        Some(respond::json(StatusCode::OK, &body))
    }

    fn logout_response(&self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }

    fn security_scheme(&self) -> SecurityScheme {
        SecurityScheme::new(
            "OAuth2PasswordBearer",
            json!({ "type": "oauth2", "flows": { "password": { "scopes": {}, "tokenUrl": self.token_url } } }),
        )
    }

    fn openapi_login_success(&self) -> (&'static str, serde_json::Value) {
        let example = json!({
            "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiOTIyMWZmYzktNjQwZi00MzcyLTg2ZDMtY2U2NDJjYmE1NjAzIiwiYXVkIjoiZmFzdGFwaS11c2VyczphdXRoIiwiZXhwIjoxNTcxNTA0MTkzfQ.M10bjOe45I5Ncu_uXvOmVV8QxnL-nZfcH96U90JaocI",
            "token_type": "bearer",
        });
        (
            "200",
            json!({
                "description": "Successful Response",
                "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/BearerResponse" }, "example": example,
                } },
            }),
        )
    }
}
