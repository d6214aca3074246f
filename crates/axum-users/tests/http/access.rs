//! Who may do what.

use axum_users::{ErrorCode, UserChange, UserDatabase as _, UserUpdate, memory::MemoryStore};
use serde_json::{Value, json};

use crate::people::{COOKIE, JWT, PASSWORD, Person, World, application, bytes, visitor};

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Nobody,
    Inactive,
    Unverified,
    User,
    Superuser,
}

const KINDS: [Kind; 5] = [Kind::Nobody, Kind::Inactive, Kind::Unverified, Kind::User, Kind::Superuser];

/// Each route, and what it answers to each of [`KINDS`]; `{id}` is somebody else.
const ACCESS: &[(&str, &str, [u16; 5])] = &[
    ("POST", "/auth/register", [201, 201, 201, 201, 201]),
    ("POST", "/auth/jwt/login", [200, 200, 200, 200, 200]),
    ("POST", "/auth/cookie/login", [204, 204, 204, 204, 204]),
    ("POST", "/auth/db/login", [200, 200, 200, 200, 200]),
    ("POST", "/auth/jwt/logout", [401, 401, 403, 204, 204]),
    ("POST", "/auth/cookie/logout", [401, 401, 403, 204, 204]),
    ("POST", "/auth/db/logout", [401, 401, 403, 204, 204]),
    ("GET", "/users/me", [401, 401, 403, 200, 200]),
    ("PATCH", "/users/me", [401, 401, 403, 200, 200]),
    // An id like any other, and nobody's.
    ("DELETE", "/users/me", [401, 401, 403, 403, 404]),
    ("GET", "/users/{id}", [401, 401, 403, 403, 200]),
    ("PATCH", "/users/{id}", [401, 401, 403, 403, 200]),
    ("DELETE", "/users/{id}", [401, 401, 403, 403, 204]),
    ("GET", "/users/me/sessions", [401, 401, 403, 200, 200]),
    ("DELETE", "/users/me/sessions", [401, 401, 403, 204, 204]),
    // No session is called so.
    ("DELETE", "/users/me/sessions/{session}", [401, 401, 403, 404, 404]),
    ("GET", "/users/{id}/sessions", [401, 401, 403, 403, 200]),
    ("DELETE", "/users/{id}/sessions", [401, 401, 403, 403, 204]),
    ("DELETE", "/users/{id}/sessions/{session}", [401, 401, 403, 403, 404]),
];

#[tokio::test]
async fn az_01_every_route_has_an_answer_for_every_kind_of_person() {
    for (method, path, answers) in ACCESS {
        for (kind, expected) in KINDS.into_iter().zip(answers) {
            assert_eq!(answer_to(kind, method, path).await, *expected, "{method} {path} {kind:?}");
        }
    }
}

/// What somebody of this kind is answered, where verified users only may pass.
async fn answer_to(kind: Kind, method: &str, path: &str) -> u16 {
    let store = MemoryStore::<()>::new();
    let users = application(store.clone()).build().unwrap();
    let mut person = visitor(&users);
    let other = person.register("other@camelot.bt").await["id"].as_str().unwrap().to_owned();
    person.register("a@camelot.bt").await;
    if !matches!(kind, Kind::Nobody) {
        person = person.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    }
    let (inactive, boss) = (matches!(kind, Kind::Inactive), matches!(kind, Kind::Superuser));
    let verified = !matches!(kind, Kind::Unverified);
    for (email, is_active, is_superuser, is_verified) in
        [("other@camelot.bt", true, false, true), ("a@camelot.bt", !inactive, boss, verified)]
    {
        // Straight into the store, so that tokens live on.
        let id = users.get_by_email(email).await.unwrap().unwrap().id;
        let mut change = UserChange::default();
        (change.is_active, change.is_superuser, change.is_verified) =
            (Some(is_active), Some(is_superuser), Some(is_verified));
        let _ = store.update(&id, change).await.unwrap();
    }
    person.router = application(store).requires_verification(true).build().unwrap().router();
    let form = format!("username=other%40camelot.bt&password={}", PASSWORD.replace(' ', "+"));
    let (kind, body) = if path.ends_with("/login") {
        ("application/x-www-form-urlencoded", form)
    } else if path.ends_with("/register") {
        ("application/json", json!({ "email": "new@camelot.bt", "password": PASSWORD }).to_string())
    } else {
        ("application/json", "{}".to_owned())
    };
    let path = path.replace("{id}", &other).replace("{session}", "AAAAAAAAAAAAAAAAAAAAAA");
    person.raw(method, &path, &[("content-type", kind)], body).await.status().as_u16()
}

