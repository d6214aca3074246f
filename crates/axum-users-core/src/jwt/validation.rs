//! Which tokens are accepted, and why not.

use serde_json::Value;

use super::{claims::Claims, json};

/// How far `iat` and `nbf` may lie ahead, in seconds: nodes differ, and a token that is issued in the second of a password
/// change is dated one second later (see the module `session`). `exp` has none.
pub const LEEWAY_SECONDS: i64 = 30;

/// Why a token was not accepted. A caller that only wants to know whose token it is treats them all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// Longer than [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    #[error("the token is too long")]
    TooLong,
    /// Not three segments of base64url, or header or payload is no JSON object with unique names.
    #[error("the token is malformed")]
    Malformed,
    /// `alg` is missing, or no key has it.
    #[error("the token names an algorithm that no key has")]
    Algorithm,
    /// A header member that asks for something else: `crit`, `b64`, a `kid` that is no text, another `typ` than demanded.
    #[error("the header of the token is not acceptable")]
    Header,
    /// No key verifies it.
    #[error("the signature is wrong")]
    Signature,
    /// `exp` is now or before.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` is later than now and the leeway.
    #[error("the token is not yet valid")]
    NotYetValid,
    /// `iss` is not the one that is demanded.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` holds none of the accepted audiences, or has another shape than text or a list of texts.
    #[error("the token is for another audience")]
    Audience,
    /// A registered claim (RFC 7519, 4.1) has the wrong type, or `exp` is missing.
    #[error("a claim of the token is not acceptable")]
    Claims,
}

/// What is demanded of a token beside the signature.
///
/// Always: `aud` is text or a list of texts and holds an accepted audience; `exp` is there and later than now; `iat` and
/// `nbf`, when present, lie at most [`LEEWAY_SECONDS`] ahead; these three are integers of 64 bits, `sub` and `jti` text.
#[derive(Clone, Debug)]
pub struct Validation {
    audiences: Vec<String>,
    issuer: Option<String>,
    typ: Option<String>,
    without_exp: bool,
    canonical_only: bool,
}

impl Validation {
    /// Tokens for one audience.
    #[must_use]
    pub fn audience(audience: impl Into<String>) -> Self {
        Self::audiences([audience])
    }

    /// Tokens for at least one of these audiences.
    #[must_use]
    pub fn audiences(audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            audiences: audiences.into_iter().map(Into::into).collect(),
            issuer: None,
            typ: None,
            without_exp: false,
            canonical_only: false,
        }
    }

    /// Demands this `iss` (RFC 8725, 3.8). Default: whatever it is, also none; the tokens of FastAPI Users have none.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Demands this header member `typ` (RFC 8725, 3.11), in any case, with or without `application/` (RFC 7515, 4.1.9).
    /// Default: whatever it is; FastAPI Users writes `JWT` and ignores it.
    #[must_use]
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(typ.into());
        self
    }

    /// Refuses `=`, which FastAPI Users tolerates where it completes a group (RFC 7515, 2 has none). Default: tolerated.
    #[must_use]
    pub fn canonical_only(mut self) -> Self {
        self.canonical_only = true;
        self
    }

    /// Accepts tokens without `exp`, which FastAPI Users writes when its lifetime is `None` or 0.
    ///
    /// # Security
    /// Such a token never expires: one that leaks works until its user is deleted, or their tokens are ended.
    #[must_use]
    pub fn danger_accept_without_exp(mut self) -> Self {
        self.without_exp = true;
        self
    }

    pub(super) fn check_spelling(&self, token: &str) -> Result<(), JwtError> {
        if self.canonical_only && token.contains('=') { Err(JwtError::Malformed) } else { Ok(()) }
    }

    pub(super) fn check_header(&self, header: &Header) -> Result<(), JwtError> {
        let Some(wanted) = &self.typ else { return Ok(()) };
        let found = header.typ.as_deref().ok_or(JwtError::Header)?;
        if media_type(found).eq_ignore_ascii_case(media_type(wanted)) { Ok(()) } else { Err(JwtError::Header) }
    }

    /// In the order of FastAPI Users: where a route tells "expired" from the rest, both tell the same.
    pub(super) fn check_claims(&self, claims: &Claims, now: i64) -> Result<(), JwtError> {
        for name in ["iat", "nbf"] {
            if instant(claims, name)?.is_some_and(|at| at > now.saturating_add(LEEWAY_SECONDS)) {
                return Err(JwtError::NotYetValid);
            }
        }
        match instant(claims, "exp")? {
            // A negative date is nobody's, whatever a clock says.
            Some(exp) if exp < 0 => return Err(JwtError::Claims),
            Some(exp) if exp <= now => return Err(JwtError::Expired),
            None if !self.without_exp => return Err(JwtError::Claims),
            Some(_) | None => {}
        }
        if let Some(issuer) = &self.issuer
            && claims.text("iss") != Some(issuer)
        {
            return Err(JwtError::Issuer);
        }
        self.check_audience(claims.get("aud"))?;
        for name in ["sub", "jti"] {
            if claims.get(name).is_some_and(|value| !value.is_string()) {
                return Err(JwtError::Claims);
            }
        }
        Ok(())
    }

    fn check_audience(&self, claim: Option<&Value>) -> Result<(), JwtError> {
        let accepted = |text: &str| !text.is_empty() && self.audiences.iter().any(|audience| audience == text);
        let found = match claim {
            Some(Value::String(text)) => accepted(text),
            Some(Value::Array(texts)) => {
                texts.iter().all(Value::is_string) && texts.iter().filter_map(Value::as_str).any(accepted)
            }
            _ => false,
        };
        if found { Ok(()) } else { Err(JwtError::Audience) }
    }
}

/// A date claim: absent, or an integer of 64 bits.
fn instant(claims: &Claims, name: &str) -> Result<Option<i64>, JwtError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(JwtError::Claims),
    }
}

fn media_type(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, name)) if prefix.eq_ignore_ascii_case("application/") => name,
        _ => typ,
    }
}

/// What is read of a header. Members that would name or carry a key (`jwk`, `jku`, `x5c`, `x5u`) are not among it.
pub(super) struct Header {
    pub(super) algorithm: String,
    pub(super) kid: Option<String>,
    typ: Option<String>,
}

impl Header {
    pub(super) fn parse(header: &[u8]) -> Result<Self, JwtError> {
        let (mut algorithm, mut kid, mut typ) = (None, None, None);
        for (name, value) in json::members(header).ok_or(JwtError::Malformed)? {
            match (name.as_str(), value) {
                ("alg", Value::String(value)) => algorithm = Some(value),
                ("kid", Value::String(value)) => kid = Some(value),
                ("typ", Value::String(value)) => typ = Some(value),
                // RFC 7797, 3: true is the default.
                ("b64", Value::Bool(true)) => {}
                // RFC 7515, 4.1.11: no extension is understood here.
                ("kid" | "b64" | "crit", _) => return Err(JwtError::Header),
                _ => {}
            }
        }
        Ok(Self { algorithm: algorithm.ok_or(JwtError::Algorithm)?, kid, typ })
    }
}
