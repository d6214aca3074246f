//! What answers requests.

use std::future::Future;

use anyhow::Result;
use serde_json::Value;

use crate::Session;

/// One of several that serve the same users.
pub trait Node: Send + Sync + 'static {
    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer.
    fn send(&self, request: Request) -> impl Future<Output = Result<Answer>> + Send;
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Request {
    /// Without a body.
    #[must_use]
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: String::new() }
    }

    /// `GET /users/me`.
    #[must_use]
    pub fn me() -> Self {
        Self::new("GET", "/users/me")
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.with_body("application/json", body.to_string())
    }

    /// With a form of these fields; only `@` and blanks are escaped.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let escaped = |text: &str| text.replace('@', "%40").replace(' ', "+");
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        self.with_body("application/x-www-form-urlencoded", fields.join("&"))
    }

    /// By whoever has this session.
    #[must_use]
    pub fn by(mut self, session: &Session) -> Self {
        self.headers.push(session.header.clone());
        self
    }

    /// From a browser with this cookie.
    pub(crate) fn cookie(mut self, cookie: String) -> Self {
        self.headers.push(("cookie", cookie));
        self
    }

    fn with_body(mut self, content_type: &str, body: String) -> Self {
        self.headers.push(("content-type", content_type.into()));
        self.body = body;
        self
    }
}

/// An answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Whether it says when to come back.
    pub retry_after: bool,
    /// The cookie that it sets, as it is sent back.
    pub cookie: Option<String>,
    /// `null` when it is not JSON.
    pub body: Value,
}

impl Answer {
    pub(crate) fn new<'a>(status: u16, headers: impl Fn(&str) -> Option<&'a str>, body: &[u8]) -> Self {
        let cookie = headers("set-cookie").and_then(|it| it.split(';').next()).map(str::to_owned);
        Self {
            status,
            retry_after: headers("retry-after").is_some(),
            cookie,
            body: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    /// Whether nothing was done, and the same request may go through later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.status == 503 && self.retry_after
    }

    /// A text of the body.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }
}
