//! Reads the stored text of a hash. It is untrusted: nothing here allocates more than the text is long, and costs are
//! held against the ceiling before anyone acts on them.

use argon2::{Algorithm, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::CostCeiling;

/// A stored hash that can be verified.
pub(super) enum Stored {
    Argon2(Argon2Hash),
    /// 60 characters, checked as far as this file goes; its two base64 parts are the `bcrypt` crate's.
    Bcrypt {
        cost: u32,
    },
}

pub(super) struct Argon2Hash {
    pub(super) algorithm: Algorithm,
    pub(super) version: Version,
    pub(super) memory_kib: u32,
    pub(super) iterations: u32,
    pub(super) parallelism: u32,
    pub(super) salt: Vec<u8>,
    pub(super) digest: Vec<u8>,
}

/// Why a stored text cannot be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("neither Argon2 nor bcrypt")]
    Unknown,
    #[error("damaged")]
    Damaged,
    #[error("more costly than the ceiling allows")]
    TooCostly,
}

/// Longer texts are not looked at. Argon2 of FastAPI Users has 97 characters, its column 1024.
const MAX_TEXT: usize = 4096;

pub(super) fn read(text: &str, ceiling: &CostCeiling) -> Result<Stored, Unusable> {
    if text.len() > MAX_TEXT {
        return Err(Unusable::Damaged);
    }
    let stored = if let Some(rest) = text.strip_prefix("$argon2") {
        Stored::Argon2(argon2(rest).ok_or(Unusable::Damaged)?)
    } else if let Some(rest) = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix)) {
        Stored::Bcrypt { cost: bcrypt(rest).ok_or(Unusable::Damaged)? }
    } else {
        return Err(Unusable::Unknown);
    };
    if stored.costs_more_than(ceiling) { Err(Unusable::TooCostly) } else { Ok(stored) }
}

impl Stored {
    fn costs_more_than(&self, ceiling: &CostCeiling) -> bool {
        match self {
            Self::Argon2(hash) => {
                hash.memory_kib > ceiling.memory_kib
                    || hash.iterations > ceiling.iterations
                    || hash.parallelism > ceiling.parallelism
            }
            Self::Bcrypt { cost } => *cost > ceiling.bcrypt_cost,
        }
    }
}

/// `id$v=19$m=65536,t=3,p=4$salt$digest`, after `$argon2`. Without `v=` it is version 16, as the reference wrote before
/// it had versions. Limits of RFC 9106 section 3.1; the salt has 8 bytes or more, as the reference wants.
fn argon2(text: &str) -> Option<Argon2Hash> {
    let (variant, rest) = text.split_once('$')?;
    let algorithm = match variant {
        "id" => Algorithm::Argon2id,
        "i" => Algorithm::Argon2i,
        "d" => Algorithm::Argon2d,
        _ => return None,
    };
    let (version, rest) = match rest.strip_prefix("v=").map(|rest| rest.split_once('$')) {
        None => (Version::V0x10, rest),
        Some(Some(("16", rest))) => (Version::V0x10, rest),
        Some(Some(("19", rest))) => (Version::V0x13, rest),
        Some(_) => return None,
    };
    let (costs, rest) = rest.split_once('$')?;
    let (memory_kib, costs) = costs.strip_prefix("m=")?.split_once(",t=")?;
    let (iterations, parallelism) = costs.split_once(",p=")?;
    let (salt, digest) = rest.split_once('$')?;
    let hash = Argon2Hash {
        algorithm,
        version,
        memory_kib: decimal(memory_kib)?,
        iterations: decimal(iterations)?,
        parallelism: decimal(parallelism)?,
        salt: STANDARD_NO_PAD.decode(salt).ok()?,
        digest: STANDARD_NO_PAD.decode(digest).ok()?,
    };
    let possible = hash.iterations >= 1
        && hash.parallelism >= 1
        && u64::from(hash.memory_kib) >= 8 * u64::from(hash.parallelism)
        && hash.salt.len() >= argon2::MIN_SALT_LEN
        && hash.digest.len() >= argon2::Params::MIN_OUTPUT_LEN;
    possible.then_some(hash)
}

/// `12$` and 53 characters, after `$2b$`; the cost is from 4 to 31.
fn bcrypt(text: &str) -> Option<u32> {
    let (cost, rest) = text.split_once('$')?;
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if cost.len() != 2 || rest.len() != 53 || !rest.bytes().all(base64) {
        return None;
    }
    let cost = decimal(cost.strip_prefix('0').unwrap_or(cost))?;
    (4..=31).contains(&cost).then_some(cost)
}

