//! Keys: their kinds, their names, their change.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum_users_core::jwt::{Claims, JwtAlgorithm, JwtError, JwtKey, JwtKeys, KeyError, Validation};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{LOGIN, NOW, SECRET, key_pair, public_pem, recorded};

#[test]
fn jw_07_a_change_of_keys_logs_nobody_out() {
    let (old, new) = (JwtKey::hs256(SECRET), JwtKey::hs256(b"0b9e4d7c2a6f81539c0d7e4b2f6a8135").kid("new"));
    let before = JwtKeys::new(old.clone());
    let during = JwtKeys::new(new.clone()).previous(old.clone().until(NOW + 10));
    let after = JwtKeys::new(new);
    let login = Validation::audience(LOGIN);
    let (old_token, new_token) = (before.encode(&claims()).unwrap(), during.encode(&claims()).unwrap());

    for (keys, token, now, expected) in [
        (&before, &old_token, NOW, Ok(())),
        (&during, &old_token, NOW, Ok(())),
        (&during, &old_token, NOW + 9, Ok(())),
        (&during, &old_token, NOW + 10, Err(JwtError::Signature)),
        (&after, &old_token, NOW, Err(JwtError::Signature)),
        (&before, &new_token, NOW, Err(JwtError::Signature)),
        (&during, &new_token, NOW + 10, Ok(())),
        (&after, &new_token, NOW, Ok(())),
    ] {
        assert_eq!(keys.decode(token, &login, now).map(|_| ()), expected);
    }
}

#[test]
fn jw_07_a_known_kid_chooses_the_key_and_an_unknown_one_does_not_matter() {
    let (a, b) = (JwtKey::hs256(SECRET), JwtKey::hs256(b"0b9e4d7c2a6f81539c0d7e4b2f6a8135"));
    let login = Validation::audience(LOGIN);
    let signed_by_a = |kid: &str| JwtKeys::new(a.clone().kid(kid)).encode(&claims()).unwrap();
    let ring = JwtKeys::new(a.clone().kid("a")).previous(b.kid("b")).previous(key_pair(JwtAlgorithm::Rs256).kid("rsa"));
    ring.decode(&signed_by_a("a"), &login, NOW).unwrap();
    ring.decode(&signed_by_a("unknown"), &login, NOW).unwrap();
    ring.decode(&JwtKeys::new(a.clone()).encode(&claims()).unwrap(), &login, NOW).unwrap();
    for other in ["b", "rsa"] {
        assert_eq!(ring.decode(&signed_by_a(other), &login, NOW).unwrap_err(), JwtError::Signature);
    }
}

#[test]
fn jw_07_keys_of_several_kinds_verify_side_by_side() {
    let pairs = [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa];
    let ring = pairs.iter().fold(JwtKeys::new(JwtKey::hs256(SECRET)), |ring, it| ring.previous(key_pair(*it)));
    for algorithm in pairs {
        let token = JwtKeys::new(key_pair(algorithm)).encode(&claims()).unwrap();
        ring.decode(&token, &Validation::audience(LOGIN), NOW).unwrap();
    }
    // RSA keys also sign the others of their family.
    for algorithm in
        [JwtAlgorithm::Rs384, JwtAlgorithm::Rs512, JwtAlgorithm::Ps256, JwtAlgorithm::Ps384, JwtAlgorithm::Ps512]
    {
        let keys = JwtKeys::new(pair("RS256", algorithm).unwrap());
        let token = keys.encode(&claims()).unwrap();
        keys.decode(&token, &Validation::audience(LOGIN), NOW).unwrap();
        assert_eq!(ring.decode(&token, &Validation::audience(LOGIN), NOW).unwrap_err(), JwtError::Algorithm);
    }
}

