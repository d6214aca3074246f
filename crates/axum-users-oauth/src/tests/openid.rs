use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum_users_core::{
    Clock, Secret,
    jwt::{Claims, JwtKey, JwtKeys, Validation},
    oauth::{AuthorizationRequest, ExternalIdentity, OAuthClient as _, OAuthClientError, OAuthToken},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::{Fake, code, told};
use crate::{
    AppleKey, OpenId,
    http::{Answer, Answered, Call, Carrier, Http},
};

const ISSUER: &str = "https://id.camelot.bt";
const NOW: i64 = 1_800_000_000;

/// A key of an issuer.
struct Key {
    keys: JwtKeys,
    jwk: Value,
    pem: String,
}

fn key(kid: &str) -> Key {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": coordinate(x), "y": coordinate(y) });
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let keys = JwtKeys::new(JwtKey::es256_private(pem.as_bytes()).unwrap().kid(kid));
    Key { keys, jwk, pem }
}

fn claims() -> Claims {
    Claims::new()
        .with("iss", ISSUER)
        .with("aud", "CID")
        .with("sub", "galahad")
        .with("iat", NOW)
        .with("exp", NOW + 300)
        .with("nonce", "NONCE")
}

/// An issuer whose description, keys and profile can be changed.
struct Issuer {
    fake: Fake,
    description: Arc<Mutex<Value>>,
    keys: Arc<Mutex<Value>>,
    profile: Arc<Mutex<Value>>,
    clock: Clock,
    client: OpenId,
}

impl Issuer {
    fn new(key: &Key) -> Self {
        let description = Arc::new(Mutex::new(json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/authorize"),
            "token_endpoint": format!("{ISSUER}/token"),
            "userinfo_endpoint": format!("{ISSUER}/userinfo"),
            "revocation_endpoint": format!("{ISSUER}/revoke"),
            "jwks_uri": format!("{ISSUER}/keys"),
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post", "client_secret_basic"],
        })));
        let keys = Arc::new(Mutex::new(json!({ "keys": [key.jwk] })));
        let profile =
            Arc::new(Mutex::new(json!({ "sub": "galahad", "email": "g@camelot.bt", "email_verified": true })));
        let answers = (Arc::clone(&description), Arc::clone(&keys), Arc::clone(&profile));
        let fake = Fake::new(move |call| {
            let place = call.url.rsplit('/').next().unwrap();
            let answer = match place {
                "openid-configuration" => &answers.0,
                "keys" => &answers.1,
                "userinfo" => &answers.2,
                _ => return (200, json!({ "access_token": "AT" })),
            };
            (200, answer.lock().unwrap().clone())
        });
        let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(NOW).unwrap());
        let client = OpenId::new(ISSUER, "CID", "CSEC").unwrap().clock(clock.clone()).over(fake.http());
        Self { fake, description, keys, profile, clock, client }
    }

    async fn identity(&self, id_token: &str) -> Result<ExternalIdentity, OAuthClientError> {
        let mut token = OAuthToken::new("AT");
        token.id_token = Some(Secret::from(id_token));
        self.client.identity(&token, &code()).await
    }

    fn places(&self) -> Vec<String> {
        self.fake.calls().iter().map(|call| call.url.rsplit('/').next().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn oa_03_a_person_is_who_the_id_token_and_the_profile_name() {
    let key = key("1");
    let issuer = Issuer::new(&key);
    let token = key.keys.encode(&claims()).unwrap();
    let who = issuer.identity(&token).await.unwrap();
    assert_eq!(
        (who.account_id.as_str(), who.email.as_deref(), who.email_is_verified),
        ("galahad", Some("g@camelot.bt"), true)
    );
    assert_eq!(issuer.places(), ["openid-configuration", "keys", "userinfo"]);
    issuer.identity(&token).await.unwrap();
    assert_eq!(issuer.places(), ["userinfo"], "what is known is not asked for again");
    for (profile, is_verified) in
        [(json!("true"), true), (json!(false), false), (json!("false"), false), (json!(1), false), (Value::Null, false)]
    {
        issuer.profile.lock().unwrap()["email_verified"] = profile.clone();
        assert_eq!(issuer.identity(&token).await.unwrap().email_is_verified, is_verified, "{profile}");
    }
    // The same person, or nobody.
    for sub in [json!("mordred"), Value::Null, json!(7)] {
        issuer.profile.lock().unwrap()["sub"] = sub;
        assert!(matches!(issuer.identity(&token).await, Err(OAuthClientError::Answer(_))));
    }
}

#[tokio::test]
async fn oa_03_an_id_token_that_is_wrong_anywhere_counts_for_nothing() {
    let key = key("1");
    let issuer = Issuer::new(&key);
    let stranger = self::key("1");
    let segment = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let good = key.keys.encode(&claims()).unwrap();
    issuer.identity(&good).await.unwrap();
    let mut wrong: Vec<(&str, String)> = [
        ("issuer", claims().with("iss", "https://evil.example")),
        ("issuer with a slash", claims().with("iss", format!("{ISSUER}/"))),
        ("no issuer", claims().with("iss", Value::Null)),
        ("audience", claims().with("aud", "another")),
        ("audiences", claims().with("aud", vec!["CID", "another"])),
        ("no audience", claims().with("aud", Value::Array(Vec::new()))),
        ("authorised party", claims().with("azp", "another")),
        ("expired", claims().with("exp", NOW)),
        ("expiry as text", claims().with("exp", (NOW + 300).to_string())),
        ("no expiry", claims().with("exp", Value::Null)),
        ("from the future", claims().with("iat", NOW + 31)),
        ("no instant", claims().with("iat", Value::Null)),
        ("not yet", claims().with("nbf", NOW + 31)),
        ("nonce", claims().with("nonce", "another")),
        ("no nonce", claims().with("nonce", Value::Null)),
        ("empty subject", claims().with("sub", "")),
        ("number as subject", claims().with("sub", 7)),
        ("no subject", claims().with("sub", Value::Null)),
    ]
    .into_iter()
    .map(|(what, claims)| (what, key.keys.encode(&claims).unwrap()))
    .collect();
    let parts: Vec<_> = good.split('.').collect();
    let secret = JwtKeys::new(JwtKey::hs256(b"CSEC"));
    wrong.extend([
        ("a stranger's key", stranger.keys.encode(&claims()).unwrap()),
        ("the client's secret", secret.encode(&claims()).unwrap()),
        ("no signature", format!("{}.{}.", segment(json!({ "alg": "none" })), parts[1])),
        ("another payload", format!("{}.{}.{}", parts[0], segment(json!({ "sub": "mordred" })), parts[2])),
        (
            "an extension",
            format!("{}.{}.{}", segment(json!({ "alg": "ES256", "crit": ["x"], "kid": "1" })), parts[1], parts[2]),
        ),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("nothing", String::new()),
    ]);
    for (what, token) in wrong {
        let error = issuer.identity(&token).await.expect_err(what);
        assert!(matches!(error, OAuthClientError::Answer(_)), "{what}: {error:?}");
        assert!(!told(&error).contains("galahad"), "{what}");
    }
    let error = issuer.client.identity(&OAuthToken::new("AT"), &code()).await.unwrap_err();
    assert!(told(&error).contains("no ID token"), "{}", told(&error));
}

#[tokio::test]
async fn oa_03_new_keys_are_found_and_strangers_cannot_make_us_ask_all_the_time() {
    let (old, new) = (key("1"), key("2"));
    let issuer = Issuer::new(&old);
    issuer.identity(&old.keys.encode(&claims()).unwrap()).await.unwrap();
    *issuer.keys.lock().unwrap() = json!({ "keys": [{ "kty": "oct", "k": "AAAA" }, { "kty": "odd" }, 7, new.jwk] });
    issuer.identity(&new.keys.encode(&claims()).unwrap()).await.unwrap();
    issuer.places();
    for _ in 0..5 {
        assert!(issuer.identity(&key("3").keys.encode(&claims()).unwrap()).await.is_err());
    }
    assert!(!issuer.places().contains(&"keys".to_owned()), "within the minute");
    issuer.clock.advance(time::Duration::seconds(60));
    assert!(issuer.identity(&key("3").keys.encode(&claims()).unwrap()).await.is_err());
    assert!(issuer.places().contains(&"keys".to_owned()), "after it");
    assert!(issuer.identity(&old.keys.encode(&claims()).unwrap()).await.is_err(), "a key that was withdrawn");
}

#[tokio::test]
async fn oa_03_a_description_of_somebody_else_is_refused() {
    let key = key("1");
    let request = AuthorizationRequest::new("https://app.example/cb", "STATE");
    for (name, value) in [
        ("issuer", json!("https://evil.example")),
        ("issuer", json!(format!("{ISSUER}/"))),
        ("issuer", Value::Null),
        ("token_endpoint", json!("http://127.0.0.1/token")),
        ("jwks_uri", json!("http://id.camelot.bt/keys")),
        ("jwks_uri", Value::Null),
        ("authorization_endpoint", json!("javascript:alert(1)")),
    ] {
        let issuer = Issuer::new(&key);
        issuer.description.lock().unwrap()[name] = value.clone();
        let error = issuer.client.authorization_url(&request).await.unwrap_err();
        assert!(matches!(error, OAuthClientError::Answer(_)), "{name} {value}: {error:?}");
    }
    let issuer = Issuer::new(&key);
    let url = issuer.client.authorization_url(&request).await.unwrap();
    assert!(url.starts_with("https://id.camelot.bt/authorize?response_type=code&client_id=CID&"), "{url}");
    // What was true yesterday, when today there is no answer.
    issuer.clock.advance(time::Duration::days(2));
    issuer.description.lock().unwrap()["issuer"] = json!("https://evil.example");
    assert_eq!(issuer.client.authorization_url(&request).await.unwrap(), url);
}

/// An issuer whose description and keys wait at a gate; `waiting` are at it.
struct Gated {
    issuer: Issuer,
    client: OpenId,
    open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    /// Whether they answer with an error.
    broken: Arc<AtomicBool>,
}

struct Gate {
    fake: Fake,
    open: watch::Receiver<bool>,
    waiting: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
}

impl Carrier for Gate {
    fn carry(&self, call: Call) -> Answered<'_> {
        Box::pin(async move {
            if call.url.ends_with("/openid-configuration") || call.url.ends_with("/keys") {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                self.open.clone().wait_for(|open| *open).await.unwrap();
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                if self.broken.load(Ordering::SeqCst) {
                    let _ = self.fake.carry(call).await;
                    return Ok(Answer { status: 503, body: Vec::new() });
                }
            }
            self.fake.carry(call).await
        })
    }
}

impl Gated {
    fn new(key: &Key) -> Self {
        let issuer = Issuer::new(key);
        let (open, gate) = watch::channel(true);
        let (waiting, broken) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (fake, clock) = (issuer.fake.clone(), issuer.clock.clone());
        let gate = Gate { fake, open: gate, waiting: Arc::clone(&waiting), broken: Arc::clone(&broken) };
        let client = OpenId::new(ISSUER, "CID", "CSEC").unwrap().clock(clock).over(Http::carried_by(gate));
        Self { issuer, client, open, waiting, broken }
    }

    fn url(&self) -> impl Future<Output = Result<String, OAuthClientError>> + use<> {
        let client = self.client.clone();
        async move { client.authorization_url(&AuthorizationRequest::new("https://app.example/cb", "STATE")).await }
    }

    fn identity(&self, id_token: String) -> impl Future<Output = Result<ExternalIdentity, OAuthClientError>> + use<> {
        let client = self.client.clone();
        let mut token = OAuthToken::new("AT");
        token.id_token = Some(Secret::from(id_token));
        async move { client.identity(&token, &code()).await }
    }

    /// What needs nobody who is at the gate.
    async fn at_once<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
        let work = tokio::spawn(work);
        Self::settled().await;
        assert!(work.is_finished(), "it waits");
        work.await.unwrap()
    }

    /// Lets what runs beside come as far as it can.
    async fn settled() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn oa_12_an_issuer_that_hangs_after_a_day_delays_no_login() {
    let (old, new) = (key("1"), key("2"));
    let gated = Gated::new(&old);
    let token = |key: &Key, now: i64| key.keys.encode(&claims().with("iat", now).with("exp", now + 300)).unwrap();
    gated.identity(token(&old, NOW)).await.unwrap();
    let url = gated.url().await.unwrap();
    gated.open.send(false).unwrap();
    gated.issuer.clock.advance(time::Duration::days(1));
    let elsewhere = json!(format!("{ISSUER}/elsewhere"));
    gated.issuer.description.lock().unwrap()["authorization_endpoint"] = elsewhere;
    *gated.issuer.keys.lock().unwrap() = json!({ "keys": [new.jwk] });
    for _ in 0..3 {
        assert_eq!(Gated::at_once(gated.url()).await.unwrap(), url);
        Gated::at_once(gated.identity(token(&old, NOW + 86_400))).await.unwrap();
    }
    assert_eq!(gated.waiting.load(Ordering::SeqCst), 2, "one asks for each");
    gated.open.send(true).unwrap();
    Gated::settled().await;
    assert!(gated.url().await.unwrap().starts_with("https://id.camelot.bt/elsewhere?"));
    gated.identity(token(&new, NOW + 86_400)).await.unwrap();
    // Keys that could not be read again for a day more count for nothing; of the description there is nothing better.
    gated.broken.store(true, Ordering::SeqCst);
    gated.issuer.clock.advance(time::Duration::days(2));
    let late = token(&new, NOW + 3 * 86_400);
    assert!(matches!(gated.identity(late.clone()).await, Err(OAuthClientError::Unavailable(_))));
    assert!(gated.url().await.unwrap().starts_with("https://id.camelot.bt/elsewhere?"));
    gated.broken.store(false, Ordering::SeqCst);
    gated.issuer.clock.advance(time::Duration::seconds(10));
    gated.identity(late).await.unwrap();
}

#[tokio::test]
async fn oa_12_an_issuer_that_does_not_answer_is_asked_once_by_all() {
    let gated = Gated::new(&key("1"));
    gated.broken.store(true, Ordering::SeqCst);
    gated.open.send(false).unwrap();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let url = gated.url();
        running.spawn(async move { matches!(url.await, Err(OAuthClientError::Unavailable(_))) });
    }
    Gated::settled().await;
    gated.open.send(true).unwrap();
    assert!(running.join_all().await.into_iter().all(|failed| failed));
    assert_eq!(gated.issuer.places(), ["openid-configuration"], "the others did not ask again");
    gated.issuer.clock.advance(time::Duration::seconds(9));
    assert!(gated.url().await.is_err());
    assert!(gated.issuer.places().is_empty(), "nor anybody a moment later");
    gated.broken.store(false, Ordering::SeqCst);
    gated.issuer.clock.advance(time::Duration::seconds(1));
    gated.url().await.unwrap();
    assert_eq!(gated.issuer.places(), ["openid-configuration"]);
    // A failed refresh beside the logins is not repeated with each of them either.
    gated.broken.store(true, Ordering::SeqCst);
    gated.issuer.clock.advance(time::Duration::days(1));
    for _ in 0..3 {
        gated.url().await.unwrap();
        Gated::settled().await;
    }
    assert_eq!(gated.issuer.places(), ["openid-configuration"]);
}

