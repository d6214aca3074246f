//! Who is who: what answers and work tell of others, addresses, people who are gone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum_users::{
    PasswordHash, PasswordHasher, UserChange, UserDatabase, UserUpdate, ValidatedPassword, Verification,
    memory::MemoryStore,
    password::{Argon2Params, DefaultHasher, HasherError, PasswordPool},
};
use serde_json::json;

use crate::people::{COOKIE, DB, JWT, PASSWORD, World, application, bytes, change, visitor};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

#[tokio::test]
async fn en_09_odd_passwords_get_one_answer_whoever_is_named() {
    let world = World::new();
    for email in ["a@camelot.bt", "inactive@camelot.bt", "damaged@camelot.bt"] {
        world.register(email).await;
    }
    world.superuser("boss@camelot.bt").await;
    world.change("inactive@camelot.bt", UserUpdate { is_active: Some(false), ..UserUpdate::default() }).await;
    let damaged = world.users.get_by_email("damaged@camelot.bt").await.unwrap().unwrap();
    let hashed_password = Some(PasswordHash::from_stored("$2b$12$damaged".into()));
    let _ = world.store.update(&damaged.id, UserChange { hashed_password, ..UserChange::default() }).await.unwrap();
    let classes = ["a", "inactive", "damaged", "boss", "unknown", "%ff", "a%00"];
    let long = "x".repeat(60_000);
    for password in [
        "wrong",
        &"x".repeat(72),
        &"x".repeat(73),
        &"x".repeat(4096),
        &"x".repeat(4097),
        &long,
        "%00",
        "a%00b",
        "%ff%fe",
        "%ED%A0%80",
        "%0d%0a",
        "%F0%9F%98%80",
        "",
        "&password=b",
        "%",
        "+",
        "a&username=a%40camelot.bt%20",
    ] {
        let mut answers = Vec::new();
        for class in classes {
            let body = format!("username={class}%40camelot.bt&password={password}");
            let response = world.nobody().raw("POST", "/auth/jwt/login", &FORM, body).await;
            answers.push((response.status(), format!("{:?}", response.headers()), bytes(response).await));
        }
        let shown: String = password.chars().take(20).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{shown}: {answers:?}");
        assert!([400, 422].contains(&answers[0].0.as_u16()), "{shown}");
    }
}

/// Counts its runs.
pub(crate) struct Counting(pub(crate) DefaultHasher, pub(crate) Arc<AtomicUsize>);

impl PasswordHasher for Counting {
    fn hash(&self, password: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.hash(password)
    }
    fn verify(&self, password: &str, stored: &PasswordHash) -> Result<Verification, HasherError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify(password, stored)
    }
    fn verify_dummy(&self, password: &str) -> Result<(), HasherError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify_dummy(password)
    }
}

#[tokio::test]
async fn en_02_every_login_hashes_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
    let passwords = PasswordPool::builder(Counting(hasher, Arc::clone(&runs))).build().unwrap();
    let users = application(MemoryStore::<()>::new()).passwords(passwords).build().unwrap();
    let nobody = visitor(&users);
    nobody.register("a@camelot.bt").await;
    nobody.register("inactive@camelot.bt").await;
    change(&users, "inactive@camelot.bt", UserUpdate { is_active: Some(false), ..UserUpdate::default() }).await;
    for (email, password) in [
        ("a@camelot.bt", PASSWORD),
        ("a@camelot.bt", "wrong"),
        ("inactive@camelot.bt", PASSWORD),
        ("inactive@camelot.bt", "wrong"),
        ("unknown@camelot.bt", PASSWORD),
        ("not an address", PASSWORD),
        ("a%00@camelot.bt", PASSWORD),
        ("A@CAMELOT.BT", "wrong"),
    ] {
        let before = runs.load(Ordering::SeqCst);
        nobody.login(JWT, email, password).await;
        assert_eq!(runs.load(Ordering::SeqCst) - before, 1, "{email} {password}");
    }
    let before = runs.load(Ordering::SeqCst);
    for body in ["username=a%40camelot.bt", "password=x", ""] {
        nobody.raw("POST", "/auth/jwt/login", &FORM, body).await;
    }
    nobody.json("POST", "/auth/register", &json!({ "email": "b@camelot.bt", "password": "short" })).await;
    nobody.json("POST", "/auth/register", &json!({ "email": "no address", "password": PASSWORD })).await;
    assert_eq!(runs.load(Ordering::SeqCst), before, "what is refused anyway costs no hash");
    for email in ["a@camelot.bt", "b@camelot.bt"] {
        let before = runs.load(Ordering::SeqCst);
        nobody.json("POST", "/auth/register", &json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(runs.load(Ordering::SeqCst) - before, 1, "register {email}");
    }
}

