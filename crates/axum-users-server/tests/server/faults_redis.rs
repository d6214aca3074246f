//! Redis is killed, frozen, and starts again without its data.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    faults::{End, comes_back, is_unavailable},
    harness::{Folder, PASSWORD, Server},
};

const KING: &str = "king@camelot.bt";
/// Far more than it takes to come back.
const PATIENCE: Duration = Duration::from_secs(60);
/// A token of the right form that no login issued.
const STRANGER: &str = "c3RyYW5nZXItdG9rZW4tdGhhdC1uby1sb2dpbi1pc3M";

#[test]
fn av_04_a_frozen_redis_is_503_for_its_tokens_and_nothing_for_others() {
    let folder = Folder::new();
    let redis = Redis::start(&folder);
    let (server, tokens) = start(&folder, &redis);
    let freeze = || {
        redis.signal(Signal::STOP);
        away(&server, &tokens, || redis.signal(Signal::CONT));
        // It has kept its data, so the token was never one that does not count.
        comes_back(&server, &tokens.redis);
    };
    under_load(&server, &tokens, freeze);
    assert_eq!(server.as_bearer("POST", "/auth/shelf/logout", &tokens.redis).status, 204);
    assert_eq!(server.as_bearer("GET", "/users/me", &tokens.redis).status, 401);
}

#[test]
fn av_04_a_redis_that_lost_its_data_is_503_while_it_is_away_and_then_401() {
    let folder = Folder::new();
    let mut redis = Redis::start(&folder);
    let (server, tokens) = start(&folder, &redis);
    under_load(&server, &tokens, || {
        redis.kill();
        away(&server, &tokens, || redis.restart());
        let start = Instant::now();
        while server.log_in("shelf", KING, PASSWORD).status != 200 {
            assert!(start.elapsed() < PATIENCE, "it does not come back");
        }
        assert_eq!(server.as_bearer("GET", "/users/me", &tokens.redis).status, 401, "its token is lost");
    });
    let again = server.log_in("shelf", KING, PASSWORD).value();
    assert_eq!(server.as_bearer("GET", "/users/me", again["access_token"].as_str().unwrap()).status, 200);
}

/// What is answered while Redis is away; then it comes back.
fn away(server: &Server, tokens: &Tokens, back: impl FnOnce()) {
    for _ in 0..3 {
        is_unavailable("me", &server.as_bearer("GET", "/users/me", &tokens.redis));
        is_unavailable("login", &server.log_in("shelf", KING, PASSWORD));
        is_unavailable("logout", &server.as_bearer("POST", "/auth/shelf/logout", &tokens.redis));
        is_unavailable("an unknown token", &server.as_bearer("GET", "/users/me", STRANGER));
        assert_eq!(server.as_bearer("GET", "/users/me", &tokens.jwt).status, 200);
        assert_eq!(server.as_bearer("GET", "/users/me", &tokens.row).status, 200);
        assert_eq!(server.log_in("jwt", KING, PASSWORD).status, 200);
        assert_eq!(server.log_in("opaque", KING, PASSWORD).status, 200);
        assert_eq!(server.get("/health/live").status, 200);
    }
    back();
}

/// Many ask at the same time, and none of them ever gets an answer that is wrong.
fn under_load(server: &Server, tokens: &Tokens, what: impl FnOnce()) {
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = |token: &str, allowed: &[u16]| {
        while !over.load(Ordering::SeqCst) {
            let answer = server.as_bearer("GET", "/users/me", token);
            assert!(allowed.contains(&answer.status), "{allowed:?}: {answer:?}");
            if answer.status == 503 {
                is_unavailable("me", &answer);
            }
            asked.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| ask(&tokens.jwt, &[200]));
            scope.spawn(|| ask(&tokens.row, &[200]));
            scope.spawn(|| ask(&tokens.redis, &[200, 503, 401]));
            scope.spawn(|| ask(STRANGER, &[401, 503]));
        }
        let end = End(&over);
        while asked.load(Ordering::SeqCst) < 20 {
            thread::sleep(Duration::from_millis(5));
        }
        what();
        drop(end);
    });
}

/// Tokens of one user, by each strategy.
struct Tokens {
    jwt: String,
    row: String,
    redis: String,
}

/// The backend of Redis stands first, so that it is asked about every opaque token.
fn start(folder: &Folder, redis: &Redis) -> (Server, Tokens) {
    let server = folder.serve_with(&[
        ("AXUM_USERS__REDIS__URL", &format!("redis://127.0.0.1:{}", redis.port)),
        ("AXUM_USERS__AUTH__BACKENDS", "shelf,jwt,opaque"),
        ("AXUM_USERS__AUTH__BACKEND__SHELF__TRANSPORT", "bearer"),
        ("AXUM_USERS__AUTH__BACKEND__SHELF__STRATEGY", "redis"),
        ("AXUM_USERS__AUTH__BACKEND__OPAQUE__TRANSPORT", "bearer"),
        ("AXUM_USERS__AUTH__BACKEND__OPAQUE__STRATEGY", "database"),
    ]);
    assert_eq!(server.register(KING).status, 201);
    let token = |backend| server.log_in(backend, KING, PASSWORD).value()["access_token"].as_str().unwrap().to_owned();
    let tokens = Tokens { jwt: token("jwt"), row: token("opaque"), redis: token("shelf") };
    assert_eq!(server.as_bearer("GET", "/users/me", &tokens.redis).status, 200);
    (server, tokens)
}

/// One of our own, which keeps nothing when it ends.
struct Redis {
    folder: std::path::PathBuf,
    port: u16,
    process: Child,
}

impl Redis {
    fn start(folder: &Folder) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = folder.path().join("redis");
        fs::create_dir(&folder).unwrap();
        let process = run(&folder, port);
        Self { folder, port, process }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn kill(&mut self) {
        self.process.kill().unwrap(); // SIGKILL
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = run(&self.folder, self.port);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ready when it listens.
fn run(folder: &std::path::Path, port: u16) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let process = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < PATIENCE, "Redis does not start");
        thread::sleep(Duration::from_millis(10));
    }
    process
}
