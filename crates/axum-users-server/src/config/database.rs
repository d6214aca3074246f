//! `[database]`.

mod mongodb;

use std::time::Duration;

use axum_users::Secret;
use url::{Host, Url};

use super::{
    keys::{Keys, words},
    server::{is_local_name, is_loopback_address},
};

/// `[database]`.
#[derive(Debug)]
pub(crate) struct DatabaseSettings {
    /// May hold a password.
    pub(crate) url: Secret,
    /// Without it.
    pub(crate) shown: String,
    pub(crate) is_mongodb: bool,
    pub(crate) max_connections: u32,
    /// `None`: that of the store.
    pub(crate) time_limit: Option<Duration>,
    pub(crate) user_id: IdKind,
    pub(crate) user_table: String,
    pub(crate) access_token_table: String,
    /// `None`: that of the store.
    pub(crate) oauth_account_table: Option<String>,
    /// Ours, theirs.
    pub(crate) columns: Vec<(&'static str, String)>,
    pub(crate) migrate_on_start: bool,
    pub(crate) adopt: bool,
    pub(crate) shared_with_fastapi_users: bool,
}

words! {
    /// The type of a user's id.
    pub(crate) enum IdKind {
        /// Random, version 4.
        Uuid = "uuid",
        /// Counted by the database.
        Integer = "integer",
        /// Of MongoDB.
        ObjectId = "object_id",
    }
}

/// A call that takes longer is not one of ours.
const MAX_TIME_LIMIT: Duration = Duration::from_secs(3600);

/// The columns of a user that can have another name in an adopted table.
pub(super) const COLUMNS: [&str; 7] =
    ["id", "email", "hashed_password", "is_active", "is_superuser", "is_verified", "tokens_valid_after"];

impl DatabaseSettings {
    pub(super) fn read(keys: &mut Keys, warnings: &mut Vec<String>) -> Self {
        let url = keys.text_shown("database.url", "sqlite://axum-users.db", without_password);
        let danger_plaintext = keys.get("database.danger_plaintext", false);
        check_url(keys, &url, danger_plaintext, warnings);
        let is_mongodb = is_mongodb(&url);
        let settings = Self {
            shown: without_password(&url),
            is_mongodb,
            url: Secret::from(url),
            max_connections: keys.get("database.max_connections", 10),
            time_limit: keys.optional::<u64>("database.time_limit_seconds").map(Duration::from_secs),
            user_id: keys.get("database.user_id", if is_mongodb { IdKind::ObjectId } else { IdKind::Uuid }),
            user_table: keys.get("database.user_table", if is_mongodb { "User" } else { "user" }.to_owned()),
            access_token_table: keys
                .get("database.access_token_table", if is_mongodb { "AccessToken" } else { "accesstoken" }.to_owned()),
            oauth_account_table: keys.optional("database.oauth_account_table"),
            columns: COLUMNS
                .into_iter()
                .filter_map(|ours| Some((ours, keys.optional::<String>(&format!("database.columns.{ours}"))?)))
                .collect(),
            migrate_on_start: keys.get("database.migrate_on_start", true),
            adopt: keys.get("database.adopt", false),
            shared_with_fastapi_users: keys.get("database.shared_with_fastapi_users", false),
        };
        if settings.max_connections == 0 {
            keys.wrong("database.max_connections", "one connection at least");
        }
        if settings.time_limit.is_some_and(|limit| limit.is_zero() || limit > MAX_TIME_LIMIT) {
            keys.wrong("database.time_limit_seconds", "between 1 and 3600 seconds");
        }
        settings.check_engine(keys);
        let mut names = vec![&settings.user_table, &settings.access_token_table];
        names.extend(&settings.oauth_account_table);
        names.extend(settings.columns.iter().map(|(_, theirs)| theirs));
        if let Some(bad) = names.into_iter().find(|name| !is_name(name)) {
            keys.problem(format!("database: {bad:?} cannot be the name of a table or column"));
        }
        if settings.user_table == settings.access_token_table {
            keys.wrong("database.access_token_table", "this is the name of the user table");
        }
        if settings
            .oauth_account_table
            .iter()
            .any(|it| [&settings.user_table, &settings.access_token_table].contains(&it))
        {
            keys.wrong("database.oauth_account_table", "this is the name of another table");
        }
        settings
    }

