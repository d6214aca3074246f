//! Two devices of one user: each stays logged in by refreshing, the list shows both, and one ends the other.
//! `cargo run -p axum-users-examples --example sessions`

use std::{error::Error, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    routing::get,
};
use axum_users::{AuthBackend, BearerTransport, CurrentUser, JwtStrategy, RefreshTokens, SqlStore, Users, random};
use serde_json::Value;
use tower::ServiceExt as _;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The sessions of whoever asks, by the manager; `GET /users/me/sessions` is the same as JSON.
async fn devices(users: axum::extract::State<Users<()>>, user: CurrentUser<()>) -> Result<String, StatusCode> {
    let sessions = users.sessions(&user).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(sessions.iter().map(|it| format!("{}\n", it.user_agent.as_deref().unwrap_or("something"))).collect())
}

/// Tokens of a quarter of an hour, refreshed for at most 90 days, and not after two weeks without use.
pub async fn app(database: &str) -> Result<Router, Box<dyn Error>> {
    let store = SqlStore::connect(database).await?;
    let secret = random::token(); // From your configuration, or every token is void after a restart.
    let jwt = JwtStrategy::new(secret.expose().as_bytes(), Duration::from_secs(900))?.idle_lifetime(14 * DAY);
    let app = AuthBackend::new("app", BearerTransport::new("auth/app/login"), jwt);
    let users =
        Users::<()>::builder(store.clone()).backend(app.refresh(RefreshTokens::new(store, 90 * DAY))).build()?;
    Ok(users.router().route("/devices", get(devices)).with_state(users))
}

/// A device. It speaks to the router; in earnest that is a network.
pub struct Device {
    router: Router,
    name: &'static str,
    pub access_token: String,
    refresh_token: String,
}

impl Device {
    pub async fn log_in(router: &Router, name: &'static str, form: String) -> Result<Self, Box<dyn Error>> {
        let mut device =
            Self { router: router.clone(), name, access_token: String::new(), refresh_token: String::new() };
        device.take_tokens("/auth/app/login", form).await?;
        Ok(device)
    }

    /// What a client does: ask; where the token is over, refresh once and ask again. The new refresh token takes the place of
    /// the old one, so requests of one client must not refresh side by side.
    pub async fn ask(&mut self, method: &str, path: &str) -> Result<(StatusCode, String), Box<dyn Error>> {
        let answer = self.send(method, path, String::new()).await?;
        if answer.0 != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let form = format!("grant_type=refresh_token&refresh_token={}", self.refresh_token);
        match self.take_tokens("/auth/app/refresh", form).await {
            Ok(()) => self.send(method, path, String::new()).await,
            // The session is over: the user has to log in again.
            Err(_) => Ok(answer),
        }
    }

    async fn take_tokens(&mut self, path: &str, form: String) -> Result<(), Box<dyn Error>> {
        let (status, body) = self.send("POST", path, form).await?;
        let body: Value = serde_json::from_str(&body)?;
        let token = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let (access, refresh) = token("access_token").zip(token("refresh_token")).ok_or(format!("{status}: {body}"))?;
        (self.access_token, self.refresh_token) = (access, refresh);
        Ok(())
    }

    async fn send(&self, method: &str, path: &str, form: String) -> Result<(StatusCode, String), Box<dyn Error>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("user-agent", self.name)
            .header("authorization", format!("Bearer {}", self.access_token))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))?;
        let (head, body) = self.router.clone().oneshot(request).await?.into_parts();
        Ok((head.status, String::from_utf8(to_bytes(body, 1 << 20).await?.to_vec())?))
    }

    /// Ends all other devices. It needs a login of the last ten minutes, else it is 403 `FRESH_LOGIN_REQUIRED`.
    pub async fn end_others(&mut self) -> Result<StatusCode, Box<dyn Error>> {
        Ok(self.ask("DELETE", "/users/me/sessions?keep_current=true").await?.0)
    }

    /// Ends one device by its id in the list.
    pub async fn end(&mut self, session: &str) -> Result<StatusCode, Box<dyn Error>> {
        Ok(self.ask("DELETE", &format!("/users/me/sessions/{session}")).await?.0)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = app("sqlite::memory:").await?;
    let registration = Request::post("/auth/register")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"email": "arthur@camelot.bt", "password": "plum tomato engine"}"#))?;
    router.clone().oneshot(registration).await?;
    let form = || "username=arthur@camelot.bt&password=plum+tomato+engine".to_owned();
    let mut phone = Device::log_in(&router, "Phone", form()).await?;
    let mut tablet = Device::log_in(&router, "Tablet", form()).await?;
    println!("{}", phone.ask("GET", "/devices").await?.1);
    println!("{}", phone.ask("GET", "/users/me/sessions").await?.1);
    println!("the phone ends the others: {}", phone.end_others().await?);
    println!("the tablet asks: {}", tablet.ask("GET", "/devices").await?.0);
    Ok(())
}
