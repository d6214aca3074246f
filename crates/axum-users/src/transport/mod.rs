//! How a token travels.

mod bearer;
mod cookie;

use axum::response::Response;
pub use bearer::BearerTransport;
pub use cookie::{CookieTransport, SameSite};
use http::{HeaderMap, HeaderValue};

use axum_users_core::{Clock, IssuedToken};

use crate::{ConfigError, Secret, openapi::SecurityScheme};

/// How a token travels between client and server.
///
/// ```
/// use axum_users::{Secret, openapi::SecurityScheme, transport::Transport};
/// use axum::response::{IntoResponse, Response};
/// use http::{HeaderMap, StatusCode};
///
/// /// The token in a header of its own.
/// struct HeaderTransport;
///
/// impl Transport for HeaderTransport {
///     fn read_token(&self, headers: &HeaderMap) -> Option<Secret> {
///         Some(Secret::from(headers.get("x-token")?.to_str().ok()?))
///     }
///     fn login_response(&self, token: &Secret) -> Response {
///         (StatusCode::NO_CONTENT, [("x-token", token.expose().to_owned())]).into_response()
///     }
///     fn logout_response(&self) -> Response {
///         StatusCode::NO_CONTENT.into_response()
///     }
///     fn security_scheme(&self) -> SecurityScheme {
///         SecurityScheme::new("HeaderToken", serde_json::json!({ "type": "apiKey", "in": "header", "name": "x-token" }))
///     }
/// }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// The token of a request; `None` when there is none in this transport's place.
    fn read_token(&self, headers: &HeaderMap) -> Option<Secret>;

    /// The answer to a login.
    fn login_response(&self, token: &Secret) -> Response;

    /// Whether [`refreshable_login_response`](Self::refreshable_login_response) answers. Default: false.
    fn carries_refresh_tokens(&self) -> bool {
        false
    }

    /// The answer to a login or a refresh with a refresh token beside the access token. Default: none.
    fn refreshable_login_response(&self, tokens: &LoginTokens) -> Option<Response> {
        let _ = tokens;
        None
    }

    /// The answer to a logout.
    fn logout_response(&self) -> Response;

    /// How OpenAPI describes it.
    fn security_scheme(&self) -> SecurityScheme;

    /// Lets a client keep what makes its device known: a `Set-Cookie` of the answer to a login. Default: it cannot.
    fn device_cookie(&self, token: &str) -> Option<HeaderValue> {
        let _ = token;
        None
    }

    /// What [`device_cookie`](Self::device_cookie) let a client keep. Default: nothing.
    fn read_device(&self, headers: &HeaderMap) -> Option<String> {
        let _ = headers;
        None
    }

    /// Whether a browser sends the token by itself, so that writes need proof of their origin. Default: false.
    fn is_ambient(&self) -> bool {
        false
    }

    /// Whether its settings fit together; asked once, when the backends are built.
    ///
    /// # Errors
    /// [`ConfigError`] says what to change.
    fn checked(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The successful login in OpenAPI: status and response object.
    fn openapi_login_success(&self) -> (&'static str, serde_json::Value) {
        ("204", serde_json::json!({ "description": "No Content" }))
    }

    /// The successful logout in OpenAPI, beside the 200 that every route has.
    fn openapi_logout_success(&self) -> Option<(&'static str, serde_json::Value)> {
        None
    }
}

/// What a login answers where there are refresh tokens (RFC 6749 section 5.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginTokens {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token.
    pub refresh_token: Secret,
    /// For how many seconds the access token counts; `None`: it does not expire.
    pub expires_in: Option<i64>,
}

impl LoginTokens {
    pub(crate) fn new(issued: IssuedToken, refresh_token: Secret, clock: &Clock) -> Self {
        let expires_in = issued.expires_at.map(|at| at.saturating_sub(clock.unix()).max(0));
        Self { access_token: issued.token, refresh_token, expires_in }
    }
}
