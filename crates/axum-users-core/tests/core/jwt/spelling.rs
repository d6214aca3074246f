//! One spelling for a token.

use std::borrow::Cow;

use axum_users_core::jwt::{Claims, JwtAlgorithm, JwtError, JwtKey, JwtKeys, MAX_TOKEN_BYTES, Validation, canonical};
use base64::Engine as _;
use proptest::prelude::*;

use super::{HEADER, LOGIN, NOW, SECRET, b64, decode, forge, forge_claims, key_pair, refused, sign};

#[test]
fn jw_09_padding_follows_the_contract_and_changes_no_name() {
    let token = token();
    let padded = format!("{token}=");
    // FastAPI Users accepts `=` where it completes a group of four, so we do; `canonical_only` does not.
    decode(&padded).unwrap();
    let strict = Validation::audience(LOGIN).canonical_only();
    let keys = JwtKeys::new(JwtKey::hs256(SECRET));
    assert_eq!(keys.decode(&padded, &strict, NOW).unwrap_err(), JwtError::Malformed);
    keys.decode(&token, &strict, NOW).unwrap();
    // Ended in one spelling, ended in all.
    assert_eq!(canonical(&token), canonical(&padded));

    for wrong in [format!("{token}=="), format!("{token}==="), format!("{token}===="), format!("={token}")] {
        refused(&wrong, JwtError::Malformed);
    }
    // 64 bytes of signature end in two.
    let pair = JwtKeys::new(key_pair(JwtAlgorithm::EdDsa));
    let token = pair.encode(&claims()).unwrap();
    let login = Validation::audience(LOGIN);
    pair.decode(&format!("{token}=="), &login, NOW).unwrap();
    assert_eq!(pair.decode(&format!("{token}="), &login, NOW).unwrap_err(), JwtError::Malformed);
    // Padding in what is signed is part of what is signed.
    let (header, rest) = token.split_once('.').unwrap();
    let moved = format!("{header}{}.{rest}", "=".repeat((4 - header.len() % 4) % 4));
    assert!(moved == token || pair.decode(&moved, &login, NOW).is_err());
}

#[test]
fn jw_09_both_forms_of_an_ecdsa_signature_are_one_token() {
    let keys = JwtKeys::new(key_pair(JwtAlgorithm::Es256));
    let token = keys.encode(&claims()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = super::URL_SAFE_NO_PAD.decode(signature).unwrap();
    // n - s, by hand: the order of P-256.
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51_u8,
    ];
    let mut borrow = 0;
    for (byte, order) in signature[32..].iter_mut().zip(order).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let other = format!("{signed}.{}", b64(signature));
    assert_ne!(token, other);
    keys.decode(&other, &Validation::audience(LOGIN), NOW).unwrap();
    assert_eq!(canonical(&token), canonical(&other));
}

