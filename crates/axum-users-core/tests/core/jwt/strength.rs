//! Secrets that are no secrets.

use std::time::Duration;

use axum_users_core::{
    JwtStrategy,
    jwt::{JwtKey, JwtKeys, WeakSecret, check_secret},
};
use base64::Engine as _;
use proptest::prelude::*;

use super::{SECRET, key_pair, public_pem};

const WEAK: &[(WeakSecret, &[&str])] = &[
    (WeakSecret::Missing, &["", " ", "\n", "\t \r\n"]),
    (
        WeakSecret::Published,
        &[
            "SECRET",
            "secret",
            "Secret!",
            "changeme",
            "change-me",
            "CHANGE_ME",
            "ChangeThis",
            "your-secret-key",
            "YOUR_SECRET_KEY_HERE",
            "your-256-bit-secret",
            "supersecret",
            "super-secret-key",
            "password",
            "keyboard cat",
            "test",
            "a-string-secret-at-least-256-bits-long",
            "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
            "09D25E094FAA6CA2556C818166B7A9563B93F7099F6F0F4CAA6CF63B88E8D3E7\n",
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        ],
    ),
    (WeakSecret::TooShort, &["x", "hunter2", "5f1c0d1e9a7b42c8b6d3e0f4a1972c5", "Tr0ub4dor&3", "éééééééééééééé"]),
    (
        WeakSecret::Repeated,
        &[
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "00000000000000000000000000000000000000000000000000000000000000000000",
            "abababababababababababababababababab",
            "0123456789012345678901234567890123456789",
            "SECRETSECRETSECRETSECRETSECRETSECRET",
            "abbabaabbaababbabaababbaabbabaabbaabab",
            "changemechangemechangemechangeme",
            "5f1c0d1e9a7b42c85f1c0d1e9a7b42c8",
            "5f1c0d1e9a7b42c8b6d3e0f4a1972c5.5f1c0d1e9a7b42c8b6d3e0f4a1972c5.",
        ],
    ),
    (
        WeakSecret::Guessable,
        &[
            "SECRET-SECRET-SECRET-SECRET-SECRET-0123456789",
            "my-super-secret-key-for-development",
            "please-change-me-in-production-123",
            "ThisIsMyVerySecretKeyForTheApplication2024!",
            "this is a very long secret string for jwt signing",
            "super_secret_key_that_should_be_changed",
            "insert-your-own-random-secret-string-here",
            "                                x                                ",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "qwertyuiopasdfghjklzxcvbnm1234567890",
            "1234567890123456789012345678901x",
            "zyxwvutsrqponmlkjihgfedcba9876543210",
            "kingarthurofcamelotrulestheroundtable",
            "KING ARTHUR OF CAMELOT RULES THE TABLE",
            "correct horse battery staple and one more",
            "password-password-Password-PASSWORD-1",
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbcccccccccccccccc",
            "development-secret-do-not-use-in-production",
            "fastapi-users-reset-password-token-secret",
            "dont-tell-anyone-this-secret-key-please-2026",
            "11111111222222223333333344444444555555556",
            "deadbeefdeadbeefcafebabecafebabe00000000",
        ],
    ),
];

#[test]
fn jw_06_weak_secrets_are_refused_without_being_told() {
    for (why, secrets) in WEAK {
        for secret in *secrets {
            assert_eq!(check_secret(secret.as_bytes()), Err(*why), "{secret:?}");
            let message = why.to_string().to_lowercase();
            assert!(secret.trim().len() < 8 || !message.contains(&secret.trim().to_lowercase()), "{message}");
        }
    }
}

#[test]
fn cr_01_every_short_word_and_every_repetition_is_refused() {
    for word in ["secret", "changeme", "hunter2", "x", "pa55w0rd!", "9f3c", "9f3ca71e5b0d", "Zk3-pQ8_vT"] {
        for length in 1..200 {
            let secret: String = word.chars().cycle().take(length).collect();
            assert!(check_secret(secret.as_bytes()).is_err(), "{secret:?}");
        }
    }
    for byte in 0..=u8::MAX {
        assert!(check_secret(&[byte; 64]).is_err(), "{byte}");
        let run: Vec<_> = (0..64).map(|step| byte.wrapping_add(step)).collect();
        assert!(check_secret(&run).is_err(), "from {byte}");
    }
}

