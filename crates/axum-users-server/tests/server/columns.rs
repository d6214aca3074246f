//! Own columns, from the configuration to the table and back.

use serde_json::{Value, json};

use crate::harness::{Answer, Folder, PASSWORD, Server};

const COLUMNS: &str = r#"
[users.profile.first_name]
required = true
[users.profile.birthdate]
type = "date"
[users.profile.nickname]
unique = true
column = "nick"
[users.profile.plan]
read_only = true
[users.profile.notes]
hidden = true
[users.profile.extra]
type = "json"
[users.profile.score]
type = "real"
[users.profile.age]
type = "integer"
[users.profile.seen]
type = "timestamp"
[users.profile.team]
type = "uuid"
[users.profile.news]
type = "bool"
required = true
"#;

fn register(server: &Server, email: &str, own: &Value) -> Answer {
    let mut body = json!({ "email": email, "password": PASSWORD });
    let members = body.as_object_mut().unwrap();
    members.extend(own.as_object().unwrap().clone());
    server.json("POST", "/auth/register", None, &body)
}

#[test]
fn own_columns_are_registered_read_and_changed() {
    let folder = Folder::new();
    folder.write("axum-users.toml", COLUMNS);
    let server = folder.serve();
    let own = json!({
        "first_name": "Arthur", "birthdate": "1975-04-03", "nickname": "king", "extra": {"a": [1]}, "score": 1.5, "age": 40,
        "seen": "2026-11-24T10:00:00Z", "team": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "news": true,
        "plan": "pro", "notes": "secret",
    });
    let answer = register(&server, "king@camelot.bt", &own);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let mut user = answer.value();
    for (name, value) in own.as_object().unwrap() {
        match name.as_str() {
            "plan" => assert_eq!(user["plan"], Value::Null),
            "notes" => assert!(user.get("notes").is_none()),
            _ => assert_eq!(&user[name], value, "{name}"),
        }
    }

    let token = server.token("king@camelot.bt", PASSWORD);
    let patched =
        server.json("PATCH", "/users/me", Some(&token), &json!({ "birthdate": null, "age": 41, "plan": "pro" }));
    assert_eq!(patched.status, 200, "{}", patched.body);
    user["birthdate"] = Value::Null;
    user["age"] = json!(41);
    assert_eq!(patched.value(), user);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).value(), user);
    server.stop();

    assert_eq!(folder.run(&["user", "list", "--json"]).succeeded().json(), json!([user]));
}

#[test]
fn what_does_not_fit_is_told_field_by_field() {
    let folder = Folder::new();
    folder.write("axum-users.toml", COLUMNS);
    let server = folder.serve();
    let issues = |answer: Answer| -> Vec<(String, String)> {
        assert_eq!(answer.status, 422, "{}", answer.body);
        let items = answer.value()["detail"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| (item["loc"][1].as_str().unwrap().into(), item["type"].as_str().unwrap().into()))
            .collect()
    };
    let found = issues(register(&server, "king@camelot.bt", &json!({ "age": "old", "birthdate": "yesterday" })));
    let named = |name: &str| found.iter().find(|(it, _)| it == name).map(|(_, kind)| kind.as_str());
    assert_eq!(named("first_name"), Some("missing"));
    assert_eq!(named("news"), Some("missing"));
    assert_eq!(named("age"), Some("int_parsing"));
    assert_eq!(found.len(), 4, "{found:?}");

    assert_eq!(register(&server, "king@camelot.bt", &json!({ "first_name": "Arthur", "news": false })).status, 201);
    let token = server.token("king@camelot.bt", PASSWORD);
    let patch = |body: Value| server.json("PATCH", "/users/me", Some(&token), &body);
    assert_eq!(issues(patch(json!({ "first_name": null }))).len(), 1);
    assert_eq!(patch(json!({})).status, 200);
}

