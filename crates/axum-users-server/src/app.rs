//! From a configuration to what serves: store, passwords, backends, users, router.

use std::{fs, path::Path, time::Duration};

use axum::Router;
use axum_users::{
    AccessTokenDatabase, AuthBackend, BearerTransport, BreachedPasswordsRange, CookieTransport, DatabaseStrategy,
    DefaultHasher, JwtStrategy, KnownDevices, OAuthKeys, PasswordPool, RedisStrategy, RefreshTokenDatabase,
    RefreshTokens, SameSite, Secret, Strategy, TokenSettings, UserDatabase, UserId, UserManager, UserProfile, Users,
    UsersBuilder,
    jwt::{JwtKey, JwtKeys},
    memory::MemoryStore,
    openapi::OpenApi,
    password::{BreachedError, BreachedPasswords, BreachedPasswordsFile, OnFailure, PasswordSha1},
};
use zeroize::Zeroizing;

use crate::{
    Failure,
    config::{
        BackendSettings, BreachedList, Config, CookieSettings, JwtKeySettings, SameSiteSetting, StrategySettings,
        TokenLifetime, TransportSettings,
    },
    pages,
    profile::ServerProfile,
    secrets::{OAuthSecrets, Secrets, SigningSecret},
    storage::{Storage, install_profile},
    web,
};

/// A server that is ready to serve, over one store.
pub(crate) struct App<S: Storage> {
    pub(crate) users: Users<ServerProfile<S::Id>>,
    pub(crate) store: S,
    pub(crate) router: Router,
}

impl<S: Storage> App<S> {
    /// Opens everything.
    pub(crate) async fn open(config: &Config, secrets: &Secrets) -> Result<Self, Failure> {
        let store = S::open(config).await?;
        let users = users(config, store.clone(), secrets, breached(config)?)?;
        if config.mail.is_some() {
            // Messages of an earlier run leave now.
            users.start_worker();
        }
        let router = web::router(config, &users, pages::beside(config, &users, users.router()));
        Ok(Self { users, store, router })
    }
}

/// The rules alone, for the command line.
pub(crate) fn manager<S: Storage>(config: &Config, store: S) -> Result<UserManager<ServerProfile<S::Id>>, Failure> {
    let mut builder = UserManager::builder(store);
    if let Some((list, on_failure)) = breached(config)? {
        builder = builder.breached_passwords(list, on_failure);
    }
    builder
        .passwords(passwords(config)?)
        .password_policy(config.password.clone())
        .keep_last_superuser(config.keep_last_superuser)
        .danger_keep_sessions_on_password_change(config.auth.keep_sessions_on_password_change)
        .strict(config.strict)
        // The server sends what is to be sent.
        .notices(config.mail.as_ref().is_some_and(|mail| mail.notices))
        .works_off_messages(false)
        .build()
        .map_err(Failure::failed)
}

/// The OpenAPI document of this configuration; nothing is opened for it.
pub(crate) fn openapi<Id: UserId>(config: &Config) -> Result<OpenApi, Failure> {
    install_profile(config)?;
    let users = users::<Id, _>(config, MemoryStore::new(), &Secrets::unused(), None)?;
    Ok(web::openapi(&users))
}

