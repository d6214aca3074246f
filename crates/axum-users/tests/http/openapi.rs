//! The document is the recorded one, for the routes of this release.

use std::time::Duration;

use axum_users::{
    AuthBackend, BearerTransport, ColumnValue, CookieTransport, DatabaseStrategy, Json, TokenSettings, UserProfile,
    Users, memory::MemoryStore,
};
use serde_json::{Map, Value, json};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, UserProfile)]
#[profile(id = i64)]
struct Counted {}

fn users<P: UserProfile>(backends: &[&str]) -> Users<P> {
    let store = MemoryStore::<P>::new();
    let secret = || TokenSettings::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u").unwrap();
    let mut users = Users::builder(store.clone()).verification(secret()).reset_password(secret());
    for name in backends {
        let strategy = DatabaseStrategy::new(store.clone(), HOUR);
        users = users.backend(match *name {
            "cookie" => AuthBackend::new(name, CookieTransport::new(), strategy),
            _ => AuthBackend::new(name, BearerTransport::new(format!("auth/{name}/login")), strategy),
        });
    }
    users.build().unwrap()
}

/// Our document without the routes that are ours alone.
fn document<P: UserProfile>(users: &Users<P>) -> Value {
    let mut document = users.openapi().into_value();
    let ours = [
        "/users/me/sessions",
        "/users/me/sessions/{session}",
        "/users/{id}/sessions",
        "/users/{id}/sessions/{session}",
    ];
    for path in ours {
        assert!(document["paths"].as_object_mut().unwrap().remove(path).is_some(), "{path}");
    }
    assert!(document["components"]["schemas"].as_object_mut().unwrap().remove("SessionRead").is_some());
    document
}

/// A recorded document without the routes of later releases and the schemas that only they use.
fn recorded(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).unwrap();
    let paths = document["paths"].as_object_mut().unwrap();
    paths.retain(|path, _| !path.contains("google"));
    let used = |schemas: &Map<String, Value>, paths: &Value, name: &str| {
        let reference = format!("\"#/components/schemas/{name}\"");
        paths.to_string().contains(&reference) || schemas.values().any(|schema| schema.to_string().contains(&reference))
    };
    let paths = document["paths"].clone();
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    let all = schemas.clone();
    schemas.retain(|name, _| used(&all, &paths, name));
    document
}

#[test]
fn the_documents_are_the_recorded_ones() {
    let reference = recorded(include_str!("../openapi/reference.json"));
    assert_eq!(document(&users::<()>(&["jwt", "cookie"])), reference);
    let jwt_only = recorded(include_str!("../openapi/uuid-jwt-only.json"));
    assert_eq!(document(&users::<()>(&["jwt"])), jwt_only);
    let cookie_only = recorded(include_str!("../openapi/uuid-cookie-only.json"));
    assert_eq!(document(&users::<()>(&["cookie"])), cookie_only);
    let integer = recorded(include_str!("../openapi/integer-jwt-cookie.json"));
    assert_eq!(document(&users::<Counted>(&["jwt", "cookie"])), integer);
    let all = recorded(include_str!("../openapi/uuid-all-strategies.json"));
    assert_eq!(document(&users::<()>(&["jwt", "cookie", "db", "redis"])), all);
}

/// No forced rotation, no hints, no security questions (ASVS 6.2.10, 6.4.2): these are all routes and fields there are.
#[test]
fn pw_12_there_is_no_rotation_no_hint_and_no_question() {
    let backend = AuthBackend::new(
        "jwt",
        BearerTransport::new("auth/jwt/login"),
        DatabaseStrategy::new(MemoryStore::<()>::new(), HOUR),
    );
    for strict in [false, true] {
        let users = Users::builder(MemoryStore::<()>::new()).backend(backend.clone()).strict(strict).build().unwrap();
        let document = document(&users);
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(&document["paths"]),
            ["/auth/jwt/login", "/auth/jwt/logout", "/auth/register", "/users/me", "/users/{id}"]
        );
        let flags = ["is_active", "is_superuser", "is_verified"];
        for (schema, others) in [
            ("UserRead", &["email", "id"][..]),
            ("UserCreate", &["email", "password"]),
            ("UserUpdate", if strict { &["current_password", "email", "password"] } else { &["email", "password"] }),
        ] {
            let mut expected = [&flags[..], others].concat();
            expected.sort_unstable();
            assert_eq!(names(&document["components"]["schemas"][schema]["properties"]), expected, "{schema}");
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ColumnValue)]
enum Plan {
    #[default]
    Free,
    Pro,
}

#[derive(Clone, Debug, UserProfile)]
struct Profile {
    first_name: String,
    nick_name: Option<String>,
    #[profile(default)]
    settings: Json<Value>,
    #[profile(read_only, default)]
    plan: Plan,
    #[profile(hidden, default)]
    notes: String,
    #[profile(unique)]
    handle: Option<String>,
}

#[test]
fn own_columns_stand_after_the_base_fields() {
    let document = users::<Profile>(&["jwt"]).openapi().info("Mine", "2.0.0").into_value();
    assert_eq!(document["info"], json!({ "title": "Mine", "version": "2.0.0" }));
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let optional = |title: &str| json!({ "anyOf": [{ "type": "string" }, { "type": "null" }], "title": title });
    let (read, create, update) = (schema("UserRead"), schema("UserCreate"), schema("UserUpdate"));
    assert_eq!(read["properties"]["plan"], json!({ "type": "string", "enum": ["free", "pro"], "title": "Plan" }));
    assert_eq!(read["properties"]["nick_name"], optional("Nick Name"));
    assert!(read["properties"].get("notes").is_none());
    assert_eq!(create["required"], json!(["email", "password", "first_name"]));
    assert!(create["properties"].get("plan").is_none() && create["properties"].get("notes").is_none());
    assert_eq!(create["properties"]["settings"], json!({ "title": "Settings" }));
    assert_eq!(update["properties"]["first_name"], optional("First Name"));
    assert!(update.get("required").is_none() && update["properties"].get("plan").is_none());
    let bad = &document["paths"]["/auth/register"]["post"]["responses"]["400"]["content"]["application/json"];
    assert!(bad["examples"].get("REGISTER_VALUE_ALREADY_EXISTS").is_some());
}

#[test]
fn an_application_adds_its_own() {
    let users = users::<()>(&["jwt"]);
    let own = json!({ "paths": { "/hello": { "get": { "summary": "Hello" } } } });
    let merged = users.openapi().merge(&own).unwrap().into_value();
    assert_eq!(merged["paths"]["/hello"]["get"]["summary"], "Hello");
    let clash = json!({ "paths": { "/users/me": { "get": { "summary": "Mine" } } } });
    let error = users.openapi().merge(&clash).unwrap_err().to_string();
    assert!(error.contains("paths//users/me/get/summary"), "{error}");
    let elsewhere = users.openapi_builder().auth_router("/login", "jwt").unwrap().users_router("/people").build();
    let paths = elsewhere.into_value()["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths, ["/login/login", "/login/logout", "/people/me", "/people/{id}"]);
    assert!(users.openapi_builder().auth_router("/login", "other").is_err());
}
