//! Listens, takes connections, and stops in order. `axum::serve` has no limits, hence hyper's own builder.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use crate::config::ServerSettings;

/// The head of a request: request line and headers together.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long a connection that is told to end may take over it.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves until `stop`, then finishes what runs.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &ServerSettings,
    stop: impl Future<Output = ()>,
) {
    serve_all(async move || listener.accept().await, router, settings, stop).await;
}

async fn serve_all(
    mut accept: impl AsyncFnMut() -> io::Result<(TcpStream, SocketAddr)>,
    router: Router,
    settings: &ServerSettings,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(settings.max_connections));
    let crowd = Crowd::new(settings);
    let (stopping, stopped) = watch::channel(false);
    let builder = Arc::new(builder(settings.header_timeout));
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = accept().await?;
            Ok::<_, io::Error>((place, stream, peer))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((place, stream, peer)) => {
                // Too many from one address: closed without a word, the others come first.
                let Some(guest) = crowd.admit(peer.ip()) else { continue };
                let connection = Connection {
                    builder: Arc::clone(&builder),
                    router: router.clone(),
                    peer,
                    idle: settings.header_timeout + Duration::from_secs(1),
                    stopped: stopped.clone(),
                    _place: place,
                    _guest: guest,
                };
                tokio::spawn(connection.run(stream));
            }
            Err(error) => {
                // No descriptors left, most likely: those that end make room.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(accept);
    let _ = stopping.send(true);
    tracing::info!("stopping: finishing the requests that run");
    let everybody = u32::try_from(settings.max_connections).unwrap_or(u32::MAX);
    if timeout(settings.stop_timeout, places.acquire_many(everybody)).await.is_err() {
        tracing::warn!("some requests did not finish within server.stop_timeout_seconds");
    }
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Runs while a connection waits for its next request, too.
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(64);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(64)
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(256 << 10)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    peer: SocketAddr,
    idle: Duration,
    stopped: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
    _guest: Guest,
}

impl Connection {
    async fn run(mut self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (running, mut observed) = watch::channel(0_usize);
        let running = Arc::new(running);
        let service = service_fn(|mut request: Request<Incoming>| {
            let work = Running::begin(&running);
            request.extensions_mut().insert(ConnectInfo(self.peer));
            let answer = self.router.clone().oneshot(request.map(Body::new));
            async move {
                let answer = answer.await;
                drop(work);
                answer
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = idle(&mut observed, self.idle) => None,
            _ = self.stopped.wait_for(|stopped| *stopped) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    // What runs may finish; `serve` says how long.
                    () = idle(&mut observed, FAREWELL) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            // A client that broke off or was too slow; of no interest to an operator.
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// A request that runs.
struct Running(Arc<watch::Sender<usize>>);

impl Running {
    fn begin(running: &Arc<watch::Sender<usize>>) -> Self {
        running.send_modify(|count| *count += 1);
        Self(Arc::clone(running))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Until no request has run for this long.
async fn idle(running: &mut watch::Receiver<usize>, limit: Duration) {
    loop {
        let is_busy = *running.borrow_and_update() > 0;
        let changed = running.changed();
        let ended = if is_busy { Ok(changed.await) } else { timeout(limit, changed).await };
        if !matches!(ended, Ok(Ok(()))) {
            return;
        }
    }
}

/// How many connections an address has.
#[derive(Clone)]
struct Crowd {
    /// 0: it does not matter.
    limit: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Crowd {
    fn new(settings: &ServerSettings) -> Self {
        // Behind a proxy all connections are the proxy's.
        let limit = if settings.trusted_proxies > 0 { 0 } else { settings.max_connections_per_address };
        Self { limit, counts: Arc::default() }
    }

    fn admit(&self, address: IpAddr) -> Option<Guest> {
        if self.limit == 0 || address.is_loopback() {
            return Some(Guest(None));
        }
        let address = household(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Guest(Some((self.clone(), address))))
    }

    fn leave(&self, address: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// One of the connections of an address.
struct Guest(Option<(Crowd, IpAddr)>);

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some((crowd, address)) = self.0.take() {
            crowd.leave(address);
        }
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{Config, Sources};

    #[test]
    fn in_06_an_address_has_so_many_connections_and_no_more() {
        let crowd = Crowd { limit: 2, counts: Arc::default() };
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        let other: IpAddr = "203.0.113.9".parse().unwrap();
        let (first, second) = (crowd.admit(one), crowd.admit(neighbour));
        assert!(first.is_some() && second.is_some());
        assert!(crowd.admit(one).is_none());
        assert!(crowd.admit(other).is_some());
        drop(first);
        assert!(crowd.admit(one).is_some());
        drop(second);
        assert!(crowd.counts.lock().unwrap().is_empty());
    }

    /// Whether there is an answer; the connection may be closed instead.
    async fn is_served(stream: &mut TcpStream) -> bool {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return false };
            head.push(byte);
        }
        head.starts_with(b"HTTP/1.1 200 OK\r\n")
    }

    #[tokio::test]
    async fn in_06_connections_beyond_the_cap_of_an_address_are_closed() {
        let mut settings = Config::load(&Sources::folder("/nowhere")).unwrap().server;
        settings.max_connections_per_address = 2;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let far = async move || listener.accept().await.map(|(stream, _)| (stream, ([203, 0, 113, 9], 5000).into()));
        let router = Router::new().route("/", axum::routing::get(|| async {}));
        let client = async {
            let connect = async || TcpStream::connect(address).await.unwrap();
            let (mut first, mut second) = (connect().await, connect().await);
            assert!(is_served(&mut first).await && is_served(&mut second).await);
            assert!(!is_served(&mut connect().await).await, "the third");
            drop(first);
            // The server learns of it in its own time.
            while !is_served(&mut connect().await).await {}
            assert!(is_served(&mut second).await);
        };
        tokio::select! {
            () = serve_all(far, router, &settings, std::future::pending()) => panic!("it stopped"),
            () = client => {}
        }
    }
}
