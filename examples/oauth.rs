//! Logging in by other providers: GitHub, which is known by its name, and any issuer of OpenID Connect, which describes itself. Whoever is
//! logged in links further accounts, and unlinks them.
//!
//! Register this application with each provider: `http://localhost:8000/auth/github/callback` and
//! `http://localhost:8000/auth/associate/github/callback`, and the same with `camelot`. Then, with what they gave you:
//!
//! ```sh
//! export GITHUB_CLIENT_ID=… GITHUB_CLIENT_SECRET=…
//! export CAMELOT_ISSUER=https://id.example.com CAMELOT_CLIENT_ID=… CAMELOT_CLIENT_SECRET=…
//! cargo run -p axum-users-examples --example oauth
//! ```

use std::{env, error::Error, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{StatusCode, request::Parts},
    response::{Html, Redirect},
    routing::{get, post},
};
use axum_users::{
    AccountId, AuthBackend, CookieTransport, CurrentUser, DatabaseStrategy, Error as UsersError, OAuth2, OAuthKeys,
    OAuthSettings, OpenId, Secret, SqlStore, Users,
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// The name of each provider in paths, and for people.
const PROVIDERS: [(&str, &str); 2] = [("github", "GitHub"), ("camelot", "Camelot")];

/// What a provider gave you.
pub struct Client {
    pub id: String,
    pub secret: Secret,
}

/// What differs from place to place.
pub struct Settings {
    /// Where browsers find this application: providers send them back there, whatever a request says of its host.
    pub public_url: String,
    pub github: Client,
    /// Its description stands below this URL, at `/.well-known/openid-configuration`.
    pub issuer: String,
    pub camelot: Client,
    /// Signs states and encrypts the tokens of providers: at least 32 bytes, and the same after a restart.
    pub secret: Secret,
}

pub async fn app(database: &str, settings: Settings) -> Result<Router, Box<dyn Error>> {
    let Settings { public_url, github, issuer, camelot, secret } = settings;
    let over_https = public_url.starts_with("https://");
    let store = SqlStore::connect(database).await?;
    let cookie = CookieTransport::new().max_age(WEEK).danger_secure(over_https);
    let github = OAuth2::github(github.id, github.secret)?;
    let camelot = OpenId::new(&issuer, camelot.id, camelot.secret)?.named("camelot", "Camelot");
    let users = Users::<()>::builder(store.clone())
        .backend(AuthBackend::new("cookie", cookie, DatabaseStrategy::new(store, WEEK)))
        .public_url(public_url)
        .oauth_keys(OAuthKeys::new(secret.expose().as_bytes())?)
        // The browser has it while it is at the provider.
        .oauth_cookie(CookieTransport::new().name("on-the-way").danger_secure(over_https))
        .oauth(github, OAuthSettings::new())
        .oauth(camelot, OAuthSettings::new())
        // `redirect_to` leads to paths of ours, and to exactly these.
        .allowed_redirects(["https://shop.camelot.bt/welcome"])
        .build()?;
    Ok(users.router().route("/", get(home)).route("/accounts/{id}/unlink", post(unlink)).with_state(users))
}

/// A link to the provider is a whole button: the browser comes back here, logged in, or with `?error=`.
async fn home(
    State(users): State<Users<()>>,
    user: Option<CurrentUser<()>>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, StatusCode> {
    let code = query.as_deref().and_then(|query| query.strip_prefix("error="));
    let mut page = code.map_or(String::new(), |code| format!("<p role=\"alert\">{}</p>", words(code)));
    let Some(user) = user else {
        for (name, display_name) in PROVIDERS {
            page +=
                &format!(r#"<p><a href="/auth/{name}/authorize?redirect_to=/">Continue with {display_name}</a></p>"#);
        }
        return Ok(Html(page));
    };
    page += &format!("<p>Hello {}</p>", escape(user.email.as_str()));
    for account in users.oauth_accounts(&user).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)? {
        page += &format!(
            r#"<form method="post" action="/accounts/{}/unlink">{}: {} <button>Unlink</button></form>"#,
            account.id,
            escape(&account.oauth_name),
            escape(&account.account_email)
        );
    }
    for (name, display_name) in PROVIDERS {
        page += &format!(r#"<p><a href="/auth/associate/{name}/authorize?redirect_to=/">Link {display_name}</a></p>"#);
    }
    page += r#"<form method="post" action="/auth/cookie/logout"><button>Log out</button></form>"#;
    Ok(Html(page))
}

/// As `DELETE /users/me/accounts/{id}`, which a script would ask for: the login has to be of the last ten minutes, so that a cookie that
/// was stolen does not do it. A page of another site that posts this form is refused by `CurrentUser`.
async fn unlink(
    State(users): State<Users<()>>,
    user: CurrentUser<()>,
    Path(id): Path<String>,
    parts: Parts,
) -> Redirect {
    let Some(id) = AccountId::parse(&id) else { return Redirect::to("/") };
    if !user.is_fresh(users.manager()) {
        return Redirect::to("/?error=FRESH_LOGIN_REQUIRED");
    }
    let info = users.request_info(&parts);
    match users.remove_oauth_account(&user, id, Some(&user.acting()), Some(&info)).await {
        Ok(_) => Redirect::to("/"),
        Err(UsersError::LastLoginMethod) => Redirect::to("/?error=LAST_LOGIN_METHOD"),
        Err(_) => Redirect::to("/?error=FAILED"),
    }
}

/// What a code means to a person; whatever stands in the address is not repeated.
fn words(code: &str) -> &'static str {
    match code {
        "OAUTH_USER_ALREADY_EXISTS" => {
            "Somebody has this account or its address here already: log in as usual, and link it."
        }
        "OAUTH_NOT_AVAILABLE_EMAIL" => "The provider told us no address.",
        "LAST_LOGIN_METHOD" => "This is your only way in.",
        "FRESH_LOGIN_REQUIRED" => "Log out and in again first.",
        _ => "That did not work. Please try again.",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}

fn client(provider: &str) -> Result<Client, String> {
    let secret = variable(&format!("{provider}_CLIENT_SECRET"))?.into();
    Ok(Client { id: variable(&format!("{provider}_CLIENT_ID"))?, secret })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings {
        public_url: "http://localhost:8000".to_owned(),
        github: client("GITHUB")?,
        issuer: variable("CAMELOT_ISSUER")?,
        camelot: client("CAMELOT")?,
        // From your configuration: another one at each start, and what was stored before is read no more.
        secret: axum_users::random::token(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app("sqlite://oauth.db", settings).await?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
