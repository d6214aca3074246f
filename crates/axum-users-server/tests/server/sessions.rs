//! What the configuration makes of sessions: their ends, refresh tokens, Redis.

use serde_json::{Value, json};

use crate::harness::{Answer, Folder, PASSWORD, Ran, Server};

const KING: &str = "king@camelot.bt";
const JWT: &str = "auth.backend.jwt";
const COOKIE: &str = "auth.backend.cookie";

fn config(text: &str) -> Ran {
    let folder = Folder::new();
    folder.write("axum-users.toml", text);
    folder.run(&["config"])
}

fn warns(ran: &Ran, of: &str) -> bool {
    ran.stdout.lines().any(|line| line.starts_with(&format!("# warning: {of}")))
}

#[test]
fn se_08_unused_sessions_end_where_they_are_told_to() {
    for key in [JWT, COOKIE] {
        let with = |settings: &str| config(&format!("[{key}]\n{settings}"));
        let idle = format!("{key}.idle_lifetime_seconds");
        let ran = with("").succeeded();
        assert!(ran.stdout.contains(&format!("{idle} = 0")) && !warns(&ran, &idle), "{}", ran.stdout);
        with("idle_lifetime_seconds = 120").succeeded();
        with("idle_lifetime_seconds = 3600").succeeded();
        with("idle_lifetime_seconds = 119").refused(&[&idle, "120 seconds at least"]);
        with("idle_lifetime_seconds = 3601").refused(&[&idle, "over after 3600 seconds anyway"]);
        with("lifetime_seconds = 0\nidle_lifetime_seconds = 315360001").refused(&[&idle, "at most"]);
        with("idle_lifetime_seconds = -1").refused(&[&idle, "not negative"]);

        // Longer than a day without an end of unused ones: warned of.
        assert!(warns(&with("lifetime_seconds = 86401").succeeded(), &idle));
        assert!(!warns(&with("lifetime_seconds = 86400").succeeded(), &idle));
        assert!(!warns(&with("lifetime_seconds = 86401\nidle_lifetime_seconds = 86401").succeeded(), &idle));
    }
}

#[test]
fn se_08_strict_ends_every_unused_session() {
    for key in [JWT, COOKIE] {
        let with = |settings: &str| config(&format!("profile = \"strict\"\n[{key}]\n{settings}"));
        let idle = format!("{key}.idle_lifetime_seconds");
        let default =
            |settings: &str| {
                with(settings).succeeded().stdout.lines().find_map(|line| {
                    Some(line.strip_prefix(&format!("{idle} = "))?.split_whitespace().next()?.to_owned())
                })
            };
        assert_eq!(default("").as_deref(), Some("0"));
        assert_eq!(default("lifetime_seconds = 86400").as_deref(), Some("0"));
        assert_eq!(default("lifetime_seconds = 86401").as_deref(), Some("86400"));
        with("lifetime_seconds = 86401\nidle_lifetime_seconds = 0").refused(&[&idle, "strict"]);
        with("lifetime_seconds = 0\nidle_lifetime_seconds = 3600").refused(&["lifetime_seconds", "strict"]);
        with("lifetime_seconds = 1209600\nidle_lifetime_seconds = 604800").succeeded();
    }
    let refreshed = "profile = \"strict\"\n[auth.backend.jwt]\nrefresh = true";
    assert!(config(refreshed).succeeded().stdout.contains("auth.backend.jwt.idle_lifetime_seconds = 86400"));
    config(&format!("{refreshed}\nidle_lifetime_seconds = 0")).refused(&["auth.backend.jwt.idle_lifetime_seconds"]);
}

