//! A service that knows which passwords are known from breaches.

use axum_users_core::password::{BREACHED_BUDGET, BreachedError, BreachedPasswords, PasswordSha1};
use http::StatusCode;
use reqwest::{Certificate, Client, Url, header::HeaderName, redirect::Policy};

use crate::ConfigError;

/// A range service as Have I Been Pwned has it: it is told the first 5 of the 40 digits of a password's SHA-1, and answers with all
/// hashes that begin so. Whoever runs it learns one of a million groups, and the address of this server.
///
/// HTTPS with the roots of Mozilla, which are compiled in; no redirects, no proxy, answers of at most 1 MiB.
///
/// ```
/// # use axum_users::{Users, memory::MemoryStore};
/// use axum_users::{BreachedPasswordsRange, password::OnFailure};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breached = BreachedPasswordsRange::new("https://api.pwnedpasswords.com/range")?;
/// let users = Users::<()>::builder(MemoryStore::new()).breached_passwords(breached, OnFailure::Allow);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct BreachedPasswordsRange {
    client: Client,
    base: String,
}

impl BreachedPasswordsRange {
    /// Asks `<base>/<first 5 digits>`.
    ///
    /// # Errors
    /// [`ConfigError`] when `base` is no URL with `https`, or with `http` to this machine.
    pub fn new(base: &str) -> Result<Self, ConfigError> {
        let usable = Url::parse(base).is_ok_and(|url| {
            let is_plain = url.query().is_none() && url.fragment().is_none();
            is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)))
        });
        if !usable {
            return Err(ConfigError::new("a range service needs a URL such as https://api.pwnedpasswords.com/range"));
        }
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Certificate::from_der(der));
        let client = roots
            .collect::<Result<Vec<_>, _>>()
            .and_then(|roots| {
                Client::builder()
                    .tls_certs_only(roots)
                    .redirect(Policy::none())
                    .no_proxy()
                    .timeout(BREACHED_BUDGET)
                    .user_agent(concat!("axum-users/", env!("CARGO_PKG_VERSION")))
                    .build()
            })
            .map_err(|error| ConfigError::new(format!("no client for the range service: {error}")))?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned() })
    }

    async fn ask(&self, range: &str) -> reqwest::Result<Option<String>> {
        let request = self.client.get(format!("{}/{range}", self.base)).header(ADD_PADDING, "true");
        let mut response = request.send().await?;
        if response.status() != StatusCode::OK {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Ok(None);
            }
        }
        Ok(String::from_utf8(body).ok())
    }
}

impl BreachedPasswords for BreachedPasswordsRange {
    async fn contains(&self, password: &PasswordSha1) -> Result<bool, BreachedError> {
        let (range, wanted) = password.split();
        let answer = self.ask(range).await.map_err(|error| BreachedError::new(error.without_url()))?;
        answer.as_deref().and_then(|answer| lists(answer, wanted)).ok_or_else(|| BreachedError::new(NO_RANGE))
    }
}

/// So that the length of the answer does not tell which range it is.
const ADD_PADDING: HeaderName = HeaderName::from_static("add-padding");
const MAX_ANSWER: usize = 1 << 20;
const NO_RANGE: &str = "the answer of the range service is none";

/// Whether the lines `<35 digits>:<count>` hold the wanted digits; those with a count of 0 are padding. `None` if a line is another.
fn lists(answer: &str, wanted: &str) -> Option<bool> {
    let mut found = false;
    for line in answer.lines() {
        let (digits, count) = line.trim_end().split_once(':')?;
        let count: u64 = count.parse().ok()?;
        if digits.len() != wanted.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        found |= count > 0 && digits.eq_ignore_ascii_case(wanted);
    }
    Some(found)
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
