//! What a client does, over the network.

use serde_json::json;

use crate::harness::{Folder, PASSWORD};

const KING: &str = "king@camelot.bt";

#[test]
fn register_log_in_read_change_log_out() {
    let folder = Folder::new();
    let server = folder.serve();
    let registered = server.register(KING);
    assert_eq!(registered.status, 201, "{}", registered.body);
    let token = server.token(KING, PASSWORD);
    let me = server.as_bearer("GET", "/users/me", &token);
    assert_eq!(me.value(), registered.value());

    let changed = server.json("PATCH", "/users/me", Some(&token), &json!({ "password": "the holy hand grenade" }));
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(server.log_in("jwt", KING, PASSWORD).status, 400);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 200);

    assert_eq!(server.as_bearer("POST", "/auth/jwt/logout", &token).status, 204);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 401);
    server.stop();
}

#[test]
fn a_cookie_does_what_a_token_does() {
    let folder = Folder::new();
    let server = folder.serve();
    server.register(KING);
    let answer = server.log_in("cookie", KING, PASSWORD);
    assert_eq!(answer.status, 204, "{}", answer.body);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(server.send("GET", "/users/me", &[("cookie", &cookie)], b"").status, 200);
    assert_eq!(server.send("POST", "/auth/cookie/logout", &[("cookie", &cookie)], b"").status, 204);
    assert_eq!(server.send("GET", "/users/me", &[("cookie", &cookie)], b"").status, 401);
}

#[test]
fn ck_01_the_cookie_is_as_safe_as_the_public_address_allows() {
    let cookie = |variables: &[(&str, &str)]| {
        let folder = Folder::new();
        folder.run_with_input(&["user", "create", KING], PASSWORD).succeeded();
        let server = folder.serve_with(variables);
        let answer = server.log_in("cookie", KING, PASSWORD);
        answer.header("set-cookie").unwrap().to_owned()
    };
    let local = cookie(&[]);
    assert!(local.contains("; HttpOnly") && local.contains("; SameSite=lax") && !local.contains("Domain"), "{local}");
    assert!(!local.contains("; Secure"), "{local}");
    let public = cookie(&[("AXUM_USERS__PUBLIC_URL", "https://users.camelot.bt")]);
    assert!(public.contains("; Secure"), "{public}");
    let strict = cookie(&[("AXUM_USERS__PROFILE", "strict")]);
    assert!(strict.starts_with("__Host-fastapiusersauth=") && strict.contains("; Secure"), "{strict}");
}

#[test]
fn registration_can_be_closed() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__REGISTRATION__ENABLED", "false")]);
    let answer = server.register(KING);
    assert_eq!((answer.status, answer.body.as_str()), (404, r#"{"detail":"Not Found"}"#));
    folder.run_with_input(&["user", "create", KING], PASSWORD).succeeded();
    server.token(KING, PASSWORD);
}

#[test]
fn ids_can_be_numbers() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__DATABASE__USER_ID", "integer")]);
    assert_eq!(server.register(KING).value()["id"], json!(1));
    let token = server.token(KING, PASSWORD);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).value()["id"], json!(1));
}

