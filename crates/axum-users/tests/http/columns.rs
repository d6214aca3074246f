//! Columns of the application's own, as the wire sees them.

use axum_users::{ColumnValue, Fields, UserProfile, UserUpdate, Users, memory::MemoryStore};
use serde_json::{Value, json};
use time::Date;

use crate::people::{JWT, OnDisk, PASSWORD, Person, application, on_servers, visitor};

#[derive(Clone, Copy, Debug, Default, PartialEq, ColumnValue)]
enum Plan {
    #[default]
    Free,
    #[column("PRO")]
    Pro,
}

#[derive(Clone, Debug, UserProfile)]
struct Member {
    first_name: String,
    #[profile(unique, column = "nick")]
    handle: Option<String>,
    birthdate: Option<Date>,
    #[profile(default)]
    plan: Plan,
    #[profile(default = 7)]
    lucky: i64,
    #[profile(read_only)]
    points: i64,
    #[profile(hidden)]
    notes: Option<String>,
}

/// Every store, each with nobody in it.
async fn applications() -> (OnDisk<Member>, Vec<Users<Member>>) {
    let disk = OnDisk::new().await;
    let mut all = vec![application(MemoryStore::new()).build().unwrap(), disk.users.clone()];
    all.extend(on_servers().await);
    (disk, all)
}

fn signup(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "first_name": "Lynette" })
}

fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn registered(nobody: &Person, email: &str, more: &Value) -> (Person, Value) {
    let (status, user) = nobody.json("POST", "/auth/register", &with(signup(email), more)).await;
    assert_eq!(status, 201, "{user}");
    (nobody.logged_in(email, PASSWORD, JWT).await, user)
}

#[tokio::test]
async fn columns_are_asked_for_shown_and_changed() {
    let (_disk, applications) = applications().await;
    for users in applications {
        let (person, user) = registered(
            &visitor(&users),
            "a@camelot.bt",
            &json!({ "handle": "lyn", "birthdate": "1999-02-28", "plan": "PRO" }),
        )
        .await;
        let shown = json!({
            "id": user["id"], "email": "a@camelot.bt", "is_active": true, "is_superuser": false, "is_verified": false,
            "first_name": "Lynette", "handle": "lyn", "birthdate": "1999-02-28", "plan": "PRO", "lucky": 7, "points": 0,
        });
        assert_eq!(user, shown, "the defaults, and nothing hidden");
        assert_eq!(person.json("GET", "/users/me", &json!({})).await, (200, shown.clone()));
        assert_eq!(person.json("PATCH", "/users/me", &json!({})).await, (200, shown.clone()), "absent keeps");
        let change =
            json!({ "handle": null, "first_name": "Lyn", "plan": "free", "lucky": -9_007_199_254_740_993_i64 });
        let changed = with(shown, &change);
        assert_eq!(person.json("PATCH", "/users/me", &change).await, (200, changed.clone()), "null clears");
        assert_eq!(person.json("GET", "/users/me", &json!({})).await, (200, changed));
    }
}

#[tokio::test]
async fn rg_06_read_only_and_hidden_columns_are_nobodys_to_set() {
    let (_disk, applications) = applications().await;
    for users in applications {
        let sent = json!({ "points": 1_000_000, "notes": "canary", "nick": "x" });
        let (person, user) = registered(&visitor(&users), "a@camelot.bt", &sent).await;
        assert_eq!((&user["points"], &user["handle"]), (&json!(0), &json!(null)));
        change(&users, MemberUpdate { points: Some(5), notes: Some(Some("ours".into())), ..MemberUpdate::default() })
            .await;
        let id = user["id"].as_str().unwrap();
        let make_superuser = UserUpdate { is_superuser: Some(true), ..UserUpdate::default() };
        crate::people::change(&users, "a@camelot.bt", make_superuser).await;
        for path in ["/users/me".to_owned(), format!("/users/{id}")] {
            let (status, changed) = person.json("PATCH", &path, &sent).await;
            assert_eq!((status, &changed["points"]), (200, &json!(5)), "{path}");
            assert!(!changed.to_string().contains("ours") && changed.get("notes").is_none());
        }
        let stored = users.get_by_email("a@camelot.bt").await.unwrap().unwrap().profile;
        assert_eq!((stored.points, stored.notes.as_deref()), (5, Some("ours")));
    }
}

async fn change(users: &Users<Member>, profile: MemberUpdate) {
    let user = users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    let update = UserUpdate { profile, ..UserUpdate::default() };
    users.update(&user, update, Fields::All, None, None).await.unwrap();
}

