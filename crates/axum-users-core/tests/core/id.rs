//! Ids of users.

use axum_users_core::{AccountId, Kind, ObjectId, UserId};
use proptest::prelude::*;
use uuid::Uuid;

use crate::vectors;

/// Spellings that the recorded system reads and we do not, with the reason.
const NOT_CANONICAL: [(&str, &str); 16] = [
    ("urn:4fd3477b-eccf-4ee3-8f7d-68ad72261476", "half a prefix"),
    ("{{4fd3477b-eccf-4ee3-8f7d-68ad72261476}}", "two pairs of braces"),
    ("4fd3477becc-f4ee38f7d68ad7226-1476", "hyphens elsewhere"),
    ("----4fd3477beccf4ee38f7d68ad72261476", "hyphens elsewhere"),
    ("0xd3477beccf4ee38f7d68ad72261476", "hexadecimal prefix in place of digits"),
    ("4_d3477beccf4ee38f7d68ad72261476", "underscore in place of a digit"),
    ("+fd3477beccf4ee38f7d68ad72261476", "sign in place of a digit"),
    (" 4fd3477beccf4ee38f7d68ad7226147", "blank in place of a digit"),
    ("４fd3477beccf4ee38f7d68ad72261476", "digits outside ASCII"),
    ("+1", "sign"),
    (" 1 ", "blanks"),
    ("1_000", "underscore"),
    ("٣", "digits outside ASCII"),
    ("１２", "digits outside ASCII"),
    ("99999999999999999999", "beyond 64 bits, which no table holds"),
    ("<the digit 9 repeated 4300 times>", "beyond 64 bits, which no table holds"),
];

#[test]
fn recorded_cases() {
    let all = vectors::load("id_parsing");
    let mut refused = Vec::new();
    for (kind, parse) in [
        ("uuid", (|text| Uuid::parse(text).map(|id| id.to_string())) as fn(&str) -> Option<String>),
        ("integer", |text| i64::parse(text).map(|id| id.to_string())),
        ("object_id", |text| ObjectId::parse(text).map(|id| id.to_string())),
    ] {
        for case in all[kind].as_array().unwrap() {
            let Some(input) = case["input"].as_str() else { continue };
            let recorded = case["parsed"].as_str().map(str::to_owned);
            let ours = parse(input);
            if ours.is_none() && recorded.is_some() {
                refused.push(input.to_owned());
            } else {
                assert_eq!(ours, recorded, "{input:?}");
            }
        }
    }
    assert_eq!(refused, NOT_CANONICAL.map(|it| it.0));
}

#[test]
fn other_spellings() {
    for (text, id) in [
        ("{4FD3477BECCF4EE38F7D68AD72261476}", true),
        ("urn:uuid:4fd3477beccf4ee38f7d68ad72261476", true),
        ("{urn:uuid:4fd3477b-eccf-4ee3-8f7d-68ad72261476}", false),
        ("urn:uuid:{4fd3477b-eccf-4ee3-8f7d-68ad72261476}", false),
        ("{4fd3477b-eccf-4ee3-8f7d-68ad72261476", false),
        ("4fd3477b-eccf-4ee3-8f7d-68ad72261476}", false),
        ("4fd3477b-eccf-4ee3-8f7d-68ad72261476\0", false),
        ("4fd3477béccf4ee38f7d68ad7226147", false),
    ] {
        assert_eq!(Uuid::parse(text).is_some(), id, "{text:?}");
    }
    for (text, id) in [
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("-9223372036854775808", Some(i64::MIN)),
        ("-9223372036854775809", None),
        ("00000000000000000000000000000001", Some(1)),
        ("-0", None),
        ("-01", None),
        ("--1", None),
        ("-", None),
        ("1\n", None),
        ("me", None),
    ] {
        assert_eq!(i64::parse(text), id, "{text:?}");
    }
}

#[test]
fn drawn_ids() {
    let (one, other) = (Uuid::generate().unwrap(), Uuid::generate().unwrap());
    assert_ne!(one, other);
    assert_eq!((one.get_version_num(), one.get_variant()), (4, uuid::Variant::RFC4122));
    assert_eq!(i64::generate(), None);
    let (one, other) = (ObjectId::generate().unwrap(), ObjectId::generate().unwrap());
    assert_ne!(one, other);
    assert!(one.bytes()[..4] <= other.bytes()[..4], "they sort by the second");
    assert_eq!(
        (<Uuid as axum_users_core::ColumnValue>::KIND, Kind::Uuid.schema()["format"].as_str()),
        (Kind::Uuid, Some("uuid"))
    );
}

proptest! {
    #[test]
    fn canonical_forms_are_read_back(number in any::<i64>(), bytes in any::<[u8; 16]>()) {
        prop_assert_eq!(i64::parse(&number.to_string()), Some(number));
        prop_assert_eq!(AccountId::parse(&number.to_string()), Some(AccountId::Integer(number)));
        let id = Uuid::from_bytes(bytes);
        prop_assert_eq!(Uuid::parse(&id.to_string()), Some(id));
        prop_assert_eq!(Uuid::parse(&id.simple().to_string()), Some(id));
        prop_assert_eq!(Uuid::parse(&id.urn().to_string()), Some(id));
        prop_assert_eq!(AccountId::parse(&id.to_string()), Some(AccountId::Uuid(id)));
        let mut half = [0; 12];
        half.copy_from_slice(&bytes[..12]);
        let id = ObjectId::from_bytes(half);
        prop_assert_eq!(ObjectId::parse(&id.to_string()), Some(id));
        prop_assert_eq!(AccountId::parse(&id.to_string()), Some(AccountId::ObjectId(id)));
    }

    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,40}") {
        let _ = (Uuid::parse(&text), i64::parse(&text), ObjectId::parse(&text), AccountId::parse(&text));
    }
}
