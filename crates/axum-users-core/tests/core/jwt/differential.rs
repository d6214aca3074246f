//! Hundreds of tokens and what PyJWT says to them, called as FastAPI Users calls it.
//!
//! We accept nothing that it refuses, and refuse of what it accepts only what [`difference`] names.

use serde_json::Value;

use super::{decode, forge};

#[test]
fn jw_09_we_accept_what_pyjwt_accepts_but_for_named_differences() {
    let table: Value = serde_json::from_str(include_str!("../../vectors/jwt_differential.json")).unwrap();
    let rows = table["signed"].as_array().unwrap();
    let (mut agreed, mut differ) = (0, 0);
    for row in rows {
        let (header, payload, theirs) = (text(&row[0]), text(&row[1]), row[2].as_bool().unwrap());
        let ours = decode(&forge(&header, &payload));
        if ours.is_ok() == theirs {
            agreed += 1;
        } else {
            differ += 1;
            assert!(theirs, "only we accept {header} {payload}");
            assert!(difference(&header, &payload).is_some(), "{header} {payload}: {ours:?}");
        }
    }
    assert!(agreed > rows.len() / 2 && differ > 0, "{agreed} agree, {differ} differ");
    for row in table["spelled"].as_array().unwrap() {
        assert_eq!(decode(&text(&row[0])).is_ok(), row[1].as_bool().unwrap(), "{}", row[0]);
    }
}

/// Why we refuse what PyJWT accepts.
fn difference(header: &str, payload: &str) -> Option<&'static str> {
    if header.contains("\"b64\"") || header.contains("\"crit\"") {
        return Some("JW-02: no extension is understood");
    }
    if [header, payload].iter().any(|text| text.contains("NaN") || text.contains("Infinity")) {
        return Some("JW-09: JSON has no such numbers");
    }
    if header.starts_with('\u{feff}') || payload.starts_with('\u{feff}') {
        return Some("JW-09: JSON between systems has no byte-order mark (RFC 8259, 8.1)");
    }
    if [header, payload].iter().any(|text| text.contains("\\ud")) {
        return Some("JW-09: text is Unicode, half of a character is none");
    }
    if payload.contains("1e999") || payload.contains(&"9".repeat(310)) {
        return Some("JW-09: a number fits into 64 bits, as an integer or a float");
    }
    // serde_json keeps the last of two members of one name, and counts it once.
    let members = |text: &str| text.matches("\":").count();
    let distinct = |text: &str| serde_json::from_str::<Value>(text).ok().map(|value| members(&value.to_string()));
    if [header, payload].iter().any(|text| distinct(text).is_some_and(|count| count < members(text))) {
        return Some("JW-09: a name stands once");
    }
    let claims: Value = serde_json::from_str(payload).ok()?;
    if claims.get("exp").is_none() {
        return Some("JW-03: exp is mandatory, but for a flag");
    }
    let is_other = |name: &str| claims.get(name).is_some_and(|value| value.as_i64().is_none());
    let dates = ["exp", "iat", "nbf"].iter().any(|name| is_other(name)) || payload.contains("-0}");
    if dates { Some("JW-03: dates are integers of 64 bits") } else { None }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