#[test]
fn az_06_unknown_paths_and_methods_are_answered_in_json() {
    let folder = Folder::new();
    let server = folder.serve();
    for path in ["/nowhere", "/pages", "/users", "/auth", "/metrics", "/debug", "/auth/jwt/login/x", "//users/me"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (404, r#"{"detail":"Not Found"}"#), "{path}");
    }
    for (method, path) in [
        ("TRACE", "/users/me"),
        ("OPTIONS", "/users/me"),
        ("HEAD", "/users/me"),
        ("PUT", "/auth/register"),
        ("GET", "/auth/jwt/login"),
        ("POST", "/health/live"),
        ("TRACE", "/health/ready"),
    ] {
        let answer = server.send(method, path, &[], b"");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").is_some(), "{method} {path}");
        if method != "HEAD" {
            assert_eq!(answer.body, r#"{"detail":"Method Not Allowed"}"#);
        }
    }
    assert!(server.get("/users/me").header("server").is_none());
}

#[test]
fn az_06_health_tells_up_or_down_and_no_more() {
    let folder = Folder::new();
    let server = folder.serve();
    for path in ["/health/live", "/health/ready"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"detail":"up"}"#), "{path}");
    }
}

#[test]
fn the_documentation_shows_the_routes_that_are_there_and_can_be_off() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__REGISTRATION__ENABLED", "false")]);
    assert!(server.get("/docs").head.contains("text/html"));
    let document = server.get("/openapi.json").value();
    assert!(document["paths"].get("/auth/jwt/login").is_some());
    assert!(document["paths"].get("/auth/register").is_none());
    server.stop();
    let server = folder.serve_with(&[("AXUM_USERS__SERVER__DOCS", "false")]);
    for path in ["/docs", "/openapi.json"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn every_answer_has_safe_headers_and_an_id() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__PUBLIC_URL", "https://users.camelot.bt")]);
    for path in ["/users/me", "/nowhere", "/health/live"] {
        let answer = server.get(path);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{path}");
    }
    let echoed = server.send("GET", "/nowhere", &[("x-request-id", "from-the-proxy_1.2")], b"");
    assert_eq!(echoed.header("x-request-id"), Some("from-the-proxy_1.2"));
    for odd in ["a b", "a\"b", "a/b", &"x".repeat(65), "é"] {
        let answer = server.send("GET", "/nowhere", &[("x-request-id", odd)], b"");
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{odd}");
    }
}

#[test]
fn only_the_origins_that_are_named_read_answers_across_origins() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__SERVER__ALLOWED_ORIGINS", "https://app.camelot.bt")]);
    let asked = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "PATCH")];
        let answer = server.send("OPTIONS", "/users/me", &headers, b"");
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(asked("https://app.camelot.bt").as_deref(), Some("https://app.camelot.bt"));
    assert_eq!(asked("https://evil.example"), None);
}

#[test]
fn the_strict_server_is_strict() {
    let folder = Folder::new();
    folder.write("axum-users.toml", "profile = \"strict\"");
    folder.run_with_input(&["user", "create", KING, "--superuser"], PASSWORD).succeeded();
    let robin = folder.run_with_input(&["user", "create", "robin@camelot.bt", "--json"], PASSWORD).succeeded().json();
    let id = robin["id"].as_str().unwrap();
    let server = folder.serve();
    let token = server.token(KING, PASSWORD);
    let header: String = token.split('.').next().unwrap().to_owned();
    let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
    assert!(String::from_utf8(header).unwrap().contains(r#""typ":"at+jwt""#));

    let patch = |path: &str, body| server.json("PATCH", path, Some(&token), &body);
    let chosen = patch(&format!("/users/{id}"), json!({ "password": "the holy hand grenade" }));
    assert_eq!((chosen.status, &chosen.value()["detail"]["code"]), (400, &json!("UPDATE_USER_INVALID_PASSWORD")));
    let wrong = patch("/users/me", json!({ "email": "a@camelot.bt", "current_password": "the holy hand grenade" }));
    assert_eq!((wrong.status, &wrong.value()["detail"]), (400, &json!("UPDATE_USER_CURRENT_PASSWORD_WRONG")));
    assert!(server.get("/openapi.json").body.contains("current_password"));

    let twice = br#"{"email": "a@camelot.bt", "email": "b@camelot.bt", "password": "excalibur in the lake"}"#;
    assert_eq!(server.send("POST", "/auth/register", &[("content-type", "application/json")], twice).status, 422);
    assert_eq!(server.get("/users/me").status, 401);
    let slash = server.get("/users/me/");
    assert_eq!((slash.status, slash.value()), (404, json!({ "detail": "Not Found" })));
    // What a program on this machine does is not concerned.
    folder.run_with_input(&["user", "set-password", KING], "the holy hand grenade").succeeded();
    server.stop();
}
