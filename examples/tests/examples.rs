//! Each example does what it says.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing step fails the test")]

#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../cookie_browser.rs"]
mod cookie_browser;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../custom_database.rs"]
mod custom_database;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../custom_guard.rs"]
mod custom_guard;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../hooks.rs"]
mod hooks;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../mail.rs"]
mod mail;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../minimal.rs"]
mod minimal;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../mongodb.rs"]
mod mongodb;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../oauth.rs"]
mod oauth;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../own_columns.rs"]
mod own_columns;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../programmatic.rs"]
mod programmatic;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../redis.rs"]
mod redis;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../sessions.rs"]
mod sessions;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../two_backends.rs"]
mod two_backends;
#[expect(dead_code, reason = "`main` is not called here")]
#[path = "../two_user_kinds.rs"]
mod two_user_kinds;

#[path = "examples/issuer.rs"]
mod issuer;

use std::collections::BTreeMap;

use axum::{Router, body::Body, http::Request, response::Response};
use axum_users::{Fields, Secret, UserUpdate};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const MEMORY: &str = "sqlite::memory:";
const PASSWORD: &str = "plum tomato engine";

/// Somebody at the router, with or without a token.
struct Client {
    router: Router,
    token: Option<String>,
}

impl Client {
    fn new(router: Router) -> Self {
        Self { router, token: None }
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: String) -> Response {
        let mut request = Request::builder().method(method).uri(path).header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let response = self.send(method, path, "application/json", body.to_string()).await;
        let status = response.status().as_u16();
        (status, serde_json::from_str(&text(response).await).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.send("GET", path, "text/plain", String::new()).await;
        (response.status().as_u16(), text(response).await)
    }

    async fn register(&self, at: &str, email: &str, more: Value) -> (u16, Value) {
        let mut body = json!({ "email": email, "password": PASSWORD });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.json("POST", &format!("{at}/auth/register"), body).await
    }

    async fn login(&self, path: &str, email: &str) -> Response {
        let form = format!("username={}&password={}", email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
        self.send("POST", path, "application/x-www-form-urlencoded", form).await
    }

    async fn log_in(&mut self, path: &str, email: &str) {
        let body: Value = serde_json::from_str(&text(self.login(path, email).await).await).unwrap();
        self.token = Some(body["access_token"].as_str().unwrap().to_owned());
    }
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn minimal_registers_logs_in_and_knows() {
    let mut client = Client::new(minimal::app(MEMORY).await.unwrap());
    assert_eq!(client.get("/hello").await.0, 401);
    assert_eq!(client.register("", "arthur@camelot.bt", json!({})).await.0, 201);
    client.log_in("/auth/jwt/login", "arthur@camelot.bt").await;
    assert_eq!(client.get("/hello").await, (200, "Hello arthur@camelot.bt".to_owned()));
}

#[tokio::test]
async fn own_columns_reach_every_route() {
    let mut client = Client::new(own_columns::app(MEMORY).await.unwrap());
    let (status, refused) = client.register("", "a@camelot.bt", json!({ "favourite": "blue", "handle": 7 })).await;
    assert_eq!((status, refused["detail"].as_array().unwrap().len()), (422, 3), "{refused}");
    let sent = json!({ "first_name": "Ada", "favourite": "#20b2aa", "handle": "ada", "plan": "PRO", "notes": "x" });
    let (status, user) = client.register("", "ada@camelot.bt", sent).await;
    assert_eq!(status, 201, "{user}");
    assert_eq!((&user["favourite"], &user["plan"], user.get("notes")), (&json!("#20b2aa"), &json!("free"), None));
    let (status, refused) = client.register("", "b@camelot.bt", json!({ "first_name": "B", "handle": "ada" })).await;
    let taken = json!({ "code": "REGISTER_VALUE_ALREADY_EXISTS", "field": "handle" });
    assert_eq!((status, &refused["detail"]), (400, &taken));
    client.log_in("/auth/jwt/login", "ada@camelot.bt").await;
    let (status, user) = client.json("PATCH", "/users/me", json!({ "favourite": null, "plan": "PRO" })).await;
    assert_eq!(
        (status, &user["favourite"], &user["handle"], &user["plan"]),
        (200, &json!(null), &json!("ada"), &json!("free"))
    );
    assert_eq!(client.get("/hello").await.1, "Hello Ada, you are on Free");
}

#[tokio::test]
async fn the_cookie_of_a_browser_lives_until_logout() {
    let client = Client::new(cookie_browser::app(MEMORY, true).await.unwrap());
    assert_eq!(client.get("/").await.0, 303);
    assert!(client.get("/sign-in").await.1.contains("autocomplete=\"current-password\""));
    client.register("", "arthur@camelot.bt", json!({})).await;
    let response = client.login("/auth/cookie/login", "arthur@camelot.bt").await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; HttpOnly; Max-Age=604800; Path=/; SameSite=lax; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let send = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("cookie", &cookie);
        client.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    assert_eq!(send("GET", "/").await, 200);
    assert_eq!(send("POST", "/auth/cookie/logout").await, 204);
    assert_eq!(send("GET", "/").await, 303);
}

#[tokio::test]
async fn a_guard_looks_at_a_column() {
    let (router, users) = custom_guard::app(MEMORY).await.unwrap();
    let mut client = Client::new(router);
    client.register("", "arthur@camelot.bt", json!({ "points": 1000 })).await;
    client.log_in("/auth/jwt/login", "arthur@camelot.bt").await;
    assert_eq!((client.get("/lounge").await.0, client.get("/control-room").await.0), (403, 403));
    let user = users.get_by_email("arthur@camelot.bt").await.unwrap().unwrap();
    let profile = custom_guard::ProfileUpdate { points: Some(100) };
    let update = UserUpdate { profile, is_superuser: Some(true), is_verified: Some(true), ..UserUpdate::default() };
    users.update(&user, update, Fields::All, None, None).await.unwrap();
    assert_eq!(client.get("/lounge").await, (200, "100 points".to_owned()));
    assert_eq!(client.get("/control-room").await.0, 200);
}

#[tokio::test]
async fn hooks_have_their_turn() {
    let diary = hooks::Diary::default();
    let client = Client::new(hooks::app(MEMORY, diary.clone()).await.unwrap());
    let (status, refused) = client.register("", "mordred@orkney.bt", json!({})).await;
    assert_eq!((status, refused), (403, json!({ "detail": "NOT_INVITED" })));
    let (status, refused) = client.register("", "arthur@camelot.bt", json!({ "password": "camelot by night" })).await;
    assert_eq!((status, &refused["detail"]["code"]), (400, &json!("REGISTER_INVALID_PASSWORD")));
    client.register("", "arthur@camelot.bt", json!({})).await;
    let response = client.login("/auth/jwt/login", "arthur@camelot.bt").await;
    assert_eq!(response.headers()["x-welcome"], "back");
    assert_eq!(diary.pages(), ["registered arthur@camelot.bt", "logged in arthur@camelot.bt"]);
}

#[tokio::test]
async fn a_program_creates_a_superuser_once() {
    let users = programmatic::manager(MEMORY).await.unwrap();
    let ensure = async || programmatic::ensure_superuser(&users, "merlin@camelot.bt", Secret::from(PASSWORD)).await;
    assert_eq!((ensure().await.unwrap(), ensure().await.unwrap()), (true, false));
    let merlin = users.get_by_email("MERLIN@camelot.bt").await.unwrap().unwrap();
    assert!(merlin.is_superuser && merlin.is_verified);
}

#[tokio::test]
async fn two_kinds_of_users_do_not_meet() {
    let folder = std::env::temp_dir().join(format!("axum-users-examples-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let url = format!("sqlite://{}", folder.join("two.db").display());
    let mut client = Client::new(two_user_kinds::app(&url).await.unwrap());
    let (_, customer) = client.register("/customers", "a@camelot.bt", json!({})).await;
    assert_eq!(customer["id"], json!(1));
    let (status, clerk) = client.register("/clerks", "a@camelot.bt", json!({ "desk": 4 })).await;
    assert_eq!((status, clerk["desk"].clone()), (201, json!(4)), "the same mailbox, another kind");
    client.log_in("/customers/auth/jwt/login", "a@camelot.bt").await;
    assert_eq!(client.get("/shop").await, (200, "customer 1".to_owned()));
    assert_eq!(client.get("/office").await.0, 401);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn users_may_be_kept_anywhere() {
    let mut client = Client::new(custom_database::app(custom_database::ListOfUsers::default()).unwrap());
    assert_eq!(client.register("", "arthur@camelot.bt", json!({})).await.0, 201);
    assert_eq!(client.register("", "ARTHUR@camelot.bt", json!({})).await.0, 400);
    client.log_in("/auth/jwt/login", "arthur@camelot.bt").await;
    let (status, user) = client.json("PATCH", "/users/me", json!({ "email": "king@camelot.bt" })).await;
    assert_eq!((status, &user["email"]), (200, &json!("king@camelot.bt")));
    let (status, _) = client.json("PATCH", "/users/me", json!({ "password": "another tomato engine" })).await;
    assert_eq!(status, 200);
    assert_eq!(client.get("/users/me").await.0, 401, "a new password ends what was issued before");
}

#[tokio::test]
async fn a_cookie_and_a_token_side_by_side() {
    let client = Client::new(two_backends::app(MEMORY, true).await.unwrap());
    client.register("", "arthur@camelot.bt", json!({})).await;
    let response = client.login("/auth/web/login", "arthur@camelot.bt").await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let with_cookie = async |path: &str, token: Option<&str>| {
        let mut request = Request::get(path).header("cookie", &cookie);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = client.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (response.status().as_u16(), text(response).await)
    };
    assert_eq!(with_cookie("/hello", None).await, (200, "Hello arthur@camelot.bt, you came by web".to_owned()));
    assert_eq!(with_cookie("/export", None).await.0, 401, "a browser's cookie is not looked at");
    let body: Value =
        serde_json::from_str(&text(client.login("/auth/api/login", "arthur@camelot.bt").await).await).unwrap();
    let token = body["access_token"].as_str();
    assert_eq!(with_cookie("/hello", token).await.1, "Hello arthur@camelot.bt, you came by api");
    assert_eq!(with_cookie("/hello", Some("nonsense")).await.1, "Hello arthur@camelot.bt, you came by web");
    assert_eq!(with_cookie("/export", token).await, (200, "everything of arthur@camelot.bt".to_owned()));
}

#[tokio::test]
async fn devices_refresh_and_end_each_other() {
    let router = sessions::app(MEMORY).await.unwrap();
    Client::new(router.clone()).register("", "arthur@camelot.bt", json!({})).await;
    let form = || format!("username=arthur%40camelot.bt&password={}", PASSWORD.replace(' ', "+"));
    let mut phone = sessions::Device::log_in(&router, "Phone", form()).await.unwrap();
    let mut tablet = sessions::Device::log_in(&router, "Tablet", form()).await.unwrap();
    let (_, devices) = phone.ask("GET", "/devices").await.unwrap();
    let mut devices: Vec<&str> = devices.lines().collect();
    devices.sort_unstable();
    assert_eq!(devices, ["Phone", "Tablet"]);
    // The phone's token is over: it refreshes and asks again.
    phone.access_token = "over".into();
    let (status, list) = phone.ask("GET", "/users/me/sessions").await.unwrap();
    assert_eq!(status, 200);
    assert_ne!(phone.access_token, "over");
    let list: Value = serde_json::from_str(&list).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2, "refreshing begins no session");
    let other = list.iter().find(|session| session["current"] == json!(false)).unwrap();
    assert_eq!(other["user_agent"], json!("Tablet"));
    assert_eq!(phone.end(other["id"].as_str().unwrap()).await.unwrap(), 204);
    assert_eq!(tablet.ask("GET", "/devices").await.unwrap().0, 401, "refreshing does not help");
    let mut tablet = sessions::Device::log_in(&router, "Tablet", form()).await.unwrap();
    assert_eq!(tablet.end_others().await.unwrap(), 204);
    assert_eq!(phone.ask("GET", "/devices").await.unwrap().0, 401);
    assert_eq!(tablet.ask("GET", "/devices").await.unwrap(), (axum::http::StatusCode::OK, "Tablet\n".to_owned()));
}

#[tokio::test]
async fn tokens_live_in_redis() {
    let url = std::env::var("AXUM_USERS_TEST_REDIS_URL").expect("AXUM_USERS_TEST_REDIS_URL: see CONTRIBUTING.md");
    let prefix = format!("example-{}:", std::process::id());
    let mut client = Client::new(redis::app(MEMORY, &url, &prefix).await.unwrap());
    client.register("", "arthur@camelot.bt", json!({})).await;
    client.log_in("/auth/redis/login", "arthur@camelot.bt").await;
    assert_eq!(client.get("/hello").await, (200, "Hello arthur@camelot.bt".to_owned()));
    // Another prefix is another set of tokens.
    let other = redis::app(MEMORY, &url, "other:").await.unwrap();
    let stranger = Client { router: other, token: client.token.clone() };
    assert_eq!(stranger.get("/hello").await.0, 401);
    assert_eq!(client.send("POST", "/auth/redis/logout", "text/plain", String::new()).await.status(), 204);
    assert_eq!(client.get("/hello").await.0, 401);
}

#[tokio::test]
async fn users_live_in_mongodb() {
    let url = std::env::var("AXUM_USERS_TEST_MONGODB_URL").expect("AXUM_USERS_TEST_MONGODB_URL: see CONTRIBUTING.md");
    let url = format!("{}/example{}", url.trim_end_matches('/'), std::process::id());
    let mut client = Client::new(mongodb::app(&url).await.unwrap());
    let profile = json!({ "first_name": "Arthur", "settings": { "theme": "dark" } });
    client.register("", "arthur@camelot.bt", profile).await;
    client.log_in("/auth/database/login", "arthur@camelot.bt").await;
    let me: Value = serde_json::from_str(&client.get("/users/me").await.1).unwrap();
    let id = me["id"].as_str().unwrap();
    assert_eq!(id.len(), 24);
    assert_eq!(client.get("/hello").await, (200, format!("Hello Arthur, {id} in dark")));
}

#[tokio::test]
async fn a_mailer_sends_in_the_readers_language_and_hooks_what_they_like() {
    let mailer = axum_users::DevelopmentMailer::new(mail::templates().unwrap());
    let client = Client::new(mail::with_a_mailer(MEMORY, mailer.clone()).await.unwrap());
    client.register("", "arthur@camelot.bt", json!({})).await;
    let request = Request::builder().method("POST").uri("/auth/forgot-password").header("accept-language", "de");
    let request =
        request.header("content-type", "application/json").body(Body::from(r#"{"email":"arthur@camelot.bt"}"#));
    assert_eq!(client.router.clone().oneshot(request.unwrap()).await.unwrap().status(), 202);
    let sent = until(|| mailer.mails().first().cloned()).await;
    assert_eq!(sent.subject(), "Setzen Sie ein neues Passwort für Camelot");
    let token = sent.link().unwrap().strip_prefix("http://localhost:8000/reset-password?token=").unwrap();
    let reset = json!({ "token": token, "password": "correct horse battery" });
    assert_eq!(client.json("POST", "/auth/reset-password", reset).await.0, 200);

    let messages = mail::Messages::default();
    let client = Client::new(mail::with_hooks(MEMORY, messages.clone()).await.unwrap());
    client.register("", "arthur@camelot.bt", json!({})).await;
    client.json("POST", "/auth/request-verify-token", json!({ "email": "arthur@camelot.bt" })).await;
    let (_, text) = until(|| messages.sent().first().cloned()).await;
    let token = text.strip_prefix("arthur@camelot.bt: verify with ").unwrap();
    assert_eq!(client.json("POST", "/auth/verify", json!({ "token": token })).await.0, 200);
}

#[tokio::test]
async fn people_come_by_providers_and_link_what_they_have_there() {
    let issuer = issuer::Issuer::start().await;
    let client = |id: &str| oauth::Client { id: id.to_owned(), secret: Secret::from("hush") };
    let settings = oauth::Settings {
        public_url: "http://localhost:8000".to_owned(),
        github: client("of-github"),
        issuer: issuer.url.clone(),
        camelot: client(issuer::CLIENT_ID),
        secret: axum_users::random::token(),
    };
    let mut browser = Browser { router: oauth::app(MEMORY, settings).await.unwrap(), cookies: BTreeMap::new() };
    let (_, page, _) = browser.send("GET", "/").await;
    assert!(page.contains("Continue with GitHub") && page.contains("Continue with Camelot"), "{page}");
    let (status, _, url) = browser.send("GET", "/auth/github/authorize?redirect_to=/").await;
    assert_eq!(status, 303);
    assert!(
        url.starts_with("https://github.com/login/oauth/authorize?") && url.contains("client_id=of-github"),
        "{url}"
    );

    // There and back, for the first time and for another account there.
    assert_eq!(browser.goes(&issuer, "/auth/camelot", "galahad").await, "/");
    let (_, page, _) = browser.send("GET", "/").await;
    assert!(page.contains("Hello galahad@camelot.bt") && page.matches("<button>Unlink").count() == 1, "{page}");
    let unlink = page.split('"').find(|part| part.ends_with("/unlink")).unwrap().to_owned();
    assert_eq!(browser.send("POST", &unlink).await.2, "/?error=LAST_LOGIN_METHOD");
    assert!(browser.send("GET", "/?error=LAST_LOGIN_METHOD").await.1.contains("only way in"));
    assert_eq!(browser.goes(&issuer, "/auth/associate/camelot", "galaad").await, "/");
    let (_, page, _) = browser.send("GET", "/").await;
    assert_eq!(page.matches("<button>Unlink").count(), 2, "{page}");
    assert_eq!(browser.send("POST", &unlink).await.2, "/");
    let (_, page, _) = browser.send("GET", "/").await;
    assert!(page.contains("galaad@camelot.bt") && page.matches("<button>Unlink").count() == 1, "{page}");

    // Who was unlinked is not let in by an address that somebody has here; who is linked is, whatever the address.
    browser.cookies.clear();
    let refused = "/?error=OAUTH_USER_ALREADY_EXISTS";
    assert_eq!(browser.goes(&issuer, "/auth/camelot", "galahad").await, refused);
    assert!(browser.send("GET", refused).await.1.contains("log in as usual"));
    assert_eq!(browser.goes(&issuer, "/auth/camelot", "galaad").await, "/");
    assert!(browser.send("GET", "/").await.1.contains("Hello galahad@camelot.bt"));

    // Browsers are sent where the list says, and nowhere else.
    for (target, status) in
        [("https://shop.camelot.bt/welcome", 303), ("https://evil.example/welcome", 400), ("//evil.example", 400)]
    {
        let path = format!("/auth/camelot/authorize?redirect_to={target}");
        assert_eq!(browser.send("GET", &path).await.0, status, "{target}");
    }
}

/// A browser that follows links, with its cookies.
struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Status, body, and where it is sent on.
    async fn send(&mut self, method: &str, path: &str) -> (u16, String, String) {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder().method(method).uri(path).header("cookie", cookies.join("; "));
        let request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-site", "same-origin");
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = response.headers().get("location").map_or("", |location| location.to_str().unwrap()).to_owned();
        (response.status().as_u16(), text(response).await, location)
    }

    /// To the issuer and back, as this person there; where the callback leads.
    async fn goes(&mut self, issuer: &issuer::Issuer, route: &str, who: &str) -> String {
        let (status, answer, url) = self.send("GET", &format!("{route}/authorize?redirect_to=/")).await;
        assert_eq!(status, 303, "{answer}");
        let query = issuer.approve(&url, who);
        let (status, answer, leads_to) = self.send("GET", &format!("{route}/callback?{query}")).await;
        assert_eq!(status, 303, "{answer}");
        leads_to
    }
}

/// A worker's result, as soon as it is there.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            match look() {
                Some(found) => return found,
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), found).await.unwrap()
}
