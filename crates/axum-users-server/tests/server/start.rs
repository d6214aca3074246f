//! The first start, the second one, and the end.

use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

use rustix::process::Signal;

use crate::harness::{Answer, Folder};

#[test]
fn the_first_start_needs_no_configuration_and_says_where_things_are() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(server.register("king@camelot.bt").status, 201);
    for said in ["axum-users.db", "axum-users.secrets.toml", "axum-users user create you@example.com --superuser"] {
        assert!(server.welcome.contains(said), "{said} is missing in {}", server.welcome);
    }
    server.stop();
    assert!(folder.path().join("axum-users.db").exists());

    let again = folder.serve();
    assert_eq!(again.welcome, "");
    again.token("king@camelot.bt", crate::harness::PASSWORD);
    again.stop();
}

#[test]
fn au_09_nobody_is_there_after_the_first_start() {
    let folder = Folder::new();
    folder.serve().stop();
    assert_eq!(folder.run(&["user", "list", "--json"]).succeeded().json(), serde_json::json!([]));
}

#[test]
fn cr_05_files_that_are_made_are_private() {
    let folder = Folder::new();
    let server = folder.serve();
    for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    server.stop();
}

#[test]
fn a_request_that_runs_is_finished_before_the_end() {
    let folder = Folder::new();
    let mut server = folder.serve();
    let body = r#"{"email": "king@camelot.bt", "password": "excalibur in the lake"}"#;
    let (first, rest) = body.split_at(20);
    let mut stream = server.connect();
    write!(
        stream,
        "POST /auth/register HTTP/1.1\r\nhost: x\r\nx-request-id: slow\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // The server asks for the body: the request runs.
    let mut go_on = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(first.as_bytes()).unwrap();
    server.signal(Signal::TERM);
    server.wait_for("stopping");
    stream.write_all(rest.as_bytes()).unwrap();
    assert_eq!(Answer::read(stream).status, 201);
    assert!(server.wait().success());
}

#[test]
fn a_request_that_does_not_end_does_not_keep_the_server() {
    let folder = Folder::new();
    let mut server = folder.serve_with(&[("AXUM_USERS__SERVER__STOP_TIMEOUT_SECONDS", "1")]);
    let mut stream = server.connect();
    stream
        .write_all(b"POST /auth/register HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .unwrap();
    std::io::Read::read_exact(&mut stream, &mut [0; 25]).unwrap();
    server.signal(Signal::INT);
    assert!(server.wait().success());
}

#[test]
fn two_that_start_at_once_have_one_secret() {
    let folder = Folder::new();
    let (one, other) = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(|| folder.serve()), scope.spawn(|| folder.serve()));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one.register("king@camelot.bt").status, 201);
    let token = one.token("king@camelot.bt", crate::harness::PASSWORD);
    assert_eq!(other.as_bearer("GET", "/users/me", &token).status, 200);
    let left = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn an_address_that_is_taken_is_a_failure_and_no_usage_error() {
    let folder = Folder::new();
    let server = folder.serve();
    let ran = Folder::new().run(&["--listen", &server.address.to_string()]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains(&server.address.to_string()), "{}", ran.stderr);
}

#[test]
fn why_the_database_cannot_be_reached_is_told() {
    // Nobody listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ask = |scheme: &str, arguments: &[&str]| {
        let url = format!("{scheme}://me:canary@127.0.0.1:{port}/users");
        let ran = Folder::new().run_with(arguments, &[("AXUM_USERS__DATABASE__URL", &url)]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("Connection refused"), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("canary") && !ran.stderr.contains(&url), "{}", ran.stderr);
    };
    std::thread::scope(|scope| {
        for scheme in ["postgres", "mysql"] {
            for arguments in [&["serve"][..], &["migrate", "--check"], &["user", "list"]] {
                scope.spawn(move || ask(scheme, arguments));
            }
        }
    });
}

#[test]
fn a_connection_that_waits_does_not_delay_the_end() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut idle = server.connect();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    std::io::Read::read_exact(&mut idle, &mut [0; 15]).unwrap();
    let silent = server.connect();
    let log = server.stop();
    assert!(!log.contains("did not finish"), "{log}");
    drop((idle, silent));
}
