//! A cookie for the browser and a bearer token for programs, side by side; one route takes only the token.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, http::request::Parts, routing::get};
use axum_users::{
    Active, AuthBackend, BearerTransport, CookieTransport, CurrentUser, DatabaseStrategy, Denied, Guard, JwtStrategy,
    SqlStore, User, Users, random,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Whoever comes with a token in the header; a browser's cookie is not looked at.
struct Program;

impl Guard<()> for Program {
    fn check(user: &User<()>) -> Result<(), Denied> {
        Active::check(user)
    }
    fn enabled(backend: &str, _request: &Parts) -> bool {
        backend == "api"
    }
}

/// Either will do.
async fn hello(user: CurrentUser<()>) -> String {
    format!("Hello {}, you came by {}", user.email, user.backend())
}

async fn export(user: CurrentUser<(), Program>) -> String {
    format!("everything of {}", user.email)
}

pub async fn app(database: &str, over_https: bool) -> Result<Router, Box<dyn Error>> {
    let store = SqlStore::connect(database).await?;
    let secret = random::token(); // From your configuration, or every token is void after a restart.
    let jwt = JwtStrategy::new(secret.expose().as_bytes(), Duration::from_secs(3600))?;
    let cookie = CookieTransport::new().max_age(14 * DAY).danger_secure(over_https);
    // Two weeks at most, and a day without a visit.
    let visits = DatabaseStrategy::new(store.clone(), 14 * DAY).idle_lifetime(DAY);
    let users = Users::<()>::builder(store)
        // A request that brings both is that of the token: the first one that knows the caller counts.
        .backend(AuthBackend::new("api", BearerTransport::new("auth/api/login"), jwt))
        .backend(AuthBackend::new("web", cookie, visits))
        .build()?;
    Ok(users.router().route("/hello", get(hello)).route("/export", get(export)).with_state(users))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Plain HTTP on the loopback address: the cookie cannot be `Secure` here.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app("sqlite://two-backends.db", false).await?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