#[tokio::test]
async fn a_taken_value_of_a_unique_column_names_its_field() {
    let (_disk, applications) = applications().await;
    for users in applications {
        let nobody = visitor(&users);
        registered(&nobody, "a@camelot.bt", &json!({ "handle": "lyn" })).await;
        let (person, _) = registered(&nobody, "b@camelot.bt", &json!({})).await;
        registered(&nobody, "c@camelot.bt", &json!({ "handle": null })).await;
        let taken = |code: &str| (400, json!({ "detail": { "code": code, "field": "handle" } }));
        let third = with(signup("d@camelot.bt"), &json!({ "handle": "lyn" }));
        assert_eq!(nobody.json("POST", "/auth/register", &third).await, taken("REGISTER_VALUE_ALREADY_EXISTS"));
        assert!(users.get_by_email("d@camelot.bt").await.unwrap().is_none(), "nothing half-done");
        let moved = json!({ "handle": "lyn", "first_name": "Changed" });
        assert_eq!(person.json("PATCH", "/users/me", &moved).await, taken("UPDATE_USER_VALUE_ALREADY_EXISTS"));
        assert_eq!(person.json("GET", "/users/me", &json!({})).await.1["first_name"], "Lynette", "all or nothing");
        let both = with(signup("a@camelot.bt"), &json!({ "handle": "lyn" }));
        let (status, body) = nobody.json("POST", "/auth/register", &both).await;
        assert_eq!((status, &body["detail"]), (400, &json!("REGISTER_USER_ALREADY_EXISTS")), "the address comes first");
        let both = json!({ "email": "a@camelot.bt", "handle": "lyn" });
        let (status, body) = person.json("PATCH", "/users/me", &both).await;
        assert_eq!((status, &body["detail"]), (400, &json!("UPDATE_USER_EMAIL_ALREADY_EXISTS")));
    }
}

#[tokio::test]
async fn in_04_all_mistakes_are_told_at_once() {
    let (_disk, applications) = applications().await;
    for users in applications {
        let nobody = visitor(&users);
        let body = json!({
            "email": "x", "password": 7, "first_name": null, "handle": [], "birthdate": "2023-02-30", "plan": "gold",
            "lucky": 1.5,
        });
        let (status, answer) = nobody.json("POST", "/auth/register", &body).await;
        assert_eq!(status, 422);
        let wrong = ["email", "password", "first_name", "handle", "birthdate", "plan", "lucky"];
        let found = |answer: &Value| -> Vec<(String, String)> {
            let items = answer["detail"].as_array().unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            items.iter().map(|item| (text(&item["loc"][1]), text(&item["type"]))).collect()
        };
        let types = [
            "value_error",
            "string_type",
            "string_type",
            "string_type",
            "date_from_datetime_parsing",
            "enum",
            "int_from_float",
        ];
        let expected: Vec<_> =
            wrong.iter().zip(types).map(|(name, kind)| ((*name).to_owned(), kind.to_owned())).collect();
        assert_eq!(found(&answer), expected, "{answer}");
        let plan = answer["detail"].as_array().unwrap().iter().find(|item| item["loc"][1] == "plan").unwrap();
        let expected = json!({
            "type": "enum", "loc": ["body", "plan"], "msg": "Input should be 'free' or 'PRO'", "input": "gold",
            "ctx": { "expected": "'free' or 'PRO'" },
        });
        assert_eq!(*plan, expected);
        let (status, answer) = nobody.json("POST", "/auth/register", &json!({})).await;
        let missing = |name: &str| (name.to_owned(), "missing".to_owned());
        assert_eq!((status, found(&answer)), (422, vec![missing("email"), missing("password"), missing("first_name")]));

        let (person, before) = registered(&nobody, "a@camelot.bt", &json!({})).await;
        for (name, value) in [
            ("first_name", json!(null)),
            ("plan", json!(null)),
            ("lucky", json!(null)),
            ("lucky", json!(9_223_372_036_854_775_807_u64 as f64)),
            ("birthdate", json!("0000-00-00")),
            ("first_name", json!({ "$ne": 1 })),
        ] {
            let change = json!({ name: value, "handle": "unwritten" });
            let (status, answer) = person.json("PATCH", "/users/me", &change).await;
            assert_eq!(status, 422, "{change}: {answer}");
            assert_eq!(answer["detail"][0]["loc"][1], name, "{change}");
            assert_eq!(person.json("GET", "/users/me", &json!({})).await.1, before, "{change}");
        }
    }
}

#[tokio::test]
async fn in_03_in_05_odd_values_of_columns_are_stored_or_refused() {
    let (_disk, applications) = applications().await;
    for users in applications {
        let (person, _) = registered(&visitor(&users), "a@camelot.bt", &json!({})).await;
        for text in [
            "",
            "'; DROP TABLE \"user\"; --",
            "{\"$gt\":\"\"}",
            "\u{1}\u{7f}\u{85}\u{200e}\u{feff}",
            "\r\nSet-Cookie: a=b",
            "𝔸é\u{301}",
            &"x".repeat(30_000),
        ] {
            for name in ["first_name", "handle"] {
                let (status, user) = person.json("PATCH", "/users/me", &json!({ name: text })).await;
                if status == 200 {
                    assert_eq!(user[name], text, "as it was sent");
                } else {
                    assert_eq!(status, 422, "{text:?} {user}");
                }
            }
        }
        for raw in ["\\u0000", "\\ud800", "a\\u0000b"] {
            let body = format!(r#"{{"handle":"{raw}"}}"#);
            let response = person.raw("PATCH", "/users/me", &[("content-type", "application/json")], body).await;
            assert!([200, 422].contains(&response.status().as_u16()), "{raw} {}", response.status());
        }
        assert!(person.is_known().await, "the table is still there");
    }
}
