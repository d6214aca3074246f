//! Keys for a purpose from a secret (HKDF-SHA-256, RFC 5869): one secret, and none of the keys tells of another.

use aws_lc_rs::hmac;

const SALT: &[u8] = b"axum-users";

/// The key of this purpose: 32 bytes, HKDF of one block (RFC 5869 sections 2.2 and 2.3).
pub(crate) fn derived(secret: &[u8], purpose: &[u8]) -> hmac::Tag {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SALT), secret);
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()), &[purpose, &[1]].concat())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hkdf;

    use super::*;

    #[test]
    fn cr_02_keys_are_derived_by_hkdf_and_differ_by_purpose() {
        let secret = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u";
        for purpose in [&b"known device"[..], b"tokens of oauth providers"] {
            let mut key = [0; 32];
            let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
            extracted.expand(&[purpose], hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
            assert_eq!(derived(secret, purpose).as_ref(), key);
        }
        assert_ne!(derived(secret, b"a").as_ref(), derived(secret, b"b").as_ref());
    }
}
