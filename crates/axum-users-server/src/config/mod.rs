//! The configuration: read once at the start, from the command line, the environment, a file and defaults, in this order.
//!
//! Each file here reads a table or two of it. A value that cannot be used is a problem with the name of its key; all problems
//! are told at once, and never a value.

mod auth;
mod breached;
mod columns;
mod database;
pub(crate) mod keys;
mod layers;
mod mail;
mod oauth;
mod pages;
mod redis;
mod server;
mod throttle;

use std::{fmt, path::PathBuf};

use axum_users::{Argon2Params, PasswordPolicy, Throttle};

pub(crate) use auth::{
    BackendSettings, CookieSettings, JwtKeySettings, SameSiteSetting, StrategySettings, TransportSettings,
};
pub(crate) use breached::{BreachedList, BreachedSettings};
pub(crate) use columns::OwnColumn;
pub(crate) use database::{DatabaseSettings, IdKind};
use keys::{Entry, Keys, words};
pub(crate) use layers::Origin;
pub use layers::Sources;
pub(crate) use mail::{MailSettings, ServerMailer, TokenLifetime};
pub(crate) use oauth::{Provider, ProviderLogins};
pub(crate) use pages::PagesSettings;
pub(crate) use redis::RedisSettings;
pub(crate) use server::{LogFormat, ServerSettings, is_loopback};

use crate::secrets::{self, SecretSettings, Uses};

/// The settings of a server, checked.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    pub(crate) folder: PathBuf,
    pub(crate) strict: bool,
    pub(crate) server: ServerSettings,
    pub(crate) database: DatabaseSettings,
    pub(crate) secrets: SecretSettings,
    pub(crate) auth: AuthSettings,
    /// `None`: nothing is sent, and there are neither verification nor reset.
    pub(crate) mail: Option<MailSettings>,
    pub(crate) verification: TokenLifetime,
    pub(crate) reset_password: TokenLifetime,
    pub(crate) oauth: ProviderLogins,
    /// `None`: there are no pages for people.
    pub(crate) pages: Option<PagesSettings>,
    /// Where a backend keeps its tokens there.
    pub(crate) redis: Option<RedisSettings>,
    pub(crate) password: PasswordPolicy,
    pub(crate) breached: Option<BreachedSettings>,
    pub(crate) argon2: Argon2Params,
    /// `None`: there are no limits.
    pub(crate) throttle: Option<Throttle>,
    pub(crate) registration: bool,
    pub(crate) keep_last_superuser: bool,
    pub(crate) columns: Vec<OwnColumn>,
    pub(crate) hashing: HashingSettings,
    pub(crate) warnings: Vec<String>,
    pub(crate) entries: Vec<Entry>,
}

words! {
    /// How far the wire may differ from FastAPI Users.
    pub(crate) enum Profile {
        /// It does not.
        Compat = "compat",
        /// Where it leaks or is weak.
        Strict = "strict",
    }
}

/// `[auth]`.
#[derive(Debug)]
pub(crate) struct AuthSettings {
    pub(crate) backends: Vec<BackendSettings>,
    pub(crate) requires_verification: bool,
    pub(crate) keep_sessions_on_password_change: bool,
}

/// `[hashing]`.
#[derive(Debug)]
pub(crate) struct HashingSettings {
    /// 0: as many as cores.
    pub(crate) concurrency: usize,
    pub(crate) memory_budget: usize,
    pub(crate) level_with_bcrypt: bool,
}

impl Config {
    /// Reads and checks everything. Nothing is written.
    ///
    /// # Errors
    /// [`ConfigError`] with all that is wrong.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let secrets_file = sources.folder.join(secrets::FILE);
        let mut keys = Keys::new(sources.read(&secrets_file, is_secret)?);
        let keys = &mut keys;
        let mut warnings = Vec::new();

