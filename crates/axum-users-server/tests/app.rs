//! The routes inside another program.

use axum_users_server::{Config, Sources, app};

#[tokio::test]
async fn a_program_can_have_the_routes_without_the_listening() {
    let folder = std::env::temp_dir().join(format!("axum-users-app-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let config = Config::load(&Sources::folder(&folder).database("sqlite::memory:")).unwrap();
    let router = app(&config).await.unwrap();
    assert!(router.has_routes());
    std::fs::remove_dir_all(&folder).unwrap();
}
