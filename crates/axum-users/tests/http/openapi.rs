//! The document is the recorded one, for the routes of this release.

use std::time::Duration;

use axum_users::{
    AuthBackend, BearerTransport, ColumnValue, CookieTransport, DatabaseStrategy, Json, OAuthSettings, ObjectId, TokenSettings,
    UserProfile, Users, UsersBuilder, memory::MemoryStore,
};
use serde_json::{Value, json};

use crate::provider::{Provider, with_provider};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, UserProfile)]
#[profile(id = i64)]
struct Counted {}

#[derive(Clone, Debug, UserProfile)]
#[profile(id = ObjectId)]
struct InMongoDb {}

fn users<P: UserProfile>(backends: &[&str]) -> Users<P> {
    builder(backends).build().unwrap()
}

fn builder<P: UserProfile>(backends: &[&str]) -> UsersBuilder<P> {
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
    with_provider(users, &Provider::new("google"), OAuthSettings::new())
}

/// Two backends that share a transport, as in the documents that were recorded with MongoDB.
fn one_transport<P: UserProfile>() -> Users<P> {
    let strategy = DatabaseStrategy::new(MemoryStore::<P>::new(), HOUR);
    builder(&["jwt"])
        .backend(AuthBackend::new("db", BearerTransport::new("auth/jwt/login"), strategy))
        .build()
        .unwrap()
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
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    assert!(schemas.remove("SessionRead").is_some());
    let with_accounts = schemas.remove("LinkedAccount").is_some();
    for path in ["/users/me/accounts", "/users/me/accounts/{account}"] {
        assert_eq!(document["paths"].as_object_mut().unwrap().remove(path).is_some(), with_accounts, "{path}");
    }
    document
}

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
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
    let object_id = recorded(include_str!("../openapi/mongodb-objectid.json"));
    assert_eq!(document(&one_transport::<InMongoDb>()), object_id);
    let in_mongodb = recorded(include_str!("../openapi/mongodb-uuid.json"));
    assert_eq!(document(&one_transport::<()>()), in_mongodb);
    let all = recorded(include_str!("../openapi/uuid-all-strategies.json"));
    assert_eq!(document(&users::<()>(&["jwt", "cookie", "db", "redis"])), all);
    let accounts = recorded(include_str!("../openapi/uuid-oauth-accounts-in-userread.json"));
    let shown = builder::<()>(&["jwt", "cookie"]).show_oauth_accounts(true).build().unwrap();
    assert_eq!(document(&shown), accounts);
}

#[test]
fn what_redirects_and_strict_add_stands_in_the_document() {
    let builder = || builder::<()>(&["jwt"]).allowed_redirects([""; 0]).show_oauth_accounts(true);
    let document = builder().build().unwrap().openapi().into_value();
    let parameters = &document["paths"]["/auth/google/authorize"]["get"]["parameters"];
    assert_eq!(parameters[1]["name"], "redirect_to");
    let strict = builder().strict(true).build().unwrap().openapi().into_value();
    let members = strict["components"]["schemas"]["BaseOAuthAccount"]["properties"].as_object().unwrap().clone();
    assert!(!members.contains_key("access_token") && members.contains_key("account_id"));
    let elsewhere = builder().build().unwrap();
    let built = elsewhere.openapi_builder().oauth_router("/login/google", "google", "jwt").unwrap();
    let built = built.oauth_associate_router("/link/google", "google").unwrap().build().into_value();
    let paths: Vec<_> = built["paths"].as_object().unwrap().keys().cloned().collect();
    let expected =
        ["/link/google/authorize", "/link/google/callback", "/login/google/authorize", "/login/google/callback"];
    assert_eq!(paths, expected);
    assert!(elsewhere.openapi_builder().oauth_router("/x", "github", "jwt").is_err());
    assert!(elsewhere.openapi_builder().oauth_router("/x", "google", "other").is_err());
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
