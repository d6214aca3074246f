//! The list of sessions: what it tells, and what it ends.

use axum_users::{SessionId, UserUpdate};
use serde_json::{Value, json};
use time::Duration;

use crate::people::{COOKIE, DB, JWT, PASSWORD, Person, World, bytes};

const MINE: &str = "/users/me/sessions";

async fn list(person: &Person) -> Vec<Value> {
    let (status, sessions) = person.json("GET", MINE, &json!(null)).await;
    assert_eq!(status, 200, "{sessions}");
    sessions.as_array().unwrap().clone()
}

/// The id of the session that asks.
async fn current(person: &Person) -> String {
    let sessions = list(person).await;
    let mut current = sessions.iter().filter(|it| it["current"] == true);
    let id = current.next().unwrap()["id"].as_str().unwrap().to_owned();
    assert!(current.next().is_none(), "one session asks");
    id
}

async fn status(person: &Person, method: &str, path: &str) -> u16 {
    person.raw(method, path, &[("sec-fetch-site", "same-origin")], "").await.status().as_u16()
}

/// The task that notes when a session was seen runs beside the request.
async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn se_12_a_list_tells_of_every_session_and_never_a_token() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    world.person("other@camelot.bt", JWT).await;
    let mut people = Vec::new();
    for backend in [JWT, COOKIE, DB] {
        let browser = [("content-type", "application/x-www-form-urlencoded"), ("user-agent", "Excalibur\t1.0")];
        let form = "username=a%40camelot.bt&password=plum+tomato+engine";
        let response = world.nobody().raw("POST", &format!("{backend}/login"), &browser, form).await;
        let mut person = world.nobody();
        person.header = Some(crate::people::credential(response).await);
        people.push(person);
        world.clock.advance(Duration::seconds(1));
    }
    for (index, person) in people.iter().enumerate() {
        let response = person.raw("GET", MINE, &[], "").await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        let text = String::from_utf8(bytes(response).await).unwrap();
        let stored = axum_users::TokenHash::of(person.token()).as_str().to_owned();
        assert!(!text.contains(person.token()) && !text.contains(&stored), "{text}");
        let sessions: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(sessions.len(), 3, "{sessions:?}");
        let backends: Vec<_> = sessions.iter().map(|it| it["backend"].as_str().unwrap()).collect();
        assert_eq!(backends, ["db", "cookie", "jwt"], "the one that was seen last comes first");
        let shown = &sessions[2 - index];
        assert_eq!(shown["current"], true);
        let expected = json!({
            "id": shown["id"], "backend": (["jwt", "cookie", "db"][index]), "current": true, "address": null,
            "user_agent": "Excalibur 1.0",
            "created_at": format!("2027-01-15T08:00:0{index}Z"), "last_seen_at": format!("2027-01-15T08:00:0{index}Z"),
            "expires_at": format!("2027-01-15T09:00:0{index}Z"),
        });
        assert_eq!(shown, &expected);
    }
    // Seen is noted once a minute.
    for (after, expected) in [(55, "08:00:02Z"), (10, "08:01:08Z"), (59, "08:01:08Z")] {
        world.clock.advance(Duration::seconds(after));
        assert!(people[2].is_known().await);
        settled().await;
        let shown = list(&people[0]).await.into_iter().find(|it| it["backend"] == "db").unwrap();
        assert_eq!(shown["last_seen_at"], format!("2027-01-15T{expected}"));
    }
}

#[tokio::test]
async fn se_12_one_session_is_ended_and_the_others_live() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    for backend in [JWT, COOKIE, DB] {
        let mine = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
        let other = world.logged_in("a@camelot.bt", PASSWORD, backend).await;
        let path = format!("{MINE}/{}", current(&other).await);
        assert_eq!(status(&mine, "DELETE", &path).await, 204);
        assert!(!other.is_known().await && mine.is_known().await, "{backend}");
        assert_eq!(status(&mine, "DELETE", &path).await, 404, "it is gone");
        // One's own is a logout.
        let path = format!("{MINE}/{}", current(&mine).await);
        assert_eq!(status(&mine, "DELETE", &path).await, 204);
        assert!(!mine.is_known().await);
    }
    let mine = world.logged_in("a@camelot.bt", PASSWORD, COOKIE).await;
    let response =
        mine.raw("DELETE", &format!("{MINE}/{}", current(&mine).await), &[("sec-fetch-site", "same-origin")], "").await;
    assert!(response.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"), "the browser forgets it");
}