#[tokio::test]
async fn credentials_travel_as_the_issuer_asks() {
    let key = key("1");
    for (methods, in_header) in [
        (json!(["private_key_jwt", "client_secret_post", "client_secret_basic"]), false),
        (json!(["client_secret_basic", "client_secret_post"]), true),
        (json!(["private_key_jwt"]), true),
        (Value::Null, true),
    ] {
        let issuer = Issuer::new(&key);
        issuer.description.lock().unwrap()["token_endpoint_auth_methods_supported"] = methods.clone();
        issuer.client.exchange(&code()).await.unwrap();
        let calls = issuer.fake.calls();
        let call = calls.last().unwrap();
        assert_eq!(call.headers.iter().any(|(name, _)| name == "authorization"), in_header, "{methods}");
        assert_eq!(call.body.as_ref().unwrap().contains("client_secret=CSEC"), !in_header, "{methods}");
    }
    let issuer = Issuer::new(&key);
    issuer.client.refresh(&Secret::from("RT")).await.unwrap();
    issuer.client.revoke(&Secret::from("AT")).await.unwrap();
    assert_eq!(issuer.places(), ["openid-configuration", "token", "revoke"]);
    let issuer = Issuer::new(&key);
    issuer.description.lock().unwrap().as_object_mut().unwrap().remove("revocation_endpoint");
    issuer.description.lock().unwrap()["grant_types_supported"] = json!(["authorization_code"]);
    assert!(matches!(issuer.client.refresh(&Secret::from("RT")).await, Err(OAuthClientError::Unsupported)));
    assert!(matches!(issuer.client.revoke(&Secret::from("AT")).await, Err(OAuthClientError::Unsupported)));
}

