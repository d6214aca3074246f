//! Clients of OAuth 2.0 providers (RFC 6749), by endpoints and a profile.

use std::fmt;

use axum_users_core::{
    Clock, Secret,
    oauth::{AuthorizationRequest, ExternalIdentity, OAuthClient, OAuthClientError, OAuthCode, OAuthToken},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    OAuthConfigError,
    http::{Call, Http, endpoint, unusable},
    profile::Profile,
};

/// Where a provider is spoken to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OAuth2Endpoints {
    pub(crate) authorize: String,
    pub(crate) token: String,
    pub(crate) refreshes: bool,
    pub(crate) revoke: Option<String>,
    /// RFC 6749 section 2.3.1; else the credentials stand in the form.
    pub(crate) basic: bool,
}

impl OAuth2Endpoints {
    /// The authorization endpoint and the token endpoint. Refresh tokens are used at the token endpoint; there is none for
    /// revocation; the client's credentials stand in the form.
    #[must_use]
    pub fn new(authorize: impl Into<String>, token: impl Into<String>) -> Self {
        Self { authorize: authorize.into(), token: token.into(), refreshes: true, revoke: None, basic: false }
    }

    /// Tokens are revoked there (RFC 7009).
    #[must_use]
    pub fn revoke(mut self, url: impl Into<String>) -> Self {
        self.revoke = Some(url.into());
        self
    }

    /// The client's credentials travel in the header `Authorization` (RFC 6749 section 2.3.1).
    #[must_use]
    pub fn basic(mut self) -> Self {
        self.basic = true;
        self
    }

    /// The provider has no refresh tokens.
    #[must_use]
    pub fn without_refresh(mut self) -> Self {
        self.refreshes = false;
        self
    }

    fn checked(&self) -> Result<(), OAuthConfigError> {
        for url in [&self.authorize, &self.token].into_iter().chain(&self.revoke) {
            endpoint(url)?;
        }
        Ok(())
    }
}

/// A client of an OAuth 2.0 provider.
#[derive(Clone)]
pub struct OAuth2 {
    name: String,
    display_name: String,
    scopes: Vec<String>,
    /// Parameters of the authorization URL besides the usual ones.
    extra: &'static [(&'static str, &'static str)],
    endpoints: OAuth2Endpoints,
    credentials: Credentials,
    profile: Profile,
    clock: Clock,
    http: Http,
}

impl OAuth2 {
    /// A provider by its endpoints. `profile_url` is read with the access token (`Authorization: Bearer`), and `identity` says who
    /// its JSON is; `None`: it cannot be told.
    ///
    /// ```
    /// use axum_users_core::oauth::ExternalIdentity;
    /// use axum_users_oauth::{OAuth2, OAuth2Endpoints};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let endpoints = OAuth2Endpoints::new("https://camelot.bt/authorize", "https://camelot.bt/token").basic();
    /// let client = OAuth2::new("camelot", endpoints, "id", "secret", "https://camelot.bt/me", |profile| {
    ///     let id = profile.get("id")?.as_str()?;
    ///     Some(ExternalIdentity::new(id).email(profile.get("mail")?.as_str()?, false))
    /// })?;
    /// # let _ = client.with_scopes(["profile"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`OAuthConfigError::Endpoint`].
    pub fn new(
        name: impl Into<String>,
        endpoints: OAuth2Endpoints,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
        profile_url: impl Into<String>,
        identity: impl Fn(&Value) -> Option<ExternalIdentity> + Send + Sync + 'static,
    ) -> Result<Self, OAuthConfigError> {
        let url = endpoint(&profile_url.into())?;
        let name = name.into();
        let profile = Profile::custom(url, identity);
        let credentials = Credentials { id: client_id.into(), secret: client_secret.into() };
        Self::with_profile((name.clone(), name), endpoints, credentials, &[], profile)
    }

    pub(crate) fn with_profile(
        (name, display_name): (String, String),
        endpoints: OAuth2Endpoints,
        credentials: Credentials,
        scopes: &[&str],
        profile: Profile,
    ) -> Result<Self, OAuthConfigError> {
        endpoints.checked()?;
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let (clock, http) = (Clock::system(), Http::new()?);
        Ok(Self { name, display_name, scopes, extra: &[], endpoints, credentials, profile, clock, http })
    }

    /// What is asked for. Default: what is needed to tell who somebody is.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Another name, which stands in paths and with every linked account, and what people call the provider.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>, display_name: impl Into<String>) -> Self {
        self.name = name.into();
        self.display_name = display_name.into();
        self
    }

    /// Another clock than the system's, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn extra(mut self, extra: &'static [(&'static str, &'static str)]) -> Self {
        self.extra = extra;
        self
    }

    #[cfg(test)]
    pub(crate) fn over(mut self, http: Http) -> Self {
        self.http = http;
        self
    }
}

