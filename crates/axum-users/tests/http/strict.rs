//! What `strict` asks for, and what goes on as before without it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum_users::{
    AuthBackend, Authenticated, BearerTransport, DatabaseStrategy, Error, IssuedToken, PasswordHash, PasswordHasher,
    PasswordPool, RequestInfo, Strategy, TokenOwner, User, UserHooks, UserManager, UserUpdate, Users,
    ValidatedPassword, Verification, password::HasherError,
};
use serde_json::{Value, json};
use time::Duration;

use crate::people::{COOKIE, DB, JWT, OTHER, PASSWORD, Person, World, bytes, cheap};

const REQUIRED: &str = "UPDATE_USER_CURRENT_PASSWORD_REQUIRED";
const WRONG: &str = "UPDATE_USER_CURRENT_PASSWORD_WRONG";
const EMAIL: &str = "a@camelot.bt";

fn world(strict: bool) -> World {
    World::with(|builder| builder.strict(strict))
}

/// The answer to a change of oneself, at both routes that can make it.
async fn patch_self(person: &Person, at_id: bool, body: &Value) -> (u16, Value) {
    let path = if at_id { format!("/users/{}", person.id().await) } else { "/users/me".to_owned() };
    let (status, mut answer) = person.json("PATCH", &path, body).await;
    (status, answer["detail"].take())
}

/// A superuser, because only they reach themselves by id; with a session of this age.
async fn person(world: &World, backend: &str, age: i64) -> Person {
    world.register(EMAIL).await;
    world.change(EMAIL, UserUpdate { is_superuser: Some(true), ..UserUpdate::default() }).await;
    let person = world.logged_in(EMAIL, PASSWORD, backend).await;
    world.clock.advance(Duration::seconds(age));
    person
}

#[tokio::test]
async fn pw_06_an_old_session_alone_changes_neither_password_nor_address() {
    for backend in [JWT, COOKIE, DB] {
        for at_id in [false, true] {
            let world = world(true);
            let person = person(&world, backend, 600).await;
            for body in
                [json!({ "password": OTHER }), json!({ "email": "b@camelot.bt" }), json!({ "email": "A@camelot.bt" })]
            {
                assert_eq!(patch_self(&person, at_id, &body).await, (400, json!(REQUIRED)), "{backend} {body}");
                let mut wrong = body.clone();
                wrong["current_password"] = json!(OTHER);
                assert_eq!(patch_self(&person, at_id, &wrong).await, (400, json!(WRONG)), "{backend} {body}");
                wrong["current_password"] = json!("");
                assert_eq!(patch_self(&person, at_id, &wrong).await, (400, json!(WRONG)), "{backend} {body}");
                wrong["current_password"] = Value::Null;
                assert_eq!(patch_self(&person, at_id, &wrong).await, (400, json!(REQUIRED)), "{backend} {body}");
            }
            world.logged_in(EMAIL, PASSWORD, JWT).await;
            assert_eq!(patch_self(&person, at_id, &json!({ "email": EMAIL })).await.0, 200, "nothing changes");
            let both = json!({ "password": OTHER, "email": "b@camelot.bt", "current_password": PASSWORD });
            assert_eq!(patch_self(&person, at_id, &both).await.0, 200);
            world.logged_in("b@camelot.bt", OTHER, JWT).await;
        }
    }
}

#[tokio::test]
async fn pw_06_a_fresh_session_is_proof_enough() {
    for backend in [JWT, COOKIE, DB] {
        let world = world(true);
        let person = person(&world, backend, 599).await;
        assert_eq!(patch_self(&person, false, &json!({ "email": "b@camelot.bt" })).await.0, 200, "{backend}");
        let wrong = json!({ "password": OTHER, "current_password": OTHER });
        assert_eq!(patch_self(&person, false, &wrong).await, (400, json!(WRONG)), "what is sent is checked");
        assert_eq!(patch_self(&person, false, &json!({ "password": OTHER })).await.0, 200, "{backend}");
        world.logged_in("b@camelot.bt", OTHER, backend).await;
    }
}

/// Tokens that do not tell when their user logged in.
struct Silent(DatabaseStrategy<()>);

impl Strategy<()> for Silent {
    async fn read_token(&self, token: &str, users: &UserManager<()>) -> Result<Option<TokenOwner<()>>, Error> {
        let owner = self.0.read_token(token, users).await?;
        Ok(owner.map(|mut owner| {
            owner.authenticated_at = None;
            owner
        }))
    }
    async fn write_token(&self, proof: &Authenticated<()>, users: &UserManager<()>) -> Result<IssuedToken, Error> {
        self.0.write_token(proof, users).await
    }
    async fn destroy_token(&self, token: &str, owner: &TokenOwner<()>, users: &UserManager<()>) -> Result<(), Error> {
        self.0.destroy_token(token, owner, users).await
    }
}

