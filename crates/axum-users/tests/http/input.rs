//! Bad input: the documented 4xx, never more, and nothing secret comes back.

use std::time::Duration;

use axum::body::Body;
use axum_users::{
    AuthBackend, BearerTransport, JwtStrategy, PasswordHash, UserChange, UserDatabase, UserProfile, Users,
    memory::MemoryStore,
};
use serde_json::{Value, json};

use crate::people::{
    JWT, OnDisk, PASSWORD, Person, World, application, bytes, cheap, credential, on_servers, superuser, visitor,
};

#[tokio::test]
async fn in_01_long_bodies_are_refused_before_they_are_read() {
    let world = World::new();
    let json = [("content-type", "application/json")];
    let long = format!(r#"{{"email":"a@camelot.bt","password":"{}"}}"#, "x".repeat(20 << 20));
    let announced = [("content-type", "application/json"), ("content-length", "268435456")];
    assert_eq!(world.nobody().raw("POST", "/auth/register", &announced, "{}").await.status(), 413);
    assert_eq!(world.nobody().raw("POST", "/auth/register", &json, long.clone()).await.status(), 413);
    let chunks = Body::from_stream(futures(long));
    assert_eq!(world.nobody().raw("POST", "/auth/register", &json, chunks).await.status(), 413, "without a length");
    let fits = format!(r#"{{"email":"a@camelot.bt","password":"{}"}}"#, "é".repeat(1024));
    assert_eq!(world.nobody().raw("POST", "/auth/register", &json, fits).await.status(), 201);
}

fn futures(text: String) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    let chunks: Vec<_> = text.into_bytes().chunks(8192).map(|chunk| Ok(chunk.to_vec())).collect();
    futures_util::stream::iter(chunks)
}

/// Bodies that no client means.
fn odd_bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "null",
        "[]",
        "7",
        "\"text\"",
        "{",
        "{}",
        "{\"email\":}",
        "{\"email\":1e999999,\"password\":NaN}",
        "{\"email\":\"\\ud800@camelot.bt\",\"password\":\"canary-\\ud800-secret\"}",
        "{\"email\":\"a\\u0000@camelot.bt\",\"password\":\"canary-secret\\u0000\"}",
        "{\"email\":\"a\\r\\nBcc: x@camelot.bt\",\"password\":\"canary-secret\"}",
        "{\"email\":{\"$ne\":null},\"password\":{\"canary-secret\":1}}",
        "{\"email\":\"a@camelot.bt\",\"password\":null}",
        "{\"email\":null,\"password\":[\"canary-secret\"]}",
        "{\"email\":\"a@camelot.bt\",\"password\":12345678,\"is_active\":\"maybe\",\"is_superuser\":1e400}",
        "{\"password\":\"canary-secret\"}",
        "{\"password\":\"canary-secret\"",
        "{\"is_active\":null,\"is_superuser\":null,\"is_verified\":null,\"email\":null}",
        "username=canary-secret&password=%ff%00",
        "=&=&&&",
        "\u{feff}{}",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.push(b"{\"email\":\"\xff\",\"password\":\"canary-secret\"}".to_vec());
    bodies.push(vec![b'['; 60_000]);
    bodies.push("{\"a\":".repeat(9_000).into_bytes());
    bodies.push("a&".repeat(2_000).into_bytes());
    bodies.push(b"------b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\ncanary-secret".to_vec());
    bodies
}

#[tokio::test]
async fn in_03_in_07_nothing_answers_500_and_no_secret_comes_back() {
    let disk = OnDisk::<()>::new().await;
    let mut all = vec![application(MemoryStore::new()).build().unwrap(), disk.users.clone()];
    all.extend(on_servers().await);
    for users in all {
        nothing_breaks(&users).await;
    }
}

async fn nothing_breaks(users: &Users<()>) {
    let nobody = visitor(users);
    nobody.register("person@camelot.bt").await;
    let person = nobody.logged_in("person@camelot.bt", PASSWORD, JWT).await;
    let boss = superuser(users, "boss@camelot.bt").await;
    let id = nobody.register("victim@camelot.bt").await["id"].as_str().unwrap().to_owned();
    let routes: Vec<(Person, &str, String)> = vec![
        (nobody.clone(), "POST", "/auth/register".into()),
        (nobody.clone(), "POST", "/auth/jwt/login".into()),
        (nobody.clone(), "POST", "/auth/cookie/login".into()),
        (nobody.clone(), "POST", "/auth/jwt/logout".into()),
        (nobody, "PATCH", "/users/me".into()),
        (person, "PATCH", "/users/me".into()),
        (boss.clone(), "PATCH", format!("/users/{id}")),
        (boss, "PATCH", "/users/not-an-id".into()),
    ];
    let types = [
        "application/json",
        "application/x+json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=----b",
        "",
    ];
    let mut seen = 0;
    for (who, method, path) in &routes {
        for body in odd_bodies() {
            for content_type in types {
                let response = who.raw(method, path, &[("content-type", content_type)], body.clone()).await;
                let status = response.status().as_u16();
                let answer = String::from_utf8_lossy(&bytes(response).await).into_owned();
                let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
                let harmless = [200, 201, 204, 400, 401, 403, 404, 413, 422].contains(&status);
                assert!(harmless, "{method} {path} {content_type} {shown}: {status} {answer}");
                assert!(!answer.contains("secret"), "{method} {path} {content_type} {shown}: {answer}");
                seen += 1;
            }
        }
    }
    assert!(seen > 1_000);
}

