//! The handle of an application: manager, backends, settings, and the routers over them.

use std::{io, ops::Deref, sync::Arc, time::Duration};

use axum_users_core::{
    AnyOAuthClient, Clock, KnownDevices, OAuthClient, OAuthKeys, PasswordPolicy, PasswordPool, Throttle, TokenSettings,
    UserDatabase, UserHooks, UserManagerBuilder,
    mail::Mailer,
    password::{BreachedPasswords, OnFailure},
};

use crate::{
    AuthBackend, CookieTransport, OAuthSettings, RequestOrigin, UserManager, UserProfile,
    input::BODY_LIMIT,
    oauth_settings::{OAuth, OAuthProvider},
};

/// User management of one kind of user: manager, backends, routers. A cheap handle, part of the application's state.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, extract::FromRef};
/// use axum_users::{AuthBackend, BearerTransport, JwtStrategy, Users, memory::MemoryStore};
///
/// #[derive(Clone, FromRef)]
/// struct App {
///     users: Users<()>,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u"; // from the environment, in earnest
/// let users = Users::<()>::builder(MemoryStore::new())
///     .backend(AuthBackend::new(
///         "jwt",
///         BearerTransport::new("auth/jwt/login"),
///         JwtStrategy::new(secret, Duration::from_secs(3600))?,
///     ))
///     .build()?;
/// let app: Router = Router::new().merge(users.router()).with_state(App { users });
/// # Ok(()) }
/// ```
pub struct Users<P: UserProfile>(Arc<Inner<P>>);

impl<P: UserProfile> Clone for Users<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<P: UserProfile> {
    manager: UserManager<P>,
    backends: Vec<AuthBackend<P>>,
    requires_verification: bool,
    registration: bool,
    allowed_origins: Vec<String>,
    body_limit: usize,
    trusted_proxies: usize,
    strict: bool,
    oauth: OAuth,
}

/// Everything that the manager can do, `users.create(…)`, `users.update(…)`, without a detour.
impl<P: UserProfile> Deref for Users<P> {
    type Target = UserManager<P>;
    fn deref(&self) -> &UserManager<P> {
        &self.0.manager
    }
}

impl<P: UserProfile> Users<P> {
    /// Starts with where the users are kept.
    pub fn builder(database: impl UserDatabase<P>) -> UsersBuilder<P> {
        UsersBuilder {
            manager: UserManager::builder(database),
            backends: Vec::new(),
            requires_verification: false,
            registration: true,
            allowed_origins: Vec::new(),
            body_limit: BODY_LIMIT,
            trusted_proxies: 0,
            strict: false,
            oauth: OAuth::default(),
            has_oauth_keys: false,
        }
    }

    /// The rules, for programs: create, find, change and remove users without a request.
    #[must_use]
    pub fn manager(&self) -> &UserManager<P> {
        &self.0.manager
    }

    /// The backends, in the order in which a request is tried.
    #[must_use]
    pub fn backends(&self) -> &[AuthBackend<P>] {
        &self.0.backends
    }

    /// The backend of this name.
    #[must_use]
    pub fn backend(&self, name: &str) -> Option<&AuthBackend<P>> {
        self.backends().iter().find(|backend| backend.name() == name)
    }

    /// Where a request comes from: for forms of your own that a cookie is sent along with, which should take
    /// [`RequestOrigin::Own`] only.
    pub fn request_origin(&self, headers: &http::HeaderMap) -> RequestOrigin {
        RequestOrigin::of(headers, self.allowed_origins())
    }

    pub(crate) fn oauth(&self) -> &OAuth {
        &self.0.oauth
    }

    /// Whether everybody may register.
    pub(crate) fn registers(&self) -> bool {
        self.0.registration
    }

    pub(crate) fn requires_verification(&self) -> bool {
        self.0.requires_verification
    }

    pub(crate) fn allowed_origins(&self) -> &[String] {
        &self.0.allowed_origins
    }

    pub(crate) fn body_limit(&self) -> usize {
        self.0.body_limit
    }

    pub(crate) fn strict(&self) -> bool {
        self.0.strict
    }

    pub(crate) fn trusted_proxies(&self) -> usize {
        self.0.trusted_proxies
    }
}

/// Builds [`Users`].
#[must_use]
pub struct UsersBuilder<P: UserProfile> {
    manager: UserManagerBuilder<P>,
    backends: Vec<AuthBackend<P>>,
    requires_verification: bool,
    registration: bool,
    allowed_origins: Vec<String>,
    body_limit: usize,
    trusted_proxies: usize,
    strict: bool,
    oauth: OAuth,
    has_oauth_keys: bool,
}

impl<P: UserProfile> UsersBuilder<P> {
    /// Adds a backend; requests are tried in this order.
    pub fn backend(mut self, backend: AuthBackend<P>) -> Self {
        self.backends.push(backend);
        self
    }

    /// The application's hooks. Default: none.
    pub fn hooks(mut self, hooks: impl UserHooks<P>) -> Self {
        self.manager = self.manager.hooks(hooks);
        self
    }

