//! Columns of your own: one declaration reaches registration, reading, PATCH, OpenAPI and the table.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use axum_users::{
    AuthBackend, BearerTransport, ColumnValue, CurrentUser, JwtStrategy, Kind, SqlStore, UserProfile, Users, Value,
    ValueError, random,
};

#[derive(Clone, Debug, UserProfile)]
pub struct Profile {
    /// Required at registration.
    pub first_name: String,
    /// May be absent; PATCH with null clears it.
    pub favourite: Option<Colour>,
    /// No two users with the same; its conflict is not reported as a taken address.
    #[profile(unique, column = "nick")]
    pub handle: Option<String>,
    /// Shown, and set by programs only.
    #[profile(read_only, default)]
    pub plan: Plan,
    /// Not even shown.
    #[profile(hidden, default)]
    pub notes: String,
}

/// Stored and sent as `free` or `PRO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, ColumnValue)]
pub enum Plan {
    #[default]
    Free,
    #[column("PRO")]
    Pro,
}

/// A type of your own in a column: stored and sent as `#20b2aa`.
#[derive(Clone, Debug, PartialEq)]
pub struct Colour(u32);

impl ColumnValue for Colour {
    const KIND: Kind = Kind::Text;
    fn to_value(&self) -> Value {
        Value::Text(format!("#{:06x}", self.0))
    }
    fn from_value(value: Value) -> Result<Self, ValueError> {
        let text = String::from_value(value)?;
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .map(Colour)
            .ok_or_else(|| ValueError::Refused("a colour looks like #20b2aa".into()))
    }
}

async fn hello(user: CurrentUser<Profile>) -> String {
    format!("Hello {}, you are on {:?}", user.profile.first_name, user.profile.plan)
}

pub async fn app(database: &str) -> Result<Router, Box<dyn Error>> {
    let jwt = JwtStrategy::new(random::token().expose().as_bytes(), Duration::from_secs(3600))?;
    let users = Users::<Profile>::builder(SqlStore::connect(database).await?)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
        .build()?;
    Ok(users.router().route("/hello", get(hello)).with_state(users))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app("sqlite://own-columns.db").await?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
