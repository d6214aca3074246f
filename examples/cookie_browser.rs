//! A page in a browser: the session is a cookie that scripts cannot read, kept in the database.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{
    Router,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use axum_users::{AuthBackend, CookieTransport, CurrentUser, DatabaseStrategy, KnownDevices, SqlStore, Users, random};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The page of whoever is logged in; others are sent to the form.
async fn home(user: Option<CurrentUser<()>>) -> Response {
    match user {
        Some(user) => Html(format!(
            r#"<p>Hello {}</p><form method="post" action="/auth/cookie/logout"><button>Log out</button></form>"#,
            escape(user.email.as_str())
        ))
        .into_response(),
        None => Redirect::to("/sign-in").into_response(),
    }
}

/// The login route takes the form as it is; a page on another origin that posts it is refused.
async fn sign_in() -> Html<&'static str> {
    Html(
        r#"<form method="post" action="/auth/cookie/login">
             <label>E-mail <input name="username" type="email" autocomplete="username"></label>
             <label>Password <input name="password" type="password" autocomplete="current-password"></label>
             <button>Sign in</button>
           </form>"#,
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub async fn app(database: &str, over_https: bool) -> Result<Router, Box<dyn Error>> {
    let store = SqlStore::connect(database).await?;
    let cookie = CookieTransport::new().max_age(WEEK).danger_secure(over_https);
    let secret = random::token(); // From your configuration, or a restart makes all browsers strangers.
    let users = Users::<()>::builder(store.clone())
        .known_devices(KnownDevices::new(secret.expose().as_bytes())?)
        .backend(AuthBackend::new("cookie", cookie, DatabaseStrategy::new(store, WEEK)))
        .build()?;
    Ok(users.router().route("/", get(home)).route("/sign-in", get(sign_in)).with_state(users))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Plain HTTP on the loopback address: the cookie cannot be `Secure` here.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app("sqlite://cookie-browser.db", false).await?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
