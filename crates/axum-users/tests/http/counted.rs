//! Ids that the database counts.

use axum_users::{UserProfile, memory::MemoryStore};
use serde_json::json;

use crate::people::{COOKIE, DB, JWT, OnDisk, PASSWORD, application, superuser, visitor};

#[derive(Clone, Debug, UserProfile)]
#[profile(id = i64)]
struct Counted;

#[tokio::test]
async fn rg_08_se_06_a_new_user_inherits_nothing_of_a_deleted_one() {
    let disk = OnDisk::<Counted>::new().await;
    for users in [application(MemoryStore::<Counted>::new()).build().unwrap(), disk.users.clone()] {
        let boss = superuser(&users, "boss@camelot.bt").await;
        let nobody = visitor(&users);
        nobody.register("a@camelot.bt").await;
        let mut old = Vec::new();
        for backend in [JWT, COOKIE, DB] {
            old.push(nobody.logged_in("a@camelot.bt", PASSWORD, backend).await);
        }
        let id = old[0].id().await;
        assert_eq!(boss.status("DELETE", &format!("/users/{id}")).await, 204);
        nobody.register("b@camelot.bt").await;
        for person in &old {
            assert!(!person.is_known().await);
        }
        assert_eq!(nobody.login(JWT, "a@camelot.bt", PASSWORD).await.status(), 400);
        assert!(nobody.logged_in("b@camelot.bt", PASSWORD, JWT).await.is_known().await);
    }
}

#[tokio::test]
async fn az_05_numbers_have_one_spelling() {
    let users = application(MemoryStore::<Counted>::new()).build().unwrap();
    let boss = superuser(&users, "boss@camelot.bt").await;
    assert_eq!(boss.json("GET", "/users/1", &json!({})).await.1["id"], 1);
    for odd in [
        "0",
        "-1",
        "+1",
        "%201",
        "1%20",
        "1_0",
        "0x1",
        "1.0",
        "1e0",
        "%D9%A1",
        "9223372036854775808",
        "99999999999999999999999999",
        "-9223372036854775809",
        "null",
        "1%00",
        "%00",
        "%EF%BC%91",
        "true",
    ] {
        for method in ["GET", "PATCH", "DELETE"] {
            let (status, _) = boss.json(method, &format!("/users/{odd}"), &json!({})).await;
            assert_eq!(status, 404, "{method} {odd}");
        }
    }
}
