//! What stands between a server and its database, and can fail as networks do.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    thread,
};

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Network {
    Passes,
    /// Takes everything and says nothing. Connections that see this never speak again.
    Swallows,
    /// Closes every connection at once.
    Refuses,
    /// Closes a connection in the middle of an answer.
    Resets,
    /// Passes what says [`LOST`], and closes the connection in the place of the answer.
    LosesAnswers,
    /// Passes what says [`LOST`], and never the answer.
    KeepsAnswers,
}

/// In a request whose answer is lost.
pub(crate) const LOST: &str = "lost.in.the.forest@camelot.bt";

/// Listens on a free port and passes everything to another address, as long as the network does.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    network: AtomicU8,
    /// Counts silences: a connection of another epoch is dead.
    epoch: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let network = AtomicU8::new(Network::Passes as u8);
        let shared = Arc::new(Shared { target, network, epoch: AtomicUsize::new(0), streams: Mutex::default() });
        let accepting = Arc::downgrade(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Some(shared)) = (client, accepting.upgrade()) else { return };
                shared.accept(client);
            }
        });
        Self { address, shared }
    }

    pub(crate) fn set(&self, network: Network) {
        let before = self.shared.network.swap(network as u8, Ordering::SeqCst);
        if network == Network::Swallows || before == Network::Swallows as u8 {
            self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        }
        if network == Network::Refuses {
            self.shared.close_all();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Network::Refuses);
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn is(&self, network: Network) -> bool {
        self.network.load(Ordering::SeqCst) == network as u8
    }

    fn is_dead(&self, epoch: usize) -> bool {
        self.epoch.load(Ordering::SeqCst) != epoch
    }

    fn accept(self: &Arc<Self>, client: TcpStream) {
        if self.is(Network::Refuses) {
            return;
        }
        let epoch = self.epoch.load(Ordering::SeqCst);
        let Ok(server) = TcpStream::connect(self.target) else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            self.streams.lock().unwrap().push(stream.try_clone().unwrap());
        }
        let lost = Arc::new(AtomicBool::new(false));
        self.pump(client.try_clone().unwrap(), server.try_clone().unwrap(), epoch, Arc::clone(&lost), false);
        self.pump(server, client, epoch, lost, true);
    }

    fn pump(
        self: &Arc<Self>,
        mut from: TcpStream,
        mut to: TcpStream,
        epoch: usize,
        lost: Arc<AtomicBool>,
        answers: bool,
    ) {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let chunk = &buffer[..length];
                if shared.is(Network::Swallows) || shared.is_dead(epoch) {
                    continue;
                }
                if shared.is(Network::Resets) && answers {
                    let _ = to.write_all(&chunk[..length / 2]);
                    break;
                }
                if answers && lost.load(Ordering::SeqCst) {
                    if shared.is(Network::LosesAnswers) {
                        break;
                    }
                    continue;
                }
                if shared.is(Network::LosesAnswers) || shared.is(Network::KeepsAnswers) {
                    let is_lost = chunk.windows(LOST.len()).any(|window| window == LOST.as_bytes());
                    lost.fetch_or(!answers && is_lost, Ordering::SeqCst);
                }
                if to.write_all(chunk).is_err() {
                    break;
                }
            }
            if !shared.is_dead(epoch) {
                let _ = to.shutdown(Shutdown::Both);
                let _ = from.shutdown(Shutdown::Both);
            }
        });
    }

    fn close_all(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