fn users<Id: UserId, D>(
    config: &Config,
    store: D,
    secrets: &Secrets,
    breached: Option<(Breached, OnFailure)>,
) -> Result<Users<ServerProfile<Id>>, Failure>
where
    D: UserDatabase<ServerProfile<Id>>
        + AccessTokenDatabase<ServerProfile<Id>>
        + RefreshTokenDatabase<ServerProfile<Id>>
        + Clone,
{
    let settings = &config.server;
    // A proxy may have changed Host; people know the server by this name.
    let origins = settings.allowed_origins.iter().chain(&settings.public_url.origin);
    let mut builder = Users::builder(store.clone())
        .passwords(passwords(config)?)
        .password_policy(config.password.clone())
        .registration(config.registration)
        .requires_verification(config.auth.requires_verification)
        .keep_last_superuser(config.keep_last_superuser)
        .danger_keep_sessions_on_password_change(config.auth.keep_sessions_on_password_change)
        .strict(config.strict)
        .throttle(config.throttle)
        .allowed_origins(origins)
        .body_limit(settings.body_limit)
        .trusted_proxies(settings.trusted_proxies);
    if let Some((list, on_failure)) = breached {
        builder = builder.breached_passwords(list, on_failure);
    }
    if let (Some(mail), Some(secrets)) = (&config.mail, &secrets.mailed) {
        builder = builder
            .verification(token_settings(&config.verification, &secrets.verification)?)
            .reset_password(token_settings(&config.reset_password, &secrets.reset_password)?)
            .mailer(mail.mailer.clone())
            .notices(mail.notices)
            .prove_mailbox_first(config.strict);
    }
    if let Some(secrets) = &secrets.oauth {
        builder = oauth(builder, config, secrets)?;
    }
    // A weak secret is there only where the configuration accepts one for the sake of a system that is taken over.
    if let Ok(devices) = KnownDevices::new(secrets.jwt.secret.expose().as_bytes()) {
        builder = builder.known_devices(devices);
    }
    for settings in &config.auth.backends {
        builder = builder.backend(backend(config, settings, store.clone(), &secrets.jwt)?);
    }
    builder.build().map_err(Failure::usage)
}

fn oauth<P: UserProfile>(
    builder: UsersBuilder<P>,
    config: &Config,
    secrets: &OAuthSecrets,
) -> Result<UsersBuilder<P>, Failure> {
    let logins = &config.oauth;
    let bytes = |secret: &Secret| secret.expose().as_bytes().to_vec();
    let mut keys = OAuthKeys::danger_weak_secret(&bytes(&secrets.state.secret)).map_err(Failure::usage)?;
    keys = secrets.state.previous.iter().fold(keys, |keys, secret| keys.previous(&bytes(secret)));
    // The last one that is told seals.
    for secret in secrets.tokens.iter().rev() {
        keys = keys.seal_with(&bytes(secret)).map_err(Failure::usage)?;
    }
    let public_url = &config.server.public_url;
    let cookie =
        CookieTransport::new().name(&logins.cookie_name).danger_secure(public_url.is_https || !public_url.is_loopback);
    let builder = builder
        .oauth_keys(keys)
        .oauth_cookie(cookie)
        .public_url(&public_url.url)
        .allowed_redirects(&logins.allowed_redirects)
        .show_oauth_accounts(logins.show_accounts)
        .danger_expose_oauth_tokens(logins.expose_tokens);
    Ok(logins.providers.iter().cloned().fold(builder, |builder, it| builder.oauth(it.client, it.settings)))
}

/// The configuration has judged these secrets already, and let weak ones through only where that was asked for.
fn token_settings(lifetime: &TokenLifetime, signing: &SigningSecret) -> Result<TokenSettings, Failure> {
    let settings = TokenSettings::danger_weak_secret(signing.secret.expose().as_bytes()).map_err(Failure::usage)?;
    let settings = settings.lifetime(lifetime.lifetime).audience(&lifetime.audience);
    Ok(signing.previous.iter().fold(settings, |settings, secret| settings.previous(secret.expose().as_bytes())))
}

/// The list of breached passwords that is configured, opened.
enum Breached {
    File(BreachedPasswordsFile),
    Range(BreachedPasswordsRange),
}

fn breached(config: &Config) -> Result<Option<(Breached, OnFailure)>, Failure> {
    let Some(settings) = &config.breached else { return Ok(None) };
    let list = match &settings.list {
        BreachedList::Range(range) => Breached::Range(range.clone()),
        BreachedList::File(path) => Breached::File(BreachedPasswordsFile::open(path).map_err(|error| {
            Failure::usage(format!("password.breached.file: {} cannot be used: {error}", path.display()))
        })?),
    };
    Ok(Some((list, settings.on_failure)))
}

impl BreachedPasswords for Breached {
    async fn contains(&self, password: &PasswordSha1) -> Result<bool, BreachedError> {
        match self {
            Self::File(list) => list.contains(password).await,
            Self::Range(list) => list.contains(password).await,
        }
    }
}

