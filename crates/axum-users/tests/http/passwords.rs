//! All of a password counts, as it was typed.

use axum_users::PasswordPolicy;
use proptest::prelude::*;
use serde_json::json;

use crate::people::{JWT, Person, World};

/// Accepts every length, so that nothing but the comparison decides.
fn world() -> World {
    let policy = PasswordPolicy::default().min_length(1).refuse_common(false).refuse_context(false);
    World::with(|builder| builder.password_policy(policy))
}

async fn registered(world: &World, email: &str, password: &str) -> Person {
    let nobody = world.nobody();
    let (status, answer) =
        nobody.json("POST", "/auth/register", &json!({ "email": email, "password": password })).await;
    assert_eq!(status, 201, "{answer}");
    nobody
}

/// Whether a login with this password succeeds; it fails in no other way than with a 400. None at all is no password: 422.
async fn logs_in(nobody: &Person, email: &str, password: &str) -> bool {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("username", email)
        .append_pair("password", password)
        .finish();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let status = nobody.raw("POST", &format!("{JWT}/login"), &headers, form).await.status().as_u16();
    let refusal = if password.is_empty() { 422 } else { 400 };
    assert!([200, refusal].contains(&status), "{status}");
    status == 200
}

#[tokio::test]
async fn pw_02_every_byte_counts() {
    let world = world();
    let long: String = (0..1024_u32).map(|it| char::from_u32(u32::from(b'a') + it * 7 % 26).unwrap()).collect();
    let mut pairs = Vec::new();
    for at in [0, 71, 72, 73, 127, 128, 255, 256, 1022, 1023] {
        let mut other = long.clone();
        other.replace_range(at..=at, "Z");
        pairs.push((long.clone(), other));
        pairs.push((long[..=at].to_owned(), long[..at].to_owned()));
    }
    for (one, other) in [
        ("plum tomato engine", "plum tomato engine "),
        ("plum tomato engine", " plum tomato engine"),
        ("plum tomato engine", "plum  tomato engine"),
        ("plum tomato engine", "plum\ttomato engine"),
        ("plum tomato engine", "plum+tomato+engine"),
        ("plum tomato engine", "Plum tomato engine"),
        ("plum tomato engine", "plum tomato engine\n"),
        ("plum tomato engine", "plum tomato engine\0"),
        ("café au lait", "cafe\u{301} au lait"),
        ("ｐｌｕｍ tomato", "plum tomato"),
        ("straße nach Rom", "strasse nach Rom"),
        ("plum%20tomato", "plum tomato"),
    ] {
        pairs.push((one.into(), other.into()));
        pairs.push((other.into(), one.into()));
    }
    for (number, (password, other)) in pairs.into_iter().enumerate() {
        let email = format!("a{number}@camelot.bt");
        let nobody = registered(&world, &email, &password).await;
        assert!(logs_in(&nobody, &email, &password).await, "{password:?}");
        assert!(!logs_in(&nobody, &email, &other).await, "{password:?} {other:?}");
    }
}

/// Another password, close to the first.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Append(char),
    Remove(prop::sample::Index),
    Replace(prop::sample::Index, char),
    Cut(usize),
    UpperCase,
}

impl Change {
    fn apply(&self, password: &str) -> String {
        let mut letters: Vec<char> = password.chars().collect();
        match self {
            Self::Nothing => {}
            Self::Append(letter) => letters.push(*letter),
            Self::Remove(at) => drop(letters.remove(at.index(letters.len()))),
            Self::Replace(at, letter) => *at.get_mut(&mut letters) = *letter,
            Self::Cut(bytes) => return password[..password.floor_char_boundary(*bytes)].to_owned(),
            Self::UpperCase => return password.to_uppercase(),
        }
        letters.into_iter().collect()
    }
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        Just(Change::Nothing),
        prop_oneof![Just(' '), Just('\u{301}'), Just('\u{200b}'), any::<char>()].prop_map(Change::Append),
        index().prop_map(Change::Remove),
        (index(), any::<char>()).prop_map(|(at, letter)| Change::Replace(at, letter)),
        prop_oneof![Just(72_usize), Just(128)].prop_map(Change::Cut),
        Just(Change::UpperCase),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pw_02_a_login_succeeds_with_the_same_password_only(
        password in prop_oneof!["\\PC{1,20}", "[ -~]{60,200}", "\\PC{1000,1024}"],
        change in change(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let other = change.apply(&password);
        runtime.block_on(async {
            let world = world();
            let nobody = registered(&world, "a@camelot.bt", &password).await;
            assert!(logs_in(&nobody, "a@camelot.bt", &password).await);
            assert_eq!(logs_in(&nobody, "a@camelot.bt", &other).await, other == password);
        });
    }
}