        let profile = keys.get("profile", Profile::Compat);
        let server = ServerSettings::read(keys, &mut warnings);
        let database = DatabaseSettings::read(keys, &mut warnings);
        let secrets = SecretSettings::read(keys, secrets_file, &mut warnings);
        let auth = AuthSettings {
            backends: auth::read_backends(keys, profile, &server.public_url, &database, &mut warnings),
            requires_verification: keys.get("auth.requires_verification", false),
            keep_sessions_on_password_change: keys.get("auth.keep_sessions_on_password_change", false),
        };
        let uses_redis = |backend: &BackendSettings| matches!(backend.strategy, StrategySettings::Redis { .. });
        let redis = RedisSettings::read(keys, auth.backends.iter().any(uses_redis), &mut warnings);
        let verification = TokenLifetime::read(keys, "verification", "fastapi-users:verify");
        let reset_password = TokenLifetime::read(keys, "reset_password", "fastapi-users:reset");
        let lifetimes = (verification.lifetime, reset_password.lifetime);
        let mail = MailSettings::read(keys, profile, &server.public_url, lifetimes, &mut warnings);
        if mail.is_none() && auth.requires_verification {
            warnings.push(
                "auth.requires_verification: without mail only superusers and `user create --verified` verify".into(),
            );
        }
        let pages = PagesSettings::read(keys, &server, &auth.backends, mail.as_ref(), &mut warnings);
        let oauth = ProviderLogins::read(keys, &auth.backends, &mut warnings);
        secrets.check_shared(Uses { mail: mail.is_some(), providers: !oauth.providers.is_empty() }, &mut warnings);
        let (password, argon2) = read_password(keys, profile);
        let breached = BreachedSettings::read(keys);
        let throttle = throttle::read(keys, &mut warnings);
        let registration = keys.get("registration.enabled", true);
        let keep_last_superuser = keys.get("users.keep_last_superuser", true);
        let columns = columns::read(keys, &database);
        let hashing = HashingSettings {
            concurrency: keys.get("hashing.concurrency", 0),
            memory_budget: keys.get("hashing.memory_budget_bytes", 256 << 20),
            // Tables of our own hold no bcrypt, unless somebody put it there.
            level_with_bcrypt: keys.get(
                "hashing.level_with_bcrypt",
                profile == Profile::Strict || database.adopt || database.shared_with_fastapi_users,
            ),
        };
        keys.later(LATER);
        if profile == Profile::Strict && mail.is_none() {
            warnings.push(STRICT_WITHOUT_MAIL.into());
        }
        let keys = std::mem::replace(keys, Keys::new(layers::Layers::default()));
        let entries = keys.finish()?;
        Ok(Self {
            folder: sources.folder.clone(),
            strict: profile == Profile::Strict,
            server,
            database,
            secrets,
            auth,
            mail,
            verification,
            reset_password,
            oauth,
            pages,
            redis,
            password,
            breached,
            argon2,
            throttle,
            registration,
            keep_last_superuser,
            columns,
            hashing,
            warnings,
            entries,
        })
    }

    /// Which secrets it needs.
    pub(crate) fn uses(&self) -> Uses {
        Uses { mail: self.mail.is_some(), providers: !self.oauth.providers.is_empty() }
    }

    /// What an operator should know, though it does not stop the start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// What cannot be used, in sentences that name the keys; exit code 2.
#[derive(Clone, Debug)]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    pub(crate) fn of(problems: Vec<String>) -> Self {
        Self(problems)
    }

    pub(crate) fn one(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// Settings whose features come later: they would have no effect, and nobody should believe that they have.
const LATER: &[&str] = &["metrics."];

/// What `profile = "strict"` cannot do without mail.
const STRICT_WITHOUT_MAIL: &str = "profile = \"strict\" without mail: no mailbox can be proved, so registration and a change of \
    address tell whether an address has an account, and an address changes at once";

/// Keys that also come from `…_FILE` and are never shown.
fn is_secret(key: &str) -> bool {
    matches!(key, "database.url" | "redis.url" | "redis.sentinel_password" | "mail.smtp_url")
        || (key.starts_with("oauth.provider.") && key.ends_with(".client_secret"))
        || (key.starts_with("secrets.") && key != "secrets.danger_accept_legacy")
}

/// `[password]`.
fn read_password(keys: &mut Keys, profile: Profile) -> (PasswordPolicy, Argon2Params) {
    let least = if profile == Profile::Strict { 15 } else { 8 };
    let min_length = keys.get("password.min_length", least);
    let max_length = keys.get("password.max_length", 1024);
    if max_length < min_length {
        keys.wrong("password.max_length", "no password could be as long as password.min_length asks for");
    }
    if profile == Profile::Strict && min_length < least {
        keys.wrong("password.min_length", "profile = \"strict\" asks for 15 characters or more");
    }
    let policy = PasswordPolicy::default()
        .min_length(min_length)
        .max_length(max_length)
        .refuse_common(keys.get("password.refuse_common", true));
    let usual = Argon2Params::default();
    let memory = keys.get("password.argon2.memory_kib", usual.memory_kib());
    let iterations = keys.get("password.argon2.iterations", usual.iterations());
    let parallelism = keys.get("password.argon2.parallelism", usual.parallelism());
    let argon2 = Argon2Params::new(memory, iterations, parallelism).unwrap_or_else(|error| {
        keys.problem(format!("password.argon2: {error}"));
        usual
    });
    (policy, argon2)
}