/// Digits only, no sign, no leading zero.
fn decimal(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: &str = "AAECAwQFBgcICQoLDA0ODw";
    const DIGEST: &str = "BYuf6nsWA5zmyuxS0C8BaeQl99zKaq8fCv84Lv5ZS+w";
    const TAIL: &str = "NHRzjjc0UCleAuVFokHEn.sMIsmd3ogFHp.lEXVcKFugtvXEPtgJ6";

    fn reads(text: &str) -> Result<(), Unusable> {
        read(text, &CostCeiling::default()).map(drop)
    }

    #[test]
    fn pw_11_damaged_texts_are_not_read() {
        let good = format!("$argon2id$v=19$m=65536,t=3,p=4${SALT}${DIGEST}");
        assert_eq!(reads(&good), Ok(()));
        let damaged = [
            good.replace("$argon2id$", "$argon2x$"),
            good.replace("$argon2id$", "$argon2id"),
            good.replace("v=19", "v=18"),
            good.replace("v=19", "v=019"),
            good.replace("v=19", "v="),
            good.replace("m=65536", "m=065536"),
            good.replace("m=65536", "m=+65536"),
            good.replace("m=65536", "m=-1"),
            good.replace("m=65536", "m="),
            good.replace("m=65536", "m=99999999999999999999"),
            good.replace("m=65536", "m=31"),
            good.replace("m=65536", "m=٦٥٥٣٦"),
            good.replace("t=3", "t=0"),
            good.replace("p=4", "p=0"),
            good.replace("m=65536,t=3", "t=3,m=65536"),
            good.replace("p=4", "p=4,data=AAAA"),
            good.replace(SALT, "AAECAwQFBg"),
            good.replace(SALT, ""),
            good.replace(SALT, &format!("{SALT}==")),
            good.replace(DIGEST, "AAAA"),
            good.replace(DIGEST, "jqUnLB"),
            good.replace(DIGEST, "é"),
            good.replace(DIGEST, ""),
            format!("{good}\n"),
            format!("{good}$"),
            format!("{good} "),
            good.replace(DIGEST, &DIGEST.repeat(100)),
            "$argon2id$v=19$m=65536,t=3,p=4".to_owned(),
            format!("$2b$03${TAIL}"),
            format!("$2b$32${TAIL}"),
            format!("$2b$4${TAIL}"),
            format!("$2b$+4${TAIL}"),
            format!("$2b$004${TAIL}"),
            format!("$2b$04${}", TAIL.get(1..).unwrap()),
            format!("$2b$04${TAIL}."),
            format!("$2b$04${TAIL}\n"),
            format!("$2b$04${}é", TAIL.get(..51).unwrap()),
        ];
        for text in damaged {
            assert_eq!(reads(&text), Err(Unusable::Damaged), "{text:?}");
        }
        for text in ["", "!", "$", "$2$04$", "$6$rounds=5000$c2FsdA$abc", " $argon2id$", "é", "$2ä$", "$argon"] {
            assert_eq!(reads(text), Err(Unusable::Unknown), "{text:?}");
        }
    }

    #[test]
    fn pw_11_costs_are_held_against_the_ceiling() {
        let ceiling = CostCeiling::default().memory_kib(1024).iterations(3).parallelism(2).bcrypt_cost(5);
        for (costs, expected) in [
            ("m=1024,t=3,p=2", Ok(())),
            ("m=1025,t=3,p=2", Err(Unusable::TooCostly)),
            ("m=1024,t=4,p=2", Err(Unusable::TooCostly)),
            ("m=1024,t=3,p=3", Err(Unusable::TooCostly)),
            ("m=4294967295,t=4294967295,p=4294967", Err(Unusable::TooCostly)),
        ] {
            let text = format!("$argon2id$v=19${costs}${SALT}${DIGEST}");
            assert_eq!(read(&text, &ceiling).map(drop), expected, "{costs}");
        }
        assert_eq!(read(&format!("$2b$05${TAIL}"), &ceiling).map(drop), Ok(()));
        assert_eq!(read(&format!("$2b$06${TAIL}"), &ceiling).map(drop), Err(Unusable::TooCostly));
    }

    proptest! {
        #[test]
        fn pw_11_no_text_upsets_the_reader(text in r"\$(argon2|2)[a-z]{0,2}\$.{0,80}|\PC{0,80}|(\$argon2id\$|v=19\$|m=[0-9]{0,12},|t=3,|p=4|\$|[A-Za-z0-9+/é]{0,90}){0,9}") {
            let _ = reads(&text);
        }

        #[test]
        fn pw_11_what_is_read_is_within_the_ceiling(m: u32, t: u32, p: u32) {
            let text = format!("$argon2id$m={m},t={t},p={p}${SALT}${DIGEST}");
            if let Ok(Stored::Argon2(hash)) = read(&text, &CostCeiling::default()) {
                prop_assert!(hash.memory_kib <= 131_072 && hash.iterations <= 16 && hash.parallelism <= 64);
            }
        }
    }
}
