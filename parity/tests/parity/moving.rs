//! A database of the other system: its users log in, its tokens are accepted.

use std::time::Duration;

use axum::{body::Body, http::Request};
use axum_users::{AuthBackend, BearerTransport, JwtStrategy, SqlStore, Users};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sqlx::Connection as _;
use tower::ServiceExt as _;

use crate::application::SECRET;

const DDL: &str = "
    CREATE TABLE user (id CHAR(36) NOT NULL, email VARCHAR(320) NOT NULL, hashed_password VARCHAR(1024) NOT NULL,
        is_active BOOLEAN NOT NULL, is_superuser BOOLEAN NOT NULL, is_verified BOOLEAN NOT NULL, PRIMARY KEY (id));
    CREATE UNIQUE INDEX ix_user_email ON user (email);
    INSERT INTO user VALUES ('4fd3477b-eccf-4ee3-8f7d-68ad72261476', 'King.Arthur@camelot.bt',
        '$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$BYuf6nsWA5zmyuxS0C8BaeQl99zKaq8fCv84Lv5ZS+w', 1, 0, 0);
    INSERT INTO user VALUES ('834c58fd-1c97-4f65-a5de-1e7bcba22d13', 'lancelot@camelot.bt', '@BCRYPT@', 1, 0, 0);";
const BCRYPT: &str = "$2b$04$NHRzjjc0UCleAVuFokHEn.sMIsmd3ogFHp.lEXVcKFugtvXEPtgJ6";
/// Made by the other system for the first user.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0ZmQzNDc3Yi1lY2NmLTRlZTMtOGY3ZC02OGFkNzIyNjE0NzYiLCJhdWQiOlsiZmFzdGFwaS11c2VyczphdXRoIl0sImV4cCI6NDEwMjQ0NDgwMH0.Edr-tF7AjuJmKSw9vA2v_x-Mn96d2lwid6eKYeL5jmc";

#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_other_system_log_in_and_their_tokens_count() {
    let folder = std::env::temp_dir().join(format!("axum-users-moving-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let url = format!("sqlite://{}", folder.join("app.db").display());
    let mut database = sqlx::SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    let ddl = sqlx::AssertSqlSafe(DDL.replace("@BCRYPT@", BCRYPT));
    sqlx::raw_sql(ddl).execute(&mut database).await.unwrap();
    let store = SqlStore::<()>::builder(&url).adopt(true).connect().await.unwrap();
    let jwt = JwtStrategy::danger_weak_secret(SECRET, Duration::from_secs(3600)).unwrap();
    let users = Users::builder(store)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
        .build()
        .unwrap();
    let router = users.router::<()>();
    let send = async |request: Request<Body>| {
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let me = |token: &str| {
        let request = Request::get("/users/me").header("authorization", format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    let (status, user) = send(me(TOKEN)).await;
    assert_eq!((status, user["email"].as_str()), (200, Some("King.Arthur@camelot.bt")));
    for email in ["king.arthur@camelot.bt", "LANCELOT@camelot.bt"] {
        let form = format!("username={}&password=guinevere", email.replace('@', "%40"));
        let request = Request::post("/auth/jwt/login").header("content-type", "application/x-www-form-urlencoded");
        let (status, answer) = send(request.body(Body::from(form)).unwrap()).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(send(me(answer["access_token"].as_str().unwrap())).await.0, 200);
    }
    // The outdated hash was replaced by one that the other system accepts, the current one was left alone.
    let hashes: Vec<String> =
        sqlx::query_scalar("SELECT hashed_password FROM user ORDER BY email").fetch_all(&mut database).await.unwrap();
    assert!(DDL.contains(&hashes[0]) && hashes[1].starts_with("$argon2id$v=19$m=65536,t=3,p=4$"), "{hashes:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}
