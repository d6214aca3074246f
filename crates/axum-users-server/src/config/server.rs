//! `public_url` and `[server]`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tracing_subscriber::EnvFilter;
use url::{Host, Url};

use super::keys::{Keys, words};

/// `[server]`.
#[derive(Debug)]
pub(crate) struct ServerSettings {
    pub(crate) public_url: PublicUrl,
    pub(crate) listen: SocketAddr,
    pub(crate) trusted_proxies: usize,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) request_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) body_limit: usize,
    pub(crate) max_connections: usize,
    /// 0: no limit.
    pub(crate) max_connections_per_address: usize,
    pub(crate) docs: bool,
    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: String,
}

words! {
    /// How the log is written.
    pub(crate) enum LogFormat {
        /// For people.
        Text = "text",
        /// One object a line.
        Json = "json",
    }
}

/// Where people reach the server.
#[derive(Clone, Debug)]
pub(crate) struct PublicUrl {
    /// All of it, without a slash at the end.
    pub(crate) url: String,
    /// Scheme, host and port, as browsers send it; `None` while it follows from the address that is listened on.
    pub(crate) origin: Option<String>,
    pub(crate) is_https: bool,
    pub(crate) is_loopback: bool,
}

impl ServerSettings {
    pub(super) fn read(keys: &mut Keys, warnings: &mut Vec<String>) -> Self {
        let listen = keys.get("server.listen", SocketAddr::from(([127, 0, 0, 1], 8000)));
        let public_url = PublicUrl::read(keys, listen);
        if !keys.is_set("public_url") && !listen.ip().is_loopback() {
            keys.wrong(
                "server.listen",
                "other machines can reach this address: set public_url to where people reach the server, \
                 for instance https://users.example.com",
            );
        }
        if !public_url.is_https && !public_url.is_loopback {
            warnings.push("public_url is not https: passwords and tokens travel in the clear".into());
        }
        let settings = Self {
            public_url,
            listen,
            trusted_proxies: keys.get("server.trusted_proxies", 0),
            allowed_origins: keys.get("server.allowed_origins", Vec::new()),
            request_timeout: seconds(keys, "server.request_timeout_seconds", 30),
            header_timeout: seconds(keys, "server.header_timeout_seconds", 10),
            stop_timeout: seconds(keys, "server.stop_timeout_seconds", 20),
            body_limit: keys.get("server.body_limit_bytes", 64 << 10),
            max_connections: keys.get("server.max_connections", 1024),
            max_connections_per_address: keys.get("server.max_connections_per_address", 256),
            docs: keys.get("server.docs", true),
            log_format: keys.get("server.log_format", LogFormat::Text),
            log_filter: keys.get("server.log_filter", "info".to_owned()),
        };
        if settings.body_limit == 0 || settings.body_limit > (16 << 20) {
            keys.wrong("server.body_limit_bytes", "between 1 and 16777216");
        }
        if settings.max_connections == 0 || settings.max_connections > (1 << 20) {
            keys.wrong("server.max_connections", "between 1 and 1048576");
        }
        if EnvFilter::try_new(&settings.log_filter).is_err() {
            keys.wrong("server.log_filter", "a level (error, warn, info, debug, trace), or several as target=level,…");
        }
        if !settings.allowed_origins.iter().all(|origin| is_origin(origin)) {
            keys.wrong(
                "server.allowed_origins",
                "each is a scheme and a host, such as https://app.example.com, no more",
            );
        }
        settings
    }
}

impl PublicUrl {
    fn read(keys: &mut Keys, listen: SocketAddr) -> Self {
        let of_listen = Self {
            url: format!("http://{listen}"),
            origin: None,
            is_https: false,
            is_loopback: listen.ip().is_loopback(),
        };
        let Some(text) = keys.optional::<String>("public_url") else { return of_listen };
        let parsed = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let Some(url) = parsed else {
            keys.wrong("public_url", "should be a URL such as https://users.example.com");
            return of_listen;
        };
        Self {
            url: text.trim_end_matches('/').to_owned(),
            origin: Some(url.origin().ascii_serialization()),
            is_https: url.scheme() == "https",
            is_loopback: is_loopback(&url),
        }
    }
}

/// Whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// RFC 6761 section 6.3.
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether an address, in text, is of this machine.
pub(super) fn is_loopback_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}

/// A time that is not zero.
fn seconds(keys: &mut Keys, key: &str, default: u64) -> Duration {
    let seconds = keys.get(key, default);
    if seconds == 0 || seconds > 86_400 {
        keys.wrong(key, "between 1 and 86400 seconds");
    }
    Duration::from_secs(seconds)
}
