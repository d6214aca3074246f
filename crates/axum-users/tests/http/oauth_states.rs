//! The state between the two legs: once, for ten minutes, for one browser, provider, backend, flow and user.

use axum_users::{OAuthKeys, OAuthSettings};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    oauth::{GOOGLE, world},
    people::{World, on_servers_with},
    provider::{Browser, Provider, SECRET, callback, query, with_provider},
};

const INVALID: (u16, &str) = (400, "OAUTH_INVALID_STATE");

#[tokio::test]
async fn oa_01_a_state_counts_once() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users);
    let url = browser.authorize(GOOGLE).await;
    let code = provider.approve(&url, "1|a@camelot.bt|");
    assert_eq!(browser.come_back(GOOGLE, &url, &code).await.status, 200);
    let again = provider.approve(&url, "1|a@camelot.bt|");
    assert_eq!(browser.come_back(GOOGLE, &url, &again).await.detail(), INVALID);
    // In another spelling it is the same one.
    let padded = format!("{}%3D", callback(GOOGLE, &url, &again));
    assert_eq!(browser.get(&padded).await.status, 400);
    assert_eq!(provider.exchanges(), 1, "the code is not spent for a state that does not count");
    // A login that fails has had its state.
    let url = browser.authorize(GOOGLE).await;
    assert_eq!(browser.come_back(GOOGLE, &url, "unknown").await.detail(), (400, "OAUTH_PROVIDER_ERROR"));
    let code = provider.approve(&url, "1|a@camelot.bt|");
    assert_eq!(browser.come_back(GOOGLE, &url, &code).await.detail(), INVALID);
}

#[tokio::test(flavor = "multi_thread")]
async fn oa_01_of_parallel_uses_of_a_state_one_counts() {
    let provider = Provider::new("google");
    let with = |builder| with_provider(builder, &provider, OAuthSettings::new().backend("jwt"));
    let mut all = on_servers_with::<()>(with).await;
    all.push(World::with(with).users);
    for users in all {
        let mut browser = Browser::new(&users);
        let url = browser.authorize(GOOGLE).await;
        let mut running = JoinSet::new();
        for _ in 0..10 {
            let code = provider.approve(&url, "1|a@camelot.bt|");
            let (mut browser, url) = (browser.clone(), url.clone());
            running.spawn(async move { browser.come_back(GOOGLE, &url, &code).await.status });
        }
        let mut statuses = running.join_all().await;
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (200, &[400; 9][..]));
    }
}

#[tokio::test]
async fn oa_01_a_state_counts_for_ten_minutes_in_its_browser() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users);
    let url = browser.authorize(GOOGLE).await;
    let code = provider.approve(&url, "1|a@camelot.bt|");
    // Another browser, with no cookie, with one of its own, and with what the state itself tells.
    let mut other = Browser::new(&world.users);
    assert_eq!(other.come_back(GOOGLE, &url, &code).await.detail(), INVALID);
    other.authorize(GOOGLE).await;
    assert_eq!(other.come_back(GOOGLE, &url, &code).await.detail(), INVALID);
    let claims = axum_users::jwt::JwtKeys::new(axum_users::jwt::JwtKey::hs256(SECRET));
    let audience = axum_users::jwt::Validation::audience("fastapi-users:oauth-state");
    let claims = claims.decode(&query(&url)["state"], &audience, 1_800_000_000).unwrap();
    assert_eq!(claims.expires_at(), Some(1_800_000_600));
    for told in [claims.text("csrftoken").unwrap(), "", "abé", "\"\""] {
        other.cookies.insert("fastapiusersoauthcsrf".into(), told.into());
        assert_eq!(other.come_back(GOOGLE, &url, &code).await.detail(), INVALID, "{told}");
    }
    world.clock.advance(time::Duration::seconds(599));
    let mut late = browser.clone();
    assert_eq!(browser.come_back(GOOGLE, &url, &code).await.status, 200);
    world.clock.advance(time::Duration::seconds(1));
    assert_eq!(late.come_back(GOOGLE, &url, &code).await.detail(), (400, "ACCESS_TOKEN_ALREADY_EXPIRED"));
    assert_eq!(provider.exchanges(), 1);
}