#[tokio::test]
async fn az_01_no_route_is_missing_from_the_table() {
    let world = World::new();
    let known = |path: &str| {
        let mut methods: Vec<&str> = ACCESS.iter().filter(|row| row.1 == path).map(|row| row.0).collect();
        methods.sort_unstable();
        methods
    };
    let document = serde_json::to_value(world.users.openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 9, "{paths:?}");
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            assert!(known(path).contains(&method.as_str()), "{method} {path}: say who may ask for it");
        }
        // The router itself, in case that the document keeps a method back.
        let response = world.nobody().raw("TRACE", &path.replace("{id}", "x").replace("{session}", "y"), &[], "").await;
        let mut allowed: Vec<&str> = response.headers()["allow"].to_str().unwrap().split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(allowed, known(path), "{path}");
    }
}

#[tokio::test]
async fn az_03_others_learn_nothing_about_ids() {
    let world = World::new();
    let person = world.person("a@camelot.bt", JWT).await;
    let known = world.register("b@camelot.bt").await["id"].as_str().unwrap().to_owned();
    let mut answers = Vec::new();
    for id in [known.as_str(), "00000000-0000-4000-8000-000000000001", "not-an-id"] {
        let response = person.raw("GET", &format!("/users/{id}"), &[], "").await;
        answers.push((response.status(), format!("{:?}", response.headers()), bytes(response).await));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn az_04_the_last_superuser_stays() {
    let world = World::new();
    let boss = world.superuser("boss@camelot.bt").await;
    let id = boss.json("GET", "/users/me", &json!({})).await.1["id"].as_str().unwrap().to_owned();
    let refused = (400, json!({ "detail": "LAST_SUPERUSER" }));
    for update in [json!({ "is_superuser": false }), json!({ "is_active": false })] {
        assert_eq!(boss.json("PATCH", &format!("/users/{id}"), &update).await, refused);
    }
    assert_eq!(boss.json("DELETE", &format!("/users/{id}"), &json!({})).await, refused);
    world.superuser("second@camelot.bt").await;
    assert_eq!(boss.json("DELETE", &format!("/users/{id}"), &json!({})).await.0, 204);
}

#[tokio::test]
async fn az_05_ids_are_canonical() {
    let world = World::new();
    let boss = world.superuser("boss@camelot.bt").await;
    let id = boss.json("GET", "/users/me", &json!({})).await.1["id"].as_str().unwrap().to_owned();
    for fine in [id.to_uppercase(), id.replace('-', ""), format!("urn:uuid:{id}"), format!("%7B{id}%7D")] {
        assert_eq!(boss.status("GET", &format!("/users/{fine}")).await, 200, "{fine}");
    }
    for odd in [
        format!("%20{id}"),
        format!("+{id}"),
        format!("%7B%7B{id}%7D%7D"),
        format!("{id}%00"),
        "%ff".into(),
        "-1".into(),
    ] {
        assert_eq!(boss.status("GET", &format!("/users/{odd}")).await, 404, "{odd}");
    }
}

#[tokio::test]
async fn az_06_other_methods_are_not_allowed() {
    let world = World::new();
    let boss = world.superuser("boss@camelot.bt").await;
    for (path, allow) in [
        ("/users/me", "GET, PATCH, DELETE"),
        ("/users/00000000-0000-4000-8000-000000000001", "GET, PATCH, DELETE"),
        ("/auth/register", "POST"),
        ("/auth/jwt/login", "POST"),
        ("/auth/cookie/logout/", "POST"),
    ] {
        for method in ["HEAD", "OPTIONS", "PUT", "TRACE", "CONNECT2"] {
            let response = boss.raw(method, path, &[], "").await;
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], allow, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn ck_03_ck_04_a_foreign_page_writes_nothing_with_cookies() {
    let world = World::new();
    let person = world.person("a@camelot.bt", COOKIE).await;
    let bearer = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    let foreign = [("sec-fetch-site", "cross-site"), ("content-type", "application/x-www-form-urlencoded")];
    let old = [("origin", "https://evil.example"), ("host", "users.example"), ("content-type", "application/json")];
    let form = format!("username=a%40camelot.bt&password={}", PASSWORD.replace(' ', "+"));
    let response = world.nobody().raw("POST", "/auth/cookie/login", &foreign, form.clone()).await;
    assert_eq!((response.status().as_u16(), response.headers().get("set-cookie")), (403, None));
    let response = world.nobody().raw("POST", "/auth/jwt/login", &foreign, form.clone()).await;
    assert_eq!(response.status(), 200, "a bearer login gives a foreign page nothing that it could read");
    assert_eq!(world.nobody().raw("POST", "/auth/register", &foreign, form).await.status(), 403);
    for (method, path) in [("PATCH", "/users/me"), ("POST", "/auth/cookie/logout"), ("DELETE", "/users/me")] {
        for headers in [&foreign[..], &old[..]] {
            assert_eq!(person.raw(method, path, headers, "{}").await.status(), 403, "{method} {path}");
        }
    }
    assert!(person.is_known().await, "nothing happened");
    assert_eq!(bearer.raw("PATCH", "/users/me", &old, "{}").await.status(), 200, "bearer is not sent by itself");
    assert_eq!(person.raw("GET", "/users/me", &foreign, "").await.status(), 200, "reading is up to CORS");
}

#[tokio::test]
async fn en_01_a_login_does_not_tell_why() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    world.register("inactive@camelot.bt").await;
    world.change("inactive@camelot.bt", UserUpdate { is_active: Some(false), ..UserUpdate::default() }).await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("nobody@camelot.bt", PASSWORD),
        ("a@camelot.bt", "wrong"),
        ("inactive@camelot.bt", PASSWORD),
        ("not an address", PASSWORD),
        ("a%00@camelot.bt", PASSWORD),
    ] {
        let response = world.nobody().login(JWT, email, password).await;
        answers.push((response.status(), format!("{:?}", response.headers()), bytes(response).await));
    }
    assert_eq!(answers[0].0, 400);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// Each code is obtained once; a new one without a way to it fails here.
#[tokio::test]
async fn every_error_code_is_obtained() {
    let world = World::new();
    let person = world.person("a@camelot.bt", JWT).await;
    let boss = world.superuser("boss@camelot.bt").await;
    let boss_id = boss.json("GET", "/users/me", &json!({})).await.1["id"].as_str().unwrap().to_owned();
    let register = async |body: Value| world.nobody().json("POST", "/auth/register", &body).await.1;
    let strict = World::with(|builder| builder.strict(true));
    let tired = strict.person("a@camelot.bt", JWT).await;
    strict.clock.advance(time::Duration::minutes(10));
    let mut found = vec![
        tired.json("PATCH", "/users/me", &json!({ "email": "b@camelot.bt" })).await.1,
        person.json("PATCH", "/users/me", &json!({ "current_password": "wrong" })).await.1,
        register(json!({ "email": "a@camelot.bt", "password": PASSWORD })).await,
        register(json!({ "email": "b@camelot.bt", "password": "short" })).await,
        person.json("PATCH", "/users/me", &json!({ "email": "boss@camelot.bt" })).await.1,
        person.json("PATCH", "/users/me", &json!({ "password": "password" })).await.1,
        boss.json("PATCH", &format!("/users/{boss_id}"), &json!({ "is_superuser": false })).await.1,
        serde_json::from_slice(&bytes(world.nobody().login(JWT, "a@camelot.bt", "wrong").await).await).unwrap(),
    ];
    found.extend(crate::mailed::codes().await);
    found.push(crate::refresh::of_a_bad_token().await);
    found.extend(crate::oauth::codes().await);
    found.extend(crate::input::codes_of_other_applications().await);
    let codes: Vec<String> = found
        .iter()
        .map(|body| &body["detail"])
        .map(|detail| detail.get("code").unwrap_or(detail).as_str().unwrap_or_default().to_owned())
        .collect();
    for code in ErrorCode::ALL {
        assert!(codes.iter().any(|it| it == code.as_str()), "{} is not obtained: {codes:?}", code.as_str());
    }
}

#[tokio::test]
async fn rg_06_flags_and_ids_in_a_body_are_ignored() {
    let world = World::new();
    let sent = json!({
        "email": "a@camelot.bt", "password": PASSWORD, "is_superuser": true, "is_verified": true, "is_active": false,
        "id": "00000000-0000-4000-8000-000000000001", "hashed_password": "x", "tokens_valid_after": 9, "oauth_accounts": [],
    });
    let (status, user) = world.nobody().json("POST", "/auth/register", &sent).await;
    let flags = |user: &Value| (user["is_active"].clone(), user["is_superuser"].clone(), user["is_verified"].clone());
    assert_eq!((status, flags(&user)), (201, (json!(true), json!(false), json!(false))));
    assert_ne!(user["id"], sent["id"]);
    let person: Person = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    let mut change = sent.clone();
    change.as_object_mut().unwrap().remove("password");
    let (status, changed) = person.json("PATCH", "/users/me", &change).await;
    assert_eq!((status, flags(&changed), &changed["id"]), (200, flags(&user), &user["id"]));
}