#[tokio::test]
async fn apple_gets_a_secret_that_is_signed_anew_and_posts_its_answer() {
    const APPLE: &str = "https://appleid.apple.com";
    let (own, apples) = (key("KEY"), key("A"));
    let jwks = json!({ "keys": [apples.jwk] });
    let fake = Fake::new(move |call| match call.url.rsplit('/').next().unwrap() {
        "openid-configuration" => (
            200,
            json!({
                "issuer": APPLE, "authorization_endpoint": format!("{APPLE}/auth/authorize"),
                "token_endpoint": format!("{APPLE}/auth/token"), "revocation_endpoint": format!("{APPLE}/auth/revoke"),
                "jwks_uri": format!("{APPLE}/auth/keys"), "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }),
        ),
        "keys" => (200, jwks.clone()),
        _ => (200, json!({ "access_token": "AT", "id_token": "x" })),
    });
    let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(NOW).unwrap());
    let client = OpenId::apple("bt.camelot.web", AppleKey::new("TEAM", "KEY", own.pem.as_bytes()).unwrap()).unwrap();
    let client = client.clock(clock.clone()).over(fake.http());
    assert_eq!((client.name(), client.display_name()), ("apple", "Apple"));
    assert!(client.uses_form_post());
    let url = client.authorization_url(&AuthorizationRequest::new("https://app.example/cb", "STATE")).await.unwrap();
    assert!(url.contains("response_mode=form_post"), "{url}");

    client.exchange(&code()).await.unwrap();
    let calls = fake.calls();
    let body = calls.last().unwrap().body.as_ref().unwrap();
    let secret = body.split('&').find_map(|pair| pair.strip_prefix("client_secret=")).unwrap();
    let claims = own.keys.decode(secret, &Validation::audience(APPLE).issuer("TEAM"), NOW).unwrap();
    assert_eq!((claims.subject(), claims.expires_at()), (Some("bt.camelot.web"), Some(NOW + 300)));

    // No profile to ask for: the ID token tells all.
    let token = self::claims().with("iss", APPLE).with("aud", "bt.camelot.web").with("sub", "001.a.1");
    let token = token.with("email", "a@privaterelay.appleid.com").with("email_verified", "true");
    let mut answer = OAuthToken::new("AT");
    answer.id_token = Some(Secret::from(apples.keys.encode(&token).unwrap()));
    let who = client.identity(&answer, &code()).await.unwrap();
    assert_eq!((who.account_id.as_str(), who.email_is_verified), ("001.a.1", true));
    assert!(AppleKey::new("TEAM", "KEY", b"no key").is_err());
}