#[test]
fn se_08_a_session_that_is_refreshed_has_an_end() {
    let with = |settings: &str| config(&format!("[{JWT}]\n{settings}"));
    let lifetime = format!("{JWT}.refresh_lifetime_seconds");
    let ran = with("refresh = true").succeeded();
    assert!(ran.stdout.contains(&format!("{lifetime} = 1209600")), "{}", ran.stdout);
    assert!(warns(&ran, &format!("{JWT}.idle_lifetime_seconds")), "two weeks, used or not");
    for (settings, words) in [
        ("refresh = true\nrefresh_lifetime_seconds = 0", "needs an end"),
        ("refresh = true\nrefresh_lifetime_seconds = 315360001", "at most"),
        ("refresh = true\nrefresh_lifetime_seconds = 3600", "longer than"),
        ("refresh = true\nlifetime_seconds = 0", "nothing to refresh"),
        ("refresh_lifetime_seconds = 86400", "refresh = true"),
    ] {
        with(settings).refused(&[&lifetime, words]);
    }
    with("refresh = true\nidle_lifetime_seconds = 1209601").refused(&[JWT, "over after 1209600 seconds"]);
    for settings in ["refresh = true", "refresh_lifetime_seconds = 86400"] {
        config(&format!("[{COOKIE}]\n{settings}")).refused(&[COOKIE, "a cookie carries no refresh token"]);
    }
    config(&format!("[{COOKIE}]\nrefresh = false")).succeeded();
}

fn refresh(server: &Server, backend: &str, token: &str) -> Answer {
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    server.send("POST", &format!("/auth/{backend}/refresh"), &headers, form.as_bytes())
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} in {value}")).to_owned()
}