#[tokio::test]
async fn pw_06_a_session_of_unknown_age_is_not_fresh() {
    let world = World::with_store(|store, _| {
        let strategy = Silent(DatabaseStrategy::new(store.clone(), std::time::Duration::from_secs(3600)));
        let backend = AuthBackend::new("silent", BearerTransport::new("auth/silent/login"), strategy);
        Users::builder(store).passwords(cheap()).strict(true).backend(backend)
    });
    let person = person(&world, "/auth/silent", 0).await;
    assert_eq!(patch_self(&person, false, &json!({ "password": OTHER })).await, (400, json!(REQUIRED)));
    let right = json!({ "password": OTHER, "current_password": PASSWORD });
    assert_eq!(patch_self(&person, false, &right).await.0, 200);
}

#[tokio::test]
async fn pw_06_compat_checks_a_current_password_that_is_sent_and_asks_for_none() {
    let world = world(false);
    let person = person(&world, JWT, 3000).await;
    for body in [json!({ "current_password": OTHER }), json!({ "password": OTHER, "current_password": OTHER })] {
        assert_eq!(patch_self(&person, false, &body).await, (400, json!(WRONG)));
    }
    let (status, issues) = patch_self(&person, false, &json!({ "current_password": 7 })).await;
    assert_eq!((status, &issues[0]["loc"]), (422, &json!(["body", "current_password"])));
    assert_eq!(issues[0]["input"], Value::Null);
    assert_eq!(patch_self(&person, false, &json!({ "email": "b@camelot.bt" })).await.0, 200);
    let right = json!({ "password": OTHER, "current_password": PASSWORD });
    assert_eq!(patch_self(&person, false, &right).await.0, 200);
    assert_eq!(patch_self(&person, false, &json!({ "password": PASSWORD })).await.0, 200);
}

/// Counts what is hashed and what is verified.
#[derive(Clone, Default)]
struct Counting(Arc<[AtomicUsize; 2]>);

impl Counting {
    fn take(&self) -> [usize; 2] {
        [0, 1].map(|index: usize| self.0[index].swap(0, Ordering::SeqCst))
    }
}

impl PasswordHasher for Counting {
    fn hash(&self, password: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Ok(PasswordHash::from_stored(password.expose().into()))
    }
    fn verify(&self, password: &str, stored: &PasswordHash) -> Result<Verification, HasherError> {
        self.0[1].fetch_add(1, Ordering::SeqCst);
        Ok(if password == stored.as_str() { Verification::Valid } else { Verification::Invalid })
    }
}

#[tokio::test]
async fn pw_06_a_wrong_attempt_costs_one_hash_and_a_missing_one_none() {
    let counting = Counting::default();
    let pool = PasswordPool::builder(counting.clone()).build().unwrap();
    let world = World::with(|builder| builder.strict(true).passwords(pool));
    let person = person(&world, JWT, 600).await;
    let boss = world.superuser("boss@camelot.bt").await;
    let id = person.id().await;
    counting.take();
    let attempt = |current: Value| json!({ "password": "short", "current_password": current });
    assert_eq!(patch_self(&person, false, &attempt(Value::Null)).await.1, REQUIRED);
    assert_eq!(counting.take(), [0, 0]);
    assert_eq!(patch_self(&person, false, &attempt(json!(OTHER))).await.1, WRONG);
    assert_eq!(counting.take(), [0, 1]);
    let (_, refused) = patch_self(&person, false, &attempt(json!(PASSWORD))).await;
    assert_eq!(refused["code"], "UPDATE_USER_INVALID_PASSWORD");
    assert_eq!(counting.take(), [0, 1]);
    let of_another = json!({ "email": "c@camelot.bt", "current_password": OTHER });
    assert_eq!(boss.json("PATCH", &format!("/users/{id}"), &of_another).await.0, 200, "it is nobody's there");
    assert_eq!(counting.take(), [0, 0]);
}

/// Keeps what it is told of a change.
struct Curious(Arc<AtomicUsize>);

