//! ID tokens (OpenID Connect Core section 3.1.3.7): the signature first, then every claim that says for whom it is.

use axum_users_core::jwt::{Claims, JwtError, JwtKeys, Validation};

/// What a token has to say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    /// Unix seconds.
    pub(crate) now: i64,
}

/// Why a token counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("the ID token is none: {0}")]
    Token(#[from] JwtError),
    #[error("the ID token is for another client")]
    Client,
    #[error("the ID token does not say when it was issued")]
    Instant,
    #[error("the ID token belongs to another request")]
    Nonce,
    #[error("the ID token names nobody")]
    Subject,
}

impl Wrong {
    /// The issuer may have a new key.
    pub(crate) fn is_of_key(self) -> bool {
        matches!(self, Self::Token(JwtError::Signature | JwtError::Algorithm))
    }
}

/// The claims of a token that counts.
pub(crate) fn verify(token: &str, keys: &JwtKeys, expected: &Expected<'_>) -> Result<Claims, Wrong> {
    let demands = Validation::audience(expected.client_id).issuer(expected.issuer);
    let claims = keys.decode(token, &demands, expected.now)?;
    // For nobody else, and asked for by us.
    let is_ours = |claim: &serde_json::Value| claim == expected.client_id;
    let only_ours =
        claims.get("aud").is_some_and(|aud| aud.as_array().map_or(is_ours(aud), |all| all.iter().all(is_ours)));
    if !only_ours || !claims.get("azp").is_none_or(is_ours) {
        return Err(Wrong::Client);
    }
    if claims.issued_at().is_none() {
        return Err(Wrong::Instant);
    }
    if claims.text("nonce") != Some(expected.nonce) {
        return Err(Wrong::Nonce);
    }
    if claims.subject().is_none_or(str::is_empty) {
        return Err(Wrong::Subject);
    }
    Ok(claims)
}