#[test]
fn jw_09_segments_whitespace_and_alphabet_are_exact() {
    let token = token();
    for wrong in [
        format!("{token}.x"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{token}"),
        token.replacen('.', "..", 1),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("\u{feff}{token}"),
        format!("{token}\0"),
        format!("Bearer {token}"),
        token.replacen('.', ". ", 1),
        token.replacen('.', "\r\n.", 1),
        token.replace('.', "。"),
        token.replacen('e', "é", 1),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "a.b.c".to_owned(),
        "abc".to_owned(),
    ] {
        assert!(decode(&wrong).is_err(), "{wrong:?}");
    }
    // Rightly signed, so that only the form is left to refuse it.
    let (header, payload) = (b64(HEADER), b64(payload()));
    for wrong in [
        format!("{header}.{payload}.{payload}"),
        format!("{header}..{payload}"),
        format!("{header}.{payload}\n"),
        format!("{header}. {payload}"),
        format!("{header}.{payload}=="),
        format!("{header}\n.{payload}"),
    ] {
        refused(&sign(&wrong, SECRET), JwtError::Malformed);
    }
    // The last character of a signature of 32 bytes has two bits that must be zero, one of a payload four or two.
    let last = token.pop_last();
    assert_eq!(decode(&last).unwrap_err(), JwtError::Malformed);
    // The standard alphabet.
    let (signed, signature) = token.split_last_segment();
    let standard = signature.replace('-', "+").replace('_', "/");
    assert!(standard == signature || decode(&format!("{signed}.{standard}")).unwrap_err() == JwtError::Malformed);
}

#[test]
fn jw_09_names_are_unique_and_text_is_utf_8() {
    let exp = NOW + 60;
    for payload in [
        format!(r#"{{"sub":"x","sub":"7","aud":"{LOGIN}","exp":{exp}}}"#),
        format!(r#"{{"sub":"7","aud":"{LOGIN}","exp":1,"exp":{exp}}}"#),
        format!(r#"{{"sub":"7","aud":"{LOGIN}","exp":{exp},"\u0065xp":{exp}}}"#),
        format!(r#"{{"sub":"7","aud":"{LOGIN}","exp":{exp},"a":1,"a":1}}"#),
        format!("\u{feff}{{\"sub\":\"7\",\"aud\":\"{LOGIN}\",\"exp\":{exp}}}"),
        format!(r#"{{"sub":"7","aud":"{LOGIN}","exp":{exp}}}{{}}"#),
        format!(r#"{{"sub":"7","aud":"{LOGIN}","exp":{exp},}}"#),
        format!(r#"{{"sub":"\ud800","aud":"{LOGIN}","exp":{exp}}}"#),
        format!(r#"{{"sub":"7","aud":"{LOGIN}","exp":{exp},"a":NaN}}"#),
        format!(r#"{{"sub":"7","aud":"{LOGIN}","exp":{exp},"a":{}1{}}}"#, "[".repeat(500), "]".repeat(500)),
        "null".to_owned(),
        r#""text""#.to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
        String::new(),
    ] {
        refused(&forge(HEADER, &payload), JwtError::Malformed);
    }
    let utf16: Vec<u8> = payload().encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(&forge(HEADER, utf16), JwtError::Malformed);
    refused(&forge(HEADER, b"{\"sub\":\"\xff\"}"), JwtError::Malformed);
    refused(&forge(HEADER, b"{\"sub\":\"\xc0\xaf\"}"), JwtError::Malformed);
    for header in [r#"{"alg":"HS256","alg":"HS256"}"#, r#"{"alg":"none","alg":"HS256"}"#, r#"["HS256"]"#, "null", ""] {
        refused(&forge(header, payload()), JwtError::Malformed);
    }
    // Blanks between are the sender's, and signed.
    decode(&forge(r#"{ "alg" : "HS256" }"#, format!(" {} \n", payload()))).unwrap();
}

#[test]
fn jw_09_the_length_is_bounded_before_any_work() {
    let filled = |bytes: usize| {
        let token = forge_claims(&format!(r#","exp":{},"a":"{}""#, NOW + 60, "x".repeat(bytes)));
        (token.len() <= MAX_TOKEN_BYTES, token)
    };
    let (fits, token) = filled(5_900);
    assert!(fits);
    decode(&token).unwrap();
    let (fits, token) = filled(6_200);
    assert!(!fits);
    refused(&token, JwtError::TooLong);
    refused(&"=".repeat(1 << 20), JwtError::TooLong);
}

#[test]
fn jw_09_a_canonical_form_is_stable_and_leaves_opaque_tokens_alone() {
    let opaque = "kP2rH5mXw9bTq1vZ8nYc4dLs7fJg0aEiUoRxWyNhBtM";
    assert!(matches!(canonical(opaque), Cow::Borrowed(text) if text == opaque));
    let token = token();
    assert!(token.starts_with(&*canonical(&token)));
    for text in [&*token, "", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "a=.b=.c=", "=", "a..", "..a"] {
        assert_eq!(canonical(&canonical(text)), canonical(text), "{text}");
    }
    assert_ne!(canonical("a.b.c.d"), canonical("a.b.c"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any change of a token is no token, but for the documented padding.
    #[test]
    fn jw_09_no_mutant_verifies(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4)) {
        let token = token();
        let mut mutant = token.clone().into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(mutant.len().max(1));
            match kind {
                0 => mutant[at] = byte,
                1 => mutant[at] ^= 1 << (byte % 8),
                2 => mutant.insert(at, byte),
                _ => { mutant.remove(at); }
            }
        }
        if let Ok(mutant) = String::from_utf8(mutant) && mutant != token {
            prop_assert!(decode(&mutant).is_err() || mutant == format!("{token}="), "{}", mutant);
        }
    }

    /// Nothing that is thrown at the codec makes it panic, and nothing verifies.
    #[test]
    fn jw_09_junk_is_refused(junk in "\\PC{0,200}", dots in "[A-Za-z0-9_=-]{0,40}\\.[A-Za-z0-9_=-]{0,40}\\.[A-Za-z0-9_=-]{0,40}") {
        prop_assert!(decode(&junk).is_err());
        prop_assert!(decode(&dots).is_err());
        prop_assert_eq!(canonical(&canonical(&junk)).into_owned(), canonical(&junk).into_owned());
    }

    /// What is written is read, whatever text it holds.
    #[test]
    fn jw_09_round_trip(sub in "\\PC{0,40}", extra in any::<i64>(), name in "[a-z_]{1,8}") {
        prop_assume!(!["sub", "aud", "exp", "iat", "nbf", "jti", "iss"].contains(&&*name));
        let keys = JwtKeys::new(JwtKey::hs256(SECRET));
        let token = keys.encode(&claims().with("sub", &*sub).with(&name, extra)).unwrap();
        let found = keys.decode(&token, &Validation::audience(LOGIN).canonical_only(), NOW).unwrap();
        prop_assert_eq!(found.subject(), Some(&*sub));
        prop_assert_eq!(found.integer(&name), Some(extra));
        prop_assert_eq!(keys.encode(&found).unwrap(), token);
    }
}

fn claims() -> Claims {
    Claims::new().with("sub", "7").with("aud", vec![LOGIN]).with("exp", NOW + 60)
}

fn payload() -> String {
    format!(r#"{{"sub":"7","aud":["{LOGIN}"],"exp":{}}}"#, NOW + 60)
}

fn token() -> String {
    forge(HEADER, payload())
}

trait Cut {
    fn pop_last(&self) -> String;
    fn split_last_segment(&self) -> (String, String);
}

impl Cut for String {
    /// The last character, one further in the alphabet: other trailing bits, the same bytes to a lenient reader.
    fn pop_last(&self) -> String {
        let (rest, last) = self.split_at(self.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = (alphabet.find(last).unwrap() + 1) % 64;
        format!("{rest}{}", &alphabet[next..=next])
    }
    fn split_last_segment(&self) -> (String, String) {
        let (signed, signature) = self.rsplit_once('.').unwrap();
        (signed.to_owned(), signature.to_owned())
    }
}
