//! An issuer of OpenID Connect on a free port of this machine: whoever is sent there is who the test says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use axum_users::{
    Clock, Secret,
    jwt::{Claims, JwtKey, JwtKeys},
    oauth::code_challenge,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

pub const CLIENT_ID: &str = "of-camelot";

pub struct Issuer {
    pub url: String,
    codes: Codes,
}

type Codes = Arc<Mutex<HashMap<String, Code>>>;

/// What a code was issued for.
struct Code {
    who: String,
    nonce: String,
    challenge: String,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let codes = Codes::default();
        let router = router(url.clone(), Arc::clone(&codes));
        // Until the test is over.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, codes }
    }

    /// Agrees to what a browser was sent here with; the query that it is sent back with.
    pub fn approve(&self, url: &str, who: &str) -> String {
        let (endpoint, query) = url.split_once('?').unwrap();
        assert_eq!(endpoint, format!("{}/authorize", self.url));
        let [nonce, challenge, state] = ["nonce", "code_challenge", "state"].map(|name| field(query, name));
        let mut codes = self.codes.lock().unwrap();
        let code = axum_users::random::short_token();
        codes.insert(code.clone(), Code { who: who.to_owned(), nonce, challenge });
        format!("code={code}&state={state}")
    }
}

/// A field of a form or query; those of this test need no decoding.
fn field(form: &str, name: &str) -> String {
    let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap().to_owned()
}

/// What its routes know.
struct Inner {
    url: String,
    codes: Codes,
    keys: JwtKeys,
    jwk: Value,
}

fn router(url: String, codes: Codes) -> Router {
    let (keys, jwk) = key();
    Router::new()
        .route("/.well-known/openid-configuration", get(description))
        .route("/keys", get(keys_of))
        .route("/token", post(token))
        .with_state(Arc::new(Inner { url, codes, keys, jwk }))
}

async fn description(State(issuer): State<Arc<Inner>>) -> Json<Value> {
    let url = &issuer.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
    }))
}

async fn keys_of(State(issuer): State<Arc<Inner>>) -> Json<Value> {
    Json(json!({ "keys": [issuer.jwk] }))
}

/// Once, and only for whoever has the verifier.
async fn token(State(issuer): State<Arc<Inner>>, form: String) -> Result<Json<Value>, StatusCode> {
    let code = issuer.codes.lock().unwrap().remove(&field(&form, "code"));
    let is_theirs = |code: &Code| code.challenge == code_challenge(&Secret::from(field(&form, "code_verifier")));
    let code = code.filter(is_theirs).ok_or(StatusCode::BAD_REQUEST)?;
    let id_token = id_token(&issuer.url, &issuer.keys, &code);
    Ok(Json(json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token })))
}

fn id_token(issuer: &str, keys: &JwtKeys, code: &Code) -> String {
    let now = Clock::system().unix();
    let claims = Claims::new()
        .with("iss", issuer)
        .with("aud", CLIENT_ID)
        .with("sub", code.who.as_str())
        .with("iat", now)
        .with("exp", now + 300)
        .with("nonce", code.nonce.as_str())
        .with("email", format!("{}@camelot.bt", code.who))
        .with("email_verified", true);
    keys.encode(&claims).unwrap()
}

fn key() -> (JwtKeys, Value) {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
    let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": x, "y": y });
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    (JwtKeys::new(JwtKey::es256_private(pem.as_bytes()).unwrap().kid("1")), jwk)
}
