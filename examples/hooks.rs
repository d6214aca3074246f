//! The application's turn: a password rule, an invitation list, a header on login, a note on deletion.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, response::Parts},
};
use axum_users::{
    AuthBackend, BearerTransport, InvalidPassword, JwtStrategy, PasswordContext, RequestInfo, SqlStore, User,
    UserCreate, UserHooks, Users, Veto, random,
};

/// What happened, for whoever wants to know.
#[derive(Clone, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
    pub fn pages(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl UserHooks<()> for Diary {
    /// The configured policy, and one rule more.
    async fn validate_password(&self, password: &str, context: PasswordContext<'_, ()>) -> Result<(), InvalidPassword> {
        context.check_policy(password)?;
        if password.contains("camelot") {
            return Err(InvalidPassword::new("The name of our castle is known to all"));
        }
        Ok(())
    }

    /// Only knights are invited.
    async fn before_register(&self, create: &UserCreate<()>, _: Option<&RequestInfo>) -> Result<(), Veto> {
        if create.email.domain() == "camelot.bt" {
            return Ok(());
        }
        Err(Veto::new(StatusCode::FORBIDDEN, "NOT_INVITED"))
    }

    async fn on_after_register(&self, user: &User<()>, _: Option<&RequestInfo>) {
        self.note(format!("registered {}", user.email));
    }

    async fn on_after_login(&self, user: &User<()>, _: Option<&RequestInfo>, response: &mut Parts) {
        self.note(format!("logged in {}", user.email));
        response.headers.insert("x-welcome", HeaderValue::from_static("back"));
    }
}

pub async fn app(database: &str, diary: Diary) -> Result<Router, Box<dyn Error>> {
    let jwt = JwtStrategy::new(random::token().expose().as_bytes(), Duration::from_secs(3600))?;
    let users = Users::<()>::builder(SqlStore::connect(database).await?)
        .hooks(diary)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
        .build()?;
    Ok(users.router())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app("sqlite://hooks.db", Diary::default()).await?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
