//! `[oauth]` and `[oauth.provider.<name>]`.

use std::fs;

use axum_users::{
    AnyOAuthClient, AppleKey, OAuth2, OAuth2Endpoints, OAuthConfigError, OAuthSettings, OpenId, Secret,
    oauth::ExternalIdentity,
};
use serde_json::Value;

use super::{
    auth::BackendSettings,
    keys::{Keys, words},
};

/// `[oauth]`.
#[derive(Debug)]
pub(crate) struct ProviderLogins {
    /// In the order of their names; empty: nobody logs in by a provider.
    pub(crate) providers: Vec<Provider>,
    pub(crate) cookie_name: String,
    pub(crate) allowed_redirects: Vec<String>,
    pub(crate) show_accounts: bool,
    pub(crate) expose_tokens: bool,
}

/// One provider.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) client: AnyOAuthClient,
    /// What the login is answered by.
    pub(crate) backend: String,
    /// Whether users link accounts themselves.
    pub(crate) associates: bool,
    pub(crate) settings: OAuthSettings,
}

words! {
    enum Kind {
        Apple = "apple",
        Discord = "discord",
        Facebook = "facebook",
        FranceConnect = "franceconnect",
        GitHub = "github",
        Google = "google",
        Kakao = "kakao",
        LinkedIn = "linkedin",
        Microsoft = "microsoft",
        Naver = "naver",
        OAuth2 = "oauth2",
        Okta = "okta",
        OpenId = "openid",
        Reddit = "reddit",
        Shopify = "shopify",
    }
}

impl ProviderLogins {
    pub(super) fn read(keys: &mut Keys, backends: &[BackendSettings], warnings: &mut Vec<String>) -> Self {
        let cookie_name = keys.get("oauth.csrf_cookie_name", "fastapiusersoauthcsrf".to_owned());
        let allowed_redirects = keys.get("oauth.allowed_redirects", Vec::new());
        let show_accounts = keys.get("oauth.show_accounts", false);
        let expose_tokens = keys.get("oauth.expose_tokens", false);
        if expose_tokens {
            warnings.push(
                "oauth.expose_tokens: whoever sees an answer with oauth_accounts acts at the provider as this user"
                    .into(),
            );
        }
        let mut providers = Vec::new();
        for name in keys.names_below("oauth.provider.") {
            let prefix = format!("oauth.provider.{name}");
            keys.empty_table(&prefix);
            providers.extend(Reader { keys: &mut *keys, prefix, name }.provider(backends));
        }
        Self { providers, cookie_name, allowed_redirects, show_accounts, expose_tokens }
    }
}

/// Reads one provider.
struct Reader<'a> {
    keys: &'a mut Keys,
    prefix: String,
    name: String,
}

