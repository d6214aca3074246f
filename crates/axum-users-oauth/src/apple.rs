//! Sign in with Apple: OpenID Connect whose client secret is a token that the client signs, and whose answer is posted.

use std::fmt;

use axum_users_core::{
    Secret,
    jwt::{Claims, JwtKey, JwtKeys, KeyError},
};

use crate::OAuthConfigError;

pub(crate) const ISSUER: &str = "https://appleid.apple.com";
/// For how many seconds a client secret counts; Apple allows half a year.
const LIFETIME: i64 = 300;

/// A key for Sign in with Apple: the `.p8` file with what Apple says about it.
#[derive(Clone)]
pub struct AppleKey {
    team_id: String,
    keys: JwtKeys,
}

impl AppleKey {
    /// The team's id, the key's id, and the key: a private key on P-256 in PEM (PKCS #8).
    ///
    /// # Errors
    /// [`OAuthConfigError::Key`].
    pub fn new(
        team_id: impl Into<String>,
        key_id: impl Into<String>,
        private_pem: &[u8],
    ) -> Result<Self, OAuthConfigError> {
        let key = JwtKey::es256_private(private_pem).map_err(|error| OAuthConfigError::Key(error.into()))?;
        Ok(Self { team_id: team_id.into(), keys: JwtKeys::new(key.kid(key_id)) })
    }

    /// A client secret that counts from `now` (Unix seconds) on.
    pub(crate) fn client_secret(&self, client_id: &str, now: i64) -> Result<Secret, KeyError> {
        let claims = Claims::new()
            .with("iss", self.team_id.clone())
            .with("iat", now)
            .with("exp", now.saturating_add(LIFETIME))
            .with("aud", ISSUER)
            .with("sub", client_id);
        Ok(Secret::from(self.keys.encode(&claims)?))
    }
}

/// The team alone.
impl fmt::Debug for AppleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppleKey").field("team_id", &self.team_id).finish_non_exhaustive()
    }
}