    /// What one of the two kinds of databases does not have.
    fn check_engine(&self, keys: &mut Keys) {
        match (self.is_mongodb, self.user_id) {
            (false, IdKind::ObjectId) => keys.wrong("database.user_id", "object_id is of MongoDB"),
            (true, IdKind::Integer) => keys.wrong("database.user_id", "MongoDB counts no ids: object_id or uuid"),
            _ => {}
        }
        if self.is_mongodb && self.oauth_account_table.is_some() {
            keys.wrong("database.oauth_account_table", "MongoDB keeps linked accounts in their user");
        }
        if let (true, Some((column, _))) = (self.is_mongodb, self.columns.first()) {
            keys.wrong(&format!("database.columns.{column}"), "in MongoDB the fields of a user have their own names");
        }
    }

    /// The name of one of our columns in the user table.
    pub(super) fn column(&self, ours: &'static str) -> &str {
        self.columns.iter().find(|(it, _)| *it == ours).map_or(ours, |(_, theirs)| theirs)
    }
}

/// Names that every engine can keep and quote.
pub(super) fn is_name(name: &str) -> bool {
    (1..=48).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-$ ".contains(c))
}

/// A connection that leaves this machine is encrypted, unless somebody says that it need not be.
fn check_url(keys: &mut Keys, url: &str, danger_plaintext: bool, warnings: &mut Vec<String>) {
    const KEY: &str = "database.url";
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "sqlite" => return,
        "postgres" | "postgresql" | "mysql" | "mariadb" => {}
        "mongodb" | "mongodb+srv" => return mongodb::check(keys, KEY, url, danger_plaintext, warnings),
        _ => return keys.wrong(KEY, "a database URL begins with sqlite:, postgres:, mysql: or mongodb:"),
    }
    let Ok(parsed) = Url::parse(url) else { return keys.wrong(KEY, "this is not a URL") };
    if is_local(&parsed) {
        return;
    }
    match Tls::of(&parsed) {
        Tls::Verified => {}
        Tls::Unverified => warnings.push(format!(
            "{KEY} asks for encryption and does not check whose server it is: use {}",
            if scheme.starts_with("postgres") { "sslmode=verify-full" } else { "ssl-mode=VERIFY_IDENTITY" }
        )),
        Tls::No if danger_plaintext => {
            warnings.push(format!("{KEY} may send passwords and users unencrypted over the network"));
        }
        Tls::No => keys.wrong(
            KEY,
            unencrypted(if scheme.starts_with("postgres") {
                "sslmode=verify-full"
            } else {
                "ssl-mode=VERIFY_IDENTITY"
            }),
        ),
    }
    warn_of_command_line(keys, KEY, parsed.password().is_some(), warnings);
}

fn unencrypted(option: &str) -> String {
    format!(
        "the database is on another machine, and the connection need not be encrypted: add ?{option}, or set \
         database.danger_plaintext = true where the network itself is safe"
    )
}

fn warn_of_command_line(keys: &Keys, key: &str, has_password: bool, warnings: &mut Vec<String>) {
    if keys.origin(key).is_command_line() && has_password {
        warnings.push(
            "a password on the command line can be read by every user of this machine: use \
             AXUM_USERS__DATABASE__URL or AXUM_USERS__DATABASE__URL_FILE"
                .into(),
        );
    }
}

fn is_mongodb(url: &str) -> bool {
    url.starts_with("mongodb:") || url.starts_with("mongodb+srv:")
}

/// What the URL asks for.
enum Tls {
    No,
    Unverified,
    Verified,
}

