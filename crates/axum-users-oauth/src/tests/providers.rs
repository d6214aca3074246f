use axum_users_core::{
    Secret,
    oauth::{AuthorizationRequest, ExternalIdentity, OAuthClient, OAuthClientError, OAuthToken},
};
use serde_json::{Value, json};

use super::{Fake, code, told};
use crate::{OAuth2, OAuth2Endpoints, OAuthConfigError, http::Call};

/// Recorded with httpx-oauth 0.17.0, the clients of FastAPI Users.
const VECTORS: &str = include_str!("../../tests/vectors/clients.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

/// The client of a vector; those of OpenID have tests of their own.
fn client(vector: &Value) -> Option<OAuth2> {
    let (id, secret) = ("CID", "CSEC");
    let authorize = vector["authorization_url"].as_str().unwrap();
    let client = match vector["name"].as_str().unwrap() {
        "google" => OAuth2::google(id, secret),
        "github" => OAuth2::github(id, secret),
        "facebook" => OAuth2::facebook(id, secret),
        "discord" => OAuth2::discord(id, secret),
        "franceconnect" if authorize.contains("integ01") => OAuth2::franceconnect_integration(id, secret),
        "franceconnect" => OAuth2::franceconnect(id, secret),
        "kakao" => OAuth2::kakao(id, secret),
        "linkedin" => OAuth2::linkedin(id, secret),
        "microsoft" => OAuth2::microsoft("common", id, secret),
        "naver" => OAuth2::naver(id, secret),
        "reddit" => OAuth2::reddit(id, secret),
        "shopify" => OAuth2::shopify("myshop", id, secret),
        "openid" | "okta" => return None,
        other => panic!("{other} is not known here"),
    };
    Some(client.unwrap())
}

/// Profiles as they were recorded, tokens for everything else.
fn provider() -> Fake {
    let profiles = vectors()["mock_profiles"].as_object().unwrap().clone();
    Fake::new(move |call| {
        // The longest that fits: one is the beginning of another.
        let fits = profiles.iter().filter(|(place, _)| call.url.contains(place.as_str()));
        let profile = fits.max_by_key(|(place, _)| place.len()).map(|(_, profile)| profile.clone());
        let is_token_call = call.body.is_some();
        match profile {
            Some(profile) if !is_token_call => (200, profile),
            _ => (200, json!({ "access_token": "AT", "token_type": "bearer", "expires_in": 3600 })),
        }
    })
}

/// Like a recorded request: method, URL, credentials in the header, body.
fn assert_same(calls: &[Call], recorded: &Value, what: &str) {
    let recorded = recorded.as_array().unwrap();
    assert_eq!(calls.len(), recorded.len(), "{what}");
    for (call, recorded) in calls.iter().zip(recorded) {
        assert_eq!(
            (call.method.as_str(), call.url.as_str()),
            (text(recorded, "method"), text(recorded, "url")),
            "{what}"
        );
        // PKCE is ours.
        let body = call.body.as_ref().map(|body| body.replace("&code_verifier=VERIFIER", ""));
        assert_eq!(body.as_deref(), recorded["body"].as_str(), "{what}");
        for (name, value) in &call.headers {
            if name != "accept" {
                assert_eq!(recorded["headers"][name.as_str()], value.as_str(), "{what}: {name}");
            }
        }
        let expected = recorded["headers"].as_object().unwrap().keys().filter(|name| *name != "accept").count();
        assert_eq!(call.headers.iter().filter(|(name, _)| name != "accept").count(), expected, "{what}");
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn every_provider_is_asked_as_the_other_system_asks_it() {
    let vectors = vectors();
    let mut seen = 0;
    for vector in vectors["clients"].as_array().unwrap() {
        let Some(client) = client(vector) else { continue };
        let name = text(vector, "name");
        let fake = provider();
        let client = client.over(fake.http());
        seen += 1;
        assert_eq!((client.name(), client.display_name()), (name, text(vector, "display_name")));
        assert_eq!(json!(client.scopes()), vector["default_scopes"], "{name}");

        let mut request = AuthorizationRequest::new("https://app.example/cb", "STATE");
        request.scopes = client.scopes().to_vec();
        request.code_challenge = "CHALLENGE".to_owned();
        request.nonce = "NONCE".to_owned();
        let url = client.authorization_url(&request).await.unwrap();
        let theirs = text(vector, "authorization_url");
        let theirs = theirs.split("&nonce=").next().unwrap();
        assert_eq!(url, format!("{theirs}&code_challenge=CHALLENGE&code_challenge_method=S256&nonce=NONCE"));

        let token = client.exchange(&code()).await.unwrap();
        let calls = fake.calls();
        assert!(calls[0].body.as_ref().unwrap().contains("&code_verifier=VERIFIER"), "oa_02: {name}");
        assert_same(&calls, &vector["token_request"], name);
        assert_eq!(token.access_token.expose(), "AT");
        assert!(token.expires_at.is_some() && token.refresh_token.is_none());

        let who = client.identity(&token, &code()).await.unwrap();
        assert_same(&fake.calls(), &vector["profile_requests"], name);
        assert_eq!(who.account_id, text(&vector["profile_result"], "id"), "{name}");
        assert_eq!(json!(who.email), vector["profile_result"]["email"], "{name}");

        let same = |answer: Result<(), OAuthClientError>, recorded: &Value| {
            if recorded == "not supported" {
                assert!(matches!(answer, Err(OAuthClientError::Unsupported)), "{name}: {answer:?}");
            } else {
                answer.unwrap();
                assert_same(&fake.calls(), recorded, name);
            }
        };
        same(client.refresh(&Secret::from("RT")).await.map(drop), &vector["refresh_request"]);
        same(client.revoke(&Secret::from("AT")).await, &vector["revoke_request"]);
    }
    assert_eq!(seen, 12);
}

#[tokio::test]
async fn oa_09_an_address_is_proved_only_where_the_provider_says_so() {
    let proof = async |client: OAuth2, answers: &'static [(&'static str, Value)]| {
        let fake = Fake::new(move |call| {
            let found = answers.iter().find(|(place, _)| call.url.ends_with(place));
            found.map_or((404, Value::Null), |(_, answer)| (200, answer.clone()))
        });
        let who = client.over(fake.http()).identity(&OAuthToken::new("AT"), &code()).await.unwrap();
        (who.email, who.email_is_verified)
    };
    macro_rules! is {
        ($client:expr, $email:expr, $verified:expr, $($place:literal => $answer:tt),+) => {{
            let answers: &'static [(&str, Value)] = Vec::leak(vec![$(($place, json!($answer))),+]);
            let proved = proof($client.unwrap(), answers).await;
            assert_eq!(proved, (Option::<&str>::map($email, str::to_owned), $verified));
        }};
    }
    let (id, secret) = ("CID", "CSEC");
    let google = |verified: Value| {
        json!({ "resourceName": "people/1",
                "emailAddresses": [{ "value": "g@a.example", "metadata": { "primary": true, "verified": verified } }] })
    };
    for (verified, expected) in [(json!(true), true), (json!(false), false), (Value::Null, false), (json!(1), false)] {
        let answers: &'static [(&str, Value)] = Vec::leak(vec![("emailAddresses", google(verified))]);
        let client = OAuth2::google(id, secret).unwrap();
        assert_eq!(proof(client, answers).await, (Some("g@a.example".to_owned()), expected));
    }
    is!(OAuth2::google(id, secret), None, false, "emailAddresses" => { "resourceName": "people/1" });
    // GitHub: the list tells; without it nothing is proved.
    is!(OAuth2::github(id, secret), Some("a@a.example"), true,
        "/user" => { "id": 1, "email": "a@a.example" },
        "/emails" => [{ "email": "b@a.example", "primary": true, "verified": false }, { "email": "a@a.example", "verified": true }]);
    is!(OAuth2::github(id, secret), Some("a@a.example"), false,
        "/user" => { "id": 1, "email": "a@a.example" }, "/emails" => [{ "email": "b@a.example", "verified": true }]);
    is!(OAuth2::github(id, secret), Some("a@a.example"), false, "/user" => { "id": 1, "email": "a@a.example" });
    is!(OAuth2::github(id, secret), None, false, "/user" => { "id": 1, "email": null }, "/emails" => []);
    is!(OAuth2::discord(id, secret), None, false, "@me" => { "id": "1", "email": "d@a.example", "verified": false });
    is!(OAuth2::discord(id, secret), Some("d@a.example"), true, "@me" => { "id": "1", "email": "d@a.example", "verified": true });
    is!(OAuth2::kakao(id, secret), Some("k@a.example"), true, "%5D" => {
        "id": 1, "kakao_account": { "email": "k@a.example", "is_email_valid": true, "is_email_verified": true } });
    is!(OAuth2::kakao(id, secret), Some("k@a.example"), false, "%5D" => {
        "id": 1, "kakao_account": { "email": "k@a.example", "is_email_valid": false, "is_email_verified": true } });
    // Whoever runs a tenant writes any address there.
    is!(OAuth2::microsoft("common", id, secret), Some("victim@a.example"), false,
        "/me" => { "id": "1", "userPrincipalName": "victim@a.example", "email_verified": true });
    is!(OAuth2::franceconnect(id, secret), Some("f@a.example"), false, "/userinfo" => { "sub": "1", "email": "f@a.example" });
    is!(OAuth2::franceconnect(id, secret), Some("f@a.example"), true,
        "/userinfo" => { "sub": "1", "email": "f@a.example", "email_verified": true });
}

#[tokio::test]
async fn oa_07_a_profile_without_a_usable_id_is_refused() {
    for odd in [
        json!({}),
        json!([]),
        json!(null),
        json!("x"),
        json!({ "id": null }),
        json!({ "id": [] }),
        json!({ "id": true }),
        json!({ "id": 1.5 }),
        json!({ "id": {} }),
    ] {
        let fake = Fake::new(move |_| (200, odd.clone()));
        let client = OAuth2::discord("CID", "CSEC").unwrap().over(fake.http());
        let error = client.identity(&OAuthToken::new("AT"), &code()).await.unwrap_err();
        assert!(matches!(error, OAuthClientError::Answer(_)), "{error:?}");
    }
}

#[tokio::test]
async fn oa_05_token_answers_of_every_kind_are_defined_errors() {
    let exchange = async |status: u16, body: Value| {
        let fake = Fake::new(move |_| (status, body.clone()));
        OAuth2::github("CID", "CSEC").unwrap().over(fake.http()).exchange(&code()).await
    };
    // GitHub says no with 200.
    for status in [200, 400, 401] {
        let error = exchange(status, json!({ "error": "bad_verification_code" })).await.unwrap_err();
        assert!(matches!(error, OAuthClientError::Refused(_)) && told(&error).contains("bad_verification_code"));
    }
    let error = exchange(400, json!({ "error": "<script>\u{1b}[31m" })).await.unwrap_err();
    assert!(!told(&error).contains("script"), "{}", told(&error));
    for (status, body) in [
        (200, json!({})),
        (200, json!(null)),
        (200, json!([])),
        (200, json!({ "access_token": "" })),
        (200, json!({ "access_token": 5 })),
        (404, json!({})),
        (301, json!({ "access_token": "x" })),
        (0, json!({})),
    ] {
        let error = exchange(status, body.clone()).await.unwrap_err();
        assert!(matches!(error, OAuthClientError::Answer(_)), "{status} {body}: {error:?}");
    }
    for status in [429, 500, 503] {
        assert!(matches!(exchange(status, json!({})).await.unwrap_err(), OAuthClientError::Unavailable(_)));
    }
    let odd = json!({ "access_token": "AT", "expires_in": "60", "refresh_token": "", "id_token": 5 });
    let token = exchange(200, odd).await.unwrap();
    assert!(token.expires_at.is_some() && token.refresh_token.is_none() && token.id_token.is_none());
    let token = exchange(200, json!({ "access_token": "AT", "expires_in": 60, "expires_at": 12.0 })).await.unwrap();
    assert_eq!(token.expires_at, Some(12));
}

#[tokio::test]
async fn any_provider_is_a_client_by_its_endpoints() {
    let endpoints = OAuth2Endpoints::new("https://camelot.bt/authorize", "https://camelot.bt/token").basic();
    let fake = Fake::new(|call| match call.body {
        Some(_) => (200, json!({ "access_token": "AT" })),
        None => (200, json!({ "knight": 7 })),
    });
    let identity = |profile: &Value| Some(ExternalIdentity::new(profile.get("knight")?.as_i64()?.to_string()));
    let client = OAuth2::new("camelot", endpoints, "a b", "ü:%", "https://camelot.bt/me", identity).unwrap();
    let client = client.with_scopes(["table"]).named("round-table", "Round Table").over(fake.http());
    assert_eq!(
        (client.name(), client.display_name(), client.scopes()),
        ("round-table", "Round Table", &["table".to_owned()][..])
    );
    let token = client.exchange(&code()).await.unwrap();
    // RFC 6749 section 2.3.1: both are form-encoded first.
    let header = fake.calls()[0].headers.iter().find(|(name, _)| name == "authorization").unwrap().1.clone();
    assert_eq!(header, "Basic YStiOiVDMyVCQyUzQSUyNQ==");
    assert_eq!(client.identity(&token, &code()).await.unwrap().account_id, "7");
    assert_eq!(format!("{client:?}"), r#"OAuth2 { name: "round-table", .. }"#);
}

#[test]
fn oa_12_what_may_not_be_spoken_to_is_told_at_the_start() {
    let make = |url: &str| {
        OAuth2::new("x", OAuth2Endpoints::new(url, "https://a.example/t"), "i", "s", "https://a.example/me", |_| None)
    };
    for url in [
        "http://a.example/a",
        "ftp://a.example/a",
        "//a.example",
        "a",
        "",
        "https://u:secret@a.example/a",
        "https://a.example/#x",
    ] {
        let error = make(url).unwrap_err();
        assert!(
            matches!(error, OAuthConfigError::Endpoint(_)) && !error.to_string().contains("secret"),
            "{url}: {error}"
        );
    }
    for url in ["https://a.example/a", "http://127.0.0.1:8080/a", "http://localhost/a", "http://[::1]:1/a"] {
        assert!(make(url).is_ok(), "{url}");
    }
    for name in ["", "a/b", "evil.example/?", "a b", "-a", "a..b", "ä", "a:1", "a@b"] {
        assert!(matches!(OAuth2::shopify(name, "i", "s"), Err(OAuthConfigError::Name(_))), "{name}");
        assert!(matches!(OAuth2::microsoft(name, "i", "s"), Err(OAuthConfigError::Name(_))), "{name}");
    }
}
