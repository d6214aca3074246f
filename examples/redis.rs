//! Tokens in Redis or Valkey, users and their sessions in a database. `cargo run -p axum-users-examples --example redis`

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use axum_users::{AuthBackend, BearerTransport, CurrentUser, RedisClient, RedisStrategy, SqlStore, Users};

async fn hello(user: CurrentUser<()>) -> String {
    format!("Hello {}", user.email)
}

/// `redis`: one server, a cluster or sentinels; see `RedisClient`. Over a network, `rediss` encrypts.
pub async fn app(database: &str, redis: &str, key_prefix: &str) -> Result<Router, Box<dyn Error>> {
    let redis = RedisClient::new(redis)?;
    let tokens = RedisStrategy::new(redis, Duration::from_secs(8 * 3600))
        .idle_lifetime(Duration::from_secs(1800))
        .key_prefix(key_prefix);
    let users = Users::<()>::builder(SqlStore::connect(database).await?)
        .backend(AuthBackend::new("redis", BearerTransport::new("auth/redis/login"), tokens))
        .build()?;
    Ok(users.router().route("/hello", get(hello)).with_state(users))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let app = app("sqlite://redis.db", "redis://127.0.0.1:6379", "token:").await?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
