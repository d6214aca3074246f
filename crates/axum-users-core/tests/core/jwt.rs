//! Signed tokens: what we accept, what we write, and what we refuse.

#[path = "jwt/differential.rs"]
mod differential;
#[path = "jwt/forged.rs"]
mod forged;
#[path = "jwt/keys.rs"]
mod keys;
#[path = "jwt/spelling.rs"]
mod spelling;
#[path = "jwt/strength.rs"]
mod strength;
#[path = "jwt/vectors.rs"]
mod vectors;

use aws_lc_rs::hmac;
use axum_users_core::jwt::{Claims, JwtAlgorithm, JwtError, JwtKey, JwtKeys, Validation};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

const SECRET: &[u8] = b"5f1c0d1e9a7b42c8b6d3e0f4a1972c5d8e6b3f0a";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const NOW: i64 = 1_800_000_000;
const LOGIN: &str = "fastapi-users:auth";

/// A token of any header and payload, signed with [`SECRET`] by HMAC-SHA-256.
fn forge(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sign(&format!("{}.{}", b64(header), b64(payload)), SECRET)
}

/// The same with the usual payload.
fn forge_header(header: &str) -> String {
    forge(header, format!(r#"{{"sub":"7","aud":["{LOGIN}"],"exp":{}}}"#, NOW + 60))
}

/// The same with the usual header, `sub`, `aud`, and what is given.
fn forge_claims(more: &str) -> String {
    forge(HEADER, format!(r#"{{"sub":"7","aud":["{LOGIN}"]{more}}}"#))
}

fn sign(signed: &str, secret: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(token: &str) -> Result<Claims, JwtError> {
    decode_at(token, NOW)
}

fn decode_at(token: &str, now: i64) -> Result<Claims, JwtError> {
    JwtKeys::new(JwtKey::hs256(SECRET)).decode(token, &Validation::audience(LOGIN), now)
}

#[track_caller]
fn refused(token: &str, why: JwtError) {
    assert_eq!(decode(token).map(|_| ()), Err(why), "{token}");
}

/// The recorded tokens.
fn recorded() -> Value {
    serde_json::from_str(include_str!("../vectors/jwt.json")).unwrap()
}

/// The recorded key pair of an algorithm.
fn key_pair(algorithm: JwtAlgorithm) -> JwtKey {
    let pem = |half| recorded()["keys"][algorithm.as_str()][half].as_str().unwrap().to_owned();
    JwtKey::from_pem(algorithm, pem("private_pem").as_bytes(), pem("public_pem").as_bytes()).unwrap()
}

fn public_pem(algorithm: &str) -> String {
    recorded()["keys"][algorithm]["public_pem"].as_str().unwrap().to_owned()
}
