//! `[auth.backend.<name>]`.

use std::{path::PathBuf, time::Duration};

use axum_users::jwt::JwtAlgorithm;

use super::{
    Profile,
    database::DatabaseSettings,
    keys::{Keys, Setting as _, words},
    server::PublicUrl,
};

/// One backend.
#[derive(Debug)]
pub(crate) struct BackendSettings {
    pub(crate) name: String,
    pub(crate) transport: TransportSettings,
    pub(crate) strategy: StrategySettings,
    /// After how long without use a session ends; `None`: it does not.
    pub(crate) idle_lifetime: Option<Duration>,
    /// How long a session can be refreshed; `None`: there are no refresh tokens.
    pub(crate) refresh: Option<Duration>,
}

/// How its tokens travel.
#[derive(Debug)]
pub(crate) enum TransportSettings {
    Bearer,
    Cookie(CookieSettings),
}

/// A cookie.
#[derive(Debug)]
pub(crate) struct CookieSettings {
    pub(crate) name: String,
    /// `None`: until the browser is closed.
    pub(crate) max_age: Option<Duration>,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSiteSetting,
}

/// How its tokens stand for a user. A lifetime of `None` never ends.
#[derive(Debug)]
pub(crate) enum StrategySettings {
    Jwt { lifetime: Option<Duration>, audience: Vec<String>, key: JwtKeySettings },
    Database { lifetime: Option<Duration> },
    Redis { lifetime: Option<Duration> },
}

/// What signs.
#[derive(Debug)]
pub(crate) enum JwtKeySettings {
    /// `secrets.jwt`.
    Secret(JwtAlgorithm),
    /// A pair of PEM files.
    Files { algorithm: JwtAlgorithm, private: PathBuf, public: PathBuf },
}

words! {
    /// When a browser sends the cookie along with a request from another site.
    pub(crate) enum SameSiteSetting {
        /// Only when a link is followed.
        Lax = "lax",
        /// Never.
        Strict = "strict",
        /// Always.
        None = "none",
    }
}

words! {
    enum Transport {
        Bearer = "bearer",
        Cookie = "cookie",
    }
}

words! {
    enum Strategy {
        Jwt = "jwt",
        Database = "database",
        Redis = "redis",
    }
}

/// The backends that `auth.backends` names, in its order.
pub(super) fn read_backends(
    keys: &mut Keys,
    profile: Profile,
    public_url: &PublicUrl,
    database: &DatabaseSettings,
    warnings: &mut Vec<String>,
) -> Vec<BackendSettings> {
    let names = keys.get("auth.backends", vec!["jwt".to_owned(), "cookie".to_owned()]);
    if names.is_empty() {
        keys.wrong("auth.backends", "one backend at least, or nobody could log in");
    }
    let mut context = Context { keys, profile, public_url, database, warnings };
    let mut backends: Vec<BackendSettings> = Vec::new();
    for name in &names {
        if !is_path_segment(name) {
            context
                .keys
                .wrong("auth.backends", format!("{name:?} cannot be part of a path: letters, digits, - and _ can"));
        } else if backends.iter().any(|backend| backend.name == *name) {
            context.keys.wrong("auth.backends", format!("{name:?} is there twice"));
        } else {
            let backend = context.backend(name);
            backends.extend(backend);
        }
    }
    let stored = backends.iter().filter(|backend| !matches!(backend.strategy, StrategySettings::Jwt { .. }));
    let stored: Vec<&str> = stored.map(|backend| backend.name.as_str()).collect();
    if database.shared_with_fastapi_users && !stored.is_empty() {
        context.warnings.push(format!(
            "database.shared_with_fastapi_users: tokens of {} are stored as they are issued, and whoever reads the store can \
             use them",
            stored.join(", ")
        ));
    }
    for unused in context.keys.names_below("auth.backend.") {
        if !names.contains(&unused) {
            // Its values are checked all the same; nothing of it counts.
            let _ = context.backend(&unused);
            context.warnings.push(format!("auth.backend.{unused} is not in auth.backends and has no effect"));
        }
    }
    backends
}

struct Context<'a> {
    keys: &'a mut Keys,
    profile: Profile,
    public_url: &'a PublicUrl,
    database: &'a DatabaseSettings,
    warnings: &'a mut Vec<String>,
}

