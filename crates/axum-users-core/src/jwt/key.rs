//! A key, and the one algorithm that it is for.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER, jwk::Jwk};
use serde_json::Value;

use super::{
    algorithm::JwtAlgorithm,
    strength::{WeakSecret, check_secret},
};

/// Why there is no such key, or why it does not sign. Never says what the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not such a key in PEM: PKCS#8 or PKCS#1 (RSA) for the private, SPKI or PKCS#1 (RSA) for the public one; RSA from 2048
    /// to 8192 bits.
    #[error("this is not a key for {0} in PEM (PKCS#8; RSA with 2048 bits or more)")]
    Malformed(JwtAlgorithm),
    /// The public key is not that of the private one.
    #[error("the private and the public key do not belong together")]
    Mismatch,
    /// A published key that no token is signed with.
    #[error("this is no public key for signatures that are understood here")]
    NotForSignatures,
    /// A key pair was asked for with an algorithm that uses a secret, or the reverse.
    #[error("{0} does not use this kind of key")]
    WrongKind(JwtAlgorithm),
    /// The key is public: it verifies and does not sign.
    #[error("a public key does not sign")]
    VerifyOnly,
    /// The library did not sign.
    #[error("signing failed")]
    Sign,
}

/// A key with its algorithm, and a name (`kid`) if it has one.
///
/// Prints without the key, and is wiped from memory when dropped. It can neither be serialised nor compared.
///
/// Signatures are those of the crate `jsonwebtoken` on AWS-LC. Its process-wide provider is not used: nothing must be
/// installed, and another feature in the tree changes nothing.
#[derive(Clone)]
pub struct JwtKey {
    algorithm: JwtAlgorithm,
    sign: Option<EncodingKey>,
    verify: DecodingKey,
    kid: Option<String>,
    until: Option<i64>,
}

impl JwtKey {
    /// A secret for HS256, as its bytes (of a text: UTF-8). Any length works; see [`check_strength`](Self::check_strength).
    #[must_use]
    pub fn hs256(secret: &[u8]) -> Self {
        Self::symmetric(JwtAlgorithm::Hs256, secret)
    }

    /// A secret for HS256, HS384 or HS512.
    ///
    /// # Errors
    /// [`KeyError::WrongKind`] for any other algorithm.
    pub fn from_secret(algorithm: JwtAlgorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if algorithm.is_symmetric() {
            Ok(Self::symmetric(algorithm, secret))
        } else {
            Err(KeyError::WrongKind(algorithm))
        }
    }

    /// An RSA key pair in PEM, for RS256.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::Mismatch`].
    pub fn rs256(private_pem: &[u8], public_pem: &[u8]) -> Result<Self, KeyError> {
        Self::from_pem(JwtAlgorithm::Rs256, private_pem, public_pem)
    }

    /// A P-256 key pair in PEM, for ES256.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::Mismatch`].
    pub fn es256(private_pem: &[u8], public_pem: &[u8]) -> Result<Self, KeyError> {
        Self::from_pem(JwtAlgorithm::Es256, private_pem, public_pem)
    }

    /// An Ed25519 key pair in PEM, for EdDSA.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::Mismatch`].
    pub fn eddsa(private_pem: &[u8], public_pem: &[u8]) -> Result<Self, KeyError> {
        Self::from_pem(JwtAlgorithm::EdDsa, private_pem, public_pem)
    }

    /// A key pair in PEM. It is tried once, so that a wrong pair shows at start and not at the first login.
    ///
    /// # Errors
    /// [`KeyError::WrongKind`], [`KeyError::Malformed`], [`KeyError::Mismatch`].
    pub fn from_pem(algorithm: JwtAlgorithm, private_pem: &[u8], public_pem: &[u8]) -> Result<Self, KeyError> {
        let mut key = Self::public_from_pem(algorithm, public_pem)?;
        let private = match algorithm {
            JwtAlgorithm::Es256 | JwtAlgorithm::Es384 => EncodingKey::from_ec_pem(private_pem),
            JwtAlgorithm::EdDsa => EncodingKey::from_ed_pem(private_pem),
            _ => EncodingKey::from_rsa_pem(private_pem),
        };
        key.sign = Some(private.map_err(|_| KeyError::Malformed(algorithm))?);
        let signature = key.signature(b"axum-users").map_err(|_| KeyError::Malformed(algorithm))?;
        if key.verifies(b"axum-users", &signature) { Ok(key) } else { Err(KeyError::Mismatch) }
    }