impl UserHooks<()> for Curious {
    async fn on_after_update(&self, _: &User<()>, update: &UserUpdate<()>, _: Option<&RequestInfo>) {
        assert!(update.current_password.is_none() && update.password.is_some());
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn pw_06_hooks_do_not_see_the_current_password() {
    let seen = Arc::new(AtomicUsize::new(0));
    let world = World::with(|builder| builder.hooks(Curious(Arc::clone(&seen))));
    let person = world.person(EMAIL, JWT).await;
    let body = json!({ "password": OTHER, "current_password": PASSWORD });
    assert_eq!(person.json("PATCH", "/users/me", &body).await.0, 200);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn pw_06_the_document_shows_it_in_strict_only() {
    let text = |strict| world(strict).users.openapi().into_value().to_string();
    for word in ["current_password", REQUIRED, WRONG] {
        assert!(text(true).contains(word) && !text(false).contains(word), "{word}");
    }
}

#[tokio::test]
async fn pw_08_a_superuser_cannot_choose_the_password_of_another() {
    for strict in [true, false] {
        let world = world(strict);
        let boss = world.superuser("boss@camelot.bt").await;
        let id = world.person(EMAIL, JWT).await.id().await;
        let path = format!("/users/{id}");
        let (status, answer) = boss.json("PATCH", &path, &json!({ "password": OTHER, "is_verified": true })).await;
        if strict {
            assert_eq!((status, &answer["detail"]["code"]), (400, &json!("UPDATE_USER_INVALID_PASSWORD")));
            assert_eq!(answer["detail"]["reason"], "The password of another user cannot be chosen");
            assert_eq!(boss.json("GET", &path, &json!(null)).await.1["is_verified"], false, "nothing was written");
            world.logged_in(EMAIL, PASSWORD, JWT).await;
            assert_eq!(boss.json("PATCH", &path, &json!({ "is_verified": true })).await.0, 200);
            let own = format!("/users/{}", boss.id().await);
            assert_eq!(boss.json("PATCH", &own, &json!({ "password": OTHER })).await.0, 200, "their own they can");
            world.change(EMAIL, UserUpdate { password: Some(OTHER.into()), ..UserUpdate::default() }).await;
        } else {
            assert_eq!(status, 200);
        }
        world.logged_in(EMAIL, OTHER, JWT).await;
    }
}

#[tokio::test]
async fn in_02_a_name_that_stands_twice_is_refused() {
    let json = [("content-type", "application/json")];
    let register = format!(r#"{{"email": "b@camelot.bt", "password": "{OTHER}", "password": "{PASSWORD}"}}"#);
    let escaped = format!(r#"{{"email": "b@camelot.bt", "password": "{OTHER}", "p\u0061ssword": "{PASSWORD}"}}"#);
    let nested = format!(r#"{{"email": "b@camelot.bt", "password": "{PASSWORD}", "x": [{{"a": 1, "a": 1}}]}}"#);
    for strict in [true, false] {
        for (body, name) in [(&register, r#""password""#), (&escaped, r#""p\u0061ssword""#), (&nested, r#""a""#)] {
            let world = world(strict);
            let response = world.nobody().raw("POST", "/auth/register", &json, body.clone()).await;
            if strict {
                assert_eq!(response.status(), 422);
                let issue = &serde_json::from_slice::<Value>(&bytes(response).await).unwrap()["detail"][0];
                let place = body.rfind(name).unwrap();
                assert_eq!((&issue["type"], &issue["loc"]), (&json!("json_invalid"), &json!(["body", place])));
                assert_eq!(issue["ctx"]["error"], "Duplicate property name");
                assert!(!issue.to_string().contains(OTHER));
            } else {
                assert_eq!(response.status(), 201);
                world.logged_in("b@camelot.bt", PASSWORD, JWT).await;
            }
        }
        let world = world(strict);
        let boss = world.superuser("boss@camelot.bt").await;
        for path in ["/users/me".to_owned(), format!("/users/{}", boss.id().await)] {
            let response = boss.raw("PATCH", &path, &json, r#"{"email": 7, "email": "boss@camelot.bt"}"#).await;
            assert_eq!(response.status(), if strict { 422 } else { 200 }, "{path}");
        }
    }
}

#[tokio::test]
async fn au_06_a_slash_at_the_end_is_another_path() {
    for strict in [true, false] {
        let world = world(strict);
        let boss = world.superuser("boss@camelot.bt").await;
        let id = boss.id().await;
        let mut paths = vec!["/auth/register".to_owned(), "/users/me".to_owned(), format!("/users/{id}")];
        for backend in [JWT, COOKIE, DB] {
            paths.extend([format!("{backend}/login"), format!("{backend}/logout")]);
        }
        for path in paths {
            for method in ["GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
                let without = world.nobody().status(method, &path).await;
                assert_ne!(without, 404, "{method} {path}");
                let with = world.nobody().status(method, &format!("{path}/")).await;
                assert_eq!(with, if strict { 404 } else { without }, "{method} {path}/");
                for alias in [format!("{path}//"), format!("/{path}"), path.to_uppercase()] {
                    assert_eq!(world.nobody().status(method, &alias).await, 404, "{method} {alias}");
                }
            }
        }
    }
}

#[tokio::test]
async fn en_07_a_login_does_not_tell_who_is_not_verified() {
    for strict in [false, true] {
        let world = World::with(|builder| builder.strict(strict).requires_verification(true));
        world.register(EMAIL).await;
        let mut answers = Vec::new();
        for (email, password) in [(EMAIL, PASSWORD), (EMAIL, OTHER), ("unknown@camelot.bt", PASSWORD)] {
            let response = world.nobody().login(JWT, email, password).await;
            answers.push((response.status(), format!("{:?}", response.headers()), bytes(response).await));
        }
        assert_eq!(answers[1], answers[2]);
        assert_eq!(answers[0] == answers[1], strict, "{answers:?}");
    }
}
