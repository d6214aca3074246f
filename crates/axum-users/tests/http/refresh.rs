//! Refresh tokens (RFC 6749 section 6).

use std::{ops::RangeInclusive, time::Duration as StdDuration};

use axum::response::Response;
use axum_users::{
    AuthBackend, BearerTransport, CookieTransport, DatabaseStrategy, JwtStrategy, RefreshTokens, UserUpdate, Users,
    memory::MemoryStore,
};
use serde_json::{Value, json};
use time::Duration;

use crate::people::{JWT, OTHER, PASSWORD, Person, bytes, cheap, visitor};

const QUARTER: StdDuration = StdDuration::from_secs(900);
const DAY: StdDuration = StdDuration::from_secs(86_400);

struct Mobile {
    users: Users<()>,
    clock: axum_users::Clock,
}

/// `jwt` and `db`, both with refresh tokens that live for a day; the access tokens live for a quarter of an hour.
fn mobile() -> Mobile {
    node(&MemoryStore::new(), 0)
}

/// One of several on a store, whose clock is ahead by so many seconds.
fn node(store: &MemoryStore<()>, ahead: i64) -> Mobile {
    let clock = axum_users::Clock::mock(time::OffsetDateTime::from_unix_timestamp(1_800_000_000 + ahead).unwrap());
    let refresh = || RefreshTokens::new(store.clone(), DAY);
    let jwt = JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", QUARTER).unwrap();
    let db = DatabaseStrategy::new(store.clone(), QUARTER);
    let users = Users::builder(store.clone())
        .passwords(cheap())
        .clock(clock.clone())
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt).refresh(refresh()))
        .backend(AuthBackend::new("db", BearerTransport::new("auth/db/login"), db).refresh(refresh()))
        .build()
        .unwrap();
    Mobile { users, clock }
}

/// What a login or a refresh answered.
struct Tokens {
    person: Person,
    refresh: String,
}

impl Mobile {
    async fn tokens(&self, response: Response) -> Tokens {
        // A login within the second in which tokens were ended is dated after it.
        self.tokens_of(response, 900..=903).await
    }

    /// What is given again is dated when it was given first, so many seconds ago.
    async fn tokens_again(&self, response: Response, ago: i64) -> Tokens {
        self.tokens_of(response, 900 - ago..=900 - ago).await
    }

    async fn tokens_of(&self, response: Response, lifetime: RangeInclusive<i64>) -> Tokens {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["cache-control"], "no-store", "RFC 6749 section 5.1");
        let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
        let seconds = body["expires_in"].as_i64().unwrap();
        assert!(body["token_type"] == "bearer" && lifetime.contains(&seconds), "{body}");
        let mut person = visitor(&self.users);
        person.header = Some(("authorization", format!("Bearer {}", body["access_token"].as_str().unwrap())));
        Tokens { person, refresh: body["refresh_token"].as_str().unwrap().to_owned() }
    }

    async fn login(&self, backend: &str) -> Tokens {
        let response = visitor(&self.users).login(backend, "a@camelot.bt", PASSWORD).await;
        self.tokens(response).await
    }

    async fn send(&self, backend: &str, form: &str) -> Response {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        visitor(&self.users).raw("POST", &format!("{backend}/refresh"), &headers, form.to_owned()).await
    }

    async fn refresh(&self, backend: &str, token: &str) -> Response {
        self.send(backend, &format!("grant_type=refresh_token&refresh_token={token}")).await
    }

    async fn refused(&self, backend: &str, token: &str) {
        let response = self.refresh(backend, token).await;
        assert_eq!(response.status(), 400);
        let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
        assert_eq!(body, json!({ "error": "invalid_grant", "detail": "REFRESH_BAD_TOKEN" }));
    }
}

/// The answer to a refresh token that nobody issued.
pub(crate) async fn of_a_bad_token() -> Value {
    serde_json::from_slice(&bytes(mobile().refresh(JWT, "x").await).await).unwrap()
}

const BACKENDS: [&str; 2] = [JWT, "/auth/db"];

#[tokio::test]
async fn mf_01_a_session_goes_on_until_its_absolute_end() {
    for backend in BACKENDS {
        let mobile = mobile();
        visitor(&mobile.users).register("a@camelot.bt").await;
        let mut tokens = mobile.login(backend).await;
        let mut elapsed = 0;
        while elapsed < 86_400 - 800 {
            mobile.clock.advance(Duration::seconds(800));
            elapsed += 800;
            assert!(tokens.person.is_known().await);
            let response = mobile.refresh(backend, &tokens.refresh).await;
            let seconds = (86_400 - elapsed).min(900);
            if seconds < 900 && backend == JWT {
                let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
                assert_eq!(body["expires_in"], seconds, "no token outlives its session");
                return;
            }
            let next = mobile.tokens(response).await;
            assert_ne!(next.refresh, tokens.refresh);
            assert!(tokens.person.is_known().await, "requests on their way are not cut off");
            tokens = next;
        }
        assert!(tokens.person.is_known().await);
        let (_, sessions) = tokens.person.json("GET", "/users/me/sessions", &json!(null)).await;
        assert_eq!(sessions.as_array().unwrap().len(), 1, "one session, however often it was refreshed");
        mobile.clock.advance(Duration::seconds(800));
        mobile.refused(backend, &tokens.refresh).await;
    }
}