    /// A public key in PEM: it verifies and does not sign.
    ///
    /// # Errors
    /// [`KeyError::WrongKind`], [`KeyError::Malformed`].
    pub fn public_from_pem(algorithm: JwtAlgorithm, public_pem: &[u8]) -> Result<Self, KeyError> {
        let malformed = KeyError::Malformed(algorithm);
        let parser = algorithm.verification().ok_or(KeyError::WrongKind(algorithm))?;
        let verify = match algorithm {
            JwtAlgorithm::Es256 | JwtAlgorithm::Es384 => DecodingKey::from_ec_pem(public_pem),
            JwtAlgorithm::EdDsa => DecodingKey::from_ed_pem(public_pem),
            _ => DecodingKey::from_rsa_pem(public_pem),
        };
        let verify = verify.map_err(|_| malformed)?;
        let der = verify.try_get_as_bytes().map_err(|_| malformed)?;
        ParsedPublicKey::new(parser, der).map_err(|_| malformed)?;
        // Only RSA keys are that long.
        if is_rsa(algorithm) && der.len() < RSA_BYTES {
            return Err(malformed);
        }
        Ok(Self { algorithm, sign: None, verify, kid: None, until: None })
    }

    /// A private key on P-256 in PEM (PKCS #8) alone, for ES256; the public one is computed.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn es256_private(private_pem: &[u8]) -> Result<Self, KeyError> {
        let malformed = KeyError::Malformed(JwtAlgorithm::Es256);
        let private = EncodingKey::from_ec_pem(private_pem).map_err(|_| malformed)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_bytes());
        let verify = DecodingKey::from_ec_der(pair.map_err(|_| malformed)?.public_key().as_ref());
        Ok(Self { algorithm: JwtAlgorithm::Es256, sign: Some(private), verify, kid: None, until: None })
    }

    /// A public key as an issuer publishes it (RFC 7517), with its `kid`. One that does not name its algorithm has the usual one of
    /// its kind: RS256, ES256 or ES384 by the curve, EdDSA.
    ///
    /// # Errors
    /// [`KeyError::NotForSignatures`] for a key of another kind or use, a secret among them; [`KeyError::Malformed`].
    pub fn public_from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let usual = match (text("kty"), text("crv")) {
            (Some("RSA"), None) => JwtAlgorithm::Rs256,
            (Some("EC"), Some("P-256")) => JwtAlgorithm::Es256,
            (Some("EC"), Some("P-384")) => JwtAlgorithm::Es384,
            (Some("OKP"), Some("Ed25519")) => JwtAlgorithm::EdDsa,
            _ => return Err(KeyError::NotForSignatures),
        };
        let algorithm = match text("alg") {
            None => usual,
            Some(name) => name.parse().map_err(|_| KeyError::NotForSignatures)?,
        };
        let is_rsa = usual == JwtAlgorithm::Rs256 && !algorithm.is_symmetric() && is_rsa(algorithm);
        if text("use").is_some_and(|it| it != "sig") || !(is_rsa || algorithm == usual) {
            return Err(KeyError::NotForSignatures);
        }
        let malformed = KeyError::Malformed(algorithm);
        let key: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| malformed)?;
        let modulus =
            || URL_SAFE_NO_PAD.decode(text("n").unwrap_or_default().trim_end_matches('=')).unwrap_or_default();
        if is_rsa && modulus().iter().skip_while(|byte| **byte == 0).count() < RSA_BYTES {
            return Err(malformed);
        }
        let verify = DecodingKey::from_jwk(&key).map_err(|_| malformed)?;
        Ok(Self { algorithm, sign: None, verify, kid: text("kid").map(str::to_owned), until: None })
    }

    /// Names the key: its tokens say so in `kid`, which FastAPI Users ignores. Default: no name.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Ends the key: from this instant (Unix seconds) on it verifies nothing. Default: no end.
    #[must_use]
    pub fn until(mut self, unix_seconds: i64) -> Self {
        self.until = Some(unix_seconds);
        self
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.algorithm
    }

    /// Whether a secret can be guessed; a key pair is always strong enough.
    ///
    /// # Errors
    /// See [`check_secret`].
    pub fn check_strength(&self) -> Result<(), WeakSecret> {
        match &self.sign {
            Some(secret) if self.algorithm.is_symmetric() => check_secret(secret.as_bytes()),
            _ => Ok(()),
        }
    }

    fn symmetric(algorithm: JwtAlgorithm, secret: &[u8]) -> Self {
        Self {
            algorithm,
            sign: Some(EncodingKey::from_secret(secret)),
            verify: DecodingKey::from_secret(secret),
            kid: None,
            until: None,
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn lives_at(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    pub(super) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = self.sign.as_ref().ok_or(KeyError::VerifyOnly)?;
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm.library(), key).map_err(|_| KeyError::Sign)?;
        signer.try_sign(message).map_err(|_| KeyError::Sign)
    }

    /// HMACs are compared in constant time by AWS-LC.
    pub(super) fn verifies(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.library(), &self.verify)
            .is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }
}

/// A modulus of 2048 bits (RFC 7518, 3.3).
const RSA_BYTES: usize = 256;

/// Of the algorithms with key pairs.
fn is_rsa(algorithm: JwtAlgorithm) -> bool {
    !matches!(algorithm, JwtAlgorithm::Es256 | JwtAlgorithm::Es384 | JwtAlgorithm::EdDsa)
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
