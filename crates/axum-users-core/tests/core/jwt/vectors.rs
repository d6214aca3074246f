//! The tokens of FastAPI Users, and its answers.

use axum_users_core::jwt::{Claims, JwtAlgorithm, JwtError, JwtKey, JwtKeys, Validation};
use serde_json::Value;

use super::{LOGIN, NOW, key_pair, recorded};

/// Where we answer another way than what was recorded, and why.
const REFUSED_HERE: &[(&str, JwtError, &str)] = &[
    ("exp missing", JwtError::Claims, "JW-03: exp is mandatory; `danger_accept_without_exp` accepts it"),
    ("exp numeric string", JwtError::Claims, "JW-03: exp is an integer; neither system writes anything else"),
    ("exp float", JwtError::Claims, "JW-03: exp is an integer; neither system writes anything else"),
    ("exp very large", JwtError::Claims, "JW-03: exp is an integer of 64 bits; neither system can write a later one"),
    ("payload duplicate key, last wins", JwtError::Malformed, "JW-09: one reading; neither system writes a name twice"),
];

/// Where the codec accepts what a login refuses after it: the strategy parses the id.
const REFUSED_BY_THE_STRATEGY: &[&str] = &["sub missing", "sub not a UUID", "sub empty"];

#[test]
fn jw_01_the_login_matrix_of_fastapi_users_holds() {
    let recorded = recorded();
    let keys = JwtKeys::new(secret(&recorded, "main"));
    let validation = Validation::audience(LOGIN);
    let rows = recorded["login_validation"].as_array().unwrap();
    assert_eq!(rows.len(), 73);
    for row in rows {
        let (name, token) = (row["name"].as_str().unwrap(), row["token"].as_str().unwrap());
        let found = keys.decode(token, &validation, NOW);
        if let Some((_, why, reason)) = REFUSED_HERE.iter().find(|(known, ..)| *known == name) {
            assert_eq!(row["accepted"], true, "{name} is no difference");
            assert_eq!(found.unwrap_err(), *why, "{name}: {reason}");
        } else if REFUSED_BY_THE_STRATEGY.contains(&name) {
            assert_eq!(row["accepted"], false, "{name} is no difference");
            assert!(uuid::Uuid::parse_str(found.unwrap().subject().unwrap_or_default()).is_err(), "{name}");
        } else {
            assert_eq!(row["accepted"].as_bool(), Some(found.is_ok()), "{name}: {found:?}");
        }
    }
    for name in REFUSED_HERE.iter().map(|row| row.0).chain(REFUSED_BY_THE_STRATEGY.iter().copied()) {
        assert!(rows.iter().any(|row| row["name"] == name), "{name}");
    }
}

#[test]
fn jw_01_every_issued_token_is_read_and_written_again_byte_by_byte() {
    let recorded = recorded();
    for row in recorded["issued"].as_array().unwrap() {
        let (name, token) = (row["name"].as_str().unwrap(), row["token"].as_str().unwrap());
        let keys = JwtKeys::new(key_of(&recorded, row));
        let audiences = row["audience"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        let validation = Validation::audiences(audiences);
        let expected = row["expected"].as_str().unwrap();
        let payload: Value = serde_json::from_str(row["payload_json"].as_str().unwrap()).unwrap();
        let found = keys.decode(token, &validation, NOW);
        if payload["exp"].is_null() {
            assert_eq!(found.unwrap_err(), JwtError::Claims, "{name}: only behind the flag");
            keys.decode(token, &validation.danger_accept_without_exp(), NOW).expect(name);
        } else if expected.contains("expired") || expected.contains("EXPIRED") {
            assert_eq!(found.unwrap_err(), JwtError::Expired, "{name}");
        } else {
            let claims = found.expect(name);
            assert!(expected.starts_with("accepted"), "{name}");
            assert_eq!(claims.subject(), payload["sub"].as_str(), "{name}");
            // What we write for the same claims; an ECDSA signature is another each time.
            let ours = keys.encode(&claims).unwrap();
            let signed = |token: &str| token.rsplit_once('.').unwrap().0.to_owned();
            assert_eq!(signed(&ours), signed(token), "{name}");
            if !name.contains("ES256") {
                assert_eq!(ours, token, "{name}");
            }
            keys.decode(&ours, &validation, NOW).expect(name);
        }
    }
}

#[test]
fn jw_04_claims_are_written_in_the_order_given_and_ours_after_theirs() {
    let keys = JwtKeys::new(JwtKey::hs256(super::SECRET).kid("2026-11"));
    let claims = Claims::new()
        .with("sub", "7")
        .with("aud", vec![LOGIN])
        .with("exp", NOW + 3600)
        .with("iat", NOW)
        .with("iss", "https://camelot.bt");
    let token = keys.encode(&claims).unwrap();
    let text = |segment: usize| {
        let segment = token.split('.').nth(segment).unwrap();
        String::from_utf8(base64::Engine::decode(&super::URL_SAFE_NO_PAD, segment).unwrap()).unwrap()
    };
    assert_eq!(text(0), r#"{"alg":"HS256","kid":"2026-11","typ":"JWT"}"#);
    assert_eq!(
        text(1),
        r#"{"sub":"7","aud":["fastapi-users:auth"],"exp":1800003600,"iat":1800000000,"iss":"https://camelot.bt"}"#
    );
    let names: Vec<_> = claims.iter().map(|(name, _)| name).collect();
    assert_eq!(format!("{claims:?}"), format!("{{{}}}", names.map_quoted()));
}

#[test]
fn rc_05_a_token_of_one_purpose_is_none_of_another() {
    let keys = JwtKeys::new(JwtKey::hs256(super::SECRET));
    let purposes = [LOGIN, "fastapi-users:verify", "fastapi-users:reset", "fastapi-users:oauth-state"];
    for made_for in purposes {
        let shapes: [Value; 2] = [made_for.into(), vec![made_for].into()];
        for audience in shapes {
            let claims = Claims::new().with("sub", "7").with("aud", audience).with("exp", NOW + 60);
            let token = keys.encode(&claims).unwrap();
            for shown_to in purposes {
                let found = keys.decode(&token, &Validation::audience(shown_to), NOW).map(|_| ());
                assert_eq!(found, if made_for == shown_to { Ok(()) } else { Err(JwtError::Audience) });
            }
        }
    }
}

fn key_of(recorded: &Value, row: &Value) -> JwtKey {
    let header: Value = serde_json::from_str(row["header_json"].as_str().unwrap()).unwrap();
    let algorithm: JwtAlgorithm = header["alg"].as_str().unwrap().parse().unwrap();
    match row["secret"].as_str().unwrap() {
        name @ ("main" | "short") => {
            JwtKey::from_secret(algorithm, recorded["secrets"][name].as_str().unwrap().as_bytes()).unwrap()
        }
        _ => key_pair(algorithm),
    }
}

fn secret(recorded: &Value, name: &str) -> JwtKey {
    JwtKey::hs256(recorded["secrets"][name].as_str().unwrap().as_bytes())
}

trait Quoted {
    fn map_quoted(&self) -> String;
}

impl Quoted for Vec<&str> {
    fn map_quoted(&self) -> String {
        self.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
    }
}