#[test]
fn a_client_refreshes_and_logs_out() {
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "[auth.backend.jwt]\nrefresh = true\nlifetime_seconds = 300\nidle_lifetime_seconds = 600",
    );
    let printed = folder.run(&["openapi"]).succeeded().json();
    assert!(
        printed["paths"]["/auth/jwt/refresh"]["post"].is_object() && printed["paths"]["/users/me/sessions"].is_object()
    );
    let server = folder.serve();
    assert_eq!(server.get("/openapi.json").value(), printed);
    server.register(KING);
    let first = server.log_in("jwt", KING, PASSWORD).value();
    assert_eq!(first["expires_in"], json!(300));
    let answer = refresh(&server, "jwt", &text(&first, "refresh_token"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let second = answer.value();
    assert_eq!(server.as_bearer("GET", "/users/me", &text(&second, "access_token")).status, 200);

    let logout = server.as_bearer("POST", "/auth/jwt/logout", &text(&first, "access_token"));
    assert_eq!(logout.status, 204);
    assert_eq!(server.as_bearer("GET", "/users/me", &text(&second, "access_token")).status, 401, "the same session");
    let refused = refresh(&server, "jwt", &text(&second, "refresh_token"));
    assert_eq!((refused.status, &refused.value()["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn without_refresh_there_is_no_such_route() {
    let folder = Folder::new();
    assert!(folder.run(&["openapi"]).succeeded().json()["paths"].get("/auth/jwt/refresh").is_none());
    let server = folder.serve();
    server.register(KING);
    assert!(server.log_in("jwt", KING, PASSWORD).value().get("refresh_token").is_none());
    assert_eq!(refresh(&server, "jwt", "x").status, 404);
}

#[test]
fn se_12_sessions_are_listed_and_ended_also_where_nobody_registers() {
    let folder = Folder::new();
    folder.write("axum-users.toml", "[registration]\nenabled = false");
    folder.run_with_input(&["user", "create", KING], &format!("{PASSWORD}\n")).succeeded();
    let server = folder.serve();
    assert!(server.get("/openapi.json").value()["paths"]["/users/me/sessions/{session}"].is_object());
    let (here, there) = (server.token(KING, PASSWORD), server.token(KING, PASSWORD));
    let sessions = server.as_bearer("GET", "/users/me/sessions", &here).value();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let other = sessions.iter().find(|session| session["current"] == json!(false)).unwrap();
    let path = format!("/users/me/sessions/{}", text(other, "id"));
    assert_eq!(server.as_bearer("DELETE", &path, &here).status, 204);
    assert_eq!(server.as_bearer("GET", "/users/me", &there).status, 401);
    assert_eq!(server.as_bearer("GET", "/users/me", &here).status, 200);
}

/// `redis://…` of the servers for tests.
fn redis_url() -> String {
    std::env::var("AXUM_USERS_TEST_REDIS_URL").expect("AXUM_USERS_TEST_REDIS_URL: see CONTRIBUTING.md")
}

/// What a Redis answers, as it stands on the wire.
fn redis(url: &str, command: &[&str]) -> String {
    use std::io::{Read as _, Write as _};
    let address = url.strip_prefix("redis://").unwrap().split('/').next().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let mut text = String::new();
    for command in [command, &["QUIT"]] {
        text.push_str(&format!("*{}\r\n", command.len()));
        for word in command {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
    }
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.strip_suffix("+OK\r\n").unwrap().to_owned()
}

/// All keys that begin with this.
fn keys(url: &str, prefix: &str) -> Vec<String> {
    let answer = redis(url, &["KEYS", &format!("{prefix}*")]);
    answer.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn se_02_tokens_live_in_redis_as_hashes_and_end_at_logout() {
    use aws_lc_rs::digest::{SHA256, digest};
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let url = redis_url();
    let folder = Folder::new();
    let prefix = format!("test-{}:", folder.path().file_name().unwrap().to_str().unwrap());
    folder.write(
        "axum-users.toml",
        &format!("[auth.backend.jwt]\nstrategy = \"redis\"\nrefresh = true\n[redis]\nkey_prefix = \"{prefix}\""),
    );
    folder.write("url", &format!("{url}\n"));
    let server = folder.serve_with(&[("AXUM_USERS__REDIS__URL_FILE", "url")]);
    assert_eq!(server.get("/health/ready").status, 200);
    server.register(KING);
    let login = server.log_in("jwt", KING, PASSWORD).value();
    let token = text(&login, "access_token");
    let stored = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())));
    assert_eq!(keys(&url, &prefix), [stored.as_str()], "its hash, and nothing else");
    assert!(!redis(&url, &["GET", &stored]).contains(&token));
    let left: u32 = redis(&url, &["TTL", &stored]).trim_start_matches(':').trim().parse().unwrap();
    assert!((3500..=3600).contains(&left), "{left}");

    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 200);
    let sessions = server.as_bearer("GET", "/users/me/sessions", &token).value();
    assert_eq!((&sessions[0]["backend"], &sessions[0]["current"]), (&json!("jwt"), &json!(true)));
    let next = text(&refresh(&server, "jwt", &text(&login, "refresh_token")).value(), "access_token");
    assert_eq!(server.as_bearer("POST", "/auth/jwt/logout", &next).status, 204);
    for token in [token, next] {
        assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 401);
    }
    for key in keys(&url, &prefix) {
        redis(&url, &["DEL", &key]);
    }
}

#[test]
fn redis_that_is_away_is_503_and_not_ready() {
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "[auth]\nbackends = [\"jwt\", \"web\"]\n\
         [auth.backend.web]\ntransport = \"bearer\"\nstrategy = \"redis\"\n[redis]\nurl = \"redis://127.0.0.1:1\"",
    );
    let server = folder.serve();
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.get("/health/ready").status, 503);
    server.register(KING);
    assert_eq!(server.log_in("web", KING, PASSWORD).status, 503);
    assert_eq!(server.log_in("jwt", KING, PASSWORD).status, 200, "a backend that does not need it");
    server.wait_for("not ready: Redis");
}