#[tokio::test]
async fn oa_04_a_state_is_for_one_provider_backend_flow_and_user() {
    let (google, github) = (Provider::new("google"), Provider::new("github"));
    let settings = || OAuthSettings::new().backend("jwt").backend("cookie");
    let world = World::with(|it| with_provider(it, &google, settings()).oauth(github.clone(), settings()));
    let mut browser = Browser::new(&world.users).logged_in(&google, GOOGLE, "1|a@camelot.bt|").await;
    let before = (google.exchanges(), github.exchanges());
    let all = [
        "/auth/google",
        "/auth/google/cookie",
        "/auth/github",
        "/auth/github/cookie",
        "/auth/associate/google",
        "/auth/associate/github",
    ];
    for begun in all {
        for ended in all.into_iter().filter(|it| *it != begun) {
            let url = browser.authorize(begun).await;
            assert_eq!(browser.come_back(ended, &url, "code").await.detail(), INVALID, "{begun} {ended}");
        }
    }
    assert_eq!((google.exchanges(), github.exchanges()), before, "no code left for anywhere");
    // Begun by one user, ended by another one in the same browser.
    let mut other = Browser::new(&world.users).logged_in(&google, GOOGLE, "2|b@camelot.bt|").await;
    let url = browser.authorize("/auth/associate/google").await;
    other.cookies = browser.cookies.clone();
    assert_eq!(other.come_back("/auth/associate/google", &url, "code").await.detail(), (400, "Bad Request"));
    other.headers.clear();
    assert_eq!(other.come_back("/auth/associate/google", &url, "code").await.detail(), (401, "Unauthorized"));
}

#[tokio::test]
async fn oa_04_an_answer_of_another_issuer_is_refused() {
    let provider = Provider::with("oidc", Some("https://id.example"), false);
    let world = World::with(|it| with_provider(it, &provider, OAuthSettings::new().backend("jwt")));
    for (issuer, status) in [("https%3A%2F%2Fevil.example", 400), ("", 400), ("https%3A%2F%2Fid.example", 200)] {
        let mut browser = Browser::new(&world.users);
        let url = browser.authorize("/auth/oidc").await;
        let path = callback("/auth/oidc", &url, &provider.approve(&url, "1|a@camelot.bt|"));
        assert_eq!(browser.get(&format!("{path}&iss={issuer}")).await.status, status, "{issuer}");
    }
}

/// States that FastAPI Users was seen to answer, some of them with a failure: ours answers each with a code, and takes none of
/// them, since none names what it is for.
#[tokio::test]
async fn oa_05_recorded_states_get_a_documented_code() {
    let recorded: Value = serde_json::from_str(include_str!("../vectors/oauth_states.json")).unwrap();
    let provider = Provider::new("google");
    let keys = OAuthKeys::danger_weak_secret(recorded["secret"].as_str().unwrap().as_bytes()).unwrap();
    let settings = OAuthSettings::new().backend("jwt");
    let world = World::with(|it| with_provider(it, &provider, settings).oauth_keys(keys));
    let mut person = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|").await;
    let mut count = 0;
    for case in recorded["results"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let prefix = if text("flow") == "login" { GOOGLE } else { "/auth/associate/google" };
        person.cookies.insert("fastapiusersoauthcsrf".into(), text("csrf_cookie_value").into());
        let answer = person.get(&format!("{prefix}/callback?code=x&state={}", text("state"))).await;
        let theirs: Value = serde_json::from_str(text("body")).unwrap_or_default();
        let expected = match theirs["detail"].as_str() {
            Some(code @ ("ACCESS_TOKEN_DECODE_ERROR" | "ACCESS_TOKEN_ALREADY_EXPIRED")) => vec![code],
            _ => vec!["OAUTH_INVALID_STATE", "ACCESS_TOKEN_DECODE_ERROR"],
        };
        assert_eq!(answer.status, 400, "{}", text("name"));
        assert!(
            expected.contains(&answer.detail().1),
            "{}: {:?}, theirs {}",
            text("name"),
            answer.detail(),
            text("body")
        );
        count += 1;
    }
    assert_eq!((count, provider.exchanges()), (63, 1));
}

#[tokio::test]
async fn cr_06_the_secret_of_states_rotates() {
    let provider = Provider::new("google");
    let settings = || OAuthSettings::new().backend("jwt");
    let old = World::with(|it| with_provider(it, &provider, settings()));
    let next = OAuthKeys::new(b"another secret: Zq8Lr5Tn2Wx7Kv4B").unwrap().previous(SECRET);
    let new = World::with(|it| with_provider(it, &provider, settings()).oauth_keys(next));
    let mut before = Browser::new(&old.users);
    let url = before.authorize(GOOGLE).await;
    let code = provider.approve(&url, "1|a@camelot.bt|");
    let mut after = Browser::new(&new.users);
    after.cookies = before.cookies.clone();
    assert_eq!(after.come_back(GOOGLE, &url, &code).await.status, 200);
    let unrotated = OAuthKeys::new(b"another secret: Zq8Lr5Tn2Wx7Kv4B").unwrap();
    let other = World::with(|it| with_provider(it, &provider, settings()).oauth_keys(unrotated));
    let mut stranger = Browser::new(&other.users);
    stranger.cookies = before.cookies;
    let answer = stranger.come_back(GOOGLE, &url, "code").await;
    assert_eq!(answer.detail(), (400, "ACCESS_TOKEN_DECODE_ERROR"));
}