    /// Where passwords are hashed. Default: Argon2id on as many threads as there are cores.
    pub fn passwords(mut self, passwords: PasswordPool) -> Self {
        self.manager = self.manager.passwords(passwords);
        self
    }

    /// Which passwords may be set. Default: 8 to 1024 characters, not a common one, not the address.
    pub fn password_policy(mut self, policy: PasswordPolicy) -> Self {
        self.manager = self.manager.password_policy(policy);
        self
    }

    /// Refuses new passwords that are known from breaches. Default: nobody is asked.
    ///
    /// See [`UserManagerBuilder::breached_passwords`].
    pub fn breached_passwords(mut self, list: impl BreachedPasswords, on_failure: OnFailure) -> Self {
        self.manager = self.manager.breached_passwords(list, on_failure);
        self
    }

    /// How tokens that verify an address are signed; with it come `POST /auth/request-verify-token` and `POST /auth/verify`.
    /// Default: there are none.
    pub fn verification(mut self, settings: TokenSettings) -> Self {
        self.manager = self.manager.verification(settings);
        self
    }

    /// How tokens that set a forgotten password are signed; with it come `POST /auth/forgot-password` and
    /// `POST /auth/reset-password`. Default: there are none.
    pub fn reset_password(mut self, settings: TokenSettings) -> Self {
        self.manager = self.manager.reset_password(settings);
        self
    }