fn passwords(config: &Config) -> Result<PasswordPool, Failure> {
    let hashing = &config.hashing;
    let pool = PasswordPool::builder(hasher(config)).memory_budget(hashing.memory_budget);
    let pool = if hashing.concurrency == 0 { pool } else { pool.threads(hashing.concurrency) };
    pool.build().map_err(Failure::failed)
}

fn hasher(config: &Config) -> DefaultHasher {
    let hasher = DefaultHasher::new(config.argon2);
    if config.hashing.level_with_bcrypt { hasher.level_with_bcrypt(USUAL_BCRYPT_COST) } else { hasher }
}

/// What the libraries of the field used, among them that of FastAPI Users.
const USUAL_BCRYPT_COST: u32 = 12;

fn backend<P: UserProfile>(
    config: &Config,
    settings: &BackendSettings,
    store: impl AccessTokenDatabase<P> + RefreshTokenDatabase<P> + Clone,
    jwt: &SigningSecret,
) -> Result<AuthBackend<P>, Failure> {
    let idle = settings.idle_lifetime;
    let backend = match &settings.strategy {
        StrategySettings::Database { lifetime } => {
            let strategy = database_strategy(config, store.clone(), *lifetime);
            with_transport(settings, idle.into_iter().fold(strategy, DatabaseStrategy::idle_lifetime))
        }
        StrategySettings::Jwt { lifetime, audience, key } => {
            let strategy = jwt_strategy(config, jwt, *lifetime, audience, key)?;
            with_transport(settings, idle.into_iter().fold(strategy, JwtStrategy::idle_lifetime))
        }
        StrategySettings::Redis { lifetime } => {
            let strategy = redis_strategy(config, *lifetime)?;
            with_transport(settings, idle.into_iter().fold(strategy, RedisStrategy::idle_lifetime))
        }
    };
    Ok(match settings.refresh {
        Some(lifetime) => backend.refresh(RefreshTokens::new(store, lifetime)),
        None => backend,
    })
}

fn with_transport<P: UserProfile>(settings: &BackendSettings, strategy: impl Strategy<P>) -> AuthBackend<P> {
    let name = settings.name.as_str();
    match &settings.transport {
        TransportSettings::Bearer => {
            AuthBackend::new(name, BearerTransport::new(format!("auth/{name}/login")), strategy)
        }
        TransportSettings::Cookie(cookie) => AuthBackend::new(name, cookie_transport(cookie), strategy),
    }
}

fn cookie_transport(settings: &CookieSettings) -> CookieTransport {
    let mut cookie = CookieTransport::new()
        .name(&settings.name)
        .path(&settings.path)
        .danger_secure(settings.secure)
        .danger_http_only(settings.http_only)
        .same_site(match settings.same_site {
            SameSiteSetting::Lax => SameSite::Lax,
            SameSiteSetting::Strict => SameSite::Strict,
            SameSiteSetting::None => SameSite::None,
        });
    if let Some(max_age) = settings.max_age {
        cookie = cookie.max_age(max_age);
    }
    match &settings.domain {
        Some(domain) => cookie.domain(domain),
        None => cookie,
    }
}

fn database_strategy<P: UserProfile>(
    config: &Config,
    store: impl AccessTokenDatabase<P>,
    lifetime: Option<Duration>,
) -> DatabaseStrategy<P> {
    let strategy = match lifetime {
        Some(lifetime) => DatabaseStrategy::new(store, lifetime),
        None => DatabaseStrategy::danger_without_lifetime(store),
    };
    strategy.shared_with_fastapi_users(config.database.shared_with_fastapi_users)
}

fn redis_strategy(config: &Config, lifetime: Option<Duration>) -> Result<RedisStrategy, Failure> {
    // The configuration has it wherever a backend asks for it.
    let redis = config.redis.as_ref().ok_or_else(|| Failure::usage("redis.url is missing"))?;
    let strategy = match lifetime {
        Some(lifetime) => RedisStrategy::new(redis.client.clone(), lifetime),
        None => RedisStrategy::danger_without_lifetime(redis.client.clone()),
    };
    Ok(strategy.key_prefix(&redis.key_prefix).shared_with_fastapi_users(config.database.shared_with_fastapi_users))
}

