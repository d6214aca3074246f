//! Register, log in, be known. `cargo run -p axum-users-examples --example minimal`

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use axum_users::{AuthBackend, BearerTransport, CurrentUser, JwtStrategy, SqlStore, Users, random};

/// Any handler knows who is calling.
async fn hello(user: CurrentUser<()>) -> String {
    format!("Hello {}", user.email)
}

pub async fn app(database: &str) -> Result<Router, Box<dyn Error>> {
    let secret = random::token(); // From your configuration, or everybody logs in again after a restart.
    let jwt = JwtStrategy::new(secret.expose().as_bytes(), Duration::from_secs(3600))?;
    let users = Users::<()>::builder(SqlStore::connect(database).await?)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
        .build()?;
    Ok(users.router().route("/hello", get(hello)).with_state(users))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app("sqlite://minimal.db").await?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
