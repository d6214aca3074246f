//! What is in a JWT.

use std::time::Duration;

use axum_users::{
    AuthBackend, BearerTransport, JwtStrategy, UserProfile, Users,
    jwt::{Claims, JwtKey, JwtKeys, Validation},
    memory::MemoryStore,
};
use serde_json::{Value, json};

use crate::people::{JWT, PASSWORD, Person, cheap, visitor};

const SECRET: &[u8] = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u";
const AUDIENCE: &str = "fastapi-users:auth";

/// Two columns that no token should tell of.
#[derive(Clone, Debug, UserProfile)]
struct Member {
    first_name: String,
}

/// An application with one strategy, and the token of somebody who logged in there.
async fn token<P: UserProfile>(strategy: JwtStrategy, more: &Value) -> (Person, JwtKeys) {
    let backend = AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), strategy);
    let users = Users::<P>::builder(MemoryStore::new()).passwords(cheap()).backend(backend).build().unwrap();
    let mut body = json!({ "email": "a@camelot.bt", "password": PASSWORD });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(visitor(&users).json("POST", "/auth/register", &body).await.0, 201);
    let person = visitor(&users).logged_in("a@camelot.bt", PASSWORD, JWT).await;
    (person, JwtKeys::new(JwtKey::hs256(SECRET)))
}

fn strategy() -> JwtStrategy {
    JwtStrategy::new(SECRET, Duration::from_secs(900)).unwrap()
}

fn now() -> i64 {
    axum_users::Clock::system().unix()
}

#[tokio::test]
async fn jw_10_the_claims_are_the_documented_ones_and_tell_nothing_of_the_person() {
    for (strategy, documented) in [
        (strategy(), &["sub", "aud", "exp", "iat", "sid"][..]),
        (strategy().explicit_type(), &["sub", "aud", "exp", "iat", "sid"]),
        (strategy().issuer("https://camelot.bt"), &["sub", "aud", "exp", "iat", "sid", "iss"]),
        (strategy().danger_without_lifetime(), &["sub", "aud", "iat", "sid"]),
    ] {
        let (person, keys) = token::<Member>(strategy, &json!({ "first_name": "Lancelot" })).await;
        let validation = Validation::audience(AUDIENCE).danger_accept_without_exp();
        let claims = keys.decode(person.token(), &validation, now()).unwrap();
        let names: Vec<&str> = claims.iter().map(|(name, _)| name).collect();
        assert_eq!(names, documented);
        assert_eq!(claims.subject(), Some(person.id().await.as_str()));
    }
}

#[tokio::test]
async fn jw_05_an_explicit_type_is_written_and_asked_for() {
    let (person, keys) = token::<()>(strategy().explicit_type(), &json!({})).await;
    assert!(person.is_known().await);
    assert!(keys.decode(person.token(), &Validation::audience(AUDIENCE).typ("at+jwt"), now()).is_ok());
    let (plain, _) = token::<()>(strategy(), &json!({})).await;
    assert!(plain.is_known().await);
    assert!(keys.decode(plain.token(), &Validation::audience(AUDIENCE).typ("JWT"), now()).is_ok());

    let access_token = ["at+jwt", "AT+JWT", "application/at+jwt"];
    for (who, accepts_all) in [(&person, false), (&plain, true)] {
        let claims: Claims = keys.decode(who.token(), &Validation::audience(AUDIENCE), now()).unwrap();
        for typ in ["JWT", "at+jwt", "AT+JWT", "application/at+jwt", "reset+jwt", "verify+jwt", "at", ""] {
            let forged = keys.encode_as(typ, &claims).unwrap();
            let same = Person { header: Some(("authorization", format!("Bearer {forged}"))), ..who.clone() };
            assert_eq!(same.is_known().await, accepts_all || access_token.contains(&typ), "{typ:?}");
        }
    }
}
