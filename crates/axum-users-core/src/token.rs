//! Signed tokens with the claims of FastAPI Users: those that are mailed, the links that verify an address and set a new
//! password, and the states of OAuth.

use std::time::Duration;

use crate::{
    error::Error,
    jwt::{Claims, JwtError, JwtKey, JwtKeys, Validation, WeakSecret},
    secret::Secret,
    session::TokenHash,
};

/// What such a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Verify,
    ResetPassword,
    OAuthState,
}

impl Purpose {
    fn audience(self) -> &'static str {
        match self {
            Self::Verify => "fastapi-users:verify",
            Self::ResetPassword => "fastapi-users:reset",
            Self::OAuthState => "fastapi-users:oauth-state",
        }
    }

    /// The type that strict writes and asks for (RFC 8725 section 3.11).
    fn typ(self) -> &'static str {
        match self {
            Self::Verify => "verify+jwt",
            Self::ResetPassword => "reset+jwt",
            Self::OAuthState => "oauth-state+jwt",
        }
    }
}

/// How mailed tokens of one purpose are signed, and how long they live.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    keys: JwtKeys,
    audience: Option<String>,
    lifetime: Duration,
}

impl TokenSettings {
    /// Signed with HS256 and this secret; they live for an hour.
    ///
    /// # Errors
    /// [`WeakSecret`] when the secret is short, guessable or published (RFC 8725 section 3.5).
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        let keys = JwtKeys::new(JwtKey::hs256(secret));
        keys.check_strength()?;
        Ok(Self { keys, audience: None, lifetime: HOUR })
    }

    /// With any secret: for a deployment that is taken over with a short one.
    ///
    /// # Security
    /// Whoever guesses the secret sets the password of anybody.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is no secret at all.
    pub fn danger_weak_secret(secret: &[u8]) -> Result<Self, WeakSecret> {
        let keys = JwtKeys::new(JwtKey::hs256(secret));
        keys.check_usable()?;
        Ok(Self { keys, audience: None, lifetime: HOUR })
    }

    /// A secret that signed before: its tokens still count.
    #[must_use]
    pub fn previous(mut self, secret: &[u8]) -> Self {
        self.keys = self.keys.previous(JwtKey::hs256(secret));
        self
    }

    /// How long they live, in whole seconds from the sending on. Default: an hour, the most that is good (ASVS 6.4.1).
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The audience they are for. Default: that of FastAPI Users, `fastapi-users:verify` and `fastapi-users:reset`.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    pub(crate) fn encode(&self, purpose: Purpose, strict: bool, claims: Claims, issued: i64) -> Result<Secret, Error> {
        let audience = self.audience.clone().unwrap_or_else(|| purpose.audience().to_owned());
        let claims = claims.with("aud", audience).with("exp", issued.saturating_add(self.seconds()));
        let typ = if strict { purpose.typ() } else { "JWT" };
        let token = self.keys.encode_as(typ, &claims).map_err(|error| Error::Internal(error.into()))?;
        Ok(Secret::from(token))
    }

    pub(crate) fn decode(&self, purpose: Purpose, strict: bool, token: &Secret, now: i64) -> Option<Claims> {
        self.decode_or_why(purpose, strict, token, now).ok()
    }

    pub(crate) fn decode_or_why(
        &self,
        purpose: Purpose,
        strict: bool,
        token: &Secret,
        now: i64,
    ) -> Result<Claims, JwtError> {
        let audience = self.audience.clone().unwrap_or_else(|| purpose.audience().to_owned());
        let mut validation = Validation::audience(audience);
        if strict {
            validation = validation.typ(purpose.typ());
        }
        if purpose == Purpose::OAuthState {
            // Refused by its reader, who tells another code for it.
            validation = validation.danger_accept_without_exp();
        }
        self.keys.decode(token.expose(), &validation, now)
    }

    /// When a token was issued: these tokens have no `iat`, their end tells it.
    pub(crate) fn issued(&self, claims: &Claims) -> Option<i64> {
        claims.expires_at()?.checked_sub(self.seconds())
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX)
    }
}

/// What a user's reset tokens are held against, as it stands in [`User::reset_token_hash`](crate::User::reset_token_hash): `None`
/// is any token that verifies, 43 characters are the hash of the only one, `>` and an instant are those issued after it.
pub(crate) fn is_newest(limit: Option<&str>, token: &TokenHash, issued: Option<i64>) -> bool {
    let Some(limit) = limit else { return true };
    match limit.strip_prefix('>').and_then(|instant| instant.parse::<i64>().ok()) {
        Some(instant) => issued.is_some_and(|issued| issued > instant),
        None => limit == token.as_str(),
    }
}

/// The limit that ends every reset token that was issued until now.
pub(crate) fn issued_after(now: i64) -> String {
    format!(">{now}")
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rc_03_the_newest_reset_token_is_the_only_one() {
        let (a, b) = (TokenHash::of("a"), TokenHash::of("b"));
        assert!(is_newest(None, &a, None));
        assert!(is_newest(Some(a.as_str()), &a, None) && !is_newest(Some(a.as_str()), &b, Some(i64::MAX)));
        let limit = issued_after(100);
        assert!(limit.len() <= 43);
        assert!(is_newest(Some(&limit), &a, Some(101)));
        assert!(!is_newest(Some(&limit), &a, Some(100)) && !is_newest(Some(&limit), &a, None));
        assert!(!is_newest(Some(""), &a, Some(1)) && !is_newest(Some(">"), &a, Some(1)));
    }
}
