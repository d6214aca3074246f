//! `[redis]`.

use axum_users::{RedisClient, RedisConfigError, error_chain};

use super::{
    keys::Keys,
    server::{is_local_name, is_loopback_address},
};

/// `[redis]`.
#[derive(Debug)]
pub(crate) struct RedisSettings {
    pub(crate) client: RedisClient,
    pub(crate) key_prefix: String,
}

impl RedisSettings {
    /// `None` when no backend asks for it, or when it cannot be used.
    pub(super) fn read(keys: &mut Keys, is_used: bool, warnings: &mut Vec<String>) -> Option<Self> {
        const URL: &str = "redis.url";
        let url = keys.text_shown(URL, LOCAL, without_login);
        let ca_file = keys.optional::<String>("redis.ca_file");
        let sentinel_user = keys.optional::<String>("redis.sentinel_user");
        let sentinel_password = keys.secret("redis.sentinel_password");
        let danger_plaintext = keys.get("redis.danger_plaintext", false);
        let key_prefix = keys.get("redis.key_prefix", "fastapi_users_token:".to_owned());
        if sentinel_user.is_some() && sentinel_password.is_none() {
            keys.wrong("redis.sentinel_user", "redis.sentinel_password is missing");
        }

        let mut builder = RedisClient::builder(&url);
        if let Some(path) = ca_file {
            builder = builder.ca_file(path);
        }
        if let Some(password) = &sentinel_password {
            builder = builder.sentinel_login(sentinel_user.as_deref(), password.expose());
        }
        let client = match builder.build() {
            Ok(client) => client,
            Err(error) => {
                let key = match error {
                    RedisConfigError::CaFile { .. } | RedisConfigError::Ca { .. } | RedisConfigError::CaWithoutTls => {
                        "redis.ca_file"
                    }
                    RedisConfigError::LoginWithoutSentinels => "redis.sentinel_password",
                    _ => URL,
                };
                keys.wrong(key, error_chain(&error));
                return None;
            }
        };
        if !client.is_encrypted() && !client.hosts().all(is_here) {
            if danger_plaintext {
                warnings.push(format!("{URL} sends tokens unencrypted over the network"));
            } else {
                keys.wrong(
                    URL,
                    "Redis is on another machine, and the connection is not encrypted: write rediss instead of redis, or \
                     set redis.danger_plaintext = true where the network itself is safe",
                );
            }
        }
        if !is_used && url != LOCAL {
            warnings.push("redis.url has no effect: no backend has strategy = \"redis\"".into());
        }
        is_used.then_some(Self { client, key_prefix })
    }
}

const LOCAL: &str = "redis://127.0.0.1:6379";

/// A URL that may be seen, of those that can be used.
fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("…", ""));
    // Parameters are of a socket only, whose password is one of them.
    let rest = rest.split('?').next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, hosts)| format!("…@{hosts}"));
    format!("{scheme}://{rest}")
}

fn is_here(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_local_name(host) || is_loopback_address(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr_05_no_password_of_a_url_is_shown() {
        for (url, shown) in [
            ("redis://me:canary@redis:6379/1", "redis://…@redis:6379/1"),
            ("rediss+cluster://:can@ry@a:1,b:2", "rediss+cluster://…@a:1,b:2"),
            ("redis+sentinel://:can%2Fary@a,b/main/1", "redis+sentinel://…@a,b/main/1"),
            ("unix:///run/redis.sock?pass=canary", "unix:///run/redis.sock"),
            ("unix:///run/redis.sock?pass=can@ry", "unix:///run/redis.sock"),
            ("redis://localhost", "redis://localhost"),
            ("canary", "…://"),
        ] {
            assert_eq!(without_login(url), shown);
        }
    }

    #[test]
    fn cr_07_this_machine_is_recognised() {
        for host in ["localhost", "redis.localhost.", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(is_here(host), "{host}");
        }
        for host in
            ["redis", "localhost.camelot.bt", "10.0.0.1", "[2001:db8::1]", "0.0.0.0", "", "127.0.0.1.camelot.bt"]
        {
            assert!(!is_here(host), "{host}");
        }
    }
}
