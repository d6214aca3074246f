//! Who may pass: the built-in guards, their combinations, and one over a column of your own.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use axum_users::{
    Active, AuthBackend, BearerTransport, CurrentUser, Denied, Guard, JwtStrategy, SqlStore, Superuser, User,
    UserProfile, Users, Verified, random,
};

#[derive(Clone, Debug, UserProfile)]
pub struct Profile {
    /// Points that people collect; only programs set them.
    #[profile(read_only, default)]
    pub points: i64,
}

/// Active users with a hundred points or more.
pub enum Veteran {}

impl Guard<Profile> for Veteran {
    fn check(user: &User<Profile>) -> Result<(), Denied> {
        Active::check(user)?;
        if user.profile.points >= 100 { Ok(()) } else { Err(Denied::FORBIDDEN) }
    }
}

async fn lounge(user: CurrentUser<Profile, Veteran>) -> String {
    format!("{} points", user.profile.points)
}

async fn control_room(_: CurrentUser<Profile, (Superuser, Verified)>) -> &'static str {
    "all is well"
}

/// The handle beside the router, so that a program can hand out points.
pub async fn app(database: &str) -> Result<(Router, Users<Profile>), Box<dyn Error>> {
    let jwt = JwtStrategy::new(random::token().expose().as_bytes(), Duration::from_secs(3600))?;
    let users = Users::<Profile>::builder(SqlStore::connect(database).await?)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
        .build()?;
    let router = users.router().route("/lounge", get(lounge)).route("/control-room", get(control_room));
    Ok((router.with_state(users.clone()), users))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let (router, _users) = app("sqlite://custom-guard.db").await?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
