//! Servers that run already, and servers of a test's own.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use axum_users_core::DatabaseError;
use axum_users_redis::RedisClient;
use rustix::process::{Pid, Signal, kill_process};

/// No call and no recovery takes that long, however busy the machine is. Only guards against waiting for ever.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

static NUMBER: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn variable(name: &str) -> String {
    let set = env::var(name).map_err(|_| {
        format!("{name} is not set: run `cargo xtask test`, or `cargo xtask services` and export what it prints")
    });
    set.unwrap()
}

/// A key that no other test uses.
pub(crate) fn key() -> String {
    format!("test:{}:{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A server that this test may do anything to.
pub(crate) struct OwnServer {
    pub(crate) port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Child,
}

impl OwnServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_on(free_port(), arguments)
    }

    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Self {
        let storage = ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"];
        Self::start_as(port, "", [arguments, &storage].concat())
    }

    /// The only sentinel of this master, which it calls "m": it decides alone, and soon.
    pub(crate) fn start_sentinel(master: &Self, settings: &str) -> Self {
        let watch = format!(
            "sentinel monitor m 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds m 500\n\
             sentinel failover-timeout m 3000\n",
            master.port
        );
        Self::start_as(free_port(), &format!("{watch}{settings}"), vec!["--sentinel"])
    }

    fn start_as(port: u16, settings: &str, arguments: Vec<&str>) -> Self {
        let folder = env::temp_dir().join(format!("axum-users-redis-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(FILE), format!("port {port}\nbind 127.0.0.1\n{settings}")).unwrap();
        let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
        let process = run(&folder, &arguments);
        Self { port, folder, arguments, process }
    }

    /// What `redis-cli` answers.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The same server, empty.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = run(&self.folder, &self.arguments);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const FILE: &str = "redis.conf";

fn run(folder: &Path, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.arg(FILE).args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let spawned = command.spawn();
    spawned.map_err(|error| format!("redis-server does not start; `cargo xtask test` installs it: {error}")).unwrap()
}

/// Asks until there is an answer that counts.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn until_it_answers(client: &RedisClient) {
    eventually("an answer", async || client.ping().await.ok()).await;
}

/// One call that has to fail, as unavailable, and to end.
pub(crate) async fn assert_unavailable(client: &RedisClient) {
    let answer = tokio::time::timeout(LIMIT, client.get_with_ttl("any")).await.map_err(|_| "the call hangs").unwrap();
    assert!(matches!(answer, Err(DatabaseError::Unavailable(_))), "{answer:?}");
}

/// An error with all its sources, in both ways to print it.
pub(crate) fn printed(error: &DatabaseError) -> String {
    let source = std::error::Error::source(error).unwrap();
    format!("{error} {error:?} {source} {source:?}")
}
