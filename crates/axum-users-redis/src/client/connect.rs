//! From a target to a connection.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, Pipeline,
    RedisConnectionInfo, RedisResult, ServerErrorKind, TlsCertificates, Value,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    cmd,
};
use tokio::task::JoinSet;

use super::{
    error::Failure,
    url::{RedisConfigError, Shape},
};

/// Whom to connect to.
pub(super) enum Target {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Arc<Sentinels>),
}

/// A connection; clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// How a cluster's connection tries again by itself (milliseconds), within the time of one call.
const CLUSTER_RETRIES: u32 = 8;
const CLUSTER_RETRY_WAIT: (u64, u64) = (20, 250);

impl Target {
    pub(super) fn new(
        shape: Shape,
        timeout: Duration,
        certificates: Option<TlsCertificates>,
        sentinel_login: Option<(Option<String>, String)>,
    ) -> Result<Self, RedisConfigError> {
        if sentinel_login.is_some() && !matches!(shape, Shape::Sentinel { .. }) {
            return Err(RedisConfigError::LoginWithoutSentinels);
        }
        let wrong = |_| RedisConfigError::Url("the driver does not take it");
        Ok(match shape {
            Shape::Single(info) => Self::Single(Box::new(client(info, certificates.as_ref()).map_err(wrong)?)),
            Shape::Cluster(nodes) => {
                let (min, max) = CLUSTER_RETRY_WAIT;
                let mut builder = ClusterClientBuilder::new(nodes)
                    .tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true))
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .overall_response_timeout(Some(timeout))
                    .retries(CLUSTER_RETRIES)
                    .min_retry_wait(min)
                    .max_retry_wait(max);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                Self::Cluster(Box::new(builder.build().map_err(wrong)?))
            }
            Shape::Sentinel { sentinels, master } => {
                let first = sentinels.first().ok_or(RedisConfigError::Url("it names no sentinel"))?;
                let template = first.clone();
                let login = sentinel_login.map_or_else(RedisConnectionInfo::default, |(user, password)| {
                    let login = RedisConnectionInfo::default().set_password(password);
                    user.into_iter().fold(login, RedisConnectionInfo::set_username)
                });
                let ask = |info: ConnectionInfo| client(info.set_redis_settings(login.clone()), certificates.as_ref());
                let clients = sentinels.into_iter().map(ask).collect::<RedisResult<_>>().map_err(wrong)?;
                Self::Sentinel(Arc::new(Sentinels { clients, master, template, certificates }))
            }
        })
    }

    pub(super) async fn connect(&self, timeout: Duration) -> Result<Connection, Failure> {
        match self {
            Self::Single(client) => Ok(Connection::Server(open(client, timeout).await?)),
            Self::Cluster(client) => {
                let connection = client.get_async_connection().await.map_err(|error| Failure::of(&error))?;
                Ok(Connection::Cluster(connection))
            }
            Self::Sentinel(sentinels) => Ok(Connection::Server(sentinels.connect(timeout).await?)),
        }
    }
}

impl Connection {
    pub(super) async fn run<T: FromRedisValue>(&mut self, commands: &Pipeline) -> RedisResult<T> {
        match self {
            Self::Server(connection) => commands.query_async(connection).await,
            Self::Cluster(connection) => commands.query_async(connection).await,
        }
    }
}

/// Those who know the master.
pub(super) struct Sentinels {
    clients: Vec<Client>,
    /// The master's name.
    master: String,
    /// The master's login and database, and whether to speak TLS; the address is a sentinel's.
    template: ConnectionInfo,
    certificates: Option<TlsCertificates>,
}

impl Sentinels {
    /// Asks all of them at once: the first master that is reached counts. So neither a sentinel that is away nor one that
    /// missed a failover is in the way.
    async fn connect(self: &Arc<Self>, timeout: Duration) -> Result<MultiplexedConnection, Failure> {
        let mut answers = JoinSet::new();
        for client in &self.clients {
            let (sentinels, client) = (Arc::clone(self), client.clone());
            answers.spawn(async move { sentinels.connect_through(&client, timeout).await });
        }
        let mut reason = Failure::unavailable("no sentinel answers");
        let mut refused = 0;
        while let Some(answer) = answers.join_next().await {
            match answer {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(failure)) => {
                    refused += usize::from(!failure.unavailable);
                    if failure.unavailable || refused == self.clients.len() {
                        reason = failure;
                    }
                }
                Err(_) => {}
            }
        }
        Err(reason)
    }

    async fn connect_through(&self, sentinel: &Client, timeout: Duration) -> Result<MultiplexedConnection, Failure> {
        let mut sentinel = open(sentinel, timeout).await?;
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let answer: Option<(String, u16)> =
            question.query_async(&mut sentinel).await.map_err(|error| Failure::of(&error))?;
        let Some((host, port)) = answer else {
            return Err(Failure::refused("the sentinels know no master of this name"));
        };
        let address = match self.template.addr() {
            ConnectionAddr::TcpTls { .. } => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let master = client(self.template.clone().set_addr(address), self.certificates.as_ref());
        let mut connection = open(&master.map_err(|error| Failure::of(&error))?, timeout).await?;
        match cmd("ROLE").query_async::<Value>(&mut connection).await {
            Ok(Value::Array(role)) if !is_master(&role) => Err(Failure::unavailable("the sentinels name no master")),
            Ok(_) => Ok(connection),
            // A user who may not ask will be told by the first write.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(connection),
            Err(error) => Err(Failure::of(&error)),
        }
    }
}

fn is_master(role: &[Value]) -> bool {
    matches!(role.first(), Some(Value::BulkString(name)) if name == b"master")
}

/// Both times are explicit: the driver's own are half a second for an answer, one for connecting.
async fn open(client: &Client, timeout: Duration) -> Result<MultiplexedConnection, Failure> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| Failure::of(&error))
}

fn client(info: ConnectionInfo, certificates: Option<&TlsCertificates>) -> RedisResult<Client> {
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        None => Client::open(info),
    }
}