    /// What sends mail, unless a hook does. Default: nothing.
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.manager = self.manager.mailer(mailer);
        self
    }

    /// Whether users are told of a new password, of a new address, and of accounts with providers that are linked or unlinked, where
    /// there is a mailer. Default: true.
    pub fn notices(mut self, notices: bool) -> Self {
        self.manager = self.manager.notices(notices);
        self
    }

    /// How often passwords may be tried, users be registered and mails be asked for: beyond it, 429 with `Retry-After`. Default:
    /// [`Throttle::default`]; `None` switches it off.
    ///
    /// What comes from an address counts together, so serve with
    /// [`into_make_service_with_connect_info`](axum::Router::into_make_service_with_connect_info) and say how many
    /// [proxies](Self::trusted_proxies) are yours: where no address is known, all clients count as one.
    pub fn throttle(mut self, throttle: impl Into<Option<Throttle>>) -> Self {
        self.manager = self.manager.throttle(throttle);
        self
    }

    /// Makes browsers known that a user logged in with by a cookie backend: they try passwords on their own account whatever
    /// strangers do. They keep the cookie `axum_users_device` for a year. Default: none is.
    ///
    /// See [`UserManagerBuilder::known_devices`].
    pub fn known_devices(mut self, devices: KnownDevices) -> Self {
        self.manager = self.manager.known_devices(devices);
        self
    }

    /// Where the time comes from. Default: the system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.manager = self.manager.clock(clock);
        self
    }

    /// Whether [`router`](Users::router) has a route to register by. Without it users are made by your program, the command line, and
    /// their first login by a provider. Default: true.
    pub fn registration(mut self, registration: bool) -> Self {
        self.registration = registration;
        self
    }

    /// Whether the auth and users routes let verified users only pass. Default: false.
    pub fn requires_verification(mut self, required: bool) -> Self {
        self.requires_verification = required;
        self
    }

    /// Whether the last active superuser stays one. Default: true.
    pub fn keep_last_superuser(mut self, keep: bool) -> Self {
        self.manager = self.manager.keep_last_superuser(keep);
        self
    }

    /// Whether other sessions live on when a password changes. Default: false.
    ///
    /// # Security
    /// See [`UserManagerBuilder::danger_keep_sessions_on_password_change`].
    pub fn danger_keep_sessions_on_password_change(mut self, keep: bool) -> Self {
        self.manager = self.manager.danger_keep_sessions_on_password_change(keep);
        self
    }

    /// Closes what is weak because the wire of FastAPI Users has it so. Default: off.
    ///
    /// What [`UserManagerBuilder::strict`] says; two members of one name in a JSON body are 422, and no route ends in a slash. Rules of other builders are theirs: a longer password
    /// ([`PasswordPolicy::min_length`]), the name of a cookie ([`CookieTransport::name`](crate::CookieTransport::name)),
    /// the type of
    /// JWTs ([`JwtStrategy::explicit_type`](crate::JwtStrategy::explicit_type)), lifetimes.
    pub fn strict(mut self, strict: bool) -> Self {
        self.manager = self.manager.strict(strict);
        self.strict = strict;
        self
    }

    /// Makes a user, and gives one another address, only when the mailbox is proved: the answers to `POST /auth/register` and
    /// `PATCH /users/me` are the same whoever has the address. Default: off, as in FastAPI Users.
    ///
    /// See [`UserManagerBuilder::prove_mailbox_first`], also for what it needs.
    pub fn prove_mailbox_first(mut self, prove: bool) -> Self {
        self.manager = self.manager.prove_mailbox_first(prove);
        self
    }

    /// A provider that people log in by (`GET /auth/<provider>/authorize` and `/callback`), and link accounts with (the same below
    /// `/auth/associate`). Needs [`oauth_keys`](Self::oauth_keys), a store that keeps such accounts, and where browsers come back
    /// to: [`public_url`](Self::public_url). Default: none.
    pub fn oauth(mut self, client: impl OAuthClient, settings: OAuthSettings) -> Self {
        self.manager = self.manager.oauth_display_name(client.name(), client.display_name());
        self.oauth.providers.push(Arc::new(OAuthProvider::new(AnyOAuthClient::new(client), settings)));
        self
    }

    /// The keys of logins by providers.
    pub fn oauth_keys(mut self, keys: OAuthKeys) -> Self {
        self.has_oauth_keys = true;
        self.manager = self.manager.oauth(keys);
        self
    }

    /// The cookie that a browser keeps while it is at a provider. Default: `fastapiusersoauthcsrf`, with the settings of
    /// [`CookieTransport::new`].
    pub fn oauth_cookie(mut self, cookie: CookieTransport) -> Self {
        self.oauth.cookie = cookie;
        self
    }

    /// Where browsers find us, `https://users.example.com`, with the path that all our routes stand below, if there is one. What a
    /// request says of its host is not believed.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.oauth.public_url = Some(url.into().trim_end_matches('/').to_owned());
        self
    }

    /// Lets `redirect_to` of `/authorize` say where a browser goes after a login by a provider: to a path of ours, or to exactly
    /// one of these URLs. Default: it is not looked at, and the callback answers as a login does.
    pub fn allowed_redirects(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.oauth.redirects = Some(urls.into_iter().map(Into::into).collect());
        self
    }

    /// Whether users are shown with their accounts (`oauth_accounts`). Their tokens are empty texts, and left out in
    /// [strict](Self::strict). Default: false.
    pub fn show_oauth_accounts(mut self, show: bool) -> Self {
        self.oauth.shown = show;
        self
    }

    /// Whether those accounts are shown with the tokens of the provider in clear. Default: false.
    ///
    /// # Security
    /// Whoever sees such an answer acts at the provider as this user: a script in the page, an extension, a log on the way.
    pub fn danger_expose_oauth_tokens(mut self, expose: bool) -> Self {
        self.oauth.exposes_tokens = expose;
        self
    }

    /// Browser origins (`https://app.example.com`) that may write with cookies, besides our own. Default: none.
    pub fn allowed_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed_origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// How many bytes a request body may have; 413 beyond. Default: 65536.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How many hops of `X-Forwarded-For`, counted from the right, are our own proxies. Default: 0, the header is ignored.
    pub fn trusted_proxies(mut self, hops: usize) -> Self {
        self.trusted_proxies = hops;
        self
    }

    /// Checks everything once.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no backend, when two have the same name, when a transport's settings do not fit, or when
    /// [`prove_mailbox_first`](Self::prove_mailbox_first) lacks what it needs.
    pub fn build(self) -> Result<Users<P>, ConfigError> {
        if self.backends.is_empty() {
            return Err(ConfigError::new("at least one backend is needed: nobody could log in"));
        }
        if self.backends.len() > MOST_BACKENDS {
            return Err(ConfigError::new(format!("{MOST_BACKENDS} backends at most")));
        }
        let mut identifiers = Vec::new();
        for backend in &self.backends {
            backend.checked()?;
            let identifier = identifier(backend.name());
            if identifier.is_empty() {
                return Err(ConfigError::new(format!("a backend's name needs a letter: {:?}", backend.name())));
            }
            if identifiers.contains(&identifier) {
                return Err(ConfigError::new(format!("two backends are called {identifier:?}")));
            }
            identifiers.push(identifier);
        }
        let names: Vec<_> = self.backends.iter().map(AuthBackend::name).collect();
        self.oauth.checked(&names)?;
        if !self.oauth.providers.is_empty() && !self.has_oauth_keys {
            return Err(ConfigError::new("logins by providers need keys: `.oauth_keys(OAuthKeys::new(…)?)`"));
        }
        let manager = self.manager.build().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => ConfigError::new(error.to_string()),
            _ => ConfigError::new(format!("no threads for hashing passwords: {error}")),
        })?;
        if !self.oauth.providers.is_empty() && !manager.keeps_oauth_accounts() {
            return Err(ConfigError::new("this store keeps no accounts with providers"));
        }
        Ok(Users(Arc::new(Inner {
            manager,
            backends: self.backends,
            requires_verification: self.requires_verification,
            registration: self.registration,
            allowed_origins: self.allowed_origins,
            body_limit: self.body_limit,
            trusted_proxies: self.trusted_proxies,
            strict: self.strict,
            oauth: self.oauth,
        })))
    }
}

/// A setting that cannot be used; the message says what to change and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// With a message for the person who configures.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// What a backend's name is as an identifier: two that become equal cannot be told apart.
fn identifier(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').skip_while(|c| !c.is_ascii_alphabetic()).collect()
}

/// One bit each says which of them are enabled for a request.
const MOST_BACKENDS: usize = 64;

/// How long a client waits before it asks again, when nothing better is known.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);
