//! New passwords that are known from breaches.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

use axum_users::password::PasswordSha1;
use serde_json::json;

use crate::harness::{Folder, PASSWORD};

const KING: &str = "king@camelot.bt";
const BREACHED: &str = "the holy hand grenade";
const FILE: &str = "[password.breached]\nfile = \"breached.txt\"";

/// A range service that lists one password, and runs until the tests are over.
fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let body = format!("{}:7", PasswordSha1::of(BREACHED).split().1);
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
        }
    });
    address
}

fn with_file() -> Folder {
    let folder = Folder::new();
    folder.write("breached.txt", &format!("{}:7\n", PasswordSha1::of(BREACHED).as_str()));
    folder.write("axum-users.toml", FILE);
    folder
}

#[test]
fn pw_04_server_and_command_line_ask_the_list() {
    let range = Folder::new();
    range.write("axum-users.toml", &format!("[password.breached]\nrange_url = \"http://{}/range\"", service()));
    for folder in [with_file(), range] {
        let refused = folder.run_with_input(&["user", "create", KING, "--superuser"], BREACHED);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("known from a data breach"), "{}", refused.stderr);
        folder.run_with_input(&["user", "create", KING, "--superuser"], PASSWORD).succeeded();
        assert_eq!(folder.run_with_input(&["user", "set-password", KING], BREACHED).code, 1);

        let server = folder.serve();
        let new = json!({ "email": "robin@camelot.bt", "password": BREACHED });
        let answer = server.json("POST", "/auth/register", None, &new);
        assert_eq!((answer.status, &answer.value()["detail"]["code"]), (400, &json!("REGISTER_INVALID_PASSWORD")));
        let id = server.register("robin@camelot.bt").value()["id"].as_str().unwrap().to_owned();
        let token = server.token(KING, PASSWORD);
        for path in ["/users/me".to_owned(), format!("/users/{id}")] {
            let answer = server.json("PATCH", &path, Some(&token), &json!({ "password": BREACHED }));
            assert_eq!(
                (answer.status, &answer.value()["detail"]["code"]),
                (400, &json!("UPDATE_USER_INVALID_PASSWORD"))
            );
        }
        assert!(!server.stop().contains(PasswordSha1::of(BREACHED).split().1));
    }
}

#[test]
fn pw_04_without_an_answer_on_failure_decides() {
    // Nobody listens on a port that was just given back.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = Folder::new();
    let text = format!("[password.breached]\nrange_url = \"http://{closed}/range\"\non_failure");
    folder.write("axum-users.toml", &format!("{text} = \"refuse\""));
    let refused = folder.run_with_input(&["user", "create", KING], PASSWORD);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("was not found out"), "{}", refused.stderr);
    let server = folder.serve();
    let answer = server.register(KING);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    server.wait_for("a new password was not looked up");
    server.stop();
    folder.write("axum-users.toml", &format!("{text} = \"allow\""));
    folder.run_with_input(&["user", "create", KING], PASSWORD).succeeded();
}

#[test]
fn pw_04_no_proxy_of_the_environment_learns_of_it() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = Folder::new();
    let text = format!("range_url = \"http://{}/range\"\non_failure = \"refuse\"", service());
    folder.write("axum-users.toml", &format!("[password.breached]\n{text}"));
    let proxy = format!("http://{closed}");
    let server = folder.serve_with(&["http_proxy", "HTTP_PROXY", "ALL_PROXY"].map(|name| (name, proxy.as_str())));
    assert_eq!(server.register(KING).status, 201);
}

#[test]
fn pw_04_a_list_that_cannot_be_used_stops_the_start() {
    let config = |text: &str| {
        let folder = Folder::new();
        folder.write("axum-users.toml", &format!("[password.breached]\n{text}"));
        folder.run(&["config"])
    };
    config("range_url = \"http://api.pwnedpasswords.com/range\"").refused(&["password.breached.range_url", "https://"]);
    config("file = \"a\"\nrange_url = \"https://x/range\"").refused(&["password.breached.range_url", "one of the two"]);
    config("on_failure = \"never\"").refused(&["password.breached.on_failure", "\"allow\"", "\"refuse\""]);
    assert!(config("").succeeded().stdout.contains("password.breached.on_failure = \"allow\""));

    let folder = with_file();
    for text in ["", "f00d:1\n"] {
        folder.write("breached.txt", text);
        folder.run(&["serve"]).refused(&["password.breached.file", "breached.txt"]);
    }
    folder.run(&["openapi"]).succeeded();
}
