//! Speaking with a provider.

use std::{error::Error, fmt, future::Future, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{erased::DynOAuthClient, secret::Secret};

/// A client of one OAuth 2.0 or OpenID provider: all that leaves for it.
///
/// `axum-users-oauth` has those of well-known providers; implement it for any other.
///
/// ```
/// use axum_users_core::oauth::{
///     AuthorizationRequest, ExternalIdentity, OAuthClient, OAuthClientError, OAuthCode, OAuthToken,
/// };
///
/// struct Camelot;
///
/// impl OAuthClient for Camelot {
///     fn name(&self) -> &str {
///         "camelot"
///     }
///     fn scopes(&self) -> &[String] {
///         &[]
///     }
///     async fn authorization_url(&self, request: &AuthorizationRequest) -> Result<String, OAuthClientError> {
///         Ok(request.url("https://id.camelot.bt/authorize", "round-table", &[]))
///     }
///     async fn exchange(&self, code: &OAuthCode) -> Result<OAuthToken, OAuthClientError> {
///         // POST to the token endpoint: `code.code`, `code.redirect_uri`, `code.verifier`.
///         Ok(OAuthToken::new(code.code.expose()))
///     }
///     async fn identity(&self, token: &OAuthToken, _code: &OAuthCode) -> Result<ExternalIdentity, OAuthClientError> {
///         // GET of the profile with `token.access_token`.
///         Ok(ExternalIdentity::new("knight-7").email("galahad@camelot.bt", true))
///     }
/// }
/// ```
pub trait OAuthClient: Send + Sync + 'static {
    /// Its name: part of paths and stored with every account. 1 to 100 characters of `A-Z a-z 0-9 _ -`.
    fn name(&self) -> &str;

    /// What people call the provider, one line: it stands in mails. Default: the [`name`](Self::name).
    fn display_name(&self) -> &str {
        self.name()
    }

    /// What is asked for unless the application says otherwise.
    fn scopes(&self) -> &[String];

    /// Who must have answered (RFC 9207 section 2.4): compared with the parameter `iss` of the callback, where there is one.
    /// Default: not compared.
    fn issuer(&self) -> Option<&str> {
        None
    }

    /// Whether the provider posts its answer (`response_mode=form_post`). Default: it does not.
    fn uses_form_post(&self) -> bool {
        false
    }

    /// Where the browser is sent; [`AuthorizationRequest::url`] writes it.
    ///
    /// # Errors
    /// [`OAuthClientError`], when it has to ask the provider first.
    fn authorization_url(
        &self,
        request: &AuthorizationRequest,
    ) -> impl Future<Output = Result<String, OAuthClientError>> + Send;

    /// Spends a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    ///
    /// # Errors
    /// [`OAuthClientError`].
    fn exchange(&self, code: &OAuthCode) -> impl Future<Output = Result<OAuthToken, OAuthClientError>> + Send;

    /// Whose token that is. An OpenID client verifies the ID token here, with the [nonce](OAuthCode::nonce).
    ///
    /// # Errors
    /// [`OAuthClientError`].
    fn identity(
        &self,
        token: &OAuthToken,
        code: &OAuthCode,
    ) -> impl Future<Output = Result<ExternalIdentity, OAuthClientError>> + Send;

    /// A new access token (RFC 6749 section 6). Default: the provider has none.
    ///
    /// # Errors
    /// [`OAuthClientError`].
    fn refresh(&self, refresh_token: &Secret) -> impl Future<Output = Result<OAuthToken, OAuthClientError>> + Send {
        let _ = refresh_token;
        async { Err(OAuthClientError::Unsupported) }
    }

    /// Tells the provider that a token is not needed any more (RFC 7009). Default: the provider cannot be told.
    ///
    /// # Errors
    /// [`OAuthClientError`].
    fn revoke(&self, token: &Secret) -> impl Future<Output = Result<(), OAuthClientError>> + Send {
        let _ = token;
        async { Err(OAuthClientError::Unsupported) }
    }
}

/// What the browser is sent to the provider with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthorizationRequest {
    /// Where the provider sends the browser afterwards.
    pub redirect_uri: String,
    /// Comes back unchanged.
    pub state: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Of the verifier that the code will be exchanged with; method `S256` (RFC 7636 section 4.3).
    pub code_challenge: String,
    /// Comes back in the ID token (OpenID Connect Core section 3.1.2.1).
    pub nonce: String,
}

impl AuthorizationRequest {
    /// Without scopes, challenge and nonce, which are set one by one.
    #[must_use]
    pub fn new(redirect_uri: impl Into<String>, state: impl Into<String>) -> Self {
        let (redirect_uri, state) = (redirect_uri.into(), state.into());
        Self { redirect_uri, state, scopes: Vec::new(), code_challenge: String::new(), nonce: String::new() }
    }

    /// The URL, its parameters in the order of FastAPI Users, then `extra`, then PKCE and nonce.
    #[must_use]
    pub fn url(&self, endpoint: &str, client_id: &str, extra: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("response_type", "code");
        query.append_pair("client_id", client_id);
        query.append_pair("redirect_uri", &self.redirect_uri);
        query.append_pair("state", &self.state);
        query.append_pair("scope", &self.scopes.join(" "));
        query.extend_pairs(extra);
        query.append_pair("code_challenge", &self.code_challenge);
        query.append_pair("code_challenge_method", "S256");
        query.append_pair("nonce", &self.nonce);
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{separator}{}", query.finish())
    }
}

/// A code that came back, and what it is spent with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OAuthCode {
    /// The code itself.
    pub code: Secret,
    /// As in the [`AuthorizationRequest`].
    pub redirect_uri: String,
    /// What the challenge was made of.
    pub verifier: Secret,
    /// As in the [`AuthorizationRequest`].
    pub nonce: String,
}

