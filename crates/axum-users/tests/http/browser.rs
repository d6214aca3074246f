//! What a browser is asked for, and what it gets.

use serde_json::json;

use crate::people::{COOKIE, JWT, PASSWORD, World, bytes};

#[tokio::test]
async fn ck_01_a_cookie_is_for_our_host_our_server_and_our_pages() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    let login = world.nobody().login(COOKIE, "a@camelot.bt", PASSWORD).await;
    let person = world.logged_in("a@camelot.bt", PASSWORD, COOKIE).await;
    let logout = person.raw("POST", "/auth/cookie/logout", &[], "").await;
    for response in [login, logout] {
        let cookie = response.headers()["set-cookie"].to_str().unwrap().to_ascii_lowercase();
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        for asked in ["secure", "httponly", "samesite=lax", "path=/"] {
            assert!(attributes.contains(&asked), "{cookie}");
        }
        assert!(!cookie.contains("domain"), "{cookie}");
    }
}

#[tokio::test]
async fn ck_05_what_a_form_can_send_is_no_json() {
    let world = World::new();
    let person = world.person("a@camelot.bt", JWT).await;
    let body = json!({ "email": "b@camelot.bt", "password": PASSWORD }).to_string();
    for content_type in [
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonp",
        "x/application/json",
        "json",
        "",
    ] {
        for (who, method, path) in [(&world.nobody(), "POST", "/auth/register"), (&person, "PATCH", "/users/me")] {
            let response = who.raw(method, path, &[("content-type", content_type)], body.clone()).await;
            assert_eq!(response.status(), 422, "{content_type} {path}");
        }
    }
    assert_eq!(world.nobody().raw("POST", "/auth/register", &[], body.clone()).await.status(), 422, "no type at all");
    for content_type in ["application/json", "APPLICATION/JSON; charset=utf-8", "application/scim+json"] {
        let response = person.raw("PATCH", "/users/me", &[("content-type", content_type)], "{}").await;
        assert_eq!(response.status(), 200, "{content_type}");
    }
    let json = [("content-type", "application/json")];
    let login = json!({ "username": "a@camelot.bt", "password": PASSWORD }).to_string();
    assert_eq!(world.nobody().raw("POST", "/auth/jwt/login", &json, login).await.status(), 422, "a login is a form");
}

#[tokio::test]
async fn ck_06_a_link_changes_nothing() {
    let world = World::new();
    let person = world.person("a@camelot.bt", COOKIE).await;
    let before = world.users.list(None, 10).await.unwrap().len();
    for path in [
        "/auth/cookie/logout",
        "/auth/jwt/logout",
        "/auth/cookie/login?username=a%40camelot.bt&password=x",
        "/auth/register?email=b%40camelot.bt&password=plum+tomato+engine",
        "/users/me?_method=DELETE",
    ] {
        for method in ["GET", "HEAD"] {
            let response = person.raw(method, path, &[("x-http-method-override", "POST")], "").await;
            let status = response.status().as_u16();
            assert!(
                status == 405 || (method == "GET" && status == 200 && path.starts_with("/users/me")),
                "{method} {path}"
            );
            assert_eq!(response.headers().get("set-cookie"), None);
        }
    }
    assert!(person.is_known().await);
    assert_eq!(world.users.list(None, 10).await.unwrap().len(), before);
}

#[tokio::test]
async fn ck_07_no_origin_may_read() {
    let world = World::new();
    let person = world.person("a@camelot.bt", COOKIE).await;
    for origin in ["https://evil.example", "null", "https://camelot.bt"] {
        for (method, path) in [
            ("OPTIONS", "/users/me"),
            ("OPTIONS", "/auth/register"),
            ("OPTIONS", "/auth/cookie/login"),
            ("GET", "/users/me"),
            ("PATCH", "/users/me"),
            ("GET", "/nowhere"),
            ("POST", "/auth/jwt/login"),
        ] {
            let asked = [
                ("origin", origin),
                ("access-control-request-method", "PATCH"),
                ("content-type", "application/json"),
                ("access-control-request-headers", "authorization"),
            ];
            let response = person.raw(method, path, &asked, "{}").await;
            let cors = response.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(cors, None, "{method} {path}");
            assert!(method != "OPTIONS" || response.status() == 405);
        }
    }
}

#[tokio::test]
async fn in_02_json_is_one_value_in_utf_8() {
    let world = World::new();
    let person = world.person("a@camelot.bt", JWT).await;
    let json = [("content-type", "application/json")];
    let wide: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for odd in [
        "{} {}".into(),
        "{}x".into(),
        "{\"a\":1,}".into(),
        "{'a':1}".into(),
        "[".repeat(60_000).into_bytes(),
        wide,
        b"\xff\xfe{\0}\0".to_vec(),
        "// x\n{}".into(),
        "{\"a\":01}".into(),
        "{\"email\":\"\t\"}".into(),
    ] {
        let response = person.raw("PATCH", "/users/me", &json, odd.clone()).await;
        let shown = String::from_utf8_lossy(&odd[..odd.len().min(20)]).into_owned();
        let status = response.status().as_u16();
        let text = String::from_utf8_lossy(&bytes(response).await).into_owned();
        assert!([400, 422].contains(&status), "{shown}: {status} {text}");
    }
    let twice = r#"{"email":"first@camelot.bt","email":"second@camelot.bt"}"#;
    let response = person.raw("PATCH", "/users/me", &json, twice).await;
    assert_eq!(response.status(), 200);
    assert_eq!(person.json("GET", "/users/me", &json!({})).await.1["email"], "second@camelot.bt");
}