#[test]
fn jw_01_a_public_key_verifies_and_does_not_sign() {
    for algorithm in [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa] {
        let public = JwtKey::public_from_pem(algorithm, public_pem(algorithm.as_str()).as_bytes()).unwrap();
        assert_eq!(public.check_strength(), Ok(()));
        let public = JwtKeys::new(public);
        let token = JwtKeys::new(key_pair(algorithm)).encode(&claims()).unwrap();
        public.decode(&token, &Validation::audience(LOGIN), NOW).unwrap();
        assert_eq!(public.encode(&claims()), Err(KeyError::VerifyOnly));
    }
}

#[test]
fn jw_01_a_wrong_key_shows_at_start() {
    use JwtAlgorithm::{EdDsa, Es256, Es384, Hs256, Rs256};
    let malformed = |algorithm| Some(KeyError::Malformed(algorithm));
    for (keys_of, algorithm, expected) in [
        ("RS256", Es256, malformed(Es256)),
        ("ES256", Es384, malformed(Es384)),
        ("ES256", Rs256, malformed(Rs256)),
        ("EdDSA", Es256, malformed(Es256)),
        ("RS256", Hs256, Some(KeyError::WrongKind(Hs256))),
        ("EdDSA", EdDsa, None),
    ] {
        assert_eq!(pair(keys_of, algorithm).err(), expected, "{keys_of} for {algorithm}");
    }
    assert_eq!(JwtKey::from_secret(Rs256, SECRET).err(), Some(KeyError::WrongKind(Rs256)));
    for junk in [&b""[..], b"secret", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &[0xff; 64]] {
        assert_eq!(JwtKey::public_from_pem(Rs256, junk).err(), malformed(Rs256));
        assert_eq!(JwtKey::eddsa(junk, public_pem("EdDSA").as_bytes()).err(), malformed(EdDsa));
    }
    // A private key where the public one belongs would spread it.
    for algorithm in [Rs256, Es256, EdDsa] {
        let private = recorded()["keys"][algorithm.as_str()]["private_pem"].as_str().unwrap().to_owned();
        assert_eq!(JwtKey::public_from_pem(algorithm, private.as_bytes()).err(), malformed(algorithm));
    }
    // Halves of two pairs; under 2048 bits.
    assert_eq!(JwtKey::es256(private_pem("ES256").as_bytes(), OTHER_P256.as_bytes()).err(), Some(KeyError::Mismatch));
    assert_eq!(JwtKey::public_from_pem(Rs256, RSA_1024.as_bytes()).err(), malformed(Rs256));
}

#[test]
fn cr_04_a_key_prints_without_itself() {
    for key in [JwtKey::hs256(SECRET).kid("a").until(5), key_pair(JwtAlgorithm::EdDsa)] {
        let printed = format!("{key:?} {:?}", JwtKeys::new(key.clone()).previous(key.clone()));
        assert!(printed.contains("JwtKey {"));
        assert!(!printed.contains("5f1c") && !printed.contains("[53,") && !printed.contains("content"), "{printed}");
    }
}

#[test]
fn jw_01_algorithms_have_their_names() {
    for name in
        ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
    {
        assert_eq!(name.parse::<JwtAlgorithm>().unwrap().to_string(), name);
    }
    for name in ["none", "", "hs256", "HS256 ", "ES512"] {
        assert!(name.parse::<JwtAlgorithm>().is_err());
    }
}

fn claims() -> Claims {
    Claims::new().with("sub", "7").with("aud", vec![LOGIN]).with("exp", NOW + 3600)
}

fn pair(keys_of: &str, algorithm: JwtAlgorithm) -> Result<JwtKey, KeyError> {
    JwtKey::from_pem(algorithm, private_pem(keys_of).as_bytes(), public_pem(keys_of).as_bytes())
}

fn private_pem(keys_of: &str) -> String {
    recorded()["keys"][keys_of]["private_pem"].as_str().unwrap().to_owned()
}

const OTHER_P256: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwjJrXEMjOAOxsCObAj59E4yhAlOj\n\
35PNMd3rQBTJXuYuX+rnsfcSyKeK/qpLfYqHs3Z+sHb91k2EVZ3k1atYQg==\n\
-----END PUBLIC KEY-----\n";