impl OAuthCode {
    /// A code, with what belongs to it.
    #[must_use]
    pub fn new(code: Secret, redirect_uri: String, verifier: Secret, nonce: String) -> Self {
        Self { code, redirect_uri, verifier, nonce }
    }
}

/// The challenge of a verifier (RFC 7636 section 4.2).
#[must_use]
pub fn code_challenge(verifier: &Secret) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()))
}

/// What a provider issued (RFC 6749 section 5.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OAuthToken {
    /// For calls to the provider.
    pub access_token: Secret,
    /// When it expires (Unix seconds); `None`: not told.
    pub expires_at: Option<i64>,
    /// For another one.
    pub refresh_token: Option<Secret>,
    /// Who it is, as the provider signed it (OpenID Connect Core section 2). Not stored.
    pub id_token: Option<Secret>,
}

impl OAuthToken {
    /// An access token alone.
    #[must_use]
    pub fn new(access_token: impl Into<Secret>) -> Self {
        Self { access_token: access_token.into(), expires_at: None, refresh_token: None, id_token: None }
    }
}

/// Who somebody is to a provider.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExternalIdentity {
    /// The provider's own id of the account, which never changes and is never given to another: never the address.
    pub account_id: String,
    /// The address that the provider has.
    pub email: Option<String>,
    /// Whether the provider says that it proved the address. A provider that does not say has not.
    pub email_is_verified: bool,
    /// What else the provider tells; for [`UserHooks::oauth_profile`](crate::UserHooks::oauth_profile).
    pub claims: Value,
}

impl ExternalIdentity {
    /// An account without an address.
    #[must_use]
    pub fn new(account_id: impl Into<String>) -> Self {
        Self { account_id: account_id.into(), email: None, email_is_verified: false, claims: Value::Null }
    }

    /// With this address.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>, is_verified: bool) -> Self {
        self.email = Some(email.into());
        self.email_is_verified = is_verified;
        self
    }

    /// With what else the provider tells.
    #[must_use]
    pub fn claims(mut self, claims: Value) -> Self {
        self.claims = claims;
        self
    }
}

/// The id alone: the rest is personal.
impl fmt::Debug for ExternalIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalIdentity").field("account_id", &self.account_id).finish_non_exhaustive()
    }
}

/// Why a provider did not do it. What it said stands in the source, for the log; no answer repeats it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OAuthClientError {
    /// The person or the provider said no.
    #[error("the provider refused")]
    Refused(#[source] Source),
    /// The answer is none that can be used: a status, a body, a signature, a missing member.
    #[error("the provider's answer cannot be used")]
    Answer(#[source] Source),
    /// The provider cannot be reached, or took too long.
    #[error("the provider is not available")]
    Unavailable(#[source] Source),
    /// The provider has no such thing.
    #[error("the provider does not offer this")]
    Unsupported,
}

/// An error of whatever type.
type Source = Box<dyn Error + Send + Sync>;

/// A client of any type. A cheap handle.
#[derive(Clone)]
pub struct AnyOAuthClient(pub(crate) Arc<dyn DynOAuthClient>);

impl AnyOAuthClient {
    /// Over this client.
    pub fn new(client: impl OAuthClient) -> Self {
        Self(Arc::new(client))
    }
}

impl OAuthClient for AnyOAuthClient {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn display_name(&self) -> &str {
        self.0.display_name()
    }
    fn scopes(&self) -> &[String] {
        self.0.scopes()
    }
    fn issuer(&self) -> Option<&str> {
        self.0.issuer()
    }
    fn uses_form_post(&self) -> bool {
        self.0.uses_form_post()
    }
    async fn authorization_url(&self, request: &AuthorizationRequest) -> Result<String, OAuthClientError> {
        self.0.authorization_url(request).await
    }
    async fn exchange(&self, code: &OAuthCode) -> Result<OAuthToken, OAuthClientError> {
        self.0.exchange(code).await
    }
    async fn identity(&self, token: &OAuthToken, code: &OAuthCode) -> Result<ExternalIdentity, OAuthClientError> {
        self.0.identity(token, code).await
    }
    async fn refresh(&self, refresh_token: &Secret) -> Result<OAuthToken, OAuthClientError> {
        self.0.refresh(refresh_token).await
    }
    async fn revoke(&self, token: &Secret) -> Result<(), OAuthClientError> {
        self.0.revoke(token).await
    }
}

impl fmt::Debug for AnyOAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyOAuthClient").field(&OAuthClient::name(self)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oa_02_the_challenge_is_that_of_rfc_7636() {
        let verifier = Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(code_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn the_url_has_the_parameters_of_the_contract_then_ours() {
        let request = AuthorizationRequest {
            redirect_uri: "http://localhost:8000/auth/google/callback".into(),
            state: "STATE".into(),
            scopes: vec!["a".into(), "b c".into()],
            code_challenge: "C".into(),
            nonce: "N".into(),
        };
        let common = "response_type=code&client_id=CID&redirect_uri=http%3A%2F%2Flocalhost%3A8000%2Fauth%2Fgoogle%2Fcallback\
                      &state=STATE&scope=a+b+c";
        let ours = "code_challenge=C&code_challenge_method=S256&nonce=N";
        assert_eq!(
            request.url("https://a.example/o", "CID", &[("response_mode", "query")]),
            format!("https://a.example/o?{common}&response_mode=query&{ours}")
        );
        assert_eq!(
            request.url("https://a.example/o?x=1", "CID", &[]),
            format!("https://a.example/o?x=1&{common}&{ours}")
        );
    }
}
