//! The token in a cookie (RFC 6265).

use std::{fmt::Write as _, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::Transport;
use crate::{ConfigError, Secret, openapi::SecurityScheme};

/// A cookie that only the server reads.
#[derive(Clone, Debug)]
pub struct CookieTransport {
    name: String,
    max_age: Option<Duration>,
    path: Option<String>,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
}

/// When a browser sends the cookie along with a request from another site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6265bis section 5.6.7")]
pub enum SameSite {
    /// Only when a link is followed.
    #[default]
    Lax,
    /// Never.
    Strict,
    /// Always; the browser asks for `Secure` then.
    None,
}

impl Default for CookieTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl CookieTransport {
    /// A session cookie `fastapiusersauth`, path `/`, no domain, `Secure`, `HttpOnly`, `SameSite=lax`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: "fastapiusersauth".into(),
            max_age: None,
            path: Some("/".into()),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
        }
    }

    /// Its name. Default: `fastapiusersauth`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long the browser keeps it, in whole seconds; the token's own lifetime is the strategy's. Default: until the
    /// browser is closed.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The path below which it is sent. Default: `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// No path: the browser sends it below the folder of the login route.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.path = None;
        self
    }

    /// The domain whose hosts all get it. Default: only the host that set it.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether it travels over HTTPS only. Default: true.
    ///
    /// # Security
    /// With `false`, anyone on the way reads it. For development on a loopback address.
    #[must_use]
    pub fn danger_secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether scripts in the page cannot read it. Default: true.
    ///
    /// # Security
    /// With `false`, one injected script is enough to steal it.
    #[must_use]
    pub fn danger_http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// See [`SameSite`]. Default: lax.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// `Set-Cookie`, with the settings of this transport.
    fn set(&self, name: &str, value: &str, max_age: Option<u64>) -> Option<HeaderValue> {
        let mut cookie = format!("{name}={value}");
        if let Some(domain) = &self.domain {
            let _ = write!(cookie, "; Domain={domain}");
        }
        if self.http_only {
            cookie.push_str("; HttpOnly");
        }
        if let Some(seconds) = max_age {
            let _ = write!(cookie, "; Max-Age={seconds}");
        }
        if let Some(path) = &self.path {
            let _ = write!(cookie, "; Path={path}");
        }
        let _ = write!(cookie, "; SameSite={}", self.same_site.as_str());
        if self.secure {
            cookie.push_str("; Secure");
        }
        let mut value = HeaderValue::from_str(&cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `Set-Cookie` of a secret that no script reads, whatever the settings say.
    pub(crate) fn carrying(&self, secret: &Secret, max_age: Option<u64>) -> Option<HeaderValue> {
        Self { http_only: true, ..self.clone() }.set(&self.name, secret.expose(), max_age)
    }

    pub(crate) fn is_same_site(&self, same_site: SameSite) -> bool {
        self.same_site == same_site
    }

    fn response(&self, value: &str, max_age: Option<u64>) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        match self.set(&self.name, value, max_age) {
            Some(value) => drop(response.headers_mut().insert(header::SET_COOKIE, value)),
            None => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
        response
    }
}

impl SameSite {
    fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "lax",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

impl Transport for CookieTransport {
    fn read_token(&self, headers: &HeaderMap) -> Option<Secret> {
        read(headers, &self.name).map(Secret::from)
    }

    fn device_cookie(&self, token: &str) -> Option<HeaderValue> {
        // Whatever the session's cookie is: this one is never for scripts, and for every login route of the host.
        let cookie = Self { http_only: true, same_site: SameSite::Lax, path: Some("/".into()), ..self.clone() };
        cookie.set(DEVICE, token, Some(YEAR))
    }

    fn read_device(&self, headers: &HeaderMap) -> Option<String> {
        read(headers, DEVICE)
    }

    fn login_response(&self, token: &Secret) -> Response {
        self.response(token.expose(), self.max_age.map(|age| age.as_secs()))
    }

    fn logout_response(&self) -> Response {
        self.response("\"\"", Some(0))
    }

    fn security_scheme(&self) -> SecurityScheme {
        SecurityScheme::new("APIKeyCookie", json!({ "type": "apiKey", "in": "cookie", "name": self.name }))
    }

    fn is_ambient(&self) -> bool {
        true
    }

    fn openapi_logout_success(&self) -> Option<(&'static str, serde_json::Value)> {
        Some(("204", json!({ "description": "No Content" })))
    }

    /// What a browser would refuse or misread.
    fn checked(&self) -> Result<(), ConfigError> {
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        let is_attribute = |text: &str| text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b';');
        if !is_token(&self.name) {
            return Err(ConfigError::new("the cookie's name is not a token (RFC 6265 section 4.1.1)"));
        }
        if !self.path.as_deref().is_none_or(is_attribute) || !self.domain.as_deref().is_none_or(is_attribute) {
            return Err(ConfigError::new("the cookie's path and domain may hold neither `;` nor control characters"));
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err(ConfigError::new("a cookie with SameSite=None must be Secure: browsers drop it otherwise"));
        }
        Ok(())
    }
}

/// What makes a device known.
const DEVICE: &str = "axum_users_device";
/// In seconds.
const YEAR: u64 = 31_536_000;

/// The value of a cookie; of several, the last one.
fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
        .rfind(|(found, _)| found.trim() == name)
        .map(|(_, value)| unquote(value.trim()))
        .filter(|value| !value.is_empty())
}

/// The value of a quoted string (RFC 9110 section 5.6.4); other text as it is.
fn unquote(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.into() };
    let mut characters = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        });
    }
    text
}
