//! JSON bodies.

use axum_users_core::{
    JsonError, JsonInput,
    json::{NotPortable, parse, parse_unique},
};
use proptest::prelude::*;

use crate::vectors;

fn refusal(body: impl AsRef<[u8]>) -> (usize, &'static str) {
    match parse(body.as_ref()) {
        Err(JsonError::Invalid { position, message, .. }) => (position, message),
        other => (usize::MAX, if other.is_ok() { "accepted" } else { "unreadable" }),
    }
}

fn echo(body: &str) -> String {
    parse(body.as_bytes()).ok().and_then(|value| serde_json::to_string(&value).ok()).unwrap_or_default()
}

#[test]
fn in_02_members_can_need_names_of_their_own() {
    for body in [r#"{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}],"A":5,"a ":6}"#, "{}", "[1, 1]", r#""a""#] {
        assert_eq!(parse_unique(body.as_bytes()), parse(body.as_bytes()), "{body}");
        assert!(parse(body.as_bytes()).is_ok(), "{body}");
    }
    let twice = |position| Err(JsonError::Invalid { position, message: "Duplicate property name" });
    for (body, position) in [
        (r#"{"a":1,"a":1}"#, 7),
        (r#"{"ä":1, "\u00e4":1}"#, 8),
        (r#"[0,{"x":{"a":1,"b":2,"a":3}}]"#, 21),
        (r#"{"":1,"":1}"#, 6),
    ] {
        assert!(parse(body.as_bytes()).is_ok(), "{body}");
        assert_eq!(parse_unique(body.as_bytes()), twice(position), "{body}");
    }
}

#[test]
fn recorded_messages() {
    for case in vectors::list("json_body_errors") {
        let body = case["body"].as_str().unwrap();
        if body.starts_with("<'['") {
            assert_eq!(
                (case["status"].as_u64(), parse("[".repeat(100_000).as_bytes())),
                (Some(400), Err(JsonError::Unreadable))
            );
            continue;
        }
        let response: serde_json::Value = serde_json::from_str(case["response"].as_str().unwrap()).unwrap();
        let item = &response["detail"][0];
        if item["type"] == "json_invalid" {
            let (position, message) = refusal(body);
            assert_eq!((&item["loc"][1], &item["ctx"]["error"]), (&position.into(), &message.into()), "{body:?}");
        } else if !body.is_empty() {
            assert!(parse(body.as_bytes()).is_ok(), "{body:?}");
        }
    }
}

/// Met by comparing some 100 000 generated bodies with the parser of Python 3.11.
#[test]
fn messages_and_offsets() {
    for (body, position, message) in [
        (" ", 1, "Expecting value"),
        ("\n\n", 2, "Expecting value"),
        ("{\"a\":1,", 7, "Expecting property name enclosed in double quotes"),
        ("{ ", 2, "Expecting property name enclosed in double quotes"),
        ("{\"a\":1, }", 8, "Expecting property name enclosed in double quotes"),
        ("{1:2}", 1, "Expecting property name enclosed in double quotes"),
        ("[", 1, "Expecting value"),
        ("[1,", 3, "Expecting value"),
        ("[1,\n 2,\n]", 8, "Expecting value"),
        ("[nul]", 1, "Expecting value"),
        ("{\"a\":}", 5, "Expecting value"),
        ("-a", 0, "Expecting value"),
        ("-I", 0, "Expecting value"),
        ("Infinit", 0, "Expecting value"),
        ("\u{b}1", 0, "Expecting value"),
        ("\u{a0}1", 0, "Expecting value"),
        ("\u{feff}\u{feff}1", 0, "Expecting value"),
        ("[1 2", 3, "Expecting ',' delimiter"),
        ("[é]", 1, "Expecting value"),
        ("[\"é🦄\" x", 6, "Expecting ',' delimiter"),
        ("\"\\", 0, "Unterminated string starting at"),
        ("[\"a\\", 1, "Unterminated string starting at"),
        ("{\"a", 1, "Unterminated string starting at"),
        ("{\"a\":\"b", 5, "Unterminated string starting at"),
        ("\"\\x", 1, "Invalid \\escape"),
        ("\"é\\é\"", 2, "Invalid \\escape"),
        ("\"\\u", 2, "Invalid \\uXXXX escape"),
        ("\"\\u123", 2, "Invalid \\uXXXX escape"),
        ("\"\\u1234", 2, "Invalid \\uXXXX escape"),
        ("\"\\u12é4\"", 2, "Invalid \\uXXXX escape"),
        ("\"\\u+123\"", 2, "Invalid \\uXXXX escape"),
        ("\"\\ud800\\", 0, "Unterminated string starting at"),
        ("\"\\ud800\\u12", 8, "Invalid \\uXXXX escape"),
        ("\"\\ud800\\udc0g\"", 8, "Invalid \\uXXXX escape"),
        ("{\"a\tb\":1}", 3, "Invalid control character at"),
        ("\"\u{1f}", 1, "Invalid control character at"),
        ("1e", 1, "Extra data"),
        ("1e+", 1, "Extra data"),
        ("0x1", 1, "Extra data"),
        ("-01", 2, "Extra data"),
        ("1.5.2", 3, "Extra data"),
        ("\u{feff}{}x", 2, "Extra data"),
    ] {
        assert_eq!(refusal(body), (position, message), "{body:?}");
    }
}

#[test]
fn echoes() {
    for (body, expected) in [
        (" { \"a\" : [ 1 , null ] } ", "{\"a\":[1,null]}"),
        ("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"),
        (
            "[1.0,1e5,1E+16,1e-4,1e-5,-0.0,-0,1.5e-7,1e22,0.1]",
            "[1.0,100000.0,1e+16,0.0001,1e-05,-0.0,0,1.5e-07,1e+22,0.1]",
        ),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("[NaN,Infinity,-Infinity,1e999999]", "[null,null,null,null]"),
        ("\"\\u00e9\\ud83e\\udd84\\/\\u2028\\u007f\"", "\"é🦄/\u{2028}\u{7f}\""),
        ("\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\""),
        ("\"a\\ud800\\u0041\"", "\"a\u{fffd}A\""),
        ("\u{feff}true", "true"),
    ] {
        assert_eq!(echo(body), expected, "{body:?}");
    }
}

#[test]
fn lone_surrogates_are_told_apart() {
    assert_eq!(parse(b"\"\\ud83e\\udd84\""), Ok(JsonInput::Text("🦄".into())));
    for body in ["\"\\ud800\"", "\"\\udc00\"", "\"\\udc00\\ud800\"", "\"\\ud800\\ud800\\udc00\"", "\"\\ud800x\""] {
        assert!(matches!(parse(body.as_bytes()), Ok(JsonInput::BrokenText(_))), "{body}");
    }
}

#[test]
fn encodings() {
    assert_eq!(parse(b"{\"email\": \"\xff\"}"), Err(JsonError::Unreadable));
    assert_eq!(parse(b"\"\xed\xa0\x80\""), Err(JsonError::Unreadable));
    for bom in [true, false] {
        let wide = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}{\"a\":1}".encode_utf16().skip(usize::from(!bom)).flat_map(bytes).collect()
        };
        for body in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(refusal(body), (0, "Expecting value"));
        }
    }
    assert_eq!(refusal(b"1\0"), (0, "Expecting value"));
}

#[test]
fn depth() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(nested(16).as_bytes()).is_ok());
    assert_eq!(refusal(nested(17)), (16, "Nesting is too deep"));
    assert_eq!(refusal(format!("{}1{}", "{\"é\":".repeat(17), "}".repeat(17))), (80, "Nesting is too deep"));
    assert_eq!(refusal(nested(966)), (16, "Nesting is too deep"));
    assert_eq!(refusal(format!("{}\"{}", "[".repeat(17), "[".repeat(2000))), (16, "Nesting is too deep"));
    assert_eq!(parse(nested(967).as_bytes()), Err(JsonError::Unreadable));
    assert_eq!(parse("[".repeat(65_536).as_bytes()), Err(JsonError::Unreadable));
    assert_eq!(parse("{\"a\":[".repeat(10_000).as_bytes()), Err(JsonError::Unreadable));
    assert!(parse(format!("[{}]", "[],".repeat(20_000) + "[]").as_bytes()).is_ok());
}