impl Context<'_> {
    fn backend(&mut self, name: &str) -> Option<BackendSettings> {
        let prefix = format!("auth.backend.{name}");
        self.keys.empty_table(&prefix);
        let key = |setting: &str| format!("{prefix}.{setting}");
        let (transport, strategy) = match name {
            "jwt" => (Some(Transport::Bearer), Some(Strategy::Jwt)),
            "cookie" => (Some(Transport::Cookie), Some(Strategy::Database)),
            _ => (None, None),
        };
        let transport = self.of_kind(&key("transport"), transport);
        let strategy = self.of_kind(&key("strategy"), strategy);
        let strategy = match strategy? {
            Strategy::Jwt => {
                let usual = if self.profile == Profile::Strict { 900 } else { 3600 };
                let lifetime = self.lifetime(&key("lifetime_seconds"), usual);
                let audience = self.keys.get(&key("audience"), vec!["fastapi-users:auth".to_owned()]);
                StrategySettings::Jwt { lifetime, audience, key: self.jwt_key(&prefix) }
            }
            Strategy::Database => {
                StrategySettings::Database { lifetime: self.lifetime(&key("lifetime_seconds"), 3600) }
            }
            Strategy::Redis => StrategySettings::Redis { lifetime: self.lifetime(&key("lifetime_seconds"), 3600) },
        };
        let transport = match transport? {
            Transport::Bearer => TransportSettings::Bearer,
            Transport::Cookie => TransportSettings::Cookie(self.cookie(&prefix, strategy.lifetime())),
        };
        let refresh = match transport {
            TransportSettings::Bearer => self.refresh(&prefix, &strategy),
            TransportSettings::Cookie(_) => self.no_refresh(&prefix),
        };
        let idle_lifetime = self.idle_lifetime(&key("idle_lifetime_seconds"), refresh.or(strategy.lifetime()));
        Some(BackendSettings { name: name.into(), transport, strategy, idle_lifetime, refresh })
    }

    fn of_kind<T: super::keys::Setting>(&mut self, key: &str, usual: Option<T>) -> Option<T> {
        match usual {
            Some(usual) => Some(self.keys.get(key, usual)),
            None => {
                let found = self.keys.optional::<T>(key);
                if found.is_none() {
                    self.keys.problem(format!("{key} should be {}: a backend of this name has no default", T::WHAT));
                }
                found
            }
        }
    }

    /// 0 is no end, which compat warns of and strict refuses.
    fn lifetime(&mut self, key: &str, usual: u64) -> Option<Duration> {
        let seconds = self.keys.get(key, usual);
        if seconds == 0 && self.profile == Profile::Strict {
            self.keys.wrong(key, "profile = \"strict\" refuses tokens that never expire");
        } else if seconds == 0 {
            self.warnings.push(format!("{key} = 0: these tokens never expire, a stolen one works for ever"));
        } else if seconds > MAX_LIFETIME {
            self.keys.wrong(key, format!("{MAX_LIFETIME} seconds at most"));
        }
        (seconds != 0).then(|| Duration::from_secs(seconds))
    }

    fn refresh(&mut self, prefix: &str, strategy: &StrategySettings) -> Option<Duration> {
        let key = format!("{prefix}.refresh_lifetime_seconds");
        if !self.keys.get(&format!("{prefix}.refresh"), false) {
            if self.keys.optional::<u64>(&key).is_some() {
                self.keys.wrong(&key, format!("it needs {prefix}.refresh = true"));
            }
            return None;
        }
        if matches!(strategy, StrategySettings::Redis { .. }) && self.database.shared_with_fastapi_users {
            let what = "tokens in Redis that FastAPI Users can read cannot name the session that is refreshed";
            self.keys.wrong(&format!("{prefix}.refresh"), what);
        }
        let seconds = self.keys.get(&key, 14 * DAY);
        match strategy.lifetime() {
            _ if seconds == 0 => self.keys.wrong(&key, "a session that can be refreshed needs an end"),
            _ if seconds > MAX_LIFETIME => self.keys.wrong(&key, format!("{MAX_LIFETIME} seconds at most")),
            None => self.keys.wrong(&key, format!("with {prefix}.lifetime_seconds = 0 there is nothing to refresh")),
            Some(lifetime) if seconds <= lifetime.as_secs() => {
                self.keys.wrong(&key, format!("it should be longer than {prefix}.lifetime_seconds"));
            }
            Some(_) => {}
        }
        Some(Duration::from_secs(seconds))
    }

    fn no_refresh(&mut self, prefix: &str) -> Option<Duration> {
        let key = format!("{prefix}.refresh");
        let wanted = self.keys.optional(&key).unwrap_or(false);
        let lifetime_key = format!("{prefix}.refresh_lifetime_seconds");
        let lifetime = self.keys.optional::<u64>(&lifetime_key);
        if wanted || lifetime.is_some() {
            let what =
                "a cookie carries no refresh token: give it a longer lifetime_seconds and an idle_lifetime_seconds";
            self.keys.wrong(if wanted { &key } else { &lifetime_key }, what);
        }
        None
    }

    /// 0 is none. Where a session lives for longer than a day, compat warns of that and strict refuses it.
    fn idle_lifetime(&mut self, key: &str, session: Option<Duration>) -> Option<Duration> {
        let session = session.map(|lifetime| lifetime.as_secs());
        let is_long = session.is_none_or(|session| session > DAY);
        let strict = self.profile == Profile::Strict;
        let seconds = self.keys.get(key, if strict && is_long { DAY } else { 0 });
        match (seconds, session) {
            (0, _) if is_long && strict => {
                self.keys.wrong(key, "profile = \"strict\" refuses sessions that live for more than a day unused");
            }
            // Without any end there is a warning already.
            (0, Some(session)) if is_long => {
                self.warnings.push(format!("{key} = 0: a session lives for {session} seconds, used or not"));
            }
            (0, _) => {}
            (1..LEAST_IDLE, _) => {
                self.keys.wrong(key, format!("{LEAST_IDLE} seconds at least: use is noted once a minute"));
            }
            (_, Some(session)) if seconds > session => {
                self.keys.wrong(key, format!("a session of this backend is over after {session} seconds anyway"));
            }
            _ if seconds > MAX_LIFETIME => self.keys.wrong(key, format!("{MAX_LIFETIME} seconds at most")),
            _ => {}
        }
        (seconds != 0).then(|| Duration::from_secs(seconds))
    }

    fn jwt_key(&mut self, prefix: &str) -> JwtKeySettings {
        let algorithm_key = format!("{prefix}.algorithm");
        let algorithm = self.keys.get(&algorithm_key, JwtAlgorithm::Hs256);
        let private = self.keys.optional::<String>(&format!("{prefix}.private_key_file"));
        let public = self.keys.optional::<String>(&format!("{prefix}.public_key_file"));
        match (algorithm.is_symmetric(), private, public) {
            (true, None, None) => JwtKeySettings::Secret(algorithm),
            (false, Some(private), Some(public)) => {
                JwtKeySettings::Files { algorithm, private: private.into(), public: public.into() }
            }
            _ => {
                let what = "HS256, HS384 and HS512 sign with secrets.jwt; all others need private_key_file and public_key_file";
                self.keys.wrong(&algorithm_key, what);
                JwtKeySettings::Secret(algorithm)
            }
        }
    }

    fn cookie(&mut self, prefix: &str, lifetime: Option<Duration>) -> CookieSettings {
        let key = |setting: &str| format!("{prefix}.cookie_{setting}");
        let strict = self.profile == Profile::Strict;
        let usual = if strict { "__Host-fastapiusersauth" } else { "fastapiusersauth" };
        // Browsers keep Secure cookies of http://localhost, and want the mark on `__Host-`.
        let secure = strict || self.public_url.is_https || !self.public_url.is_loopback;
        let name = self.keys.get(&key("name"), usual.to_owned());
        let settings = CookieSettings {
            max_age: match self.keys.get(&key("max_age_seconds"), lifetime.map_or(0, |lifetime| lifetime.as_secs())) {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            },
            path: self.keys.get(&key("path"), "/".to_owned()),
            domain: self.keys.optional(&key("domain")),
            secure: self.keys.get(&key("secure"), secure),
            http_only: self.keys.get(&key("http_only"), true),
            same_site: self.keys.get(&key("same_site"), SameSiteSetting::Lax),
            name,
        };
        if !self.public_url.is_loopback {
            for (key, holds) in [(key("secure"), settings.secure), (key("http_only"), settings.http_only)] {
                if !holds {
                    self.keys.wrong(&key, "false is for development: public_url is not on this machine");
                }
            }
            if !self.public_url.is_https {
                let what = "public_url is http, so browsers will not send this Secure cookie back";
                self.warnings.push(format!("{}: {what}", key("secure")));
            }
        }
        // RFC 6265bis section 4.1.3.2.
        let host_only = settings.secure && settings.path == "/" && settings.domain.is_none();
        if settings.name.starts_with("__Host-") && !host_only {
            let what = "a browser keeps a __Host- cookie only with cookie_secure = true, cookie_path = \"/\" and no cookie_domain";
            self.keys.wrong(&key("name"), what);
        } else if settings.name.starts_with("__Secure-") && !settings.secure {
            self.keys.wrong(&key("name"), "a browser keeps a __Secure- cookie only with cookie_secure = true");
        }
        if settings.same_site == SameSiteSetting::None && !settings.secure {
            self.keys.wrong(&key("same_site"), format!("{} needs cookie_secure = true", settings.same_site.show()));
        }
        settings
    }
}

impl StrategySettings {
    fn lifetime(&self) -> Option<Duration> {
        match self {
            Self::Jwt { lifetime, .. } | Self::Database { lifetime } | Self::Redis { lifetime } => *lifetime,
        }
    }
}

const DAY: u64 = 86_400;

/// Twice as long as the use of a session may go unnoted.
const LEAST_IDLE: u64 = 120;

/// Ten years: what is longer is a mistake, and dates must stay dates.
const MAX_LIFETIME: u64 = 315_360_000;

fn is_path_segment(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && name != "register"
}