#[test]
fn own_columns_are_described() {
    let folder = Folder::new();
    folder.write("axum-users.toml", COLUMNS);
    let printed = folder.run(&["openapi"]).succeeded().json();
    assert!(!folder.path().join("axum-users.db").exists(), "no database is asked");
    let server = folder.serve();
    assert_eq!(server.get("/openapi.json").value(), printed);
    let schema = |name: &str| &printed["components"]["schemas"][name];
    let names = |name: &str| -> Vec<&str> {
        let own = |it: &&str| !["id", "email", "password"].contains(it) && !it.starts_with("is_");
        schema(name)["properties"].as_object().unwrap().keys().map(String::as_str).filter(own).collect()
    };
    let all = ["age", "birthdate", "extra", "first_name", "news", "nickname", "plan", "score", "seen", "team"];
    let writable = all.into_iter().filter(|it| *it != "plan").collect::<Vec<_>>();
    assert_eq!(names("UserRead"), all);
    assert_eq!(names("UserCreate"), writable);
    assert_eq!(names("UserUpdate"), writable);
    let required = schema("UserCreate")["required"].as_array().unwrap();
    assert!(required.contains(&json!("first_name")) && required.contains(&json!("news")), "{required:?}");
    assert!(!required.contains(&json!("age")), "{required:?}");
}

#[test]
fn a_unique_column_is_unique() {
    let folder = Folder::new();
    folder.write("axum-users.toml", COLUMNS);
    let server = folder.serve();
    let own = json!({ "first_name": "Arthur", "news": false, "nickname": "king" });
    assert_eq!(register(&server, "king@camelot.bt", &own).status, 201);
    let taken = register(&server, "other@camelot.bt", &own);
    assert_eq!(taken.status, 400);
    assert_eq!(taken.value()["detail"], json!({ "code": "REGISTER_VALUE_ALREADY_EXISTS", "field": "nickname" }));
}

#[test]
fn the_command_line_takes_own_columns_as_json() {
    let folder = Folder::new();
    folder.write("axum-users.toml", COLUMNS);
    let create = ["user", "create", "king@camelot.bt", "--json"];
    folder.run_with_input(&create, PASSWORD).refused(&["first_name: Field required", "news: Field required"]);
    let with = [&create[..], &["--profile", r#"{"first_name": "Arthur", "news": true}"#]].concat();
    assert_eq!(folder.run_with_input(&with, PASSWORD).succeeded().json()["first_name"], "Arthur");
    let wrong = [&create[..], &["--profile", "[]"]].concat();
    folder.run_with_input(&wrong, PASSWORD).refused(&["--profile"]);
}

#[test]
fn names_that_are_taken_or_cannot_be_names_are_refused() {
    for (text, word) in [
        ("[users.profile.email]", "users.profile.email"),
        ("[users.profile.hashed_password]", "users.profile.hashed_password"),
        ("[users.profile.a]\ncolumn = \"email\"", "users.profile.a"),
        ("[users.profile.a]\ncolumn = \"TOKENS_VALID_AFTER\"", "users.profile.a"),
        ("[users.profile.a]\ncolumn = \"b\"\n[users.profile.b]", "users.profile.b"),
        ("[users.profile.a]\ncolumn = \"mail\"\n[database.columns]\nemail = \"mail\"", "users.profile.a"),
        ("[users.profile.a]\ncolumn = \"a\\\"b\"", "users.profile.a"),
        ("[users.profile.\"a-b\"]", "users.profile.a-b"),
        ("[users.profile.a]\nrequired = true\nread_only = true", "users.profile.a"),
        ("[users.profile.a]\nunique = true\ntype = \"json\"", "users.profile.a"),
        ("[users.profile.a]\ntype = \"blob\"", "users.profile.a.type"),
        ("[users.profile.a]\nrequire = true", "users.profile.a.require"),
    ] {
        let folder = Folder::new();
        folder.write("axum-users.toml", text);
        folder.run(&["config"]).refused(&[word]);
    }
}