fn jwt_strategy(
    config: &Config,
    signing: &SigningSecret,
    lifetime: Option<Duration>,
    audience: &[String],
    key: &JwtKeySettings,
) -> Result<JwtStrategy, Failure> {
    let keys = match key {
        // The configuration has judged these secrets already, and let weak ones through only where that was asked for.
        JwtKeySettings::Secret(algorithm) => {
            let key =
                |secret: &Secret| JwtKey::from_secret(*algorithm, secret.expose().as_bytes()).map_err(Failure::usage);
            let mut keys = JwtKeys::new(key(&signing.secret)?);
            for previous in &signing.previous {
                keys = keys.previous(key(previous)?);
            }
            keys
        }
        JwtKeySettings::Files { algorithm, private, public } => {
            let read = |path: &Path| {
                let problem = |error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
                fs::read(path).map(Zeroizing::new).map_err(problem)
            };
            let key = JwtKey::from_pem(*algorithm, &read(private)?, &read(public)?);
            let problem = |error| Failure::usage(format!("{}, {}: {error}", private.display(), public.display()));
            JwtKeys::new(key.map_err(problem)?)
        }
    };
    let strategy = JwtStrategy::danger_weak_keys(keys, lifetime.unwrap_or_default()).map_err(Failure::usage)?;
    let strategy = strategy.audience(audience);
    let strategy = if config.strict { strategy.explicit_type() } else { strategy };
    Ok(if lifetime.is_none() { strategy.danger_without_lifetime() } else { strategy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sources;

    #[test]
    fn se_08_the_ends_of_sessions_reach_every_strategy() {
        let sources = Sources::folder("/nowhere").variable("AXUM_USERS__AUTH__BACKENDS", "jwt,database,redis");
        let sources = ["jwt", "database", "redis"].iter().fold(sources, |sources, name| {
            let key = |setting: &str| format!("AXUM_USERS__AUTH__BACKEND__{}__{setting}", name.to_uppercase());
            sources
                .variable(&key("TRANSPORT"), "bearer")
                .variable(&key("STRATEGY"), name)
                .variable(&key("IDLE_LIFETIME_SECONDS"), "900")
                .variable(&key("REFRESH"), "true")
                .variable(&key("REFRESH_LIFETIME_SECONDS"), "7200")
        });
        let config = Config::load(&sources).unwrap();
        let users = users::<uuid::Uuid, _>(&config, MemoryStore::new(), &Secrets::unused(), None).unwrap();
        assert_eq!(users.backends().len(), 3);
        for backend in users.backends() {
            assert_eq!(backend.strategy().idle_lifetime(), Some(Duration::from_secs(900)), "{}", backend.name());
            let refresh = backend.refresh_tokens().unwrap();
            assert_eq!(refresh.lifetime(), Duration::from_secs(7200), "{}", backend.name());
        }
    }

    #[test]
    fn en_02_wrong_answers_take_as_long_as_bcrypt_where_it_may_be() {
        let levelled = |variables: &[(&str, &str)]| {
            let named = |sources: Sources, (name, value): &(&str, &str)| sources.variable(name, value);
            let sources = variables.iter().fold(Sources::folder("/nowhere"), named);
            let hasher = format!("{:?}", hasher(&Config::load(&sources).unwrap()));
            let bcrypt = hasher.contains("bcrypt: Some(12)");
            assert!(bcrypt || hasher.contains("bcrypt: None"), "{hasher}");
            bcrypt
        };
        let switch = |value| ("AXUM_USERS__HASHING__LEVEL_WITH_BCRYPT", value);
        let (strict, adopt) = (("AXUM_USERS__PROFILE", "strict"), ("AXUM_USERS__DATABASE__ADOPT", "true"));
        let shared = ("AXUM_USERS__DATABASE__SHARED_WITH_FASTAPI_USERS", "true");
        assert!(!levelled(&[]));
        for usual in [strict, adopt, shared, switch("true")] {
            assert!(levelled(&[usual]), "{usual:?}");
        }
        assert!(!levelled(&[strict, adopt, switch("false")]));
    }
}
