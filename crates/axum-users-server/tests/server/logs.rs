//! The log: one event a line, no secret, nothing that deceives.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::harness::{Answer, Folder, Server};

const TRACE: [(&str, &str); 2] =
    [("AXUM_USERS__SERVER__LOG_FORMAT", "json"), ("AXUM_USERS__SERVER__LOG_FILTER", "trace")];

fn events(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

#[test]
fn lg_01_no_secret_is_in_the_log_at_any_level() {
    let folder = Folder::new();
    let server = folder.serve_with(&TRACE);
    let mut secrets: Vec<String> =
        ["canary-password-1", "canary-password-2", "canary-wrong", "canary-query", "canary-header"]
            .map(str::to_owned)
            .to_vec();
    for secret in folder.read("axum-users.secrets.toml").split('"').filter(|part| part.len() == 43) {
        secrets.push(secret.to_owned());
    }
    let king = "king@camelot.bt";
    server.json("POST", "/auth/register", None, &json!({ "email": king, "password": "canary-password-1" }));
    // Broken and odd bodies, too.
    server.json("POST", "/auth/register", None, &json!({ "email": 1, "password": ["canary-wrong"] }));
    server.send("POST", "/auth/register", &[("content-type", "application/json")], b"{\"password\": \"canary-wrong");
    server.log_in("jwt", king, "canary-wrong");
    let token = server.token(king, "canary-password-1");
    let cookie = server.log_in("cookie", king, "canary-password-1").header("set-cookie").unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    secrets.push(token.clone());
    secrets.push(cookie.split_once('=').unwrap().1.to_owned());
    server.send("GET", "/users/me?token=canary-query", &[("cookie", &cookie), ("x-api-key", "canary-header")], b"");
    server.as_bearer("GET", "/users/me", "canary-header");
    server.json("PATCH", "/users/me", Some(&token), &json!({ "password": "canary-password-2" }));
    server.as_bearer("POST", "/auth/jwt/logout", &token);
    http2(&server);
    let hash = dump_of(&folder);
    let log = server.stop();
    assert!(log.contains("TRACE"), "nothing was traced");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret}: {}", log.lines().find(|line| line.contains(&secret)).unwrap());
    }
    assert!(hash.contains("$argon2id$") && !log.contains("$argon2id$"));
}

/// What stands in the database, as far as it is text.
fn dump_of(folder: &Folder) -> String {
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap_or_default();
    let bytes = [read("axum-users.db"), read("axum-users.db-wal")].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A request over HTTP/2: its headers take another way through the libraries.
fn http2(server: &Server) {
    let mut stream = server.connect();
    let frame = |kind: u8, flags: u8, id: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, id], payload].concat()
    };
    // GET, http, /; then literals without indexing: `:authority: x`, `authorization: Bearer canary-header`.
    let mut head = vec![0x82, 0x86, 0x84, 0x01, 0x01, b'x', 0x0f, 0x08, 20];
    head.extend(b"Bearer canary-header");
    let sent = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 5, 1, &head)].concat();
    stream.write_all(&sent).unwrap();
    server.wait_for("\"path\":\"/\"");
}

#[test]
fn lg_03_what_clients_send_cannot_forge_a_line() {
    for format in ["json", "text"] {
        let folder = Folder::new();
        let server = folder.serve_with(&[("AXUM_USERS__SERVER__LOG_FORMAT", format)]);
        let corpus: [&[u8]; 8] = [
            b"/a%0d%0aINFO%20forged",
            b"/\x1b[31mred",
            "/\u{202e}txt.exe".as_bytes(),
            "/\u{2066}\u{2028}\u{200b}".as_bytes(),
            "/\u{85}\u{9b}31m".as_bytes(),
            b"/\"quoted\\",
            b"/\xff\xfe",
            b"/\x7f",
        ];
        let mut answered = 0;
        for path in corpus {
            let mut stream = server.connect();
            let sent = [b"GET ".as_slice(), path, b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"].concat();
            stream.write_all(&sent).unwrap();
            // Some of it is no HTTP.
            answered += usize::from(Answer::read(stream).status == 404);
        }
        let odd = server.send("GET", "/x", &[("x-request-id", "a\tb\u{202e}"), ("user-agent", "\u{202e}")], b"");
        assert_eq!(odd.status, 404);
        let log = server.stop();
        let deceives = |c: char| c != '\n' && (c.is_control() || "\u{200b}\u{202e}\u{2066}\u{2028}".contains(c));
        assert!(!log.chars().any(deceives), "{log:?}");
        let lines = log.lines().filter(|line| line.contains("axum_users::access"));
        assert_eq!(lines.count(), answered + 1, "{log}");
        assert!(
            log.lines().all(|line| line.starts_with(if format == "json" { "{\"timestamp\"" } else { "20" })),
            "{log}"
        );
        if format == "json" {
            events(&log);
        }
    }
}

#[test]
fn lg_02_a_request_is_one_structured_line() {
    let folder = Folder::new();
    let server =
        folder.serve_with(&[("AXUM_USERS__SERVER__LOG_FORMAT", "json"), ("AXUM_USERS__SERVER__TRUSTED_PROXIES", "1")]);
    let headers = [("x-request-id", "abc"), ("x-forwarded-for", "198.51.100.7, 203.0.113.9")];
    server.send("GET", "/users/me?q=1", &headers, b"");
    server.get("/health/live");
    let body = br#"{"email": "king@camelot.bt", "password": "excalibur in the lake"}"#;
    server.send("POST", "/auth/register", &[("content-type", "application/json"), ("x-request-id", "def")], body);
    let events = events(&server.stop());
    let access: Vec<&Value> = events.iter().filter(|event| event["target"] == "axum_users::access").collect();
    assert_eq!(access.len(), 2, "{access:?}");
    let registered = events.iter().find(|event| event["event"] == "register").unwrap();
    assert_eq!(registered["span"]["request_id"], "def", "{registered}");
    let event = access[0];
    assert_eq!(event["method"], "GET");
    assert_eq!(event["path"], "/users/me");
    assert_eq!(event["status"], 401);
    assert_eq!(event["request_id"], "abc");
    assert_eq!(event["client"], "203.0.113.9");
    assert!(event["latency_ms"].is_u64());
    assert!(event["timestamp"].as_str().unwrap().ends_with('Z'));
}
