//! Users in MongoDB, with object ids. `cargo run -p axum-users-examples --example mongodb`

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use axum_users::{
    AuthBackend, BearerTransport, CurrentUser, DatabaseStrategy, Json, MongoStore, ObjectId, UserProfile, Users,
};

/// Your own columns are fields of the user's document; `settings` is a document within.
#[derive(Clone, Debug, UserProfile)]
#[profile(id = ObjectId)]
struct Profile {
    first_name: String,
    #[profile(default)]
    settings: Json<serde_json::Value>,
}

async fn hello(user: CurrentUser<Profile>) -> String {
    let theme = user.profile.settings.0.get("theme").and_then(|it| it.as_str()).unwrap_or("light");
    format!("Hello {}, {} in {theme}", user.profile.first_name, user.id)
}

/// `database` names the server and the database: `mongodb://localhost/app`.
pub async fn app(database: &str) -> Result<Router, Box<dyn Error>> {
    let store = MongoStore::connect(database).await?;
    let tokens = DatabaseStrategy::new(store.clone(), Duration::from_secs(8 * 3600));
    let users = Users::<Profile>::builder(store)
        .backend(AuthBackend::new("database", BearerTransport::new("auth/database/login"), tokens))
        .build()?;
    Ok(users.router().route("/hello", get(hello)).with_state(users))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let app = app("mongodb://127.0.0.1/app").await?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