#[tokio::test]
async fn mf_01_a_lost_answer_is_repeated_and_a_copy_ends_the_session() {
    for backend in BACKENDS {
        let mobile = mobile();
        visitor(&mobile.users).register("a@camelot.bt").await;
        let bystander = mobile.login(backend).await;
        let first = mobile.login(backend).await;
        let second = mobile.tokens(mobile.refresh(backend, &first.refresh).await).await;
        mobile.clock.advance(Duration::seconds(10));
        let again = mobile.tokens_again(mobile.refresh(backend, &first.refresh).await, 10).await;
        assert_eq!(again.refresh, second.refresh);
        for person in [&first.person, &second.person, &again.person] {
            assert!(person.is_known().await);
        }
        mobile.clock.advance(Duration::seconds(1));
        mobile.refused(backend, &first.refresh).await;
        for person in [&first.person, &second.person, &again.person] {
            assert!(!person.is_known().await, "the whole family is gone");
        }
        mobile.refused(backend, &second.refresh).await;
        assert!(bystander.person.is_known().await);
        assert_eq!(mobile.refresh(backend, &bystander.refresh).await.status(), 200);
    }
}

#[tokio::test]
async fn mf_01_what_is_given_again_ends_with_what_was_given_first() {
    for backend in BACKENDS {
        let store = MemoryStore::new();
        let (fast, slow) = (node(&store, 9), node(&store, 0));
        visitor(&slow.users).register("a@camelot.bt").await;
        let login = slow.login(backend).await;
        let first = slow.tokens(slow.refresh(backend, &login.refresh).await).await;
        let again = fast.tokens_again(fast.refresh(backend, &login.refresh).await, 9).await;
        assert!(first.person.is_known().await && again.person.is_known().await);
        for is_active in [Some(false), Some(true)] {
            crate::people::change(&slow.users, "a@camelot.bt", UserUpdate { is_active, ..UserUpdate::default() }).await;
        }
        assert!(!first.person.is_known().await && !again.person.is_known().await, "{backend}");
        slow.refused(backend, &again.refresh).await;
    }
}

#[tokio::test]
async fn mf_01_refresh_tokens_end_with_what_ends_sessions() {
    for backend in BACKENDS {
        let mobile = mobile();
        let nobody = visitor(&mobile.users);
        nobody.register("a@camelot.bt").await;
        // logout, with a token from before the refresh
        let tokens = mobile.login(backend).await;
        let next = mobile.tokens(mobile.refresh(backend, &tokens.refresh).await).await;
        assert_eq!(tokens.person.raw("POST", &format!("{backend}/logout"), &[], "").await.status(), 204);
        assert!(!tokens.person.is_known().await && !next.person.is_known().await);
        mobile.refused(backend, &next.refresh).await;
        // a new password: all but the one that set it
        let (acting, other) = (mobile.login(backend).await, mobile.login(backend).await);
        let (status, _) = acting.person.json("PATCH", "/users/me", &json!({ "password": OTHER })).await;
        assert_eq!(status, 200);
        mobile.refused(backend, &other.refresh).await;
        let acting = mobile.tokens(mobile.refresh(backend, &acting.refresh).await).await;
        assert!(acting.person.is_known().await);
        // deactivation
        for is_active in [Some(false), Some(true)] {
            crate::people::change(&mobile.users, "a@camelot.bt", UserUpdate { is_active, ..UserUpdate::default() })
                .await;
        }
        mobile.refused(backend, &acting.refresh).await;
        // deletion
        let response = nobody.login(backend, "a@camelot.bt", OTHER).await;
        let tokens = mobile.tokens(response).await;
        let user = mobile.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
        mobile.users.delete(&user, None).await.unwrap();
        mobile.refused(backend, &tokens.refresh).await;
    }
}

#[tokio::test]
async fn mf_01_a_refresh_token_is_no_access_token_and_counts_for_its_backend_alone() {
    let mobile = mobile();
    visitor(&mobile.users).register("a@camelot.bt").await;
    let tokens = mobile.login(JWT).await;
    let mut thief = visitor(&mobile.users);
    thief.header = Some(("authorization", format!("Bearer {}", tokens.refresh)));
    assert!(!thief.is_known().await);
    mobile.refused("/auth/db", &tokens.refresh).await;
    mobile.refused(JWT, tokens.person.token()).await;
    for odd in ["x", "%00", "%ff", &"a".repeat(5000), "%F0%9F%97%A1"] {
        mobile.refused(JWT, odd).await;
    }
    for method in ["GET", "HEAD", "PUT"] {
        let path = format!("{JWT}/refresh?grant_type=refresh_token&refresh_token={}", tokens.refresh);
        assert_eq!(visitor(&mobile.users).status(method, &path).await, 405, "{method}");
    }
    let response = mobile.refresh(JWT, &tokens.refresh).await;
    assert_eq!(response.status(), 200, "nothing of that used it up");
}

