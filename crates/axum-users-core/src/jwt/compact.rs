//! The compact serialisation (RFC 7515, 7.1) and the one spelling of a token.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::validation::JwtError;

/// The longest token that is looked at, in bytes. What we and FastAPI Users write stays under one KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What a token is known by: what was signed, without padding.
///
/// Hash this, never the token itself, where a token is remembered so that it can be ended or kept. Two texts that both verify
/// can be the same token: `=` may follow the signature, and an ECDSA signature has a second form (`s` and `n - s`) that anyone
/// can compute. Text that is no JWT stays what it is (without `=`), and `canonical(canonical(t))` is `canonical(t)`, so opaque
/// tokens can go the same way.
#[must_use]
pub fn canonical(token: &str) -> Cow<'_, str> {
    let signed = match token.rsplit_once('.') {
        Some((signed, _signature)) if signed.matches('.').count() == 1 => signed,
        _ => token,
    };
    if signed.contains('=') { Cow::Owned(signed.replace('=', "")) } else { Cow::Borrowed(signed) }
}

/// A token in its three parts; header and signature are decoded, the payload waits for the signature.
pub(super) struct Compact<'a> {
    pub(super) header: Vec<u8>,
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

impl<'a> Compact<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwtError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        Ok(Self { header: decode(header)?, signed, signature: decode(signature)?, payload })
    }

    /// The payload. A fourth segment would be in it, and fails here or at the signature.
    pub(super) fn payload(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.payload)
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Base64url with zero trailing bits; `=` only where it completes the last group of four.
fn decode(segment: &str) -> Result<Vec<u8>, JwtError> {
    let bare = match segment.len() % 4 {
        0 => segment.strip_suffix("==").or_else(|| segment.strip_suffix('=')).unwrap_or(segment),
        _ => segment,
    };
    URL_SAFE_NO_PAD.decode(bare).map_err(|_| JwtError::Malformed)
}
