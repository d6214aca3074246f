//! The application under test, and people who use it.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Router, body::Body, http::Request, response::Response};
use axum_users::{
    AccessTokenDatabase, AuthBackend, BearerTransport, Clock, CookieTransport, DatabaseStrategy, Fields, JwtStrategy,
    SqlId, SqlStore, UserDatabase, UserProfile, UserUpdate, Users, UsersBuilder,
    memory::MemoryStore,
    password::{Argon2Params, DefaultHasher, PasswordPool},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "plum tomato engine";
pub(crate) const OTHER: &str = "green river stone";
pub(crate) const JWT: &str = "/auth/jwt";
pub(crate) const COOKIE: &str = "/auth/cookie";
pub(crate) const DB: &str = "/auth/db";
const HOUR: Duration = Duration::from_secs(3600);

/// Three backends over any store: `jwt` (bearer), `cookie` (database), `db` (bearer, database).
pub(crate) fn application<P: UserProfile>(
    store: impl UserDatabase<P> + AccessTokenDatabase<P> + Clone,
) -> UsersBuilder<P> {
    let database = || DatabaseStrategy::new(store.clone(), HOUR);
    let bearer = |name: &str| BearerTransport::new(format!("auth/{name}/login"));
    let jwt = JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", HOUR).unwrap();
    Users::builder(store.clone())
        .passwords(cheap())
        .clock(clock())
        .throttle(None)
        .backend(AuthBackend::new("jwt", bearer("jwt"), jwt))
        .backend(AuthBackend::new("cookie", CookieTransport::new(), database()))
        .backend(AuthBackend::new("db", bearer("db"), database()))
}

/// It stands until it is moved.
fn clock() -> Clock {
    Clock::mock(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap())
}

/// Somebody without a credential.
pub(crate) fn visitor<P: UserProfile>(users: &Users<P>) -> Person {
    Person { router: users.router(), header: None }
}

/// An application over a database file of its own, which goes with it.
pub(crate) struct OnDisk<P: UserProfile> {
    pub(crate) users: Users<P>,
    pub(crate) store: SqlStore<P>,
    pub(crate) folder: PathBuf,
}

impl<P: UserProfile<Id: SqlId>> OnDisk<P> {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// With other settings.
    pub(crate) async fn with(settings: impl FnOnce(UsersBuilder<P>) -> UsersBuilder<P>) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("axum-users-http-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let store = SqlStore::connect(&format!("sqlite://{}", folder.join("users.db").display())).await.unwrap();
        let users = settings(application(store.clone())).build().unwrap();
        Self { users, store, folder }
    }
}

impl<P: UserProfile> Drop for OnDisk<P> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The application over each server whose feature is on, in tables of its own.
pub(crate) async fn on_servers<P: UserProfile<Id = <() as UserProfile>::Id>>() -> Vec<Users<P>> {
    on_servers_with(|builder| builder).await
}

/// The same with other settings.
pub(crate) async fn on_servers_with<P: UserProfile<Id = <() as UserProfile>::Id>>(
    settings: impl Fn(UsersBuilder<P>) -> UsersBuilder<P>,
) -> Vec<Users<P>> {
    let server = |variable: &str| {
        let url = std::env::var(variable).map_err(|_| {
            format!(
                "{variable} is not set: run `cargo xtask test`, or `cargo xtask services` and export what it prints"
            )
        });
        url.unwrap()
    };
    let name = || axum_users::random::uuid_v4().simple().to_string()[..16].to_owned();
    let servers: &[&str] = &[
        #[cfg(feature = "postgres")]
        "AXUM_USERS_TEST_POSTGRES_URL",
        #[cfg(feature = "mysql")]
        "AXUM_USERS_TEST_MYSQL_URL",
    ];
    let mut found = Vec::new();
    for variable in servers {
        let name = name();
        let store = SqlStore::builder(&server(variable))
            .user_table(format!("u{name}"))
            .access_token_table(format!("t{name}"));
        found.push(settings(application(store.connect().await.unwrap())).build().unwrap());
    }
    #[cfg(feature = "mongodb")]
    {
        let url = server("AXUM_USERS_TEST_MONGODB_URL");
        let url = format!("{}/h{}", url.trim_end_matches('/'), name());
        let store = axum_users::MongoStore::connect(&url).await.unwrap();
        found.push(settings(application(store)).build().unwrap());
    }
    found
}

/// The application over a store in memory.
pub(crate) struct World {
    pub(crate) users: Users<()>,
    pub(crate) store: MemoryStore<()>,
    pub(crate) clock: Clock,
    router: Router,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// With other settings.
    pub(crate) fn with(settings: impl FnOnce(UsersBuilder<()>) -> UsersBuilder<()>) -> Self {
        Self::with_store(|_, builder| settings(builder))
    }

    /// With other settings that need the store.
    pub(crate) fn with_store(settings: impl FnOnce(MemoryStore<()>, UsersBuilder<()>) -> UsersBuilder<()>) -> Self {
        let store = MemoryStore::new();
        let clock = clock();
        let users = settings(store.clone(), application(store.clone()).clock(clock.clone())).build().unwrap();
        let router = users.router();
        Self { users, store, clock, router }
    }

    pub(crate) fn nobody(&self) -> Person {
        Person { router: self.router.clone(), header: None }
    }

    pub(crate) async fn register(&self, email: &str) -> Value {
        self.nobody().register(email).await
    }

    /// Registered, and logged in with this backend.
    pub(crate) async fn person(&self, email: &str, backend: &str) -> Person {
        self.register(email).await;
        self.logged_in(email, PASSWORD, backend).await
    }

    pub(crate) async fn logged_in(&self, email: &str, password: &str, backend: &str) -> Person {
        self.nobody().logged_in(email, password, backend).await
    }

    pub(crate) async fn change(&self, email: &str, update: UserUpdate<()>) {
        change(&self.users, email, update).await;
    }

    pub(crate) async fn superuser(&self, email: &str) -> Person {
        superuser(&self.users, email).await
    }
}

/// What a program of ours does to a user.
pub(crate) async fn change<P: UserProfile>(users: &Users<P>, email: &str, update: UserUpdate<P>) {
    let user = users.get_by_email(email).await.unwrap().unwrap();
    users.update(&user, update, Fields::All, None, None).await.unwrap();
}

/// Registered, made a superuser, logged in.
pub(crate) async fn superuser<P: UserProfile>(users: &Users<P>, email: &str) -> Person {
    visitor(users).register(email).await;
    change(users, email, UserUpdate { is_superuser: Some(true), ..UserUpdate::default() }).await;
    visitor(users).logged_in(email, PASSWORD, JWT).await
}

/// The lowest cost: these tests are not about hashing.
pub(crate) fn cheap() -> PasswordPool {
    PasswordPool::builder(DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap())).build().unwrap()
}