#[tokio::test]
async fn refresh_requests_are_answered_as_the_standard_says() {
    let mobile = mobile();
    for (form, error) in [
        ("", "invalid_request"),
        ("refresh_token=x", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=", "invalid_request"),
        ("grant_type=password&refresh_token=x", "unsupported_grant_type"),
        ("grant_type=refresh_token&refresh_token=x", "invalid_grant"),
    ] {
        let response = mobile.send(JWT, form).await;
        assert_eq!(response.status(), 400, "{form}");
        let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
        assert_eq!(body["error"], error, "{form}");
    }
}

/// An unused session ends for its refresh tokens too; each refresh is a use.
#[tokio::test]
async fn se_08_an_idle_session_cannot_be_refreshed() {
    let store = MemoryStore::<()>::new();
    let clock = axum_users::Clock::mock(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
    let jwt = JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", QUARTER).unwrap().idle_lifetime(4 * QUARTER);
    let backend = AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt);
    let users = Users::builder(store.clone())
        .passwords(cheap())
        .clock(clock.clone())
        .backend(backend.refresh(RefreshTokens::new(store, DAY)))
        .build()
        .unwrap();
    let mobile = Mobile { users, clock };
    visitor(&mobile.users).register("a@camelot.bt").await;
    let mut tokens = mobile.login(JWT).await;
    for _ in 0..3 {
        mobile.clock.advance(Duration::minutes(59));
        tokens = mobile.tokens(mobile.refresh(JWT, &tokens.refresh).await).await;
    }
    assert!(tokens.person.is_known().await);
    mobile.clock.advance(Duration::minutes(60));
    mobile.refused(JWT, &tokens.refresh).await;
}

#[tokio::test]
async fn a_user_who_must_be_verified_first_keeps_the_token() {
    let store = MemoryStore::<()>::new();
    let jwt = JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", QUARTER).unwrap();
    let backend = AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt);
    let users = Users::builder(store.clone())
        .passwords(cheap())
        .requires_verification(true)
        .backend(backend.refresh(RefreshTokens::new(store, DAY)))
        .build()
        .unwrap();
    let mobile = Mobile { users, clock: axum_users::Clock::system() };
    visitor(&mobile.users).register("a@camelot.bt").await;
    let verified = |is_verified| UserUpdate { is_verified: Some(is_verified), ..UserUpdate::default() };
    crate::people::change(&mobile.users, "a@camelot.bt", verified(true)).await;
    let response = visitor(&mobile.users).login(JWT, "a@camelot.bt", PASSWORD).await;
    let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    let token = body["refresh_token"].as_str().unwrap();
    crate::people::change(&mobile.users, "a@camelot.bt", verified(false)).await;
    let response = mobile.refresh(JWT, token).await;
    assert_eq!(response.status(), 400);
    let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    assert_eq!(body["detail"], "LOGIN_USER_NOT_VERIFIED");
    crate::people::change(&mobile.users, "a@camelot.bt", verified(true)).await;
    assert_eq!(mobile.refresh(JWT, token).await.status(), 200);
}

#[test]
fn what_does_not_fit_is_told_at_the_start() {
    let store = MemoryStore::<()>::new();
    let build = |backend: AuthBackend<()>| Users::builder(store.clone()).passwords(cheap()).backend(backend).build();
    let db = || DatabaseStrategy::new(store.clone(), QUARTER);
    let refresh = |lifetime| RefreshTokens::new(store.clone(), lifetime);
    let cookie = AuthBackend::new("c", CookieTransport::new(), db()).refresh(refresh(DAY));
    let never = AuthBackend::new("b", BearerTransport::new("b"), db()).refresh(refresh(StdDuration::ZERO));
    for (backend, told) in [(cookie, "carries no refresh tokens"), (never, "a lifetime")] {
        let error = build(backend).err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn the_route_stands_in_openapi() {
    let document = mobile().users.openapi().into_value();
    let post = &document["paths"]["/auth/jwt/refresh"]["post"];
    assert_eq!(post["operationId"], "auth_jwt_refresh_auth_jwt_refresh_post");
    for reference in ["RefreshForm", "OAuthError", "BearerResponse"] {
        assert!(post.to_string().contains(&format!("#/components/schemas/{reference}")), "{reference}");
        assert!(document["components"]["schemas"][reference].is_object(), "{reference}");
    }
    assert!(document["components"]["schemas"]["BearerResponse"]["properties"]["refresh_token"].is_object());
}
