//! Hashes that other systems wrote, and ours.
#![expect(clippy::unwrap_used, reason = "a test fails by panic, its helpers too")]

use axum_users_core::{
    password::{
        Argon2Params, CostCeiling, DefaultHasher, ParamsError, PasswordHash, PasswordHasher as _, ValidatedPassword,
        Verification,
    },
    secret::Secret,
};
use proptest::prelude::*;

const CURRENT: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$BYuf6nsWA5zmyuxS0C8BaeQl99zKaq8fCv84Lv5ZS+w";
const BCRYPT: &str = "$2b$04$NHRzjjc0UCleAVuFokHEn.sMIsmd3ogFHp.lEXVcKFugtvXEPtgJ6";

fn cheap() -> DefaultHasher {
    DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap())
}

fn hash(hasher: &DefaultHasher, password: &str) -> PasswordHash {
    hasher.hash(&ValidatedPassword::danger_unchecked(Secret::from(password))).unwrap()
}

fn verify(hasher: &DefaultHasher, password: &str, stored: impl Into<String>) -> Verification {
    hasher.verify(password, &PasswordHash::from_stored(stored.into())).unwrap()
}

/// Recorded with FastAPI Users' hashers (argon2-cffi and bcrypt through pwdlib). `refused` is a login that fails there,
/// as a wrong password or as an error.
#[test]
fn pw_10_recorded_hashes_verify_and_upgrade() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/password_hashes.json")).unwrap();
    let hasher = DefaultHasher::default();
    let wrong = ["wrong password", "bcrypt wrong password", "bcrypt, password with NUL against other hash"];
    let long = "bcrypt 73 byte password against any bcrypt hash";
    for vector in vectors.as_array().unwrap() {
        let [name, password, stored, expect] =
            ["name", "password", "hash", "expect"].map(|key| vector.get(key).unwrap().as_str().unwrap());
        let expected = match expect {
            "valid" => Verification::Valid,
            "outdated" => Verification::ValidButOutdated,
            _ if name == long || wrong.contains(&name) => Verification::Invalid,
            _ => Verification::Unusable,
        };
        assert_eq!(verify(&hasher, password, stored), expected, "{name}");
        if expected.is_valid() {
            assert_eq!(verify(&hasher, &format!("{password}!"), stored), Verification::Invalid, "{name}, one more");
        }
    }
    assert_eq!(vectors.as_array().unwrap().len(), 50);
}

/// Written by argon2-cffi, the reference implementation: salts, digests and lanes of unusual sizes.
#[test]
fn pw_10_argon2_of_any_shape_verifies() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/argon2_shapes.json")).unwrap();
    let hasher = cheap();
    for vector in vectors.as_array().unwrap() {
        let [name, password, stored] =
            ["name", "password", "hash"].map(|key| vector.get(key).unwrap().as_str().unwrap());
        assert_eq!(verify(&hasher, password, stored), Verification::ValidButOutdated, "{name}");
        assert_eq!(verify(&hasher, "lancelot", stored), Verification::Invalid, "{name}");
    }
}

#[test]
fn pw_09_default_hashes_have_the_form_of_fastapi_users() {
    let hasher = DefaultHasher::default();
    let (one, two) = (hash(&hasher, "guinevere"), hash(&hasher, "guinevere"));
    assert!(one.as_str().starts_with("$argon2id$v=19$m=65536,t=3,p=4$"));
    assert_eq!(one.as_str().len(), 97);
    assert_ne!(one.as_str(), two.as_str(), "the salt is random");
    assert_eq!(hasher.verify("guinevere", &one).unwrap(), Verification::Valid);
    assert_eq!(hasher.verify("Guinevere", &one).unwrap(), Verification::Invalid);
}

#[test]
fn pw_09_parameters_below_the_floor_are_refused() {
    assert_eq!(Argon2Params::new(19_455, 2, 1), Err(ParamsError::BelowFloor));
    assert_eq!(Argon2Params::new(19_456, 1, 1), Err(ParamsError::BelowFloor));
    assert_eq!(Argon2Params::new(19_456, 2, 0), Err(ParamsError::Impossible));
    assert_eq!(Argon2Params::new(19_456, 2, 256), Err(ParamsError::Impossible));
    assert_eq!(Argon2Params::new(19_456, 2, 1), Ok(Argon2Params::FLOOR));
    assert_eq!(Argon2Params::danger_below_floor(31, 1, 4), Err(ParamsError::Impossible));
    assert_eq!(Argon2Params::danger_below_floor(8, 0, 1), Err(ParamsError::Impossible));
    assert_eq!(Argon2Params::danger_below_floor(u32::MAX, 1, u32::MAX), Err(ParamsError::Impossible));
}

#[test]
fn pw_10_every_change_of_parameters_makes_a_hash_outdated() {
    let with = |m, t, p| DefaultHasher::new(Argon2Params::danger_below_floor(m, t, p).unwrap());
    let stored = hash(&with(64, 2, 2), "guinevere");
    assert_eq!(with(64, 2, 2).verify("guinevere", &stored).unwrap(), Verification::Valid);
    for (m, t, p) in [(65, 2, 2), (63, 2, 2), (64, 3, 2), (64, 1, 2), (64, 2, 1), (64, 2, 3)] {
        let answer = with(m, t, p).verify("guinevere", &stored).unwrap();
        assert_eq!(answer, Verification::ValidButOutdated, "m={m},t={t},p={p}");
    }
}

