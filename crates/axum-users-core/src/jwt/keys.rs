//! The keys of one purpose: the one that signs, and those that still verify.

use serde_json::Value;

use super::{
    claims::Claims,
    compact::{Compact, encode},
    json,
    key::{JwtKey, KeyError},
    strength::WeakSecret,
    validation::{Header, JwtError, Validation},
};

/// The key that signs, and older ones that still verify, so that a change of keys logs nobody out.
///
/// To rotate: make the new key the current one and the old one a [`previous`](Self::previous) one, which ends
/// ([`JwtKey::until`]) when its last token has expired.
#[derive(Clone, Debug)]
pub struct JwtKeys {
    current: JwtKey,
    previous: Vec<JwtKey>,
}

impl JwtKeys {
    /// One key, which signs and verifies.
    #[must_use]
    pub fn new(current: JwtKey) -> Self {
        Self { current, previous: Vec::new() }
    }

    /// Adds a key that only verifies.
    #[must_use]
    pub fn previous(mut self, key: JwtKey) -> Self {
        self.previous.push(key);
        self
    }

    /// A signed token with these claims: header members sorted, `typ` is `JWT`, `kid` only if the key has a name.
    ///
    /// # Errors
    /// [`KeyError::VerifyOnly`] if the current key is a public one; [`KeyError::Sign`].
    pub fn encode(&self, claims: &Claims) -> Result<String, KeyError> {
        self.encode_as("JWT", claims)
    }

    /// The same with another `typ`, such as `at+jwt` (RFC 9068).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_as(&self, typ: &str, claims: &Claims) -> Result<String, KeyError> {
        let (alg, typ) = (Value::from(self.current.algorithm().as_str()), Value::from(typ));
        let kid = self.current.name().map(Value::from);
        let header = [("alg", Some(&alg)), ("kid", kid.as_ref()), ("typ", Some(&typ))];
        let header = header.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
        let header = json::object(header).map_err(|_| KeyError::Sign)?;
        let payload = json::object(claims.iter()).map_err(|_| KeyError::Sign)?;
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = self.current.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", encode(signature)))
    }

    /// The claims of a token that is acceptable at `now` (Unix seconds).
    ///
    /// # Errors
    /// [`JwtError`] names the first thing that is wrong: length, form, header, signature, then dates, issuer, audience and
    /// the types of the other registered claims.
    pub fn decode(&self, token: &str, validation: &Validation, now: i64) -> Result<Claims, JwtError> {
        validation.check_spelling(token)?;
        let token = Compact::parse(token)?;
        let header = Header::parse(&token.header)?;
        validation.check_header(&header)?;
        self.verify(&header, &token, now)?;
        let claims = Claims::parse(&token.payload()?)?;
        validation.check_claims(&claims, now)?;
        Ok(claims)
    }

    /// Whether all secrets are strong; also an old one lets whoever guesses it in.
    ///
    /// # Errors
    /// See [`check_secret`](super::check_secret).
    pub fn check_strength(&self) -> Result<(), WeakSecret> {
        self.all().try_for_each(JwtKey::check_strength)
    }

    /// Whether all secrets are secrets at all: neither empty nor a key of a key pair.
    ///
    /// # Errors
    /// The first that is [unusable](WeakSecret::is_unusable).
    pub fn check_usable(&self) -> Result<(), WeakSecret> {
        match self.all().find_map(|key| key.check_strength().err().filter(|weak| weak.is_unusable())) {
            Some(unusable) => Err(unusable),
            None => Ok(()),
        }
    }

    /// By the key that the token names if we have it, else by every key of the algorithm: tokens of FastAPI Users name none.
    fn verify(&self, header: &Header, token: &Compact<'_>, now: i64) -> Result<(), JwtError> {
        let fits = |key: &&JwtKey| key.algorithm().as_str() == header.algorithm;
        if !self.all().any(|key| fits(&key)) {
            return Err(JwtError::Algorithm);
        }
        let named = header.kid.as_deref().filter(|kid| self.all().any(|key| key.name() == Some(kid)));
        let verified = self
            .all()
            .filter(fits)
            .filter(|key| key.lives_at(now) && (named.is_none() || key.name() == named))
            .any(|key| key.verifies(token.signed.as_bytes(), &token.signature));
        if verified { Ok(()) } else { Err(JwtError::Signature) }
    }

    fn all(&self) -> impl Iterator<Item = &JwtKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl From<JwtKey> for JwtKeys {
    fn from(key: JwtKey) -> Self {
        Self::new(key)
    }
}
