//! What ties a reset token to the stored password hash: a hash of that text, as FastAPI Users writes it into the token.
//!
//! The input cannot be guessed, so the cheapest Argon2 is as good as a costly one; the other system verifies any cost.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use subtle::ConstantTimeEq as _;

use super::PasswordHash;

const COST: &str = "$argon2id$v=19$m=8,t=1,p=1$";
const SALT: usize = 16;
const DIGEST: usize = 32;

/// The fingerprint of a stored hash. The same salt gives the same text.
pub(crate) fn make(stored: &PasswordHash, salt: &[u8; SALT]) -> Option<String> {
    let digest = digest(stored, salt)?;
    Some(format!("{COST}{}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(digest)))
}

/// Whether a fingerprint of ours is that of this hash; `None` when it is not one of ours, and costs more.
pub(crate) fn verify(fingerprint: &str, stored: &PasswordHash) -> Option<bool> {
    let (salt, expected) = fingerprint.strip_prefix(COST)?.split_once('$')?;
    let salt: [u8; SALT] = STANDARD_NO_PAD.decode(salt).ok()?.try_into().ok()?;
    let expected = STANDARD_NO_PAD.decode(expected).ok().filter(|it| it.len() == DIGEST)?;
    Some(digest(stored, &salt)?.as_slice().ct_eq(&expected).into())
}

fn digest(stored: &PasswordHash, salt: &[u8; SALT]) -> Option<[u8; DIGEST]> {
    let params = Params::new(8, 1, 1, Some(DIGEST)).ok()?;
    let mut digest = [0; DIGEST];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(stored.as_str().as_bytes(), salt, &mut digest)
        .ok()?;
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::{Argon2Params, DefaultHasher, PasswordHasher as _, Verification};

    #[test]
    fn rc_12_a_fingerprint_of_the_lowest_cost_is_verified_here_and_by_any_argon2() {
        let stored = PasswordHash::from_stored("$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$x".into());
        let other = PasswordHash::from_stored("$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$y".into());
        let fingerprint = make(&stored, &[7; 16]).unwrap();
        assert_eq!(make(&stored, &[7; 16]).as_ref(), Some(&fingerprint));
        assert_ne!(make(&stored, &[8; 16]).as_ref(), Some(&fingerprint));
        assert_eq!((verify(&fingerprint, &stored), verify(&fingerprint, &other)), (Some(true), Some(false)));
        let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
        let as_hash = PasswordHash::from_stored(fingerprint);
        assert_eq!(hasher.verify(stored.as_str(), &as_hash).unwrap(), Verification::Valid);
        assert_eq!(hasher.verify(other.as_str(), &as_hash).unwrap(), Verification::Invalid);
        for odd in ["", "x", COST, "$argon2id$v=19$m=8,t=1,p=1$AA$AA", "$argon2id$v=19$m=65536,t=3,p=4$AA$AA"] {
            assert_eq!(verify(odd, &stored), None, "{odd}");
        }
    }
}
