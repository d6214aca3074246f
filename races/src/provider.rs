//! A provider on this machine.

use anyhow::Result;
use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use axum_users::{OAuth2, OAuth2Endpoints, oauth::ExternalIdentity, random};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What it is called in paths and settings.
pub(crate) const NAME: &str = "camelot";
pub(crate) const CLIENT_ID: &str = "races";
pub(crate) const CLIENT_SECRET: &str = "no secret";

/// Asks nobody anything: a code, and the token that it is exchanged for, say who it is.
#[derive(Clone, Debug)]
pub struct Provider {
    base: String,
}

impl Provider {
    /// On a free port, as long as the runtime lives.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/token", post(token)).route("/me", get(me));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { base })
    }

    /// A client of it.
    ///
    /// # Errors
    /// Never: the endpoints are possible.
    pub fn client(&self) -> Result<OAuth2> {
        let endpoints = OAuth2Endpoints::new(self.url("authorize"), self.url("token"));
        Ok(OAuth2::new(NAME, endpoints, CLIENT_ID, CLIENT_SECRET, self.url("me"), |profile| {
            let text = |name: &str| profile.get(name).and_then(Value::as_str);
            Some(ExternalIdentity::new(text("id")?).email(text("email")?, true))
        })?)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

/// Somebody whom the provider knows.
#[derive(Clone, Debug)]
pub struct Identity {
    id: String,
    mailbox: String,
}

impl Identity {
    /// Somebody new.
    #[must_use]
    pub fn new() -> Self {
        Self::of_mailbox(&format!("x{}", random::uuid_v4().simple()))
    }

    /// Somebody new, with this mailbox at `camelot.bt`.
    #[must_use]
    pub fn of_mailbox(mailbox: &str) -> Self {
        Self { id: random::uuid_v4().simple().to_string(), mailbox: mailbox.to_owned() }
    }

    /// Their address.
    #[must_use]
    pub fn email(&self) -> String {
        format!("{}@camelot.bt", self.mailbox)
    }

    /// Their code: no character of it has to be escaped.
    pub(crate) fn code(&self) -> String {
        format!("{}.{}", self.id, self.mailbox)
    }

    fn of_code(code: &str) -> Option<Self> {
        let (id, mailbox) = code.split_once('.')?;
        Some(Self { id: id.to_owned(), mailbox: mailbox.to_owned() })
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

async fn token(form: String) -> Result<String, StatusCode> {
    let code = form.split('&').find_map(|field| field.strip_prefix("code="));
    let code = code.ok_or(StatusCode::BAD_REQUEST)?;
    Ok(json!({ "access_token": code, "token_type": "bearer" }).to_string())
}

async fn me(headers: HeaderMap) -> Result<String, StatusCode> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let who = token.and_then(Identity::of_code).ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(json!({ "id": who.id, "email": who.email(), "email_verified": true }).to_string())
}
