//! OpenID Connect (Core 1.0, Discovery 1.0): any issuer that describes itself.

use std::{fmt, sync::Arc};

use axum_users_core::{
    Clock, Secret,
    jwt::{Claims, JwtKey, JwtKeys},
    oauth::{AuthorizationRequest, ExternalIdentity, OAuthClient, OAuthClientError, OAuthCode, OAuthToken},
};
use serde_json::Value;

use crate::{
    OAuthConfigError,
    apple::{self, AppleKey},
    document::Document,
    http::{Call, Http, endpoint, unusable},
    id_token::{Expected, verify},
    oauth2::{Credentials, OAuth2Endpoints, exchange, refresh, revoke},
    profile::is_true,
    providers::domain,
};

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// A client of an OpenID issuer. Its description and its keys are read when they are first needed, and again once a day; the keys
/// also when a token names an unknown one, at most once a minute.
///
/// For a day more, what is known is used while it is read again beside the logins, so that an issuer that hangs delays none; and
/// after a failure nobody asks again for 10 seconds. Keys that are older than two days count for nothing.
///
/// Signatures by a public key are accepted, those by the client's secret are not. An ID token must be for this client alone.
#[derive(Clone)]
pub struct OpenId {
    name: String,
    display_name: String,
    scopes: Vec<String>,
    issuer: String,
    client_id: String,
    secret: ClientSecret,
    form_post: bool,
    clock: Clock,
    http: Http,
    description: Document<Description>,
    keys: Document<JwtKeys>,
}

#[derive(Clone)]
enum ClientSecret {
    Shared(Secret),
    Signed(AppleKey),
}

struct Description {
    endpoints: OAuth2Endpoints,
    userinfo: Option<String>,
    keys: String,
}

impl OpenId {
    /// The issuer of this URL, which its description must name to the letter (Discovery section 4.3). Names and scopes:
    /// `openid`; `openid`, `email`.
    ///
    /// # Errors
    /// [`OAuthConfigError::Endpoint`] when that is none that may be spoken to, [`OAuthConfigError::Client`].
    pub fn new(
        issuer: &str,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, OAuthConfigError> {
        Self::with_secret(issuer, client_id.into(), ClientSecret::Shared(client_secret.into()))
    }

    /// The issuer whose description stands at this URL, as FastAPI Users takes it.
    ///
    /// # Errors
    /// As [`new`](Self::new); also when the URL does not end in `/.well-known/openid-configuration`.
    pub fn by_discovery_url(
        url: &str,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, OAuthConfigError> {
        let issuer = url.strip_suffix(WELL_KNOWN).ok_or_else(|| OAuthConfigError::endpoint(url))?;
        Self::new(issuer, client_id, client_secret)
    }

    /// Okta, by the domain of the organisation: `example.okta.com`.
    ///
    /// # Errors
    /// [`OAuthConfigError::Name`] when that is no domain, [`OAuthConfigError::Client`].
    pub fn okta(
        okta_domain: &str,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, OAuthConfigError> {
        let issuer = format!("https://{}", domain(okta_domain)?);
        Ok(Self::new(&issuer, client_id, client_secret)?.named("okta", "Okta"))
    }

    /// Sign in with Apple; `client_id` is the services id. Apple posts its answer to the callback, and tells the name of a person
    /// once.
    ///
    /// # Errors
    /// [`OAuthConfigError::Client`].
    pub fn apple(client_id: impl Into<String>, key: AppleKey) -> Result<Self, OAuthConfigError> {
        let mut client = Self::with_secret(apple::ISSUER, client_id.into(), ClientSecret::Signed(key))?;
        client.form_post = true;
        Ok(client.named("apple", "Apple").with_scopes(["openid", "email"]))
    }

    fn with_secret(issuer: &str, client_id: String, secret: ClientSecret) -> Result<Self, OAuthConfigError> {
        let name = "openid".to_owned();
        Ok(Self {
            display_name: name.clone(),
            name,
            scopes: vec!["openid".into(), "email".into()],
            issuer: endpoint(issuer)?,
            client_id,
            secret,
            form_post: false,
            clock: Clock::system(),
            http: Http::new()?,
            description: Document::default(),
            keys: Document::default(),
        })
    }

    /// What is asked for; `openid` always is.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        if !self.scopes.iter().any(|scope| scope == "openid") {
            self.scopes.insert(0, "openid".into());
        }
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

    #[cfg(test)]
    pub(crate) fn over(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    async fn description(&self) -> Result<Arc<Description>, OAuthClientError> {
        let client = self.clone();
        let description = self.description.get(&self.clock, async move { client.fetch_description().await });
        // What was true some days ago helps more than nothing.
        description.await.or_else(|error| self.description.last().ok_or(error))
    }

    async fn fetch_description(&self) -> Result<Description, OAuthClientError> {
        let url = format!("{}{WELL_KNOWN}", self.issuer.trim_end_matches('/'));
        self.describe(&self.http.json(Call::get(url)).await?)
    }

    fn describe(&self, document: &Value) -> Result<Description, OAuthClientError> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(self.issuer.as_str()) {
            return Err(unusable("the description is of another issuer"));
        }
        let plain = self.issuer.starts_with("http:");
        let url = |name: &'static str| {
            let url = text(name).map(endpoint).transpose();
            let url = url.map_err(|_| unusable(format!("the {name} of the issuer may not be spoken to")))?;
            // An issuer out there does not send us to a service of this machine.
            match url {
                Some(url) if !plain && url.starts_with("http:") => {
                    Err(unusable(format!("the {name} of the issuer is not https")))
                }
                url => Ok(url),
            }
        };
        let needed = |name: &'static str| url(name)?.ok_or_else(|| unusable(format!("the issuer has no {name}")));
        let lists = |name: &str, value: &str| {
            document.get(name).and_then(Value::as_array).map(|all| all.iter().any(|it| it == value))
        };
        let mut endpoints = OAuth2Endpoints::new(needed("authorization_endpoint")?, needed("token_endpoint")?);
        endpoints.revoke = url("revocation_endpoint")?;
        endpoints.refreshes = lists("grant_types_supported", "refresh_token").unwrap_or(false);
        endpoints.basic = basic(document.get("token_endpoint_auth_methods_supported"));
        Ok(Description { endpoints, userinfo: url("userinfo_endpoint")?, keys: needed("jwks_uri")? })
    }

    async fn fetch_keys(http: Http, url: String) -> Result<JwtKeys, OAuthClientError> {
        let document = http.json(Call::get(url)).await?;
        let listed = document.get("keys").and_then(Value::as_array).ok_or_else(|| unusable("keys that are none"))?;
        // Those that we do not understand are for others.
        let usable = listed.iter().filter_map(|key| JwtKey::public_from_jwk(key).ok());
        let keys = usable.fold(None, |keys: Option<JwtKeys>, key| {
            Some(keys.map_or_else(|| JwtKeys::new(key.clone()), |keys| keys.previous(key.clone())))
        });
        keys.ok_or_else(|| unusable("the issuer has no key that is understood here"))
    }

    async fn verified(
        &self,
        description: &Description,
        token: &Secret,
        code: &OAuthCode,
    ) -> Result<Claims, OAuthClientError> {
        let expected =
            Expected { issuer: &self.issuer, client_id: &self.client_id, nonce: &code.nonce, now: self.clock.unix() };
        let fetch = || Self::fetch_keys(self.http.clone(), description.keys.clone());
        let keys = self.keys.get(&self.clock, fetch()).await?;
        let verified = match verify(token.expose(), &keys, &expected) {
            Err(wrong) if wrong.is_of_key() => {
                let keys = self.keys.without(&keys, &self.clock, fetch()).await?;
                verify(token.expose(), &keys, &expected)
            }
            verified => verified,
        };
        verified.map_err(|wrong| OAuthClientError::Answer(wrong.into()))
    }

    fn credentials(&self) -> Result<Credentials, OAuthClientError> {
        let secret = match &self.secret {
            ClientSecret::Shared(secret) => secret.clone(),
            ClientSecret::Signed(key) => key
                .client_secret(&self.client_id, self.clock.unix())
                .map_err(|error| OAuthClientError::Answer(error.into()))?,
        };
        Ok(Credentials { id: self.client_id.clone(), secret })
    }
}

/// How the client says who it is: by the first way of the list that we know; in the header when there is none (Discovery section 3).
fn basic(methods: Option<&Value>) -> bool {
    let methods = methods.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let known = methods.iter().filter_map(Value::as_str).find_map(|method| match method {
        "client_secret_basic" => Some(true),
        "client_secret_post" => Some(false),
        _ => None,
    });
    known.unwrap_or(true)
}

/// The names alone.
impl fmt::Debug for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenId").field("name", &self.name).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl OAuthClient for OpenId {
    fn name(&self) -> &str {
        &self.name
    }
    fn display_name(&self) -> &str {
        &self.display_name
    }
    fn scopes(&self) -> &[String] {
        &self.scopes
    }
    fn issuer(&self) -> Option<&str> {
        Some(&self.issuer)
    }
    fn uses_form_post(&self) -> bool {
        self.form_post
    }

