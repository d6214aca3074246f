//! Which providers people log in by, and how.

use std::sync::Arc;

use axum_users_core::{AnyOAuthClient, OAuthClient, OAuthRules, oauth::STATE_LIFETIME};

use crate::{ConfigError, CookieTransport, transport::SameSite};

/// How people log in by one provider.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OAuthSettings {
    backends: Vec<String>,
    scopes: Option<Vec<String>>,
    optional_scopes: Vec<String>,
    redirect_url: Option<String>,
    without_associate: bool,
    rules: OAuthRules,
}

impl OAuthSettings {
    /// By the first backend, with the client's own scopes; users who are logged in can link an account.
    pub fn new() -> Self {
        Self::default()
    }

    /// A backend that the login is answered by. Called again, another one: its routes stand below `/auth/<provider>/<backend>`.
    /// Default: the first backend of all.
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backends.push(name.into());
        self
    }

    /// What is asked for. Default: [`OAuthClient::scopes`].
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// What a client may ask for besides, in the query `scopes`; others are left out. Default: nothing.
    pub fn optional_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.optional_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Where the provider sends the browser, if not to our callback route: a page that passes on what it got. Default: the route
    /// below [`UsersBuilder::public_url`](crate::UsersBuilder::public_url).
    pub fn redirect_url(mut self, url: impl Into<String>) -> Self {
        self.redirect_url = Some(url.into());
        self
    }

    /// Whether users who are logged in can link an account. Default: true.
    pub fn associate(mut self, associate: bool) -> Self {
        self.without_associate = !associate;
        self
    }

    /// Whether an account that nobody has yet is linked to the user with its address, where the provider proved the address and
    /// the user did too. Default: false; who has an account here logs in first and links then.
    pub fn associate_by_email(mut self, associate: bool) -> Self {
        self.rules.associate_by_email = associate;
        self
    }

    /// Whether a new user counts as verified whose address the provider proved. Default: false.
    pub fn is_verified_by_default(mut self, verified: bool) -> Self {
        self.rules.is_verified_by_default = verified;
        self
    }
}

/// A provider, with its settings.
#[derive(Debug)]
pub(crate) struct OAuthProvider {
    pub(crate) client: AnyOAuthClient,
    pub(crate) backends: Vec<String>,
    pub(crate) associates: bool,
    pub(crate) rules: OAuthRules,
    scopes: Vec<String>,
    allowed_scopes: Vec<String>,
    redirect_url: Option<String>,
}

impl OAuthProvider {
    pub(crate) fn new(client: AnyOAuthClient, settings: OAuthSettings) -> Self {
        let scopes = settings.scopes.unwrap_or_else(|| client.scopes().to_vec());
        Self {
            allowed_scopes: [scopes.clone(), settings.optional_scopes].concat(),
            scopes,
            backends: settings.backends,
            associates: !settings.without_associate,
            rules: settings.rules,
            redirect_url: settings.redirect_url,
            client,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.client.name()
    }

    /// Those of a query, as far as they are allowed; without one, the usual ones (RFC 9700 section 2.3).
    pub(crate) fn scopes(&self, asked: &[String]) -> Vec<String> {
        if asked.is_empty() {
            return self.scopes.clone();
        }
        let asked = asked.iter().flat_map(|it| it.split(' '));
        asked.filter(|it| self.allowed_scopes.iter().any(|known| known == it)).map(str::to_owned).collect()
    }

    /// Where the provider sends the browser: never what the request says of its host.
    pub(crate) fn redirect_uri(&self, public_url: Option<&str>, path: &str) -> Option<String> {
        self.redirect_url.clone().or_else(|| self.route(public_url?, path))
    }

    /// Our callback route, beside the one that was asked for.
    pub(crate) fn route(&self, public_url: &str, path: &str) -> Option<String> {
        let path = path.trim_end_matches('/');
        let prefix = path.strip_suffix("/authorize").or_else(|| path.strip_suffix("/callback"));
        Some(format!("{public_url}{}/callback", prefix?))
    }
}

/// What is common to all providers.
#[derive(Clone, Debug)]
pub(crate) struct OAuth {
    pub(crate) providers: Vec<Arc<OAuthProvider>>,
    pub(crate) public_url: Option<String>,
    /// `None`: `redirect_to` is not looked at.
    pub(crate) redirects: Option<Vec<String>>,
    pub(crate) cookie: CookieTransport,
    /// Whether users are shown with their accounts.
    pub(crate) shown: bool,
    pub(crate) exposes_tokens: bool,
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            public_url: None,
            redirects: None,
            cookie: CookieTransport::new().name("fastapiusersoauthcsrf"),
            shown: false,
            exposes_tokens: false,
        }
    }
}

impl OAuth {
    /// Whether everything fits together; `backends` are the names of all.
    pub(crate) fn checked(&self, backends: &[&str]) -> Result<(), ConfigError> {
        self.cookie.checked_for_return()?;
        let mut names = Vec::new();
        for provider in &self.providers {
            let name = provider.name();
            let is_name = (1..=100).contains(&name.len())
                && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it));
            if !is_name {
                return Err(ConfigError::new(format!(
                    "the name of a provider has 1 to 100 characters of A-Z a-z 0-9 _ -: {name:?}"
                )));
            }
            if names.contains(&name) || backends.contains(&name) {
                return Err(ConfigError::new(format!(
                    "two providers, or a provider and a backend, are called {name:?}"
                )));
            }
            names.push(name);
            let display_name = provider.client.display_name();
            if display_name.trim().is_empty() || display_name.contains(char::is_control) {
                return Err(ConfigError::new(format!(
                    "what people call {name:?} should be one line: {display_name:?}"
                )));
            }
            if let Some(unknown) = provider.backends.iter().find(|it| !backends.contains(&it.as_str())) {
                return Err(ConfigError::new(format!("{name:?} logs in with {unknown:?}, which is no backend")));
            }
            if provider.redirect_url.is_none() && self.public_url.is_none() {
                return Err(ConfigError::new(format!(
                    "where does {name:?} send browsers back to? Say `.public_url(…)`, or `redirect_url` in its settings"
                )));
            }
        }
        let urls = self.redirects.iter().flatten().chain(&self.public_url);
        for url in urls.chain(self.providers.iter().filter_map(|it| it.redirect_url.as_ref())) {
            let is_url = (url.starts_with("https://") || url.starts_with("http://"))
                && url.bytes().all(|it| it.is_ascii_graphic() && !b"\\\"<>".contains(&it));
            if !is_url {
                return Err(ConfigError::new(format!("this is no URL of http or https: {url:?}")));
            }
        }
        Ok(())
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<OAuthProvider>> {
        self.providers.iter().find(|provider| provider.name() == name)
    }
}

impl CookieTransport {
    /// Whether a browser sends it along when it comes back from a provider.
    fn checked_for_return(&self) -> Result<(), ConfigError> {
        crate::Transport::checked(self)?;
        if self.is_same_site(SameSite::Strict) {
            return Err(ConfigError::new("a cookie with SameSite=Strict does not come back from a provider: use Lax"));
        }
        Ok(())
    }
}

/// How long a browser keeps the cookie, in seconds: as FastAPI Users says it, longer than any state counts.
pub(crate) const COOKIE_MAX_AGE: u64 = 3600;
const _: () = assert!(COOKIE_MAX_AGE >= STATE_LIFETIME.as_secs());
