//! What leaves for a provider, and what may come back: one place for its limits.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use axum_users_core::oauth::OAuthClientError;
use http::{HeaderName, Method};
use reqwest::{Certificate, Client, Url, redirect::Policy};
use serde_json::Value;

use crate::OAuthConfigError;

/// For a call from the first byte to the last (OA-12 of the security map).
const TIME_LIMIT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 1 << 20;

/// A request to a provider.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Option<String>,
}

impl Call {
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: vec![accept_json()], body: None }
    }

    pub(crate) fn post(url: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(url) }
    }

    /// A form (RFC 6749 appendix B).
    pub(crate) fn form(url: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let call = Self { body: Some(body), ..Self::post(url) };
        call.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header(http::header::AUTHORIZATION, format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

fn accept_json() -> (HeaderName, String) {
    (http::header::ACCEPT, "application/json".to_owned())
}

/// The method alone: URLs, headers and bodies hold secrets.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.method)
    }
}

/// What a provider answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

pub(crate) type Answered<'a> = Pin<Box<dyn Future<Output = Result<Answer, OAuthClientError>> + Send + 'a>>;

/// Carries calls out; tests put their own in its place.
pub(crate) trait Carrier: Send + Sync {
    fn carry(&self, call: Call) -> Answered<'_>;
}

/// Calls outwards. A cheap handle.
#[derive(Clone)]
pub(crate) struct Http(Arc<dyn Carrier>);

impl Http {
    /// HTTPS with the roots of Mozilla, which are compiled in; no redirects, no proxy.
    pub(crate) fn new() -> Result<Self, OAuthConfigError> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Certificate::from_der(der));
        let client = roots.collect::<Result<Vec<_>, _>>().and_then(|roots| {
            Client::builder()
                .tls_certs_only(roots)
                .redirect(Policy::none())
                .no_proxy()
                .timeout(TIME_LIMIT)
                .user_agent(concat!("axum-users/", env!("CARGO_PKG_VERSION")))
                .build()
        });
        Ok(Self(Arc::new(Network(client.map_err(OAuthConfigError::client)?))))
    }

    #[cfg(test)]
    pub(crate) fn carried_by(carrier: impl Carrier + 'static) -> Self {
        Self(Arc::new(carrier))
    }

    /// The JSON of an answer that is a success.
    pub(crate) async fn json(&self, call: Call) -> Result<Value, OAuthClientError> {
        let answer = self.0.carry(call).await?;
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        match (answer.status, body) {
            // Some say so with 200 (RFC 6749 section 5.2 asks for 400).
            (200..300, Some(body)) if error_code(&body).is_none() => Ok(body),
            (500.., _) | (429, _) => Err(unavailable(format!("status {}", answer.status))),
            (status, Some(body)) => match error_code(&body) {
                Some(code) => Err(OAuthClientError::Refused(code.into())),
                None => Err(unusable(format!("status {status}"))),
            },
            (status, None) => Err(unusable(format!("status {status}, and no JSON"))),
        }
    }

    /// A call whose answer says nothing but whether it was one.
    pub(crate) async fn tell(&self, call: Call) -> Result<(), OAuthClientError> {
        let answer = self.0.carry(call).await?;
        match answer.status {
            200..300 => Ok(()),
            500.. | 429 => Err(unavailable(format!("status {}", answer.status))),
            status => Err(unusable(format!("status {status}"))),
        }
    }
}

/// The error code of an answer (RFC 6749 section 5.2), or that there is one that cannot be repeated.
fn error_code(body: &Value) -> Option<String> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    let is_code = |code: &&str| {
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    Some(error.as_str().filter(is_code).unwrap_or("an error of another kind").to_owned())
}

pub(crate) fn unusable(what: impl Into<String>) -> OAuthClientError {
    OAuthClientError::Answer(what.into().into())
}

pub(crate) fn unavailable(what: String) -> OAuthClientError {
    OAuthClientError::Unavailable(what.into())
}

struct Network(Client);

impl Network {
    async fn send(&self, call: Call) -> Result<Answer, reqwest::Error> {
        let mut request = self.0.request(call.method, call.url);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Ok(Answer { status: 0, body: Vec::new() });
            }
        }
        Ok(Answer { status, body })
    }
}

impl Carrier for Network {
    fn carry(&self, call: Call) -> Answered<'_> {
        Box::pin(async move {
            match self.send(call).await {
                Ok(Answer { status: 0, .. }) => Err(unusable("an answer of more than 1 MiB")),
                Ok(Answer { status: 300..400, .. }) => Err(unusable("a redirect")),
                Ok(answer) => Ok(answer),
                // URLs may hold tokens.
                Err(error) => Err(OAuthClientError::Unavailable(error.without_url().into())),
            }
        })
    }
}

/// An endpoint that may be spoken to: HTTPS, or HTTP to this machine.
pub(crate) fn endpoint(url: &str) -> Result<String, OAuthConfigError> {
    let usable = Url::parse(url).is_ok_and(|url| {
        let is_plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)))
    });
    if usable { Ok(url.to_owned()) } else { Err(OAuthConfigError::endpoint(url)) }
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