#[tokio::test]
async fn au_10_a_damaged_hash_is_a_wrong_password() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    let user = world.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    for hash in [
        "",
        "x",
        "!",
        "$argon2id$v=19$m=65536,t=3,p=4$",
        "$argon2id$v=19$m=4294967295,t=2147483647,p=1$AAECAwQFBgcICQoLDA0ODw$AAAA",
        "$2b$12$é",
        "$2b$99$abcdefghijklmnopqrstuuu",
        "$argon2id$v=19$m=8,t=1,p=1$$",
        "\u{0}",
    ] {
        let hashed_password = Some(PasswordHash::from_stored(hash.into()));
        let change = UserChange { hashed_password, ..UserChange::default() };
        let _ = world.store.update(&user.id, change).await.unwrap();
        assert_eq!(world.nobody().login(JWT, "a@camelot.bt", PASSWORD).await.status(), 400, "{hash}");
    }
}

#[tokio::test]
async fn pw_01_pw_03_pw_05_the_policy_holds_on_every_route_that_sets_a_password() {
    let world = World::new();
    let person = world.person("percival@camelot.bt", JWT).await;
    let boss = world.superuser("boss@camelot.bt").await;
    let id = person.json("GET", "/users/me", &json!({})).await.1["id"].as_str().unwrap().to_owned();
    for bad in ["", "seven77", "password123", "iloveyou1", "xx-percival-xx", &"x".repeat(1025)] {
        let (status, body) = world
            .nobody()
            .json("POST", "/auth/register", &json!({ "email": "percival@wales.bt", "password": bad }))
            .await;
        assert_eq!((status, &body["detail"]["code"]), (400, &json!("REGISTER_INVALID_PASSWORD")), "{bad}");
        assert!(body["detail"]["reason"].is_string());
        for (who, path) in [(&person, "/users/me".to_owned()), (&boss, format!("/users/{id}"))] {
            let (status, body) = who.json("PATCH", &path, &json!({ "password": bad })).await;
            assert_eq!(
                (status, &body["detail"]["code"]),
                (400, &json!("UPDATE_USER_INVALID_PASSWORD")),
                "{bad} {path}"
            );
        }
    }
    // Code points count, not bytes.
    let (status, _) = world
        .nobody()
        .json("POST", "/auth/register", &json!({ "email": "x@camelot.bt", "password": "𝔸𝔹ℂ𝔻𝔼𝔽𝔾ℍ" }))
        .await;
    assert_eq!(status, 201);
}

#[derive(Clone, Debug, UserProfile)]
struct Profile {
    #[profile(unique)]
    handle: Option<String>,
}

/// The answers that need another application: unique columns, required verification.
pub(crate) async fn codes_of_other_applications() -> Vec<Value> {
    let store = MemoryStore::<Profile>::new();
    let jwt = JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", Duration::from_secs(60)).unwrap();
    let build = |required: bool| {
        Users::builder(store.clone())
            .passwords(cheap())
            .requires_verification(required)
            .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt.clone()))
            .build()
            .unwrap()
    };
    let mut person = Person { router: build(false).router(), header: None };
    let strict = Person { router: build(true).router(), header: None };
    let register = |email: &str, handle: &str| json!({ "email": email, "password": PASSWORD, "handle": handle });
    person.json("POST", "/auth/register", &register("a@camelot.bt", "first")).await;
    person.json("POST", "/auth/register", &register("b@camelot.bt", "second")).await;
    let taken = person.json("POST", "/auth/register", &register("c@camelot.bt", "first")).await.1;
    person.header = Some(credential(person.login(JWT, "b@camelot.bt", PASSWORD).await).await);
    let moved = person.json("PATCH", "/users/me", &json!({ "handle": "first" })).await.1;
    let unverified = bytes(strict.login(JWT, "a@camelot.bt", PASSWORD).await).await;
    vec![taken, moved, serde_json::from_slice(&unverified).unwrap()]
}
