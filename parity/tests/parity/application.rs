//! The application that was recorded, built with our library.

use std::time::Duration;

use axum::{
    Json, Router,
    http::{header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_users::password::{Argon2Params, DefaultHasher, PasswordPool};
use axum_users::{
    AccessTokenDatabase, Active, Anyone, AuthBackend, BearerTransport, Clock, CookieTransport, CurrentUser,
    DatabaseStrategy, Denied, Guard, InvalidPassword, JwtStrategy, OAuthKeys, OAuthSettings, PasswordContext,
    PresentedToken, RedisClient, RedisStrategy, TokenSettings, User, UserDatabase, UserHooks, UserProfile, Users,
};
use serde_json::json;

use crate::{database::variable, google::Google};

pub(crate) const SECRET: &[u8] = b"SECRET-SECRET-SECRET-SECRET-SECRET-0123456789";
const HOUR: Duration = Duration::from_secs(3600);

/// The password rule of the recording.
struct RecordedRule;

impl<P: UserProfile> UserHooks<P> for RecordedRule {
    async fn validate_password(&self, password: &str, _: PasswordContext<'_, P>) -> Result<(), InvalidPassword> {
        if password.chars().count() < 3 {
            return Err(InvalidPassword::new("Password should be at least 3 characters"));
        }
        if password == "listreason" {
            return Err(InvalidPassword::from_json(json!(["too", { "weak": 1 }])));
        }
        Ok(())
    }
}

/// Settings in which the suites differ.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) requires_verification: bool,
    pub(crate) associate_by_email: bool,
    /// Cookie first, another way back from the provider, verified by default, accounts shown.
    pub(crate) cookie_redirect: bool,
}

/// Router and users; what the recording does with SQL is done to the store's database.
pub(crate) fn application<P: UserProfile, S>(store: S, clock: Clock, settings: Settings) -> (Router, Users<P>)
where
    S: UserDatabase<P> + AccessTokenDatabase<P> + Clone,
{
    let redis = RedisClient::new(&variable("AXUM_USERS_TEST_REDIS_URL")).unwrap();
    let redis = RedisStrategy::new(redis, HOUR).key_prefix(format!("parity:{}:", axum_users::random::short_token()));
    let cheap = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
    // The secret of the recording is a published sample.
    let jwt = || JwtStrategy::danger_weak_secret(SECRET, HOUR).unwrap().danger_accept_without_exp();
    let bearer = |name: &str| BearerTransport::new(format!("auth/{name}/login"));
    let backends = [
        AuthBackend::new("jwt", bearer("jwt"), jwt()),
        AuthBackend::new("cookie", CookieTransport::new().max_age(HOUR), jwt()),
        AuthBackend::new("db", bearer("db"), DatabaseStrategy::new(store.clone(), HOUR)),
        AuthBackend::new("redis", bearer("redis"), redis),
    ];
    let mut backends = Vec::from(backends);
    let mut google =
        OAuthSettings::new().optional_scopes(["a", "b", "c"]).associate_by_email(settings.associate_by_email);
    if settings.cookie_redirect {
        backends.swap(0, 1);
        google = google.redirect_url("https://front.example/cb").is_verified_by_default(true);
    }
    let mailed = || TokenSettings::danger_weak_secret(SECRET).unwrap();
    let mut users = Users::builder(store)
        .verification(mailed())
        .reset_password(mailed())
        .hooks(RecordedRule)
        .passwords(PasswordPool::builder(cheap).build().unwrap())
        .clock(clock.clone())
        .public_url("http://localhost:8000")
        .oauth_keys(OAuthKeys::danger_weak_secret(SECRET).unwrap())
        .oauth(Google::new(clock), google)
        .show_oauth_accounts(settings.cookie_redirect)
        .danger_expose_oauth_tokens(true)
        .throttle(None)
        .requires_verification(settings.requires_verification)
        .keep_last_superuser(false)
        .danger_keep_sessions_on_password_change(true);
    for backend in backends {
        users = users.backend(backend);
    }
    let users = users.build().unwrap();
    let not_found = || async { (axum::http::StatusCode::NOT_FOUND, Json(json!({ "detail": "Not Found" }))) };
    (users.router::<Users<P>>().merge(probes()).fallback(not_found).with_state(users.clone()), users)
}

/// The recording's probe routes for the flags of the authenticator, which are independent of each other there.
fn probes<P: UserProfile>() -> Router<Users<P>> {
    Router::new()
        .route("/x/any", get(required::<P, Anyone>))
        .route("/x/active", get(required::<P, Active>))
        .route("/x/verified", get(required::<P, OnlyVerified>))
        .route("/x/superuser", get(required::<P, OnlySuperuser>))
        .route("/x/active-verified-superuser", get(required::<P, (Active, OnlyVerified, OnlySuperuser)>))
        .route("/x/optional", get(optional::<P, Anyone>))
        .route("/x/optional-active", get(optional::<P, Active>))
        .route("/x/optional-verified", get(optional::<P, OnlyVerified>))
        .route("/x/optional-superuser", get(optional::<P, OnlySuperuser>))
        .route("/x/enabled-first", get(required::<P, (Active, First)>))
        .route("/x/enabled-none", get(required::<P, (Active, Nobody)>))
        .route("/x/enabled-rev", get(required::<P, Active>))
        .route("/x/token", get(token::<P>))
}

async fn required<P: UserProfile, G: Guard<P>>(user: CurrentUser<P, G>) -> Response {
    answer(&[("user", Some(user.email.as_str()))])
}

async fn optional<P: UserProfile, G: Guard<P>>(user: Option<CurrentUser<P, G>>) -> Response {
    answer(&[("user", user.as_ref().map(|user| user.email.as_str()))])
}

async fn token<P: UserProfile>(user: Option<CurrentUser<P, Anyone>>, presented: PresentedToken<P, Anyone>) -> Response {
    let token = presented.token.as_ref().map(|token| token.expose());
    answer(&[("user", user.as_ref().map(|user| user.email.as_str())), ("token", token)])
}

/// An object whose members keep their order.
fn answer(members: &[(&str, Option<&str>)]) -> Response {
    let members = members.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value)));
    let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

struct OnlyVerified;
struct OnlySuperuser;
struct First;
struct Nobody;

impl<P: UserProfile> Guard<P> for OnlyVerified {
    fn check(user: &User<P>) -> Result<(), Denied> {
        if user.is_verified { Ok(()) } else { Err(Denied::FORBIDDEN) }
    }
}
impl<P: UserProfile> Guard<P> for OnlySuperuser {
    fn check(user: &User<P>) -> Result<(), Denied> {
        if user.is_superuser { Ok(()) } else { Err(Denied::FORBIDDEN) }
    }
}
impl<P: UserProfile> Guard<P> for First {
    fn check(_user: &User<P>) -> Result<(), Denied> {
        Ok(())
    }
    fn enabled(backend: &str, _request: &Parts) -> bool {
        backend == "jwt"
    }
}
impl<P: UserProfile> Guard<P> for Nobody {
    fn check(_user: &User<P>) -> Result<(), Denied> {
        Ok(())
    }
    fn enabled(_backend: &str, _request: &Parts) -> bool {
        false
    }
}