/// The names alone.
impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OAuthClient for OAuth2 {
    fn name(&self) -> &str {
        &self.name
    }
    fn display_name(&self) -> &str {
        &self.display_name
    }
    fn scopes(&self) -> &[String] {
        &self.scopes
    }

    async fn authorization_url(&self, request: &AuthorizationRequest) -> Result<String, OAuthClientError> {
        Ok(request.url(&self.endpoints.authorize, &self.credentials.id, self.extra))
    }

    async fn exchange(&self, code: &OAuthCode) -> Result<OAuthToken, OAuthClientError> {
        exchange(&self.http, &self.endpoints, &self.credentials, code, self.clock.unix()).await
    }

    async fn identity(&self, token: &OAuthToken, _code: &OAuthCode) -> Result<ExternalIdentity, OAuthClientError> {
        self.profile.read(&self.http, token.access_token.expose()).await
    }

    async fn refresh(&self, refresh_token: &Secret) -> Result<OAuthToken, OAuthClientError> {
        refresh(&self.http, &self.endpoints, &self.credentials, refresh_token, self.clock.unix()).await
    }

    async fn revoke(&self, token: &Secret) -> Result<(), OAuthClientError> {
        if self.profile.revokes_by_deletion() {
            let deletion = [("grant_type", "delete"), ("access_token", token.expose()), ("service_provider", "NAVER")];
            return self.http.tell(self.credentials.sign(&self.endpoints.token, &deletion, self.endpoints.basic)).await;
        }
        revoke(&self.http, &self.endpoints, &self.credentials, token).await
    }
}

/// Who we are to a provider.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: Secret,
}

impl Credentials {
    /// A form with them in it, or in the header.
    fn sign(&self, url: &str, fields: &[(&str, &str)], basic: bool) -> Call {
        if basic {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = STANDARD.encode(format!("{}:{}", encoded(&self.id), encoded(self.secret.expose())));
            return Call::form(url, fields).header(http::header::AUTHORIZATION, format!("Basic {pair}"));
        }
        let own = [("client_id", self.id.as_str()), ("client_secret", self.secret.expose())];
        Call::form(url, &[fields, &own].concat())
    }
}

/// Spends a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub(crate) async fn exchange(
    http: &Http,
    endpoints: &OAuth2Endpoints,
    credentials: &Credentials,
    code: &OAuthCode,
    now: i64,
) -> Result<OAuthToken, OAuthClientError> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.code.expose()),
        ("redirect_uri", &code.redirect_uri),
        ("code_verifier", code.verifier.expose()),
    ];
    token(http.json(credentials.sign(&endpoints.token, &fields, endpoints.basic)).await?, now)
}

/// Another access token (RFC 6749 section 6).
pub(crate) async fn refresh(
    http: &Http,
    endpoints: &OAuth2Endpoints,
    credentials: &Credentials,
    refresh_token: &Secret,
    now: i64,
) -> Result<OAuthToken, OAuthClientError> {
    if !endpoints.refreshes {
        return Err(OAuthClientError::Unsupported);
    }
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
    token(http.json(credentials.sign(&endpoints.token, &fields, endpoints.basic)).await?, now)
}

/// RFC 7009 section 2.1.
pub(crate) async fn revoke(
    http: &Http,
    endpoints: &OAuth2Endpoints,
    credentials: &Credentials,
    token: &Secret,
) -> Result<(), OAuthClientError> {
    let Some(url) = &endpoints.revoke else { return Err(OAuthClientError::Unsupported) };
    http.tell(credentials.sign(url, &[("token", token.expose())], endpoints.basic)).await
}

/// A token answer (RFC 6749 section 5.1). Numbers may be text: some providers write them so.
fn token(answer: Value, now: i64) -> Result<OAuthToken, OAuthClientError> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let seconds = |name: &str| {
        let value = answer.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok()).or_else(|| value.as_f64().map(|it| it as i64))
    };
    let Some(access_token) = text("access_token") else { return Err(unusable("no access token")) };
    let mut token = OAuthToken::new(access_token);
    token.expires_at = seconds("expires_at").or_else(|| seconds("expires_in").map(|it| now.saturating_add(it)));
    token.refresh_token = text("refresh_token").map(Secret::from);
    token.id_token = text("id_token").map(Secret::from);
    Ok(token)
}
