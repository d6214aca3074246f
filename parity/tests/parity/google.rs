//! The provider of the recording: Google's addresses, and a stub behind them.

use axum_users::{
    Clock, ExternalIdentity, OAuthClient, OAuthClientError, OAuthToken, Secret,
    oauth::{AuthorizationRequest, OAuthCode},
};

/// A code has the form `account_id|email|flags` and becomes the access token. `x`: with a lifetime; `r`: with a refresh token; `A`: with
/// a lifetime that is none.
pub(crate) struct Google {
    clock: Clock,
    scopes: Vec<String>,
}

impl Google {
    pub(crate) fn new(clock: Clock) -> Self {
        let scopes = ["profile", "email"].map(|it| format!("https://www.googleapis.com/auth/userinfo.{it}"));
        Self { clock, scopes: scopes.into() }
    }
}

impl OAuthClient for Google {
    fn name(&self) -> &str {
        "google"
    }
    fn scopes(&self) -> &[String] {
        &self.scopes
    }
    async fn authorization_url(&self, request: &AuthorizationRequest) -> Result<String, OAuthClientError> {
        Ok(request.url("https://accounts.google.com/o/oauth2/v2/auth", "CLIENT_ID", &[]))
    }
    async fn exchange(&self, code: &OAuthCode) -> Result<OAuthToken, OAuthClientError> {
        let [id, _, flags] = code.code.expose().split('|').collect::<Vec<_>>()[..] else {
            return Err(OAuthClientError::Refused("400, no JSON, or no access token".into()));
        };
        if flags.contains('A') {
            return Err(OAuthClientError::Answer("`expires_at` is no number".into()));
        }
        let mut token = OAuthToken::new(code.code.expose());
        token.expires_at = flags.contains('x').then(|| self.clock.unix() + 3599);
        token.refresh_token = flags.contains('r').then(|| Secret::from(format!("REFRESH-{id}")));
        Ok(token)
    }
    async fn identity(&self, token: &OAuthToken, _code: &OAuthCode) -> Result<ExternalIdentity, OAuthClientError> {
        let mut parts = token.access_token.expose().split('|');
        let (id, email) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if id == "profile500" {
            return Err(OAuthClientError::Answer("500".into()));
        }
        let identity = ExternalIdentity::new(id);
        Ok(if email == "NONE" { identity } else { identity.email(email, true) })
    }
}