#[test]
fn cr_07_redis_elsewhere_is_spoken_to_in_private() {
    for (url, accepted) in [
        ("redis://redis.camelot.bt", false),
        ("valkey://10.0.0.1:6379/1", false),
        ("redis://127.0.0.1:6379", true),
        ("redis://[::1]", true),
        ("unix:///run/redis.sock", true),
        ("rediss://redis.camelot.bt", true),
        ("redis+cluster://127.0.0.1:1,redis.camelot.bt:2", false),
        ("rediss+cluster://a.camelot.bt,b.camelot.bt", true),
        ("redis+sentinel://127.0.0.1:1,10.0.0.1/main", false),
        ("rediss+sentinel://10.0.0.1,10.0.0.2/main", true),
    ] {
        let text = format!("[redis]\nurl = \"{url}\"\n[auth.backend.jwt]\nstrategy = \"redis\"");
        let ran = config(&text);
        assert_eq!(ran.code, if accepted { 0 } else { 2 }, "{url}: {}", ran.stderr);
        assert!(accepted || ran.stderr.contains("redis.url: Redis is on another machine"), "{}", ran.stderr);
        let ran = config(&format!("redis.danger_plaintext = true\n{}", text.replace("[redis]\nurl", "redis.url")))
            .succeeded();
        assert_eq!(warns(&ran, "redis.url sends tokens unencrypted"), !accepted, "{url}: {}", ran.stdout);
    }
    let folder = Folder::new();
    folder.write("empty.pem", "");
    let ca = |url: &str, file: &str| {
        let text = format!("[redis]\nurl = \"{url}\"\nca_file = \"{file}\"\n[auth.backend.jwt]\nstrategy = \"redis\"");
        folder.write("axum-users.toml", &text);
        folder.run(&["config"])
    };
    ca("rediss://10.0.0.1", "absent.pem").refused(&["redis.ca_file", "absent.pem", "No such file"]);
    ca("rediss://10.0.0.1", "empty.pem").refused(&["redis.ca_file", "no certificates"]);
    ca("redis://127.0.0.1", "empty.pem").refused(&["redis.ca_file", "without TLS"]);
}

#[test]
fn cr_05_the_password_of_redis_is_never_shown() {
    let redis = "[auth.backend.jwt]\nstrategy = \"redis\"\n[redis]";
    let ran = config(&format!("{redis}\nurl = \"redis://me:canary@127.0.0.1:1/2\"")).succeeded();
    assert!(ran.stdout.contains("redis.url = \"redis://…@127.0.0.1:1/2\"") && !ran.stdout.contains("canary"));
    let url = "redis+sentinel://:canary@127.0.0.1/main";
    let ran = config(&format!("{redis}\nurl = \"{url}\"\nsentinel_user = \"me\"\nsentinel_password = \"canary\""));
    let ran = ran.succeeded();
    assert!(ran.stdout.contains("redis.sentinel_password = \"…\"") && !ran.stdout.contains("canary"), "{}", ran.stdout);
    for wrong in ["url = \"canary\"", "url = \"http://:canary@h\"", "sentinel_password = \"canary\""] {
        let ran = config(&format!("{redis}\n{wrong}")).refused(&["redis."]);
        assert!(!ran.stderr.contains("canary\"") && !ran.stderr.contains(":canary"), "{}", ran.stderr);
    }
    config(&format!("{redis}\nurl = \"{url}\"\nsentinel_user = \"me\""))
        .refused(&["redis.sentinel_password is missing"]);
}

#[test]
fn redis_that_nobody_asks_for_and_shared_tokens_are_told() {
    assert!(warns(&config("[redis]\nurl = \"redis://127.0.0.1:1\"").succeeded(), "redis.url has no effect"));
    let shared = "database.shared_with_fastapi_users = true\n";
    let ran = config(&format!("{shared}auth.backend.jwt.strategy = \"redis\"")).succeeded();
    let told = "database.shared_with_fastapi_users: tokens of jwt, cookie are stored as they are issued";
    assert!(warns(&ran, told), "{}", ran.stdout);
    assert!(!warns(&config("").succeeded(), "database.shared"));
    let refreshed = "auth.backend.jwt.refresh = true\nauth.backend.jwt.strategy = \"redis\"";
    config(&format!("{shared}{refreshed}")).refused(&["auth.backend.jwt.refresh:", "cannot name the session"]);
    config(refreshed).succeeded();
}
