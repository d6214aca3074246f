//! What a URL says.

use std::{fs, io, path::PathBuf};

use redis::{ConnectionInfo, IntoConnectionInfo, TlsCertificates, io::tcp::TcpSettings};

/// Why a client cannot be made. Never repeats the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The URL is not one of those that [`RedisClient`](crate::RedisClient) lists.
    #[error("the URL of Redis is wrong: {0}")]
    Url(&'static str),
    /// The file of authorities cannot be read.
    #[error("cannot read {path}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no certificate in the file of authorities, or one that cannot be read.
    #[error("{path} holds no certificates in the format PEM")]
    Ca {
        /// The file.
        path: PathBuf,
    },
    /// Authorities are named, but the URL asks for no TLS.
    #[error("certificates are of no use without TLS: write `rediss` instead of `redis` in the URL")]
    CaWithoutTls,
    /// A login of sentinels, but the URL names none.
    #[error(
        "a login of sentinels is of no use without them: the URL does not begin with `redis+sentinel` or `rediss+sentinel`"
    )]
    LoginWithoutSentinels,
}

/// A URL that was read.
pub(super) struct ParsedUrl {
    pub(super) shape: Shape,
    pub(super) hosts: Vec<String>,
    pub(super) encrypted: bool,
}

/// Whom to connect to, and how.
pub(super) enum Shape {
    Single(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel {
        /// With the master's login and database.
        sentinels: Vec<ConnectionInfo>,
        master: String,
    },
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

pub(super) fn parse(url: &str) -> Result<ParsedUrl, RedisConfigError> {
    let (scheme, rest) = url.split_once("://").ok_or(RedisConfigError::Url("it has no scheme"))?;
    let scheme = scheme.to_ascii_lowercase();
    let (protocol, shape) = scheme.split_once('+').unwrap_or((&scheme, ""));
    let (base, encrypted) = match (protocol, shape) {
        ("unix", "") | ("redis" | "valkey", "unix") => return parse_socket(rest),
        ("redis" | "valkey", _) => ("redis", false),
        ("rediss" | "valkeys", _) => ("rediss", true),
        _ => return Err(RedisConfigError::Url(SCHEMES)),
    };
    // The driver would take `#insecure` for leave to believe every certificate.
    if rest.contains(['?', '#']) {
        return Err(RedisConfigError::Url(
            "it takes no parameters; `?` and `#` in a password are written `%3F` and `%23`",
        ));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
    let path = path.trim_end_matches('/');
    let at = |db: &str, default_port: u16| {
        hosts
            .split(',')
            .map(|host| server(base, login, &with_port(host, default_port), db))
            .collect::<Result<Vec<_>, _>>()
    };
    let shape = match shape {
        "" if hosts.contains(',') => return Err(RedisConfigError::Url("several hosts need `+cluster` or `+sentinel`")),
        "" => Shape::Single(server(base, login, &with_port(hosts, PORT), path)?),
        "cluster" if !matches!(path, "" | "0") => {
            return Err(RedisConfigError::Url("a cluster has no numbered databases"));
        }
        "cluster" => Shape::Cluster(at("0", PORT)?),
        "sentinel" => {
            let (master, db) = path.split_once('/').unwrap_or((path, "0"));
            if master.is_empty() {
                return Err(RedisConfigError::Url("the name of the master is missing: `…/<name>`"));
            }
            Shape::Sentinel { sentinels: at(db, SENTINEL_PORT)?, master: master.into() }
        }
        _ => return Err(RedisConfigError::Url(SCHEMES)),
    };
    let hosts = hosts.split(',').map(|host| without_port(host).to_owned()).collect();
    Ok(ParsedUrl { shape, hosts, encrypted })
}

const SCHEMES: &str =
    "it begins with `redis`, `rediss` (TLS), either with `+cluster` or `+sentinel`, or with `unix`, and then `://`";

fn parse_socket(rest: &str) -> Result<ParsedUrl, RedisConfigError> {
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let known = |pair: &str| ["db=", "user=", "pass="].iter().any(|name| pair.starts_with(name));
    if rest.contains('#') || !query.split('&').all(|pair| pair.is_empty() || known(pair)) {
        return Err(RedisConfigError::Url("a socket takes no parameters but `db`, `user` and `pass`"));
    }
    let info = info(&format!("unix://{rest}"))?;
    Ok(ParsedUrl { shape: Shape::Single(info), hosts: Vec::new(), encrypted: false })
}

fn server(base: &str, login: &str, host: &str, db: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let at = if login.is_empty() { "" } else { "@" };
    info(&format!("{base}://{login}{at}{host}/{db}"))
}

fn info(url: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let info = url
        .into_connection_info()
        .map_err(|_| RedisConfigError::Url("its user, host, port or database is not right"))?;
    // What it writes is whole commands, nothing to wait with for more.
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn with_port(host: &str, default: u16) -> String {
    if without_port(host).len() == host.len() { format!("{host}:{default}") } else { host.to_owned() }
}

/// An address of version 6 is in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((before, port)) if !port.ends_with(']') => before,
        _ => host,
    }
}

/// The authorities in this file, in the shape that the driver takes.
pub(super) fn read_authority(url: &ParsedUrl, path: PathBuf) -> Result<TlsCertificates, RedisConfigError> {
    if !url.encrypted {
        return Err(RedisConfigError::CaWithoutTls);
    }
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(RedisConfigError::CaFile { path, source }),
    };
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
    // The driver takes an empty list without a word.
    let readable = redis::Client::build_with_tls("rediss://localhost", certificates.clone()).is_ok();
    if !readable || !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(RedisConfigError::Ca { path });
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    #[test]
    fn each_shape_is_read() {
        let single = parse("redis://me:p%40w@db.example:7000/3").unwrap();
        let Shape::Single(info) = single.shape else { panic!() };
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("db.example".into(), 7000));
        let login = info.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("me"), Some("p@w"), 3));
        assert_eq!((single.hosts, single.encrypted), (vec!["db.example".to_owned()], false));

        let cluster = parse("rediss+cluster://:pw@a:1,b,[::1]:3").unwrap();
        let Shape::Cluster(nodes) = cluster.shape else { panic!() };
        let addresses: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(addresses, ["a:1", "b:6379", "::1:3"]);
        assert!(nodes.iter().all(|node| matches!(node.addr(), ConnectionAddr::TcpTls { insecure: false, .. })));
        assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("pw")));
        assert_eq!((cluster.hosts.join(" "), cluster.encrypted), ("a b [::1]".to_owned(), true));

        let watched = parse("redis+sentinel://me:pw@a,b:2/mymaster/5").unwrap();
        let Shape::Sentinel { sentinels, master } = watched.shape else { panic!() };
        let addresses: Vec<String> = sentinels.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!((addresses.join(" "), master.as_str()), ("a:26379 b:2".to_owned(), "mymaster"));
        assert_eq!(sentinels[0].redis_settings().db(), 5);

        let socket = parse("unix:///run/redis.sock?db=2").unwrap();
        let Shape::Single(info) = socket.shape else { panic!() };
        assert_eq!(info.addr(), &ConnectionAddr::Unix("/run/redis.sock".into()));
        assert!(socket.hosts.is_empty());
        assert!(parse("valkeys+sentinel://a/m").unwrap().encrypted);
    }

    #[test]
    fn cr_07_no_url_turns_verification_off() {
        for url in ["rediss://h/#insecure", "rediss+cluster://h/#insecure", "rediss+sentinel://h/m#insecure"] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn cr_05_a_wrong_url_is_not_repeated() {
        for url in [
            "canary",
            "http://:canary@h",
            "redis://:canary@",
            "redis://:canary@h:port",
            "redis://:canary@h/db",
            "redis://:canary?@h",
            "redis://:can/ary@h",
            "redis://:canary@h,g",
            "redis+cluster://:canary@h/1",
            "redis+cluster://:canary@h,",
            "redis+sentinel://:canary@h",
            "redis+canary://h",
            "unix:///s?pass=canary&canary=1",
            "unix:///s?pass=canary&db=x",
        ] {
            let error = parse(url).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("can"), "{url}: {error}");
        }
    }
}
