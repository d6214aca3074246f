//! The application under test, and people who use it.

use std::time::Duration;

use axum::{Router, body::Body, http::Request, response::Response};
use axum_users::{
    AuthBackend, BearerTransport, Clock, CookieTransport, DatabaseStrategy, Fields, JwtStrategy, UserUpdate, Users,
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

/// Three backends over a store in memory: `jwt` (bearer), `cookie` (database), `db` (bearer, database).
pub(crate) struct World {
    pub(crate) users: Users<()>,
    pub(crate) store: MemoryStore<()>,
    pub(crate) clock: Clock,
    router: Router,
}

impl World {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new();
        let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let database = || DatabaseStrategy::new(store.clone(), HOUR);
        let bearer = |name: &str| BearerTransport::new(format!("auth/{name}/login"));
        let users = Users::builder(store.clone())
            .passwords(cheap())
            .clock(clock.clone())
            .backend(AuthBackend::new(
                "jwt",
                bearer("jwt"),
                JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", HOUR).unwrap(),
            ))
            .backend(AuthBackend::new("cookie", CookieTransport::new(), database()))
            .backend(AuthBackend::new("db", bearer("db"), database()))
            .build()
            .unwrap();
        let router = users.router();
        Self { users, store, clock, router }
    }

    pub(crate) fn nobody(&self) -> Person {
        Person { router: self.router.clone(), header: None }
    }

    pub(crate) async fn register(&self, email: &str) -> Value {
        let (status, user) =
            self.nobody().json("POST", "/auth/register", &json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(status, 201, "{user}");
        user
    }

    /// Registered, and logged in with this backend.
    pub(crate) async fn person(&self, email: &str, backend: &str) -> Person {
        self.register(email).await;
        self.logged_in(email, PASSWORD, backend).await
    }

    pub(crate) async fn logged_in(&self, email: &str, password: &str, backend: &str) -> Person {
        let response = self.nobody().login(backend, email, password).await;
        assert!(response.status().is_success(), "{}", response.status());
        Person { router: self.router.clone(), header: Some(credential(response).await) }
    }

    pub(crate) async fn change(&self, email: &str, update: UserUpdate<()>) {
        let user = self.users.get_by_email(email).await.unwrap().unwrap();
        self.users.update(&user, update, Fields::All, None, None).await.unwrap();
    }

    pub(crate) async fn superuser(&self, email: &str) -> Person {
        self.register(email).await;
        self.change(email, UserUpdate { is_superuser: Some(true), ..UserUpdate::default() }).await;
        self.logged_in(email, PASSWORD, JWT).await
    }
}

/// The lowest cost: these tests are not about hashing.
pub(crate) fn cheap() -> PasswordPool {
    PasswordPool::builder(DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap())).build().unwrap()
}

/// The header that proves who is calling, from the answer to a login.
pub(crate) async fn credential(response: Response) -> (&'static str, String) {
    if let Some(cookie) = response.headers().get("set-cookie") {
        return ("cookie", cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
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