#[tokio::test]
async fn se_12_another_users_session_is_out_of_reach() {
    let world = World::new();
    let victim = world.person("victim@camelot.bt", JWT).await;
    let thief = world.person("thief@camelot.bt", JWT).await;
    let (id, session) = (victim.id().await, current(&victim).await);
    assert_eq!(status(&thief, "DELETE", &format!("{MINE}/{session}")).await, 404);
    for (method, path) in [
        ("GET", format!("/users/{id}/sessions")),
        ("DELETE", format!("/users/{id}/sessions")),
        ("DELETE", format!("/users/{id}/sessions/{session}")),
    ] {
        assert_eq!(status(&thief, method, &path).await, 403, "{method} {path}");
        assert_eq!(status(&world.nobody(), method, &path).await, 401, "{method} {path}");
    }
    for odd in ["x", "%00", &SessionId::generate().to_string(), &"a".repeat(5000)] {
        assert_eq!(status(&thief, "DELETE", &format!("{MINE}/{odd}")).await, 404, "{odd}");
    }
    assert!(victim.is_known().await && thief.is_known().await);
}

#[tokio::test]
async fn se_12_all_sessions_end_or_all_but_one() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    for acting in [JWT, COOKIE, DB] {
        let mut others = Vec::new();
        for backend in [JWT, COOKIE, DB] {
            others.push(world.logged_in("a@camelot.bt", PASSWORD, backend).await);
        }
        let mine = world.logged_in("a@camelot.bt", PASSWORD, acting).await;
        assert_eq!(status(&mine, "DELETE", &format!("{MINE}?keep_current=true")).await, 204);
        for other in &others {
            assert!(!other.is_known().await);
        }
        assert!(mine.is_known().await, "{acting}");
        assert_eq!(list(&mine).await.len(), 1);
        let other = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
        assert_eq!(status(&mine, "DELETE", MINE).await, 204);
        assert!(!mine.is_known().await && !other.is_known().await, "{acting}");
    }
    assert!(world.logged_in("a@camelot.bt", PASSWORD, JWT).await.is_known().await, "within the same second");
}

#[tokio::test]
async fn se_12_ending_others_needs_a_fresh_login() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    for backend in [JWT, COOKIE, DB] {
        let old = world.logged_in("a@camelot.bt", PASSWORD, backend).await;
        let other = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
        let (own, others) = (current(&old).await, current(&other).await);
        world.clock.advance(Duration::seconds(600));
        for path in [MINE.to_owned(), format!("{MINE}?keep_current=true"), format!("{MINE}/{others}")] {
            let response = old.raw("DELETE", &path, &[("sec-fetch-site", "same-origin")], "").await;
            assert_eq!(response.status(), 403, "{path}");
            let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
            assert_eq!(body, json!({ "detail": axum_users::FRESH_LOGIN_REQUIRED }));
        }
        assert!(other.is_known().await);
        assert_eq!(status(&old, "DELETE", &format!("{MINE}/{own}")).await, 204, "a logout needs none");
    }
}

#[tokio::test]
async fn se_12_a_superuser_lists_and_ends_sessions_of_others() {
    let world = World::new();
    let boss = world.superuser("boss@camelot.bt").await;
    let person = world.person("a@camelot.bt", COOKIE).await;
    let second = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    let id = person.id().await;
    let path = format!("/users/{id}/sessions");
    let (status_of_list, sessions) = boss.json("GET", &path, &json!(null)).await;
    assert_eq!(status_of_list, 200);
    let sessions = sessions.as_array().unwrap();
    assert!(sessions.len() == 2 && sessions.iter().all(|it| it["current"] == false), "{sessions:?}");
    let of_cookie = sessions.iter().find(|it| it["backend"] == "cookie").unwrap()["id"].as_str().unwrap();
    assert_eq!(status(&boss, "DELETE", &format!("{path}/{of_cookie}")).await, 204);
    assert!(!person.is_known().await && second.is_known().await);
    assert_eq!(status(&boss, "DELETE", &path).await, 204);
    assert!(!second.is_known().await && boss.is_known().await);
    for (method, path) in [
        ("GET", "/users/00000000-0000-4000-8000-000000000001/sessions"),
        ("DELETE", "/users/00000000-0000-4000-8000-000000000001/sessions"),
        ("DELETE", "/users/x/sessions/y"),
    ] {
        assert_eq!(status(&boss, method, path).await, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn se_06_what_does_not_count_is_not_listed() {
    let world = World::new();
    world.register("a@camelot.bt").await;
    let first = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    let second = world.logged_in("a@camelot.bt", PASSWORD, DB).await;
    assert_eq!(second.raw("POST", &format!("{DB}/logout"), &[], "").await.status(), 204);
    assert_eq!(list(&first).await.len(), 1, "logged out");
    world.clock.advance(Duration::seconds(1800));
    let third = world.logged_in("a@camelot.bt", PASSWORD, COOKIE).await;
    world.clock.advance(Duration::seconds(1801));
    assert!(!first.is_known().await);
    assert_eq!(list(&third).await.len(), 1, "expired");
    for is_active in [Some(false), Some(true)] {
        world.change("a@camelot.bt", UserUpdate { is_active, ..UserUpdate::default() }).await;
    }
    let fourth = world.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    assert_eq!(list(&fourth).await.len(), 1, "ended by deactivation");
}