/// Nothing of what a stored text asks for may be allocated: the largest would need 4 TiB.
#[test]
fn pw_11_absurd_costs_are_refused_before_allocation() {
    let costs =
        ["m=4294967295,t=1,p=1", "m=131073,t=1,p=1", "m=8,t=4294967295,p=1", "m=8,t=17,p=1", "m=131072,t=1,p=65"];
    for cost in costs {
        let stored = CURRENT.replace("m=65536,t=3,p=4", cost);
        assert_eq!(verify(&cheap(), "guinevere", stored), Verification::Unusable, "{cost}");
    }
    assert_eq!(verify(&cheap(), "guinevere", BCRYPT.replace("$04$", "$31$")), Verification::Unusable);
}

#[test]
fn pw_11_the_ceiling_is_configurable_and_never_below_ones_own_cost() {
    let low = CostCeiling::default().memory_kib(8).iterations(1).parallelism(1).bcrypt_cost(4);
    let hasher = cheap().ceiling(low);
    assert_eq!(verify(&hasher, "guinevere", CURRENT), Verification::Unusable);
    assert_eq!(verify(&hasher, "guinevere", BCRYPT), Verification::ValidButOutdated);
    let hasher = cheap().ceiling(low.bcrypt_cost(3));
    assert_eq!(verify(&hasher, "guinevere", BCRYPT), Verification::Unusable);

    let own = DefaultHasher::new(Argon2Params::danger_below_floor(64, 2, 2).unwrap()).ceiling(low);
    let stored = hash(&own, "guinevere");
    assert_eq!(own.verify("guinevere", &stored).unwrap(), Verification::Valid);
}

#[test]
fn pw_11_damaged_hashes_are_refused_without_panic() {
    for text in [CURRENT, BCRYPT] {
        for (at, _) in text.char_indices() {
            for replacement in ["", "é", "\0", "%", "~", "\u{1f511}"] {
                let damaged = format!("{}{replacement}{}", &text[..at], &text[at + 1..]);
                let cheaper = damaged.replace("m=65536,t=3,p=4", "m=8,t=1,p=1");
                assert!(!verify(&cheap(), "guinevere", cheaper).is_valid(), "{damaged:?}");
            }
        }
    }
    for text in ["é".repeat(30), "$".repeat(60), "$2b$04$".repeat(10), "x".repeat(1 << 20)] {
        assert_eq!(verify(&cheap(), "guinevere", text), Verification::Unusable);
    }
}

#[test]
fn pw_10_bcrypt_sees_no_more_than_72_bytes() {
    let stored = "$2b$04$CXiT4ZBHl6Q47DlkZqvFkuQZFehHs36kKNOTm8aLfPaevD9asPDlq";
    assert_eq!(verify(&cheap(), &"a".repeat(72), stored), Verification::ValidButOutdated);
    assert_eq!(verify(&cheap(), &"a".repeat(71), stored), Verification::Invalid);
    for longer in [73, 74, 100, 5000] {
        assert_eq!(verify(&cheap(), &"a".repeat(longer), stored), Verification::Invalid, "{longer}");
    }
}

#[test]
fn pw_02_every_byte_of_a_password_matters() {
    let hasher = cheap();
    let base = "x".repeat(1024);
    let stored = hash(&hasher, &base);
    for at in [0, 71, 72, 73, 127, 128, 1022, 1023] {
        let mut other = base.clone();
        other.replace_range(at..=at, "y");
        assert_eq!(hasher.verify(&other, &stored).unwrap(), Verification::Invalid, "byte {at}");
    }
    for (one, two) in [
        ("guinevere", "guinevere "),
        ("guinevere", " guinevere"),
        ("pässwörd", "pa\u{308}sswo\u{308}rd"),
        ("a\0b", "a\0c"),
        ("a\0b", "a"),
        ("ABC", "abc"),
        ("\u{ff41}", "a"),
    ] {
        assert_eq!(hasher.verify(two, &hash(&hasher, one)).unwrap(), Verification::Invalid, "{one:?} {two:?}");
    }
}

#[test]
fn cr_04_a_hash_prints_redacted() {
    let stored = hash(&cheap(), "guinevere");
    assert!(!format!("{stored:?} {stored:#?}").contains("argon2"));
    let password = ValidatedPassword::danger_unchecked(Secret::from("guinevere"));
    assert!(!format!("{password:?} {password:#?}").contains("guinevere"));
}

#[test]
fn av_01_threads_and_memory_stay_within_the_budget() {
    const MIB: usize = 1 << 20;
    let default = DefaultHasher::default();
    // One of the threads may hold 128 MiB, the others 64 each.
    for (budget, threads) in [(0, 1), (64 * MIB, 1), (191 * MIB, 1), (192 * MIB, 2), (256 * MIB, 3), (1024 * MIB, 15)] {
        assert_eq!(default.concurrency_within(budget), threads, "{budget}");
    }
    let tight = DefaultHasher::default().ceiling(CostCeiling::default().memory_kib(65_536));
    assert_eq!(tight.concurrency_within(256 * MIB), 4);
}

#[test]
fn generated_passwords_differ() {
    let (one, two) = (cheap().generate(), cheap().generate());
    assert_eq!(one.expose().len(), 43);
    assert!(!one.ct_eq(two.expose()));
}

proptest! {
    #[test]
    fn pw_02_a_login_succeeds_with_the_same_bytes_only(one in any::<String>(), two in any::<String>()) {
        let hasher = cheap();
        let stored = hash(&hasher, &one);
        prop_assert_eq!(hasher.verify(&one, &stored).unwrap(), Verification::Valid);
        prop_assert_eq!(hasher.verify(&two, &stored).unwrap().is_valid(), one == two);
    }
}
