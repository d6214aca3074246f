//! `database.url` of MongoDB, which names several servers: `mongodb://user:password@a:27017,b:27017/app?tls=true`.

use super::{is_loopback_address, shown_query, unencrypted, warn_of_command_line};
use crate::config::{keys::Keys, server::is_local_name};

/// The parts of a URL.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    has_password: bool,
    hosts: &'a str,
    database: &'a str,
    query: &'a str,
}

/// What is not understood is no URL.
fn parts(url: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Reserved characters of name and password are escaped, so that neither holds these.
    let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    let user = login.map(|login| login.split(':').next().unwrap_or_default());
    let has_password = login.is_some_and(|login| login.contains(':'));
    let odd = |text: &str| text.contains(['/', '@', '?', '#']);
    if hosts.is_empty() || odd(hosts) || odd(database) || user.is_some_and(odd) {
        return None;
    }
    Some(Parts { scheme, user, has_password, hosts, database, query })
}

/// The last value of an option, in lower case; names are in any case.
fn option(query: &str, names: &[&str]) -> Option<String> {
    let mut pairs = query.rsplit('&').filter_map(|pair| pair.split_once('='));
    let named = pairs.find(|(name, _)| names.iter().any(|it| it.eq_ignore_ascii_case(name)));
    named.map(|(_, value)| value.to_ascii_lowercase())
}

/// A connection that leaves this machine is encrypted, unless somebody says that it need not be.
pub(super) fn check(keys: &mut Keys, key: &str, url: &str, danger_plaintext: bool, warnings: &mut Vec<String>) {
    let Some(parts) = parts(url) else { return keys.wrong(key, "this is not a URL") };
    if parts.database.is_empty() {
        return keys.wrong(key, "the URL names no database: mongodb://host/app");
    }
    let is_on = |names: &[&str]| option(parts.query, names).as_deref() == Some("true");
    let is_srv = parts.scheme == "mongodb+srv";
    let encrypts = option(parts.query, &["tls", "ssl"]).map_or(is_srv, |value| value == "true");
    let verifies = !is_on(&["tlsInsecure"]) && !is_on(&["tlsAllowInvalidCertificates"]);
    match (is_local(&parts), encrypts, verifies) {
        (true, ..) | (false, true, true) => {}
        (false, true, false) => warnings.push(format!(
            "{key} asks for encryption and does not check whose server it is: leave out tlsInsecure and \
             tlsAllowInvalidCertificates"
        )),
        (false, false, _) if danger_plaintext => {
            warnings.push(format!("{key} may send passwords and users unencrypted over the network"));
        }
        (false, false, _) => keys.wrong(key, unencrypted("tls=true")),
    }
    warn_of_command_line(keys, key, parts.has_password, warnings);
}

/// This machine, or a socket on it, and no other beside.
fn is_local(parts: &Parts<'_>) -> bool {
    let host = |host: &str| {
        let name = match host.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name.to_ascii_lowercase().starts_with("%2f") || is_local_name(name) || is_loopback_address(name)
    };
    parts.scheme == "mongodb" && parts.hosts.split(',').all(host)
}

/// A URL that may be seen. What is not understood is not shown.
pub(super) fn without_password(url: &str) -> String {
    let Some(Parts { scheme, user, has_password, hosts, database, query }) = parts(url) else { return "…".into() };
    let user = user.map_or_else(String::new, |user| format!("{user}{}@", if has_password { ":…" } else { "" }));
    let query = if query.is_empty() { String::new() } else { shown_query(&secretive(query)) };
    format!("{scheme}://{user}{hosts}/{database}{query}")
}

/// Without what stands for a secret in an option.
fn secretive(query: &str) -> String {
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name.eq_ignore_ascii_case("authMechanismProperties") => format!("{name}=…"),
        _ => pair.to_owned(),
    };
    query.split('&').map(hidden).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr_05_no_password_of_a_url_is_shown() {
        for url in [
            "mongodb://me:canary@a,b:2/app",
            "mongodb://me:canary@[::1]:2/app?tls=true",
            "mongodb+srv://me:can/ary@a/app",
            "mongodb://me:x@can:canary@a/app?x=1",
            "mongodb://a/app?authMechanismProperties=AWS_SESSION_TOKEN:canary",
            "mongodb://a/app?tlsCertificateKeyFilePassword=canary",
            "mongodb:canary",
            "mongodb://a/app?canary",
        ] {
            let shown = without_password(url);
            assert!(!shown.contains("canary"), "{url}: {shown}");
        }
        assert_eq!(without_password("mongodb://me:pw@a:1,b/app?w=1"), "mongodb://me:…@a:1,b/app?w=1");
        assert_eq!(without_password("mongodb://a/app"), "mongodb://a/app");
    }

    #[test]
    fn cr_07_all_servers_must_be_this_machine() {
        let local = |url: &str| is_local(&parts(url).unwrap());
        for url in ["mongodb://localhost/a", "mongodb://127.0.0.1:1,[::1]:2/a", "mongodb://%2Ftmp%2Fm.sock/a"] {
            assert!(local(url), "{url}");
        }
        for url in ["mongodb://localhost,db/a", "mongodb://10.0.0.5/a", "mongodb+srv://localhost/a"] {
            assert!(!local(url), "{url}");
        }
    }
}