#[tokio::test]
async fn au_08_who_is_inactive_or_gone_gets_and_uses_nothing() {
    let world = World::new();
    let boss = world.superuser("boss@camelot.bt").await;
    for state in ["inactive", "deleted"] {
        let email = format!("{state}@camelot.bt");
        world.register(&email).await;
        let mut people = Vec::new();
        for backend in [JWT, COOKIE, DB] {
            people.push(world.logged_in(&email, PASSWORD, backend).await);
        }
        let by_id = format!("/users/{}", people[0].id().await);
        let (method, status) = if state == "inactive" { ("PATCH", 200) } else { ("DELETE", 204) };
        assert_eq!(boss.json(method, &by_id, &json!({ "is_active": false })).await.0, status);
        for backend in [JWT, COOKIE, DB] {
            let response = world.nobody().login(backend, &email, PASSWORD).await;
            assert_eq!((response.status().as_u16(), response.headers().get("set-cookie")), (400, None));
            for person in &people {
                let response = person.login(backend, &email, PASSWORD).await;
                assert_eq!(response.status(), 400, "with an old token");
                assert_eq!(person.status("POST", &format!("{backend}/logout")).await, 401);
            }
        }
        for person in &people {
            for (method, path) in [
                ("GET", "/users/me"),
                ("PATCH", "/users/me"),
                ("DELETE", "/users/me"),
                ("GET", by_id.as_str()),
                ("PATCH", &by_id),
                ("DELETE", &by_id),
            ] {
                assert_eq!(
                    person.json(method, path, &json!({ "is_active": true })).await.0,
                    401,
                    "{state} {method} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn rg_05_an_address_is_one_mailbox_and_nothing_else() {
    let world = World::new();
    let person = world.person("person@camelot.bt", JWT).await;
    let long = format!("{}@{}.bt", "a".repeat(64), "b".repeat(63).repeat(3));
    for odd in [
        "",
        " ",
        "@",
        "a",
        "a@",
        "@b.bt",
        "a@b",
        "a@@camelot.bt",
        "a@b@camelot.bt",
        "a@camelot.bt\r\nBcc: x@evil.bt",
        "a@camelot.bt\n",
        "a\u{0}@camelot.bt",
        "\"a b\"@camelot.bt",
        "\"a@b\"@camelot.bt",
        "a@camelot.bt, b@camelot.bt",
        "a@camelot..bt",
        ".a@camelot.bt",
        "a.@camelot.bt",
        "a..b@camelot.bt",
        "a@-camelot.bt",
        "a@[127.0.0.1]",
        "a@camelot.bt\u{202e}",
        "a\u{85}@camelot.bt",
        "a@camelot.bt%0d%0a",
        "a(c)@camelot.bt",
        "a;b@camelot.bt",
        "a\\@camelot.bt",
        "a@localhost",
        long.as_str(),
    ] {
        let new = json!({ "email": odd, "password": PASSWORD });
        let (status, answer) = world.nobody().json("POST", "/auth/register", &new).await;
        assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", "email"])), "{odd:?} {answer}");
        let (status, answer) = person.json("PATCH", "/users/me", &json!({ "email": odd })).await;
        assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", "email"])), "{odd:?} {answer}");
    }
    assert_eq!(world.users.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rg_03_one_mailbox_has_one_account_however_it_is_written() {
    let world = World::new();
    world.register("Zoë@Bücher.example").await;
    for same in ["zoë@bücher.example", "ZOË@BÜCHER.EXAMPLE", "Zoe\u{308}@xn--bcher-kva.example", "zoë@Bücher。example"]
    {
        let new = json!({ "email": same, "password": PASSWORD });
        let (status, answer) = world.nobody().json("POST", "/auth/register", &new).await;
        assert_eq!((status, &answer["detail"]), (400, &json!("REGISTER_USER_ALREADY_EXISTS")), "{same}");
    }
    for other in ["zoe@bücher.example", "zoë@bucher.example", "zоё@bücher.example"] {
        world.register(other).await;
    }
}

#[tokio::test]
async fn az_02_no_answer_shows_what_is_stored_of_a_password() {
    let world = World::new();
    let boss = world.superuser("boss@camelot.bt").await;
    let created = world.register("a@camelot.bt").await;
    let by_id = format!("/users/{}", created["id"].as_str().unwrap());
    let members = ["email", "id", "is_active", "is_superuser", "is_verified"];
    for user in [
        created,
        boss.json("GET", &by_id, &json!({})).await.1,
        boss.json("PATCH", &by_id, &json!({ "password": "a new one for them" })).await.1,
        boss.json("GET", "/users/me", &json!({})).await.1,
    ] {
        let mut names: Vec<_> = user.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, members);
    }
}
