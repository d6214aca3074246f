//! Mail that leaves: over TLS and with a login, once, whatever happens to the mail server and to this one.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use axum_users::random;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::process::Signal;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    faults_proxy::{Network, Proxy},
    harness::{Answer, Folder, PASSWORD, Server},
};

/// Far more than it takes: a message is tried again after 5 seconds, and after 15 more.
const PATIENCE: Duration = Duration::from_secs(60);
const NEW_PASSWORD: &str = "plum tomato engine";
const SITE: &str = "https://users.camelot.bt";

#[test]
fn av_07_each_mail_of_a_user_leaves_once() {
    for url in ["AXUM_USERS_TEST_SMTP_URL", "AXUM_USERS_TEST_SMTPS_URL"] {
        let folder = Folder::new();
        let server = serve(&folder, &variable(url));
        let user = address("arthur");
        assert_eq!(server.register(&user).status, 201);
        ask(&server, "request-verify-token", &user);
        let verify = wait_for(&server, &user, 1).remove(0);
        assert_eq!(post(&server, "verify", &json!({ "token": verify.token("/verify") })).status, 200);
        ask(&server, "forgot-password", &user);
        let reset = wait_for(&server, &user, 2).remove(1);
        let body = json!({ "token": reset.token("/reset-password"), "password": NEW_PASSWORD });
        assert_eq!(post(&server, "reset-password", &body).status, 200);
        let token = server.token(&user, NEW_PASSWORD);
        wait_for(&server, &user, 3);
        let other = address("pendragon");
        let change = json!({ "email": other, "current_password": NEW_PASSWORD });
        assert_eq!(server.json("PATCH", "/users/me", Some(&token), &change).status, 200);
        wait_for(&server, &other, 1);
        let mails = wait_for(&server, &user, 4);
        let subjects: Vec<&str> = mails.iter().map(|mail| mail.header("Subject")).collect();
        assert_eq!(
            subjects,
            [
                "Confirm your e-mail address for Camelot",
                "Set a new password for Camelot",
                "Your password for Camelot was changed",
                "Your e-mail address for Camelot was changed",
            ]
        );
        for mail in &mails {
            assert_eq!(mail.value["encrypted"], true);
            assert_eq!(mail.value["login"], "axum-users@localhost");
            assert_eq!(mail.value["from"], "noreply@camelot.bt");
            assert_eq!(mail.value["to"], json!([user]));
            assert_eq!(mail.header("From"), "Camelot <noreply@camelot.bt>");
            assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
            assert_eq!(mail.header("Message-ID"), format!("<{}@camelot.bt>", mail.header("Idempotency-Key")));
        }
        let mut ids: Vec<&str> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        let log = server.stop();
        for secret in [verify.token("/verify"), reset.token("/reset-password")] {
            assert!(!log.contains(&secret), "a mailed token is in the log");
        }
        assert_eq!((mails_to(&user).len(), mails_to(&other).len()), (4, 1));
    }
}

#[test]
fn en_05_rc_07_the_strict_server_makes_users_and_moves_them_by_mail() {
    let folder = Folder::new();
    folder.write("axum-users.toml", "profile = \"strict\"");
    let server = serve(&folder, &variable("AXUM_USERS_TEST_SMTP_URL"));
    let (user, other) = (address("bedivere"), address("bors"));
    assert_eq!(server.register(&user).status, 201);
    assert_eq!(server.log_in("jwt", &user, PASSWORD).status, 400, "not before the proof");
    let verify = wait_for(&server, &user, 1).remove(0).token("/verify");
    let made = post(&server, "verify", &json!({ "token": verify }));
    assert_eq!((made.status, &made.value()["is_verified"]), (200, &json!(true)), "{}", made.body);
    let token = server.token(&user, PASSWORD);
    assert_eq!(server.register(&user).status, 201, "as for anybody");
    assert!(wait_for(&server, &user, 2)[1].subject_is("You have an account"));
    let asked = server.json("PATCH", "/users/me", Some(&token), &json!({ "email": other }));
    assert_eq!((asked.status, &asked.value()["email"]), (200, &json!(user)));
    let confirm = wait_for(&server, &other, 1).remove(0).token("/verify");
    let moved = post(&server, "verify", &json!({ "token": confirm }));
    assert_eq!((moved.status, &moved.value()["email"]), (200, &json!(other)));
    let undo = wait_for(&server, &user, 4).into_iter().find(|mail| mail.text().contains("take the change back"));
    let undo = undo.unwrap().token("/verify");
    let back = post(&server, "verify", &json!({ "token": undo }));
    assert_eq!((back.status, &back.value()["email"]), (200, &json!(user)));
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 401, "it ends all sessions");
    let log = server.stop();
    for secret in [&verify, &confirm, &undo, &user, &other] {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
    assert!(!log.contains("$argon2"));
}