impl Tls {
    fn of(url: &Url) -> Self {
        let modes = url.query_pairs().filter(|(name, _)| matches!(&**name, "sslmode" | "ssl-mode"));
        let mode = modes.last().map(|(_, value)| value.to_ascii_lowercase());
        match mode.as_deref() {
            Some("verify-full" | "verify-ca" | "verify_identity" | "verify_ca") => Self::Verified,
            Some("require" | "required") => Self::Unverified,
            _ => Self::No,
        }
    }
}

/// This machine, or a socket on it.
fn is_local(url: &Url) -> bool {
    let named =
        |host: &str| host.is_empty() || host.starts_with('/') || is_local_name(host) || is_loopback_address(host);
    // PostgreSQL and MySQL take the host from here, too.
    let by_query = url.query_pairs().filter(|(name, _)| matches!(&**name, "host" | "hostaddr" | "socket"));
    let mut by_query = by_query.map(|(_, value)| value.into_owned()).peekable();
    if by_query.peek().is_some() {
        return by_query.all(|host| named(&host));
    }
    match url.host() {
        None => true,
        // An escaped path of a socket.
        Some(Host::Domain(name)) => name.to_ascii_lowercase().starts_with("%2f") || named(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => std::net::IpAddr::V6(address).to_canonical().is_loopback(),
    }
}

/// A URL that may be seen. What is not understood is not shown.
fn without_password(url: &str) -> String {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme == "sqlite" {
        return url.into();
    }
    if is_mongodb(url) {
        return mongodb::without_password(url);
    }
    let Some(parsed) = Url::parse(url).ok().filter(|url| url.has_authority()) else { return "…".into() };
    let user = match (parsed.username(), parsed.password()) {
        ("", None) => String::new(),
        (user, None) => format!("{user}@"),
        (user, Some(_)) => format!("{user}:…@"),
    };
    let host = parsed.host_str().unwrap_or_default();
    let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
    let query = parsed.query().map_or_else(String::new, shown_query);
    format!("{scheme}://{user}{host}{port}{}{query}", parsed.path())
}

fn shown_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}=…"),
        Some(_) => pair.to_owned(),
        None => "…".to_owned(),
    });
    format!("?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr_05_no_password_of_a_url_is_shown() {
        for url in [
            "postgres://me:canary@db/app",
            "postgres://me:canary@db/app?sslmode=require",
            "postgres://me:a/b@canary@db/app",
            "mysql://me:x?canary@db/app",
            "postgres://db/app?user=me&password=canary",
            "postgres://db/app?sslpassword=canary&x=1",
            "canary",
            "postgres:canary",
            "postgres://db/app?password=can@canary",
            "postgres://db/app?canary",
        ] {
            assert!(!without_password(url).contains("canary"), "{url}: {}", without_password(url));
        }
        assert_eq!(without_password("postgres://me:pw@db:5432/app?a=b"), "postgres://me:…@db:5432/app?a=b");
        assert_eq!(without_password("postgres://db/app"), "postgres://db/app");
    }

    #[test]
    fn cr_07_this_machine_is_recognised() {
        let local = |url: &str| is_local(&Url::parse(url).unwrap());
        for url in [
            "postgres:///app",
            "postgres://localhost/app",
            "postgres://me:pw@127.0.0.1:5433/app",
            "postgres://[::1]/app",
            "postgres://%2Fvar%2Frun/app",
            "postgres:///app?host=/run/postgresql",
            "mysql://localhost/app?socket=/run/mysqld.sock",
        ] {
            assert!(local(url), "{url}");
        }
        for url in [
            "postgres://db/app",
            "postgres://localhost.example.com/app",
            "postgres://10.0.0.5/app",
            "postgres://localhost/app?host=db.example.com",
            "postgres://localhost/app?hostaddr=10.0.0.5",
            "mysql://[2001:db8::1]/app",
        ] {
            assert!(!local(url), "{url}");
        }
    }
}