#[test]
fn jw_06_the_half_of_a_key_pair_is_no_secret() {
    for secret in [
        public_pem("RS256"),
        format!("\n{}", public_pem("EdDSA")),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl".to_owned(),
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#.to_owned(),
    ] {
        assert_eq!(check_secret(secret.as_bytes()), Err(WeakSecret::AsymmetricKey), "{secret}");
    }
    assert!(WeakSecret::AsymmetricKey.is_unusable() && WeakSecret::Missing.is_unusable());
    assert!(!WeakSecret::TooShort.is_unusable() && !WeakSecret::Guessable.is_unusable());
}

#[test]
fn jw_06_a_random_secret_may_begin_as_a_public_key_does() {
    for start in ["ssh-", "sk-ssh-", "ecdsa-sha2-"] {
        assert_eq!(
            check_secret(format!("{start}0q7Kx2vR9mT4wZ8nB6cY3hJ5gL1dFpQs_aUeXi").as_bytes()),
            Ok(()),
            "{start}"
        );
    }
}

#[test]
fn jw_06_keys_are_judged_before_a_strategy_has_them() {
    let lifetime = Duration::from_secs(900);
    let strong = || JwtKey::hs256(SECRET);
    assert!(JwtStrategy::with_keys(JwtKeys::new(strong()), lifetime).is_ok());
    let weak = JwtKeys::new(strong()).previous(JwtKey::hs256(b"hunter2"));
    assert_eq!(JwtStrategy::with_keys(weak.clone(), lifetime).unwrap_err(), WeakSecret::TooShort);
    assert!(
        JwtStrategy::danger_weak_keys(weak, lifetime).is_ok()
            && JwtStrategy::danger_weak_secret(b"x", lifetime).is_ok()
    );
    for unusable in [&b""[..], b" \n", b"-----BEGIN PUBLIC KEY-----\nMIIB"] {
        let expected = check_secret(unusable).unwrap_err();
        assert_eq!(JwtStrategy::new(unusable, lifetime).unwrap_err(), expected);
        assert_eq!(JwtStrategy::danger_weak_secret(unusable, lifetime).unwrap_err(), expected);
        // Whichever key of the ring it is, and whatever is wrong with those before it.
        let ring = JwtKeys::new(JwtKey::hs256(b"hunter2")).previous(JwtKey::hs256(unusable));
        assert_eq!(JwtStrategy::danger_weak_keys(ring, lifetime).unwrap_err(), expected);
    }
}

#[test]
fn jw_06_one_weak_key_makes_the_ring_weak() {
    let strong = JwtKey::hs256(SECRET);
    assert_eq!(strong.check_strength(), Ok(()));
    assert_eq!(JwtKey::hs256(b"SECRET").check_strength(), Err(WeakSecret::Published));
    let pair = key_pair(axum_users_core::jwt::JwtAlgorithm::Rs256);
    let ring = JwtKeys::new(pair).previous(strong);
    assert_eq!(ring.check_strength(), Ok(()));
    assert_eq!(ring.previous(JwtKey::hs256(b"hunter2")).check_strength(), Err(WeakSecret::TooShort));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    /// What generators print: hexadecimal digits, base64, base64url, letters and digits, bytes.
    #[test]
    fn jw_06_random_secrets_are_accepted(bytes in any::<[u8; 32]>(), text in "[A-Za-z0-9]{43}", marks in "[!-~]{32}") {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let standard = base64::engine::general_purpose::STANDARD.encode(bytes);
        for secret in [hex.as_bytes(), hex.to_uppercase().as_bytes(), standard.as_bytes(), &bytes] {
            prop_assert_eq!(check_secret(secret), Ok(()), "{:?}", secret);
        }
        prop_assert_eq!(check_secret(super::b64(bytes).as_bytes()), Ok(()));
        prop_assert_eq!(check_secret(text.as_bytes()), Ok(()), "{}", text);
        prop_assert_eq!(check_secret(marks.as_bytes()), Ok(()), "{}", marks);
    }

    /// The check takes any bytes.
    #[test]
    fn jw_06_any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let answer = check_secret(&bytes);
        prop_assert!(bytes.len() >= 32 || answer.is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    /// 128 random bits in 32 hexadecimal digits are enough; an estimate may err, but rarely.
    #[test]
    fn jw_06_short_hexadecimal_secrets_are_accepted(secrets in prop::collection::vec("[0-9a-f]{32}", 100)) {
        let refused = secrets.iter().filter(|secret| check_secret(secret.as_bytes()).is_err()).count();
        prop_assert!(refused <= 2, "{refused} of 100");
    }
}