#[test]
fn rc_09_a_forged_host_changes_no_link() {
    let folder = Folder::new();
    let server = serve(&folder, &variable("AXUM_USERS_TEST_SMTP_URL"));
    let user = address("guinevere");
    assert_eq!(server.register(&user).status, 201);
    for (route, path) in [("request-verify-token", "/verify"), ("forgot-password", "/reset-password")] {
        let before = mails_to(&user).len();
        let body = json!({ "email": user }).to_string();
        let mut stream = server.connect();
        write!(
            stream,
            "POST http://mordred.example/auth/{route} HTTP/1.1\r\nHost: mordred.example\r\nX-Forwarded-Host: mordred.example\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-Server: mordred.example\r\nX-Original-Host: mordred.example\r\n\
             Forwarded: host=mordred.example;proto=http\r\nReferer: http://mordred.example/\r\n\
             X-Forwarded-Prefix: /mordred\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        assert_eq!(Answer::read(stream).status, 202);
        let mail = wait_for(&server, &user, before + 1).remove(before);
        let text = mail.text();
        assert!(text.contains(&format!("\n{SITE}{path}?token=")), "{text}");
        assert!(!mail.value["data"].as_str().unwrap().contains("mordred"), "{text}");
        assert_eq!(text.matches("://").count(), 2, "the link and the site: {text}");
    }
}

#[test]
fn rg_05_an_odd_address_gets_one_mail_with_one_head() {
    let folder = Folder::new();
    let server = serve(&folder, &variable("AXUM_USERS_TEST_SMTP_URL"));
    let unique = random::uuid_v4().simple().to_string();
    for local in ["o'hara+x", "a&b*c/d?e^f`g|h#i!j$k%l", "{x}=~y", "ünï", "-"] {
        let user = format!("{local}{unique}@camelot.bt");
        assert_eq!(server.register(&user).status, 201, "{user}");
        ask(&server, "forgot-password", &user);
        let mail = wait_for(&server, &user, 1).remove(0);
        assert_eq!(mail.value["to"], json!([user]));
        let data = mail.value["data"].as_str().unwrap();
        let head = data.split_once("\r\n\r\n").unwrap().0;
        assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
        let names: Vec<&str> = head.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        for name in ["From", "To", "Subject", "Message-ID", "Content-Type"] {
            assert_eq!(names.iter().filter(|it| **it == name).count(), 1, "{name}: {head}");
        }
        assert!(
            !names.iter().any(|name| name.eq_ignore_ascii_case("bcc") || name.eq_ignore_ascii_case("cc")),
            "{head}"
        );
        assert_eq!(attempts(&user), 1);
    }
}

#[test]
fn av_07_a_mail_server_that_is_away_delays_no_answer_and_loses_no_mail() {
    let folder = Folder::new();
    let (proxy, url) = proxied();
    let server = serve(&folder, &url);
    let users: Vec<String> = (0..3).map(|_| address("lancelot")).collect();
    users.iter().for_each(|user| assert_eq!(server.register(user).status, 201));
    proxy.set(Network::Refuses);
    users.iter().for_each(|user| ask(&server, "forgot-password", user));
    server.wait_for("a message is tried again later");
    // What has nothing to do with mail is as ever.
    server.token(&users[0], PASSWORD);
    assert!(users.iter().all(|user| mails_to(user).is_empty()));
    proxy.set(Network::Passes);
    for user in &users {
        let mail = wait_for(&server, user, 1).remove(0);
        let body = json!({ "token": mail.token("/reset-password"), "password": NEW_PASSWORD });
        assert_eq!(post(&server, "reset-password", &body).status, 200);
    }
    server.stop();
    assert!(users.iter().all(|user| mails_to(user).iter().filter(|mail| mail.subject_is("Set a new")).count() == 1));
}

#[test]
fn av_07_a_killed_server_sends_after_it_is_started_again() {
    let folder = Folder::new();
    let (proxy, url) = proxied();
    let mut server = serve(&folder, &url);
    let user = address("galahad");
    assert_eq!(server.register(&user).status, 201);
    proxy.set(Network::Refuses);
    ask(&server, "request-verify-token", &user);
    // Until the store has put it off, the message is in the hands of a worker, and stays there for the two minutes of a lease.
    wait_until_put_off(&folder);
    server.signal(Signal::KILL);
    server.wait();
    proxy.set(Network::Passes);
    assert!(mails_to(&user).is_empty());
    let server = serve(&folder, &url);
    let mail = wait_for(&server, &user, 1).remove(0);
    assert_eq!(post(&server, "verify", &json!({ "token": mail.token("/verify") })).status, 200);
    server.stop();
    assert_eq!(mails_to(&user).len(), 1);
}

/// Waits until the one message in the outbox was tried, and is due again before its lease would end.
fn wait_until_put_off(folder: &Folder) {
    let began = Instant::now();
    loop {
        let list = folder.run(&["outbox", "list", "--json"]).succeeded().json();
        let message = &list[0];
        let instant = |name: &str| OffsetDateTime::parse(message[name].as_str().unwrap(), &Rfc3339).unwrap();
        if message["attempts"] == 1 && instant("due_at") - instant("created_at") < PATIENCE {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "it was not put off: {list}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn av_07_a_mail_that_is_put_off_leaves_later_and_one_that_is_refused_does_not() {
    let folder = Folder::new();
    let server = serve(&folder, &variable("AXUM_USERS_TEST_SMTP_URL"));
    let [busy, late, unknown] = ["busy", "late", "unknown"].map(address);
    for (user, mode) in [(&busy, "rcpt450"), (&late, "data451"), (&unknown, "rcpt550")] {
        assert_eq!(server.register(user).status, 201);
        set_mode(user, &json!({ "mode": mode, "times": 1 }));
        ask(&server, "request-verify-token", user);
    }
    for user in [&busy, &late] {
        wait_for(&server, user, 1);
        assert_eq!(attempts(user), 2);
    }
    server.wait_for("a message was given up");
    let log = server.stop();
    assert_eq!((mails_to(&unknown).len(), attempts(&unknown)), (0, 1));
    assert!(
        log.contains("5.1.1") && !log.contains(&unknown),
        "the words of the mail server, without the address: {log}"
    );
}

#[test]
fn av_07_a_connection_that_is_lost_after_the_mail_leaves_one_mail() {
    let folder = Folder::new();
    let server = serve(&folder, &variable("AXUM_USERS_TEST_SMTP_URL"));
    let [kept, lost] = ["kept", "lost"].map(address);
    for (user, mode) in [(&kept, "drop_keep"), (&lost, "drop_lose")] {
        assert_eq!(server.register(user).status, 201);
        set_mode(user, &json!({ "mode": mode, "times": 1 }));
        ask(&server, "request-verify-token", user);
    }
    // Taken twice, and known to be the same: nobody told us of the first time.
    let mails = wait_for(&server, &kept, 2);
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    assert_eq!(mails[0].token("/verify"), mails[1].token("/verify"));
    wait_for(&server, &lost, 1);
    server.stop();
    assert_eq!((mails_to(&kept).len(), mails_to(&lost).len()), (2, 1));
}

#[test]
fn without_mail_there_are_no_routes_for_it() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__MAIL__TRANSPORT", "none")]);
    for route in ["request-verify-token", "verify", "forgot-password", "reset-password"] {
        assert_eq!(post(&server, route, &json!({ "email": "a@camelot.bt" })).status, 404, "{route}");
        assert!(server.get("/openapi.json").value()["paths"].get(format!("/auth/{route}")).is_none());
    }
    server.stop();
    let server = folder.serve_with(&[("AXUM_USERS__REGISTRATION__ENABLED", "false")]);
    for route in ["request-verify-token", "forgot-password"] {
        ask(&server, route, "a@camelot.bt");
        assert!(server.get("/openapi.json").value()["paths"].get(format!("/auth/{route}")).is_some());
    }
    assert_eq!(server.register("a@camelot.bt").status, 404);
}

/// A server that sends to this mail server.
fn serve(folder: &Folder, url: &str) -> Server {
    folder.serve_with(&[
        ("AXUM_USERS__PUBLIC_URL", SITE),
        ("AXUM_USERS__MAIL__TRANSPORT", "smtp"),
        ("AXUM_USERS__MAIL__FROM", "Camelot <noreply@camelot.bt>"),
        ("AXUM_USERS__MAIL__PRODUCT_NAME", "Camelot"),
        ("AXUM_USERS__MAIL__SMTP_URL", url),
        ("AXUM_USERS__MAIL__CA_FILE", &variable("AXUM_USERS_TEST_SMTP_CA")),
        ("AXUM_USERS__SERVER__LOG_FILTER", "trace"),
    ])
}

/// The mail server behind a network that can fail.
fn proxied() -> (Proxy, String) {
    let url = variable("AXUM_USERS_TEST_SMTP_URL");
    let (login, address) = url.rsplit_once('@').unwrap();
    let proxy = Proxy::to(address.parse().unwrap());
    let url = format!("{login}@{}", proxy.address);
    (proxy, url)
}

fn ask(server: &Server, route: &str, email: &str) {
    let answer = post(server, route, &json!({ "email": email }));
    assert_eq!((answer.status, answer.body.as_str()), (202, "null"), "{route} {email}");
}

fn post(server: &Server, route: &str, body: &Value) -> Answer {
    server.json("POST", &format!("/auth/{route}"), None, body)
}

/// One that no other test has.
fn address(name: &str) -> String {
    format!("{name}.{}@camelot.bt", random::uuid_v4().simple())
}

/// A mail that the mail server took.
struct Taken {
    value: Value,
}

impl Taken {
    fn header(&self, name: &str) -> &str {
        let data = self.value["data"].as_str().unwrap();
        let line = data.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("{name} is missing in {data}"))
    }

    fn subject_is(&self, beginning: &str) -> bool {
        self.header("Subject").starts_with(beginning)
    }

    /// The part that is text.
    fn text(&self) -> String {
        let data = self.value["data"].as_str().unwrap();
        let boundary = data.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let part = data.split(&format!("--{boundary}\r\n")).nth(1).unwrap();
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("text/plain"), "{head}");
        if head.contains("base64") {
            let bytes = STANDARD.decode(body.split("--").next().unwrap().replace("\r\n", "")).unwrap();
            return String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
        }
        body.replace("=\r\n", "").replace("=3D", "=").replace("\r\n", "\n")
    }

    /// The token of its link to this page.
    fn token(&self, page: &str) -> String {
        let text = self.text();
        let link = format!("{SITE}{page}?token=");
        let token = text.split(&link).nth(1).unwrap_or_else(|| panic!("{link} is missing in {text}"));
        token.split_whitespace().next().unwrap().to_owned()
    }
}

