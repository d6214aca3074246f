//! One handle for every shape of Redis.

mod connect;
mod error;
mod link;
mod url;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use axum_users_core::DatabaseError;
use redis::{Pipeline, pipe};

use connect::Target;
use error::Failure;
use link::Link;

pub use url::RedisConfigError;

/// How long a call may take in all, if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Redis or Valkey: a single server, a cluster, or the master that sentinels watch. Cheap to clone.
///
/// | URL | what |
/// |---|---|
/// | `redis://[[user]:password@]host[:port][/db]` | one server; `rediss://` with TLS |
/// | `unix:///path[?db=…&user=…&pass=…]` | one server, through a socket |
/// | `redis+cluster://[[user]:password@]host[:port],host[:port]…` | a cluster, from some of its nodes; `rediss+cluster://` with TLS |
/// | `redis+sentinel://[[user]:password@]host[:port],host[:port]…/<master's name>[/db]` | whatever server these sentinels call the master; user and password are the master's; `rediss+sentinel://` with TLS for both |
///
/// `valkey` stands for `redis` in each of them. What is not of the alphabet of a URL in a user or password is percent-encoded.
///
/// It connects at the first call and again whenever it has to. A call ends within [`timeout`](RedisClientBuilder::timeout),
/// whatever the server does. While there is no server most calls fail at once: attempts to connect are up to a second apart.
#[derive(Clone)]
pub struct RedisClient {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    hosts: Vec<String>,
    encrypted: bool,
}

impl RedisClient {
    /// A client with the defaults; connects to nothing yet.
    ///
    /// # Errors
    /// [`RedisConfigError::Url`].
    pub fn new(url: &str) -> Result<Self, RedisConfigError> {
        Self::builder(url).build()
    }

    /// A client with settings of its own.
    pub fn builder(url: &str) -> RedisClientBuilder {
        RedisClientBuilder { url: url.into(), timeout: TIMEOUT, authority: None, sentinel_login: None }
    }

    /// The value of `key`, and how long it is still kept (whole milliseconds; none: until it is deleted). One round trip.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] while there is no server that can answer: it cannot be reached, does not answer in time,
    /// is loading, is out of memory, is being replaced. [`DatabaseError::Driver`] for everything else, as a wrong password, a
    /// missing permission, or a value that is not text.
    pub async fn get_with_ttl(&self, key: &str) -> Result<Option<(String, Option<Duration>)>, DatabaseError> {
        let mut commands = pipe();
        commands.cmd("GET").arg(key).cmd("PTTL").arg(key);
        let (value, left): (Option<Vec<u8>>, i64) = self.run(&commands).await?;
        let Some(value) = value else { return Ok(None) };
        let value = String::from_utf8(value).map_err(|_| Failure::not_text())?;
        Ok(match left {
            NEVER_EXPIRES => Some((value, None)),
            // Negative: it went away between the two commands.
            _ => u64::try_from(left).ok().map(|left| (value, Some(Duration::from_millis(left)))),
        })
    }

    /// Keeps `value` under `key` for `lifetime`: whole seconds, at least one, what is over is cut off. Without one it is kept
    /// until it is deleted. What was there is replaced, its lifetime too. One round trip.
    ///
    /// # Errors
    /// As [`get_with_ttl`](Self::get_with_ttl).
    pub async fn set(&self, key: &str, value: &str, lifetime: Option<Duration>) -> Result<(), DatabaseError> {
        let mut commands = pipe();
        commands.cmd("SET").arg(key).arg(value);
        if let Some(lifetime) = lifetime {
            commands.arg("EX").arg(lifetime.as_secs().max(1));
        }
        self.run(commands.ignore()).await
    }

    /// Removes `key`; one that is not there is no error. One round trip.
    ///
    /// # Errors
    /// As [`get_with_ttl`](Self::get_with_ttl).
    pub async fn delete(&self, key: &str) -> Result<(), DatabaseError> {
        self.run(pipe().cmd("DEL").arg(key).ignore()).await
    }

    /// Answers when the server is reachable; of a cluster, when one of its nodes is. One round trip.
    ///
    /// # Errors
    /// As [`get_with_ttl`](Self::get_with_ttl).
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        self.run(pipe().cmd("PING").ignore()).await
    }

    /// The hosts that the URL names, without ports; none for a socket.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.inner.hosts.iter().map(String::as_str)
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.inner.encrypted
    }

    async fn run<T: redis::FromRedisValue>(&self, commands: &Pipeline) -> Result<T, DatabaseError> {
        Ok(self.inner.link.run(commands).await?)
    }
}

/// What PTTL answers for a key without a lifetime.
const NEVER_EXPIRES: i64 = -1;

/// Neither the URL nor what came of it: there is a password in both.
impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient").field("hosts", &self.inner.hosts).finish_non_exhaustive()
    }
}

/// Settings of a [`RedisClient`].
#[derive(Clone)]
#[must_use]
pub struct RedisClientBuilder {
    url: String,
    timeout: Duration,
    authority: Option<PathBuf>,
    sentinel_login: Option<(Option<String>, String)>,
}

impl RedisClientBuilder {
    /// How long a call may take in all, connecting included. Default: 2 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The file (PEM) of the authorities that may sign a server's certificate, instead of those of the web.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authority = Some(path.into());
        self
    }

    /// The user and password of the sentinels themselves. Default: they ask for none.
    pub fn sentinel_login(mut self, user: Option<&str>, password: &str) -> Self {
        self.sentinel_login = Some((user.map(Into::into), password.into()));
        self
    }

    /// The client. Connects to nothing yet.
    ///
    /// # Errors
    /// [`RedisConfigError`] says what is wrong; it never repeats the URL.
    pub fn build(self) -> Result<RedisClient, RedisConfigError> {
        let url = url::parse(&self.url)?;
        let authority = self.authority.map(|path| url::read_authority(&url, path)).transpose()?;
        if url.encrypted {
            // The driver takes the provider of the process. One that is there already is as good.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let target = Target::new(url.shape, self.timeout, authority, self.sentinel_login)?;
        let link = Link::new(target, self.timeout);
        Ok(RedisClient { inner: Arc::new(Inner { link, hosts: url.hosts, encrypted: url.encrypted }) })
    }
}

/// Without the passwords.
impl fmt::Debug for RedisClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClientBuilder")
            .field("timeout", &self.timeout)
            .field("ca_file", &self.authority)
            .finish_non_exhaustive()
    }
}
