//! `axum-users user …` and `axum-users migrate`.

use serde_json::json;

use crate::harness::{Folder, PASSWORD};

const KING: &str = "king@camelot.bt";

#[test]
fn users_are_created_listed_changed_and_deleted() {
    let folder = Folder::new();
    let created = folder
        .run_with_input(
            &["user", "create", "King@camelot.bt", "--superuser", "--verified", "--json"],
            &format!("{PASSWORD}\n"),
        )
        .succeeded()
        .json();
    assert_eq!(created["email"], "King@camelot.bt");
    assert_eq!(
        (&created["is_active"], &created["is_superuser"], &created["is_verified"]),
        (&json!(true), &json!(true), &json!(true))
    );
    folder.run_with_input(&["user", "create", "robin@camelot.bt"], "bravely bold, he ran away").succeeded();
    let list = folder.run(&["user", "list", "--json"]).succeeded().json();
    assert_eq!(list.as_array().unwrap().len(), 2);
    let text = folder.run(&["user", "list"]).succeeded().stdout;
    assert!(text.contains("King@camelot.bt  superuser  verified"), "{text}");

    let server = folder.serve();
    let token = server.token(KING, PASSWORD);
    folder.run_with_input(&["user", "set-password", KING], "the holy hand grenade").succeeded();
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 401);
    server.token(KING, "the holy hand grenade");

    folder.run(&["user", "delete", "robin@camelot.bt"]).succeeded();
    assert_eq!(folder.run(&["user", "list", "--json"]).succeeded().json(), json!([created]));
    server.stop();
}

#[test]
fn what_cannot_be_done_fails_with_a_reason() {
    let folder = Folder::new();
    let failed = |arguments: &[&str], input: &str, reason: &str| {
        let ran = folder.run_with_input(arguments, input);
        assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{arguments:?}: {}", ran.stderr);
    };
    failed(&["user", "create", KING], "short", "at least 8 characters");
    failed(&["user", "create", KING], "", "no password");
    failed(&["user", "create", KING], "password123", "common");
    failed(&["user", "set-password", KING], PASSWORD, "no user");
    failed(&["user", "delete", KING], "", "no user");
    folder.run_with_input(&["user", "create", KING, "--superuser"], PASSWORD).succeeded();
    failed(&["user", "create", "KING@camelot.bt"], PASSWORD, "exists");
    failed(&["user", "delete", KING], "", "last active superuser");
}

#[test]
fn cr_05_a_password_is_no_argument() {
    let folder = Folder::new();
    for arguments in [&["user", "create", KING, PASSWORD][..], &["user", "create", KING, "--password", PASSWORD]] {
        assert_eq!(folder.run(arguments).code, 2);
    }
}

#[test]
fn the_schema_is_shown_made_and_then_complete() {
    let folder = Folder::new();
    let missing = folder.run(&["migrate", "--check"]).succeeded().stdout;
    assert!(missing.contains("CREATE TABLE \"user\""), "{missing}");
    assert!(!folder.path().join("axum-users.db").exists(), "to look is not to make");
    folder.write("axum-users.toml", "[database]\nmigrate_on_start = false");
    assert_eq!(folder.run(&["serve"]).code, 1);
    assert_eq!(folder.run(&["migrate", "--check"]).succeeded().stdout, missing, "an empty file has the same");
    folder.run(&["migrate"]).succeeded();
    assert_eq!(folder.run(&["migrate", "--check"]).succeeded().stdout, "");
    folder.serve().stop();
}

#[test]
fn tables_have_the_names_that_are_configured() {
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "[database]\nuser_table = \"people\"\naccess_token_table = \"sessions\"\n[database.columns]\nemail = \"mail\"",
    );
    let statements = folder.run(&["migrate", "--check"]).succeeded().stdout;
    for name in ["\"people\"", "\"sessions\"", "\"mail\""] {
        assert!(statements.contains(name), "{name} is missing in {statements}");
    }
    let server = folder.serve();
    assert_eq!(server.register(KING).status, 201);
    assert_eq!(server.log_in("cookie", KING, PASSWORD).status, 204);
}
