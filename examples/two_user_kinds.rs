//! Two kinds of users side by side, each with its own table, columns, ids and routes.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, extract::FromRef, routing::get};
use axum_users::{
    AuthBackend, BearerTransport, CookieTransport, CurrentUser, DatabaseStrategy, JwtStrategy, SqlStore, UserProfile,
    Users, random,
};

/// Those who buy: numbers as ids.
#[derive(Clone, Debug, UserProfile)]
#[profile(id = i64)]
pub struct Customer {
    pub delivery_address: Option<String>,
}

/// Those who sell: UUIDs.
#[derive(Clone, Debug, UserProfile)]
pub struct Clerk {
    pub desk: i64,
}

#[derive(Clone, FromRef)]
pub struct App {
    customers: Users<Customer>,
    clerks: Users<Clerk>,
}

async fn shop(customer: CurrentUser<Customer>) -> String {
    format!("customer {}", customer.id)
}

async fn office(clerk: CurrentUser<Clerk>) -> String {
    format!("clerk at desk {}", clerk.profile.desk)
}

pub async fn app(database: &str) -> Result<Router, Box<dyn Error>> {
    let hour = Duration::from_secs(3600);
    let jwt = JwtStrategy::new(random::token().expose().as_bytes(), hour)?.audience(["shop:customers"]);
    let customers = SqlStore::builder(database).user_table("customer").access_token_table("customer_token");
    let customers = Users::<Customer>::builder(customers.connect().await?)
        .backend(AuthBackend::new("jwt", BearerTransport::new("customers/auth/jwt/login"), jwt))
        .build()?;
    let store = SqlStore::builder(database).user_table("clerk").access_token_table("clerk_token").connect().await?;
    let cookie = CookieTransport::new().name("clerk").max_age(hour);
    let clerks = Users::<Clerk>::builder(store.clone())
        .backend(AuthBackend::new("cookie", cookie, DatabaseStrategy::new(store, hour)))
        .build()?;
    let router = Router::new()
        .nest("/customers", customers.router())
        .nest("/clerks", clerks.router())
        .route("/shop", get(shop))
        .route("/office", get(office));
    Ok(router.with_state(App { customers, clerks }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app("sqlite://two-user-kinds.db").await?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
