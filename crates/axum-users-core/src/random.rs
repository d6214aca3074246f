//! Randomness: the one file that asks the operating system for it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Fills `bytes` with randomness from the operating system.
///
/// # Panics
/// If the operating system has none to give. A server that went on would hand out tokens that can be guessed, and no
/// caller has a better answer, so this is not an error that every signature carries. On Linux (`getrandom(2)`) it does
/// not happen once the system is up; where it does, the request ends in a 500 and nothing was issued.
pub fn fill(bytes: &mut [u8]) {
    #[expect(clippy::disallowed_methods, reason = "this function is what the rest of the house calls")]
    let filled = getrandom::fill(bytes);
    if let Err(error) = filled {
        #[expect(clippy::panic, reason = "see `# Panics`: going on would be worse")]
        {
            panic!("the operating system gave no randomness: {error}");
        }
    }
}

/// A token that cannot be guessed: 32 random bytes (256 bits) as 43 characters of base64url without padding
/// (RFC 4648 section 5).
#[must_use]
pub fn token() -> Secret {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(bytes.as_mut());
    Secret::from(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
}

/// 16 bytes in base64url without padding, 22 characters: to tell things apart. Not a secret.
#[must_use]
pub fn short_token() -> String {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A random UUID, version 4 (RFC 9562 section 5.4).
#[must_use]
pub fn uuid_v4() -> Uuid {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// The bytes of an object id that is drawn at `now` (Unix seconds): the seconds, and 64 random bits.
#[must_use]
pub(crate) fn object_id(now: i64) -> [u8; 12] {
    let mut bytes = [0; 12];
    let (seconds, rest) = bytes.split_at_mut(4);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "32 bits, around after 2106 as MongoDB's own"
    )]
    seconds.copy_from_slice(&(now as u32).to_be_bytes());
    fill(rest);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn se_01_a_million_tokens_differ_and_no_bit_is_favoured() {
        const TOKENS: usize = 1_000_000;
        let mut seen = HashSet::with_capacity(TOKENS);
        // How often each value was seen at each place.
        let mut counts = [[0_u32; 256]; 32];
        for _ in 0..TOKENS {
            let token: [u8; 32] = URL_SAFE_NO_PAD.decode(token().expose()).unwrap().try_into().unwrap();
            for (byte, counts) in token.iter().zip(&mut counts) {
                counts[usize::from(*byte)] += 1;
            }
            assert!(seen.insert(token), "twice");
        }
        for (place, counts) in counts.iter().enumerate() {
            for bit in 0..8 {
                let ones: u32 =
                    counts.iter().enumerate().filter(|(byte, _)| byte >> bit & 1 == 1).map(|(_, it)| it).sum();
                // 2 per cent are 40 standard deviations.
                assert!((480_000..=520_000).contains(&ones), "bit {bit} of byte {place}: {ones}");
            }
        }
    }

    #[test]
    fn tokens_have_43_characters_of_base64url_and_differ() {
        let tokens: HashSet<String> = (0..1000).map(|_| token().expose().to_owned()).collect();
        assert_eq!(tokens.len(), 1000);
        for token in tokens {
            assert_eq!(token.len(), 43);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        }
    }

    #[test]
    fn uuids_are_version_4_and_differ() {
        let ids: HashSet<Uuid> = (0..1000).map(|_| uuid_v4()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.get_version_num() == 4 && id.get_variant() == uuid::Variant::RFC4122));
    }
}