#[test]
fn huge_numbers() {
    assert!(parse("9".repeat(4300).as_bytes()).is_ok());
    assert_eq!(parse("9".repeat(4301).as_bytes()), Err(JsonError::Unreadable));
    assert_eq!(parse(format!("{}.0", "9".repeat(5000)).as_bytes()), Ok(JsonInput::Real(f64::INFINITY)));
}

#[test]
fn what_cannot_be_kept() {
    let to_json = |body: &str| parse(body.as_bytes()).unwrap().to_json();
    assert_eq!(to_json("{\"a\":[1,-1,1.5,\"x\",null]}"), Ok(serde_json::json!({ "a": [1, -1, 1.5, "x", null] })));
    assert_eq!(to_json("18446744073709551615"), Ok(u64::MAX.into()));
    assert_eq!(to_json("18446744073709551616"), Err(NotPortable::HugeInteger));
    assert_eq!(to_json("[NaN]"), Err(NotPortable::NotFinite));
    assert_eq!(to_json("{\"a\":\"\\ud800\"}"), Err(NotPortable::LoneSurrogate));
    assert_eq!(to_json("{\"\\u0000\":1}"), Err(NotPortable::Nul));
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&body);
    }

    #[test]
    fn near_json_has_an_answer_within_the_text(body in "[\\[\\]{}\",:\\\\u0-9a-fE.+\\-é \n\u{1}]{0,40}") {
        match parse(body.as_bytes()) {
            Ok(value) => prop_assert_eq!(parse(serde_json::to_string(&value).unwrap().as_bytes()).is_ok(), true),
            Err(JsonError::Invalid { position, .. }) => prop_assert!(position <= body.chars().count()),
            Err(_) => {}
        }
    }

    #[test]
    fn what_serde_json_writes_is_read(text in any::<String>(), number in any::<i64>(), real in any::<f64>()) {
        let value = serde_json::json!({ text.clone(): [text, number, real] });
        let parsed = parse(value.to_string().as_bytes()).unwrap();
        if value.to_string().contains("\\u0000") {
            prop_assert_eq!(parsed.to_json(), Err(NotPortable::Nul));
        } else {
            prop_assert_eq!(parsed.to_json().unwrap(), value);
        }
    }
}