/// The mails to this address, as soon as there are so many.
fn wait_for(server: &Server, to: &str, count: usize) -> Vec<Taken> {
    let start = Instant::now();
    loop {
        let mails = mails_to(to);
        if mails.len() >= count {
            assert_eq!(mails.len(), count, "more mails than expected to {to}");
            return mails;
        }
        let (found, log) = (mails.len(), server.log());
        assert!(start.elapsed() < PATIENCE, "{count} mails to {to} do not come, but {found}: {log}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn mails_to(to: &str) -> Vec<Taken> {
    let mails = control("GET", &format!("/mails?to={}", escaped(to)), "");
    mails.as_array().unwrap().iter().map(|value| Taken { value: value.clone() }).collect()
}

fn attempts(to: &str) -> u64 {
    control("GET", &format!("/attempts?to={}", escaped(to)), "").as_u64().unwrap()
}

fn set_mode(to: &str, mode: &Value) {
    control("PUT", &format!("/mode?to={}", escaped(to)), &mode.to_string());
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Speaks to the other side of the mail server.
fn control(method: &str, path: &str, body: &str) -> Value {
    let url = variable("AXUM_USERS_TEST_SMTP_HTTP_URL");
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let answer = Answer::read(stream);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.value()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}: see CONTRIBUTING.md"))
}