/// The header that proves who is calling, from the answer to a login.
pub(crate) async fn credential(response: Response) -> (&'static str, String) {
    let mut cookies = response.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    if let Some(cookie) = cookies.find(|cookie| cookie.starts_with("fastapiusersauth=")) {
        return ("cookie", cookie.split(';').next().unwrap().to_owned());
    }
    let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    ("authorization", format!("Bearer {}", body["access_token"].as_str().unwrap()))
}

pub(crate) async fn bytes(response: Response) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

/// Somebody at the router.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) router: Router,
    pub(crate) header: Option<(&'static str, String)>,
}

impl Person {
    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Some((name, value)) = &self.header {
            parts.headers.insert(*name, value.parse().unwrap());
        }
        self.router.clone().oneshot(Request::from_parts(parts, body)).await.unwrap()
    }

    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let response = self.raw(method, path, &[("content-type", "application/json")], body.to_string()).await;
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&bytes(response).await).unwrap_or_default())
    }

    pub(crate) async fn status(&self, method: &str, path: &str) -> u16 {
        self.raw(method, path, &[], Body::empty()).await.status().as_u16()
    }

    pub(crate) async fn register(&self, email: &str) -> Value {
        let (status, user) =
            self.json("POST", "/auth/register", &json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(status, 201, "{user}");
        user
    }

    /// The same person, with what a login with this backend gave.
    pub(crate) async fn logged_in(&self, email: &str, password: &str, backend: &str) -> Self {
        let response = self.login(backend, email, password).await;
        assert!(response.status().is_success(), "{}", response.status());
        Self { router: self.router.clone(), header: Some(credential(response).await) }
    }

    /// The text of their token.
    pub(crate) fn token(&self) -> &str {
        let value = self.header.as_ref().map_or("", |(_, value)| value.as_str());
        value.strip_prefix("Bearer ").or_else(|| value.split_once('=').map(|(_, token)| token)).unwrap()
    }

    /// Their id.
    pub(crate) async fn id(&self) -> String {
        match &self.json("GET", "/users/me", &json!(null)).await.1["id"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Whether `/users/me` knows them.
    pub(crate) async fn is_known(&self) -> bool {
        self.status("GET", "/users/me").await == 200
    }

    pub(crate) async fn login(&self, backend: &str, email: &str, password: &str) -> Response {
        let form = format!("username={}&password={}", email.replace('@', "%40"), password.replace(' ', "+"));
        self.raw("POST", &format!("{backend}/login"), &[("content-type", "application/x-www-form-urlencoded")], form)
            .await
    }
}
