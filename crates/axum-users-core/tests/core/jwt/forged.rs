//! Tokens that somebody made up.

use aws_lc_rs::hmac;
use axum_users_core::jwt::{Claims, JwtAlgorithm, JwtError, JwtKey, JwtKeys, LEEWAY_SECONDS, Validation};
use serde_json::json;

use super::{
    HEADER, LOGIN, NOW, SECRET, b64, decode, decode_at, forge, forge_claims, forge_header, key_pair, public_pem,
    refused, sign,
};

#[test]
fn jw_01_the_header_does_not_choose_the_algorithm() {
    let names = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "hs256",
        "HS256 ",
        " HS256",
        "HS256\\u0000",
        "HS384",
        "HS512",
        "HS1",
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "Ed25519",
        "dir",
        "A256GCM",
        "RSA-OAEP",
    ];
    for name in names {
        // Rightly signed with our secret, and not signed at all.
        let token = forge_header(&format!(r#"{{"alg":"{name}","typ":"JWT"}}"#));
        refused(&token, JwtError::Algorithm);
        refused(&format!("{}.", token.rsplit_once('.').unwrap().0), JwtError::Algorithm);
    }
    for value in ["null", "true", "256", r#"["HS256"]"#, r#"{"HS256":1}"#, r#"["none","HS256"]"#] {
        refused(&forge_header(&format!(r#"{{"alg":{value},"typ":"JWT"}}"#)), JwtError::Algorithm);
    }
    refused(&forge_header(r#"{"typ":"JWT"}"#), JwtError::Algorithm);
    refused(&forge_header(r#"{"Alg":"HS256"}"#), JwtError::Algorithm);
}

#[test]
fn jw_01_a_public_key_is_no_secret() {
    let pem = public_pem("RS256");
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    let payload = b64(format!(r#"{{"sub":"7","aud":["{LOGIN}"],"exp":{}}}"#, NOW + 60));
    let login = Validation::audience(LOGIN);
    let pair = JwtKeys::new(key_pair(JwtAlgorithm::Rs256));
    let only_public = JwtKey::public_from_pem(JwtAlgorithm::Rs256, pem.as_bytes()).unwrap();
    // A secret and a key pair side by side, as while one moves from the one to the other.
    let both = JwtKeys::new(key_pair(JwtAlgorithm::Rs256)).previous(JwtKey::hs256(SECRET));
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), &der, b""] {
        for name in ["HS256", "RS256", "none"] {
            let token = sign(&format!("{}.{payload}", b64(format!(r#"{{"alg":"{name}"}}"#))), secret);
            let (why, why_both) = match name {
                "HS256" => (JwtError::Algorithm, JwtError::Signature),
                "RS256" => (JwtError::Signature, JwtError::Signature),
                _ => (JwtError::Algorithm, JwtError::Algorithm),
            };
            assert_eq!(pair.decode(&token, &login, NOW).unwrap_err(), why);
            assert_eq!(JwtKeys::new(only_public.clone()).decode(&token, &login, NOW).unwrap_err(), why);
            assert_eq!(both.decode(&token, &login, NOW).unwrap_err(), why_both);
        }
    }
    // And the reverse: what the pair signed, relabelled for the secret.
    let claims = Claims::new().with("sub", "7").with("aud", LOGIN).with("exp", NOW + 60);
    let token = pair.encode(&claims).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let relabelled = format!("{}.{}.{signature}", b64(HEADER), signed.split_once('.').unwrap().1);
    assert_eq!(both.decode(&relabelled, &login, NOW).unwrap_err(), JwtError::Signature);
    both.decode(&token, &login, NOW).unwrap();
}

#[test]
fn jw_01_no_key_comes_from_the_header() {
    let theirs = b"a key that the sender brings along 0123456789";
    let payload = b64(format!(r#"{{"sub":"7","aud":["{LOGIN}"],"exp":{}}}"#, NOW + 60));
    let headers = [
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": b64(theirs)}}),
        json!({"alg": "HS256", "jwk": {"kty": "oct", "alg": "HS256", "k": b64(theirs), "kid": "x"}, "kid": "x"}),
        json!({"alg": "HS256", "jku": "https://mordred.example/keys"}),
        json!({"alg": "HS256", "jku": "file:///dev/null", "kid": "x"}),
        json!({"alg": "HS256", "x5u": "https://mordred.example/cert"}),
        json!({"alg": "HS256", "x5c": [b64(theirs)]}),
        json!({"alg": "HS256", "kid": "../../../../dev/null"}),
        json!({"alg": "HS256", "kid": "x' UNION SELECT 'key"}),
        json!({"alg": "HS256", "kid": "| id"}),
        json!({"alg": "HS256", "kid": ""}),
        json!({"alg": "HS256", "kid": "\u{0}"}),
    ];
    for header in headers {
        for secret in [&theirs[..], b"", b"\0", b"key"] {
            refused(&sign(&format!("{}.{payload}", b64(header.to_string())), secret), JwtError::Signature);
        }
    }
    // With our secret these members are ignored, as FastAPI Users does.
    decode(&forge_header(r#"{"alg":"HS256","jku":"https://mordred.example","x5c":[],"foo":{"alg":"none"}}"#)).unwrap();
}

#[test]
fn jw_01_a_kid_is_text() {
    for kid in ["5", "null", "true", r#"["a"]"#, r#"{"a":1}"#] {
        refused(&forge_header(&format!(r#"{{"alg":"HS256","kid":{kid}}}"#)), JwtError::Header);
    }
    decode(&forge_header(r#"{"alg":"HS256","kid":"unknown"}"#)).unwrap();
}

#[test]
fn jw_02_no_extension_is_understood() {
    for more in [
        r#""crit":[]"#,
        r#""crit":["foo"],"foo":1"#,
        r#""crit":["exp"]"#,
        r#""crit":["alg"]"#,
        r#""crit":["b64"],"b64":true"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":"b64","b64":false"#,
        r#""crit":null"#,
        r#""crit":{}"#,
        r#""b64":false"#,
        r#""b64":"false""#,
        r#""b64":0"#,
        r#""b64":null"#,
    ] {
        refused(&forge_header(&format!(r#"{{"alg":"HS256",{more}}}"#)), JwtError::Header);
    }
    decode(&forge_header(r#"{"alg":"HS256","b64":true}"#)).unwrap();
    // An unencoded and a detached payload (RFC 7797).
    let header = b64(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#);
    refused(&sign(&format!("{header}.{{\"sub\":\"7\"}}"), SECRET), JwtError::Header);
    refused(&sign(&format!("{header}."), SECRET), JwtError::Header);
}

#[test]
fn jw_03_exp_is_an_integer_and_later_than_now() {
    for exp in [
        "null",
        "true",
        "false",
        r#""1900000000""#,
        r#""soon""#,
        "1900000000.5",
        "1900000000.0",
        "1.9e9",
        "1e300",
        "-1",
        "-1e300",
        "9223372036854775808",
        "100000000000000000000",
        "[1900000000]",
        r#"{"a":1900000000}"#,
        "-0.0",
        "-9223372036854775808",
    ] {
        refused(&forge_claims(&format!(r#","exp":{exp}"#)), JwtError::Claims);
    }
    refused(&forge_claims(""), JwtError::Claims);
    for exp in [0, 1, NOW - 1, NOW] {
        refused(&forge_claims(&format!(r#","exp":{exp}"#)), JwtError::Expired);
    }
    for exp in [NOW + 1, 4_102_444_800, i64::MAX] {
        decode(&forge_claims(&format!(r#","exp":{exp}"#))).unwrap();
    }
    // A clock before 1970 lets no negative date in.
    assert_eq!(decode_at(&forge_claims(r#","exp":-1"#), -5).unwrap_err(), JwtError::Claims);
}

#[test]
fn jw_03_iat_and_nbf_are_integers_at_most_thirty_seconds_ahead() {
    assert_eq!(LEEWAY_SECONDS, 30);
    let exp = NOW + 3600;
    for name in ["iat", "nbf"] {
        for junk in ["null", "true", r#""1""#, "1.5", "1e3", "[]", "{}", "9223372036854775808"] {
            refused(&forge_claims(&format!(r#","exp":{exp},"{name}":{junk}"#)), JwtError::Claims);
        }
        for past in [i64::MIN, -1, 0, NOW - 1, NOW, NOW + 1, NOW + 30] {
            decode(&forge_claims(&format!(r#","exp":{exp},"{name}":{past}"#))).unwrap();
        }
        for future in [NOW + 31, i64::MAX] {
            refused(&forge_claims(&format!(r#","exp":{exp},"{name}":{future}"#)), JwtError::NotYetValid);
        }
    }
    // The leeway adds nothing to the life of a token.
    refused(&forge_claims(&format!(r#","exp":{NOW},"iat":{}"#, NOW - 3600)), JwtError::Expired);
}

#[test]
fn jw_03_a_token_without_exp_needs_the_flag_and_is_checked_all_the_same() {
    let keys = JwtKeys::new(JwtKey::hs256(SECRET));
    let flagged = Validation::audience(LOGIN).danger_accept_without_exp();
    keys.decode(&forge_claims(""), &flagged, NOW).unwrap();
    let found = |more: &str| keys.decode(&forge_claims(more), &flagged, NOW).unwrap_err();
    assert_eq!(found(r#","exp":null"#), JwtError::Claims);
    assert_eq!(found(r#","exp":1"#), JwtError::Expired);
    assert_eq!(found(r#","exp":"1900000000""#), JwtError::Claims);
    assert_eq!(found(r#","nbf":1900000000"#), JwtError::NotYetValid);
}

#[test]
fn jw_04_audience_and_issuer_are_exact() {
    let with = |aud: &str| forge(HEADER, format!(r#"{{"sub":"7","aud":{aud},"exp":{}}}"#, NOW + 60));
    for aud in [
        "null",
        "3",
        "true",
        "{}",
        "[]",
        r#""""#,
        r#"[""]"#,
        r#""fastapi-users""#,
        r#""fastapi-users:auth ""#,
        r#""FASTAPI-USERS:AUTH""#,
        r#"["fastapi-users:verify"]"#,
        r#"["fastapi-users:auth",3]"#,
        r#"[["fastapi-users:auth"]]"#,
        r#"{"fastapi-users:auth":1}"#,
        r#""fastapi-users:auth,x""#,
        r#"["fastapi-users:auth",null]"#,
    ] {
        refused(&with(aud), JwtError::Audience);
    }
    refused(&forge(HEADER, format!(r#"{{"sub":"7","exp":{}}}"#, NOW + 60)), JwtError::Audience);
    decode(&with(r#"["x","fastapi-users:auth"]"#)).unwrap();
    // An empty audience is nobody's, also when somebody accepts it.
    let keys = JwtKeys::new(JwtKey::hs256(SECRET));
    assert_eq!(keys.decode(&with(r#""""#), &Validation::audience(""), NOW).unwrap_err(), JwtError::Audience);
    let none = Validation::audiences(Vec::<String>::new());
    assert_eq!(keys.decode(&with(r#""fastapi-users:auth""#), &none, NOW).unwrap_err(), JwtError::Audience);

    let strict = Validation::audience(LOGIN).issuer("https://camelot.bt");
    let issued = |iss: &str| forge_claims(&format!(r#","exp":{}{iss}"#, NOW + 60));
    keys.decode(&issued(r#","iss":"https://camelot.bt""#), &strict, NOW).unwrap();
    for iss in
        ["", r#","iss":"https://camelot.bt/""#, r#","iss":null"#, r#","iss":["https://camelot.bt"]"#, r#","iss":"""#]
    {
        assert_eq!(keys.decode(&issued(iss), &strict, NOW).unwrap_err(), JwtError::Issuer, "{iss}");
        decode(&issued(iss)).unwrap();
    }
}

#[test]
fn jw_05_an_explicit_type_can_be_demanded() {
    let keys = JwtKeys::new(JwtKey::hs256(SECRET));
    let strict = Validation::audience(LOGIN).typ("at+jwt");
    let claims = Claims::new().with("sub", "7").with("aud", LOGIN).with("exp", NOW + 60);
    keys.decode(&keys.encode_as("at+jwt", &claims).unwrap(), &strict, NOW).unwrap();
    for typ in [r#""AT+JWT""#, r#""application/at+jwt""#] {
        keys.decode(&forge_header(&format!(r#"{{"alg":"HS256","typ":{typ}}}"#)), &strict, NOW).unwrap();
    }
    for header in [HEADER, r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","typ":["at+jwt"]}"#, r#"{"alg":"HS256","typ":""}"#] {
        assert_eq!(keys.decode(&forge_header(header), &strict, NOW).unwrap_err(), JwtError::Header, "{header}");
        decode(&forge_header(header)).unwrap();
    }
}

#[test]
fn jw_03_sub_and_jti_are_text() {
    let exp = NOW + 60;
    for junk in ["null", "5", "true", "[]", "{}"] {
        refused(&forge_claims(&format!(r#","exp":{exp},"jti":{junk}"#)), JwtError::Claims);
        refused(&forge(HEADER, format!(r#"{{"sub":{junk},"aud":"{LOGIN}","exp":{exp}}}"#)), JwtError::Claims);
    }
    decode(&forge_claims(&format!(r#","exp":{exp},"jti":"a""#))).unwrap();
}

#[test]
fn jw_01_the_signature_comes_before_the_claims() {
    let signed = |payload: &[u8]| format!("{}.{}", b64(HEADER), b64(payload));
    for payload in [&b"not json"[..], b"\xff", b"[]", b"{\"exp\":1}"] {
        refused(&sign(&signed(payload), b"another secret"), JwtError::Signature);
    }
    // Not even base64.
    refused(&sign(&format!("{}.!!", b64(HEADER)), b"another secret"), JwtError::Signature);
    refused(&sign(&format!("{}.!!", b64(HEADER)), SECRET), JwtError::Malformed);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed(b"{}").as_bytes());
    for cut in [0, 1, 16, 31] {
        refused(&format!("{}.{}", signed(b"{}"), b64(&tag.as_ref()[..cut])), JwtError::Signature);
    }
}
