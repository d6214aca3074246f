//! `axum-users outbox …`, and what commands leave in the outbox for the server.

use serde_json::{Value, json};

use crate::harness::{Folder, PASSWORD, Server};

const KING: &str = "king@camelot.bt";
const OTHER: &str = "plum tomato engine";

/// A folder whose server sends to nobody: the port is closed.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "profile = \"strict\"\n[mail]\ntransport = \"smtp\"\nfrom = \"noreply@camelot.bt\"\n\
         smtp_url = \"smtp://127.0.0.1:9\"\ndanger_plaintext = true\n",
    );
    folder
}

fn listed(folder: &Folder) -> Vec<Value> {
    folder.run(&["outbox", "list", "--json"]).succeeded().json().as_array().unwrap().clone()
}

/// Makes all messages look as if they had been tried for hours.
fn give_up(folder: &Folder) {
    let database = folder.path().join("axum-users.db");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", database.display())).await.unwrap();
        let given_up = "UPDATE axum_users_user_outbox SET due_at = 9223372036854775807, attempts = 12";
        sqlx::query(given_up).execute(&pool).await.unwrap();
        pool.close().await;
    });
}

#[test]
fn av_07_messages_are_listed_tried_again_and_deleted() {
    let folder = folder();
    folder.run_with_input(&["user", "create", KING], PASSWORD).succeeded();
    assert_eq!(listed(&folder), Vec::<Value>::new());
    let server: Server = folder.serve();
    assert_eq!(server.register("robin@camelot.bt").status, 201);
    let body = json!({ "email": KING });
    assert_eq!(server.json("POST", "/auth/forgot-password", None, &body).status, 202);
    server.stop();
    let messages = listed(&folder);
    let mut kinds: Vec<_> = messages.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["forgot_password", "register"]);
    assert!(messages.iter().all(|message| message["state"] == "waiting" && message.get("to").is_none()));
    give_up(&folder);
    let text = folder.run(&["outbox", "list"]).succeeded().stdout;
    assert_eq!((text.lines().count(), text.matches("  failed  ").count()), (2, 2), "{text}");
    assert!(text.contains("attempts 12  due never") && !text.contains('@'), "{text}");
    assert!(!text.contains("$argon2"), "{text}");
    let text = folder.run(&["outbox", "list", "--show-addresses"]).succeeded().stdout;
    assert!(text.contains(KING) && text.contains("robin@camelot.bt") && !text.contains("$argon2"), "{text}");

    let key = messages[0]["key"].as_str().unwrap();
    folder.run(&["outbox", "retry", key]).succeeded();
    let of = |key: &str| listed(&folder).into_iter().find(|message| message["key"] == key).unwrap();
    assert_eq!((&of(key)["state"], &of(key)["attempts"]), (&json!("waiting"), &json!(0)));
    assert_eq!(folder.run(&["outbox", "retry", key]).code, 1, "it was not given up");
    assert_eq!(folder.run(&["outbox", "retry", "--failed"]).succeeded().stdout, "due now: 1\n");
    assert!(listed(&folder).iter().all(|message| message["state"] == "waiting"));
    assert_eq!(folder.run(&["outbox", "retry"]).code, 2, "which?");
    folder.run(&["outbox", "delete", key]).succeeded();
    assert_eq!(folder.run(&["outbox", "delete", key]).code, 1);
    assert_eq!(listed(&folder).len(), 1);
}

#[test]
fn au_11_a_password_that_an_operator_sets_is_told_to_its_user() {
    let folder = folder();
    folder.run_with_input(&["user", "create", KING], PASSWORD).succeeded();
    folder.run_with_input(&["user", "set-password", KING], OTHER).succeeded();
    let messages = listed(&folder);
    assert_eq!(messages.len(), 1);
    assert_eq!((&messages[0]["kind"], &messages[0]["attempts"]), (&json!("password_changed"), &json!(0)));
    let server = folder.serve();
    server.wait_for("a message is tried again later");
    server.stop();
    // Nobody sends where there is no mail.
    let silent = Folder::new();
    silent.write("axum-users.toml", "[mail]\ntransport = \"none\"");
    silent.run_with_input(&["user", "create", KING], PASSWORD).succeeded();
    silent.run_with_input(&["user", "set-password", KING], OTHER).succeeded();
    assert!(listed(&silent).is_empty());
}

#[test]
fn en_05_the_strict_server_answers_every_registration_alike() {
    let folder = folder();
    folder.run_with_input(&["user", "create", KING], PASSWORD).succeeded();
    let server = folder.serve();
    let answers: Vec<Value> = [KING, "nobody@camelot.bt"]
        .map(|email| {
            let answer = server.register(email);
            assert_eq!(answer.status, 201, "{}", answer.body);
            let mut user = answer.value();
            user["id"].take();
            assert_eq!(user["email"].take(), email);
            user
        })
        .into();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(server.log_in("jwt", "nobody@camelot.bt", PASSWORD).status, 400);
    let log = server.stop();
    for secret in ["nobody@camelot.bt", KING, "$argon2"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    assert_eq!(folder.run(&["user", "list", "--json"]).succeeded().json().as_array().unwrap().len(), 1);
}