impl Reader<'_> {
    fn provider(mut self, backends: &[BackendSettings]) -> Option<Provider> {
        let kind = match <Kind as super::keys::Setting>::from_text(&self.name) {
            Some(usual) => self.keys.get(&self.key("kind"), usual),
            None => self.needed::<Kind>("kind")?,
        };
        let backend = self.backend(backends);
        let associates = self.keys.get(&self.key("associate"), true);
        let settings = self.settings(&backend, associates);
        let display_name = self.keys.optional::<String>(&self.key("display_name"));
        let client = self.client(kind, display_name)?;
        Some(Provider { client, backend, associates, settings })
    }

    fn backend(&mut self, backends: &[BackendSettings]) -> String {
        let key = self.key("backend");
        let usual = backends.first().map_or_else(String::new, |backend| backend.name.clone());
        let backend = self.keys.get(&key, usual);
        if !backends.iter().any(|it| it.name == backend) {
            self.keys.wrong(&key, format!("{backend:?} is not in auth.backends"));
        }
        backend
    }

    fn settings(&mut self, backend: &str, associates: bool) -> OAuthSettings {
        let mut settings = OAuthSettings::new()
            .backend(backend)
            .associate(associates)
            .associate_by_email(self.keys.get(&self.key("associate_by_email"), false))
            .is_verified_by_default(self.keys.get(&self.key("is_verified_by_default"), false));
        if let Some(scopes) = self.keys.optional::<Vec<String>>(&self.key("scopes")) {
            settings = settings.scopes(scopes);
        }
        if let Some(scopes) = self.keys.optional::<Vec<String>>(&self.key("optional_scopes")) {
            settings = settings.optional_scopes(scopes);
        }
        if let Some(url) = self.keys.optional::<String>(&self.key("redirect_url")) {
            settings = settings.redirect_url(url);
        }
        settings
    }

    fn client(&mut self, kind: Kind, display_name: Option<String>) -> Option<AnyOAuthClient> {
        let id = self.needed::<String>("client_id");
        if kind == Kind::Apple {
            return self.apple(id, display_name);
        }
        let key = self.key("client_secret");
        let secret = self.keys.secret(&key);
        if secret.is_none() {
            self.missing("client_secret", "a text");
        }
        match kind {
            Kind::OpenId => {
                let issuer = self.keys.optional::<String>(&self.key("issuer"));
                let discovery = self.keys.optional::<String>(&self.key("discovery_url"));
                let (id, secret) = (id?, secret?);
                let (at, client) = match (issuer, discovery) {
                    (Some(issuer), None) => ("issuer", OpenId::new(&issuer, id, secret)),
                    (None, Some(url)) => ("discovery_url", OpenId::by_discovery_url(&url, id, secret)),
                    _ => {
                        let prefix = &self.prefix;
                        self.keys.problem(format!("{prefix}: an OpenID provider needs issuer or discovery_url"));
                        return None;
                    }
                };
                self.openid(at, client, display_name)
            }
            Kind::Okta => {
                let domain = self.needed::<String>("domain")?;
                let client = OpenId::okta(&domain, id?, secret?);
                self.openid("domain", client, display_name.or_else(|| Some("Okta".into())))
            }
            Kind::OAuth2 => self.generic(id, secret, display_name),
            Kind::Microsoft => {
                let tenant = self.keys.get(&self.key("tenant"), "common".to_owned());
                let client = OAuth2::microsoft(&tenant, id?, secret?);
                self.known("tenant", client, display_name)
            }
            Kind::Shopify => {
                let shop = self.needed::<String>("shop")?;
                let client = OAuth2::shopify(&shop, id?, secret?);
                self.known("shop", client, display_name)
            }
            kind => {
                let is_integration = kind == Kind::FranceConnect && self.keys.get(&self.key("integration"), false);
                let (id, secret) = (id?, secret?);
                let client = match kind {
                    Kind::Discord => OAuth2::discord(id, secret),
                    Kind::Facebook => OAuth2::facebook(id, secret),
                    Kind::FranceConnect if is_integration => OAuth2::franceconnect_integration(id, secret),
                    Kind::FranceConnect => OAuth2::franceconnect(id, secret),
                    Kind::GitHub => OAuth2::github(id, secret),
                    Kind::Google => OAuth2::google(id, secret),
                    Kind::Kakao => OAuth2::kakao(id, secret),
                    Kind::LinkedIn => OAuth2::linkedin(id, secret),
                    Kind::Naver => OAuth2::naver(id, secret),
                    _ => OAuth2::reddit(id, secret),
                };
                self.known("kind", client, display_name)
            }
        }
    }

    fn apple(&mut self, id: Option<String>, display_name: Option<String>) -> Option<AnyOAuthClient> {
        let (team, key_id) = (self.needed::<String>("team_id"), self.needed::<String>("key_id"));
        let file = self.needed::<String>("key_file")?;
        let pem = fs::read(&file).map_err(|error| self.wrong("key_file", format!("cannot be read: {error}"))).ok()?;
        let id = id?;
        let client = AppleKey::new(team?, key_id?, &pem).and_then(|key| OpenId::apple(id, key));
        self.openid("key_file", client, display_name.or_else(|| Some("Apple".into())))
    }

    /// A provider that nobody here has heard of, by its endpoints and the fields of its profile.
    fn generic(
        &mut self,
        id: Option<String>,
        secret: Option<Secret>,
        display_name: Option<String>,
    ) -> Option<AnyOAuthClient> {
        let (authorize, token) = (self.needed::<String>("authorize_url"), self.needed::<String>("token_url"));
        let profile = self.needed::<String>("profile_url");
        let revoke = self.keys.optional::<String>(&self.key("revoke_url"));
        let basic = self.keys.get(&self.key("basic_auth"), false);
        let id_field = self.keys.get(&self.key("id_field"), "id".to_owned());
        let email_field = self.keys.get(&self.key("email_field"), "email".to_owned());
        let verified_field = self.keys.optional::<String>(&self.key("email_verified_field"));
        let mut endpoints = OAuth2Endpoints::new(authorize?, token?);
        if let Some(url) = revoke {
            endpoints = endpoints.revoke(url);
        }
        if basic {
            endpoints = endpoints.basic();
        }
        let identity = move |profile: &Value| {
            let who = match field(profile, &id_field)? {
                Value::String(id) => ExternalIdentity::new(id),
                Value::Number(id) if id.is_i64() || id.is_u64() => ExternalIdentity::new(id.to_string()),
                _ => return None,
            };
            let is_verified =
                verified_field.as_ref().is_some_and(|it| field(profile, it).is_some_and(|flag| *flag == true));
            Some(match field(profile, &email_field).and_then(Value::as_str) {
                Some(email) => who.email(email, is_verified),
                None => who,
            })
        };
        let client = OAuth2::new(&self.name, endpoints, id?, secret?, profile?, identity);
        self.known("kind", client, display_name)
    }

    fn known(
        &mut self,
        at: &str,
        client: Result<OAuth2, OAuthConfigError>,
        display_name: Option<String>,
    ) -> Option<AnyOAuthClient> {
        use axum_users::OAuthClient as _;
        let client = client.map_err(|error| self.wrong(at, axum_users::error_chain(&error))).ok()?;
        let display_name = display_name.unwrap_or_else(|| client.display_name().to_owned());
        Some(AnyOAuthClient::new(client.named(&self.name, display_name)))
    }

    fn openid(
        &mut self,
        at: &str,
        client: Result<OpenId, OAuthConfigError>,
        display_name: Option<String>,
    ) -> Option<AnyOAuthClient> {
        let client = client.map_err(|error| self.wrong(at, axum_users::error_chain(&error))).ok()?;
        let display_name = display_name.unwrap_or_else(|| self.name.clone());
        Some(AnyOAuthClient::new(client.named(&self.name, display_name)))
    }

    fn needed<T: super::keys::Setting>(&mut self, setting: &str) -> Option<T> {
        let found = self.keys.optional::<T>(&self.key(setting));
        if found.is_none() {
            self.missing(setting, T::WHAT);
        }
        found
    }

    fn missing(&mut self, setting: &str, what: &str) {
        let key = self.key(setting);
        self.keys.problem(format!("{key} is missing: it should be {what}"));
    }

    fn wrong(&mut self, setting: &str, what: String) {
        let key = self.key(setting);
        self.keys.wrong(&key, what);
    }

    fn key(&self, setting: &str) -> String {
        format!("{}.{setting}", self.prefix)
    }
}

/// `user.id` is the member `id` of the member `user`.
fn field<'a>(profile: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(profile, |value, name| value.get(name))
}
