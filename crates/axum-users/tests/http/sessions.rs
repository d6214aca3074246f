//! When a session ends, and when it does not.

use axum_users::{Error, Fields, UserUpdate};
use serde_json::json;
use time::Duration;

use crate::people::{COOKIE, DB, JWT, OTHER, PASSWORD, World};

const BACKENDS: [&str; 3] = [JWT, COOKIE, DB];

#[tokio::test]
async fn se_02_what_the_store_holds_is_no_token() {
    let world = World::new();
    let person = world.person("a@camelot.bt", DB).await;
    let (_, value) = person.header.clone().unwrap();
    let token = value.strip_prefix("Bearer ").unwrap();
    let stored = axum_users::TokenHash::of(token).as_str().to_owned();
    let found =
        axum_users::AccessTokenDatabase::get(&world.store, &stored, &axum_users::SessionId::generate()).await.unwrap();
    assert!(found.is_some(), "the hash is what is stored");
    let mut thief = world.nobody();
    thief.header = Some(("authorization", format!("Bearer {stored}")));
    assert!(!thief.is_known().await && person.is_known().await);
}

#[tokio::test]
async fn se_03_a_login_ends_the_token_that_came_with_it() {
    let world = World::new();
    for backend in BACKENDS {
        let email = format!("a{}@camelot.bt", backend.len());
        let old = world.person(&email, backend).await;
        let response = old.login(backend, &email, PASSWORD).await;
        assert!(response.status().is_success());
        assert!(!old.is_known().await, "{backend}");
    }
}

#[tokio::test]
async fn se_04_se_05_logout_ends_the_token_that_was_presented_on_any_route() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    for backend in BACKENDS {
        for route in BACKENDS {
            let person = world.logged_in("a@camelot.bt", PASSWORD, backend).await;
            let other = world.logged_in("a@camelot.bt", PASSWORD, backend).await;
            let headers = [("sec-fetch-site", "same-origin")];
            let response = person.raw("POST", &format!("{route}/logout"), &headers, "").await;
            assert_eq!(response.status(), 204);
            assert!(!person.is_known().await, "{backend} at {route}");
            assert!(other.is_known().await, "another session of the same second lives: {backend} at {route}");
        }
    }
}

#[tokio::test]
async fn se_06_deactivation_ends_all_and_reactivation_revives_none() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    let mut people = Vec::new();
    for backend in BACKENDS {
        people.push(world.logged_in("a@camelot.bt", PASSWORD, backend).await);
    }
    for is_active in [Some(false), Some(true)] {
        world.change("a@camelot.bt", UserUpdate { is_active, ..UserUpdate::default() }).await;
    }
    for person in people {
        assert!(!person.is_known().await);
    }
    assert!(world.logged_in("a@camelot.bt", PASSWORD, JWT).await.is_known().await);
}

#[tokio::test]
async fn se_07_a_new_password_ends_all_sessions_but_the_one_that_set_it() {
    for acting in BACKENDS {
        let world = World::new();
        world.register("a@camelot.bt").await;
        let mut others = Vec::new();
        for backend in BACKENDS {
            others.push(world.logged_in("a@camelot.bt", PASSWORD, backend).await);
        }
        let person = world.logged_in("a@camelot.bt", PASSWORD, acting).await;
        let (status, _) = person.json("PATCH", "/users/me", &json!({ "password": OTHER })).await;
        assert_eq!(status, 200);
        assert!(person.is_known().await, "{acting} lives on");
        for other in &others {
            assert!(!other.is_known().await, "another session outlived {acting}'s change");
        }
        assert!(
            world.logged_in("a@camelot.bt", OTHER, acting).await.is_known().await,
            "the same second, after the change"
        );
        // The kept session ends with the next change by somebody else.
        world.clock.advance(Duration::seconds(5));
        let boss = world.superuser("boss@camelot.bt").await;
        let id = person.json("GET", "/users/me", &json!(null)).await.1["id"].as_str().unwrap().to_owned();
        let (status, _) = boss.json("PATCH", &format!("/users/{id}"), &json!({ "password": PASSWORD })).await;
        assert_eq!(status, 200);
        assert!(!person.is_known().await && boss.is_known().await);
    }
}

#[tokio::test]
async fn se_08_tokens_end_with_their_lifetime() {
    let world = World::new();
    for (index, backend) in BACKENDS.into_iter().enumerate() {
        let person = world.person(&format!("a{index}@camelot.bt"), backend).await;
        world.clock.advance(Duration::seconds(3599));
        assert!(person.is_known().await, "{backend}");
        world.clock.advance(Duration::seconds(2));
        assert!(!person.is_known().await, "{backend}");
    }
}

#[tokio::test]
async fn se_09_a_change_of_role_counts_at_the_next_request() {
    let world = World::new();
    let person = world.person("a@camelot.bt", JWT).await;
    let nobody = "/users/00000000-0000-4000-8000-000000000001";
    assert_eq!(person.status("GET", nobody).await, 403);
    world.change("a@camelot.bt", UserUpdate { is_superuser: Some(true), ..UserUpdate::default() }).await;
    assert_eq!(person.status("GET", nobody).await, 404);
}

#[tokio::test]
async fn se_10_a_token_in_query_or_body_is_none() {
    let world = World::new();
    let person = world.person("a@camelot.bt", DB).await;
    let (_, value) = person.header.clone().unwrap();
    let token = value.strip_prefix("Bearer ").unwrap().to_owned();
    let nobody = world.nobody();
    assert_eq!(nobody.status("GET", &format!("/users/me?access_token={token}")).await, 401);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let response = nobody.raw("PATCH", "/users/me", &form, format!("access_token={token}")).await;
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn se_11_headers_keep_answers_out_of_caches() {
    let world = World::new();
    let person = world.person("a@camelot.bt", JWT).await;
    let nobody = world.nobody();
    for (who, method, path) in [
        (&person, "GET", "/users/me"),
        (&nobody, "GET", "/users/me"),
        (&nobody, "POST", "/auth/jwt/login"),
        (&nobody, "POST", "/auth/register"),
        (&nobody, "PUT", "/users/me"),
    ] {
        let response = who.raw(method, path, &[], "").await;
        assert_eq!(response.headers()["cache-control"], "no-store", "{method} {path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let challenge = response.headers().get("www-authenticate").map(|it| it.to_str().unwrap());
        assert_eq!(challenge, (response.status() == 401).then_some("Bearer"), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn se_07_no_session_survives_that_was_proved_with_the_old_password() {
    for round in 0..20 {
        let world = World::new();
        world.register("a@camelot.bt").await;
        let user = world.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
        let proof = world.users.authenticate("a@camelot.bt", PASSWORD.into()).await.unwrap().unwrap();
        // The password changes between the proof and the token.
        let update = UserUpdate { password: Some(OTHER.into()), ..UserUpdate::default() };
        world.users.update(&user, update, Fields::All, None, None).await.unwrap();
        let backend = world.users.backend(["jwt", "cookie", "db"][round % 3]).unwrap();
        let late = backend.login(proof, world.users.manager(), None).await;
        assert!(matches!(late, Err(Error::BadCredentials)), "{}", backend.name());
    }
}