    async fn authorization_url(&self, request: &AuthorizationRequest) -> Result<String, OAuthClientError> {
        let extra: &[_] = if self.form_post { &[("response_mode", "form_post")] } else { &[] };
        Ok(request.url(&self.description().await?.endpoints.authorize, &self.client_id, extra))
    }

    async fn exchange(&self, code: &OAuthCode) -> Result<OAuthToken, OAuthClientError> {
        let description = self.description().await?;
        exchange(&self.http, &description.endpoints, &self.credentials()?, code, self.clock.unix()).await
    }

    async fn identity(&self, token: &OAuthToken, code: &OAuthCode) -> Result<ExternalIdentity, OAuthClientError> {
        let description = self.description().await?;
        let id_token = token.id_token.as_ref().ok_or_else(|| unusable("no ID token"))?;
        let claims = self.verified(&description, id_token, code).await?;
        let subject = claims.subject().unwrap_or_default().to_owned();
        let claims: Value = claims.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let profile = match &description.userinfo {
            Some(url) => {
                let profile = self.http.json(Call::get(url).bearer(token.access_token.expose())).await?;
                // Core section 5.3.2: it may be about somebody else.
                if profile.get("sub").and_then(Value::as_str) != Some(subject.as_str()) {
                    return Err(unusable("the profile is of another person than the ID token"));
                }
                profile
            }
            None => Value::Null,
        };
        let source = if profile.get("email").is_some() { &profile } else { &claims };
        let mut who = ExternalIdentity::new(subject);
        if let Some(email) = source.get("email").and_then(Value::as_str) {
            who = who.email(email, is_true(source, "/email_verified"));
        }
        Ok(who.claims(if profile.is_null() { claims } else { profile }))
    }

    async fn refresh(&self, refresh_token: &Secret) -> Result<OAuthToken, OAuthClientError> {
        let description = self.description().await?;
        refresh(&self.http, &description.endpoints, &self.credentials()?, refresh_token, self.clock.unix()).await
    }

    async fn revoke(&self, token: &Secret) -> Result<(), OAuthClientError> {
        let description = self.description().await?;
        revoke(&self.http, &description.endpoints, &self.credentials()?, token).await
    }
}
