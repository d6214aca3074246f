//! What a client may ask for, and what happens beyond.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::harness::{Answer, Folder};

#[test]
fn in_01_a_body_that_is_too_long_is_refused_unread() {
    let folder = Folder::new();
    let server = folder.serve();
    for path in ["/auth/register", "/auth/jwt/login", "/users/me", "/nowhere"] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 268435456\r\n\r\n");
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let answer = Answer::read(stream);
        assert_eq!((answer.status, answer.body.as_str()), (413, r#"{"detail":"Content Too Large"}"#), "{path}");
    }
    // Without a length: as much as is allowed is read, and no more.
    let mut stream = server.connect();
    stream.write_all(b"POST /auth/register HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
    for _ in 0..32 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(Answer::read(stream).status, 413);
}

#[test]
fn in_01_the_limit_is_a_setting() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__SERVER__BODY_LIMIT_BYTES", "10")]);
    assert_eq!(server.register("king@camelot.bt").status, 413);
}

#[test]
fn in_06_a_head_that_does_not_end_is_given_up() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__SERVER__HEADER_TIMEOUT_SECONDS", "1")]);
    for said in ["", "G", "GET /health/live HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut stream = server.connect();
        stream.write_all(said.as_bytes()).unwrap();
        // It ends; a reset is an end, too.
        let mut rest = Vec::new();
        let kind = stream.read_to_end(&mut rest).err().map(|error| error.kind());
        assert!(!matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "we gave up first: {said:?}");
        assert!(!String::from_utf8_lossy(&rest).contains("200"), "{said:?}");
    }
}

#[test]
fn in_06_a_head_that_is_too_large_is_refused() {
    let folder = Folder::new();
    let server = folder.serve();
    let long = "x".repeat(20 << 10);
    assert_eq!(server.send("GET", "/health/live", &[("x-long", &long)], b"").status, 431);
    let many = vec![("x-many", "1"); 100];
    assert_eq!(server.send("GET", "/health/live", &many, b"").status, 431);
    assert_eq!(server.send("GET", "/health/live", &[("x-long", &long[..8 << 10])], b"").status, 200);
}

#[test]
fn in_06_a_body_that_does_not_come_is_given_up() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__SERVER__REQUEST_TIMEOUT_SECONDS", "1")]);
    let mut stream = server.connect();
    stream.write_all(b"POST /auth/register HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").unwrap();
    let answer = Answer::read(stream);
    assert_eq!((answer.status, answer.body.as_str()), (408, r#"{"detail":"Request Timeout"}"#));
}

/// Says one thing after the other until the server has had enough; what it answered.
fn drip(mut stream: TcpStream, begin: &str, drop: &str) -> String {
    stream.write_all(begin.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut said = Vec::new();
    for _ in 0..1_000 {
        match stream.read_to_end(&mut said) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => return String::from_utf8(said).unwrap(),
        }
        let _ = stream.write_all(drop.as_bytes());
    }
    panic!("it listens for ever: {begin:?}");
}

#[test]
fn in_06_what_drips_is_cut() {
    let folder = Folder::new();
    let begin = "POST /auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let chunked = format!("{begin}transfer-encoding: chunked\r\n\r\n");
    let timeout = "HTTP/1.1 408 Request Timeout\r\n";
    // The head; a body that is slow; one that comes well enough, but does not end.
    for (head, whole, begin, drop, answer) in [
        ("1", "3600", begin, "x", ""),
        ("1", "3600", &chunked, "1\r\n \r\n", timeout),
        ("3600", "1", &chunked, "10\r\n                \r\n", timeout),
    ] {
        let server = folder.serve_with(&[
            ("AXUM_USERS__SERVER__HEADER_TIMEOUT_SECONDS", head),
            ("AXUM_USERS__SERVER__REQUEST_TIMEOUT_SECONDS", whole),
        ]);
        let said = drip(server.connect(), begin, drop);
        assert!(said.starts_with(answer) && said.is_empty() == answer.is_empty(), "{head} {whole} {begin}: {said}");
        assert_eq!(server.get("/health/live").status, 200);
    }
}

#[test]
fn in_06_connections_beyond_the_cap_wait_for_their_turn() {
    let folder = Folder::new();
    let server = folder.serve_with(&[
        ("AXUM_USERS__SERVER__MAX_CONNECTIONS", "2"),
        ("AXUM_USERS__SERVER__HEADER_TIMEOUT_SECONDS", "1"),
    ]);
    let silent: Vec<_> = (0..6).map(|_| server.connect()).collect();
    assert_eq!(server.get("/health/live").status, 200);
    drop(silent);
}

#[test]
fn one_connection_carries_many_requests() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(br#"{"detail":"up"}"#) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.extend(byte);
        }
    }
}