const RSA_1024: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC6X1WXt7DA8ubtzvWIurLZVN8n\n\
r/GZQBUcu7L5c17RjtJlUWhkMF2g3XdGEQPF7zS9/zBO7xqDXdk6cIyEcz6GB+pB\n\
DiuPmnDAE6picESxjWgZkA+BPeiFjQM/HwDYwNeOSKF3q5rJS9RDH1DxKcxODwuM\n\
TWQWsHP2uitQXNMbOwIDAQAB\n\
-----END PUBLIC KEY-----\n";

/// A private key in PEM, and the public one as an issuer publishes it.
fn published() -> (String, Value) {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new());
    let der = der.unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    (
        pem,
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k", "use": "sig", "alg": "ES256", "key_ops": ["verify"] }),
    )
}

#[test]
fn jw_01_a_published_key_verifies_what_its_private_one_signed() {
    let (pem, jwk) = published();
    let signing = JwtKeys::new(JwtKey::es256_private(pem.as_bytes()).unwrap().kid("k"));
    let token = signing.encode(&claims()).unwrap();
    let login = Validation::audience(LOGIN);
    for without in ["", "alg", "use", "kid"] {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove(without);
        let public = JwtKeys::new(JwtKey::public_from_jwk(&jwk).unwrap());
        public.decode(&token, &login, NOW).unwrap();
        assert_eq!(public.encode(&claims()).unwrap_err(), KeyError::VerifyOnly);
    }
    let other = JwtKeys::new(JwtKey::public_from_jwk(&published().1).unwrap());
    assert_eq!(other.decode(&token, &login, NOW).unwrap_err(), JwtError::Signature);
    for no_key in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert!(matches!(JwtKey::es256_private(no_key.as_bytes()), Err(KeyError::Malformed(_))), "{no_key}");
    }
}

#[test]
fn jw_01_a_published_key_that_is_none_for_signatures_is_not_one() {
    let (_, good) = published();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        JwtKey::public_from_jwk(&jwk).unwrap_err()
    };
    for (name, value) in [
        ("use", json!("enc")),
        ("kty", json!("oct")),
        ("kty", json!("RSA")),
        ("kty", json!(7)),
        ("crv", json!("secp256k1")),
        ("crv", json!("P-384")),
        ("alg", json!("HS256")),
        ("alg", json!("none")),
        ("alg", json!("RS256")),
        ("alg", json!("ES384")),
    ] {
        assert_eq!(with(name, value.clone()), KeyError::NotForSignatures, "{name} {value}");
    }
    for (name, value) in [("x", json!("")), ("x", json!("AAAA")), ("y", Value::Null), ("x", json!("!"))] {
        let mut jwk = good.clone();
        jwk[name] = value;
        let unusable = JwtKey::public_from_jwk(&jwk)
            .ok()
            .is_none_or(|key| JwtKeys::new(key).decode("e30.e30.AA", &Validation::audience(LOGIN), NOW).is_err());
        assert!(unusable);
    }
    // RFC 7518, 3.3: 2048 bits at least, whatever stands before them.
    let rsa = |bytes: Vec<u8>| json!({ "kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(bytes) });
    for short in [vec![255; 128], vec![255; 255], [vec![0; 200], vec![255; 128]].concat(), Vec::new()] {
        assert!(matches!(JwtKey::public_from_jwk(&rsa(short)).unwrap_err(), KeyError::Malformed(_)));
    }
    let key = JwtKey::public_from_jwk(&rsa(vec![255; 256])).unwrap();
    assert_eq!(key.algorithm(), JwtAlgorithm::Rs256);
    for odd in [Value::Null, json!([]), json!("x"), json!({})] {
        assert_eq!(JwtKey::public_from_jwk(&odd).unwrap_err(), KeyError::NotForSignatures);
    }
}
