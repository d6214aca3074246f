//! Values of columns, converted from JSON. The cases come from comparing some 30 000 generated values with Pydantic 2.14.

use axum_users_core::Kind;
use serde_json::json;

use crate::{body::one, vectors};

/// The value of a field as it goes out again, or type, message and context of what is wrong with it.
fn converted(kind: Kind, value: &str) -> Result<String, String> {
    let mut body = one(value);
    let Some(converted) = body.value("f", kind, false) else {
        let issues = body.finish().err().unwrap_or_default();
        return Err(issues.iter().map(|it| format!("{}: {}", it.kind(), it.msg())).collect());
    };
    Ok(serde_json::to_string(&converted).unwrap_or_default())
}

#[test]
fn booleans() {
    for case in vectors::list("boolean_coercion") {
        let mut body = one(&case["json"].to_string());
        let value = body.flag("f");
        if case["accepted"] == true {
            assert_eq!((json!(value.flatten()), body.finish()), (case["value"].clone(), Ok(())), "{case}");
        } else {
            let issue = serde_json::to_value(&body.finish().unwrap_err()[0]).unwrap();
            assert_eq!(
                (&issue["type"], &issue["msg"], &issue["input"]),
                (&case["type"], &case["msg"], &case["json"]),
                "{case}"
            );
        }
    }
    const TYPE: &str = "bool_type: Input should be a valid boolean";
    const PARSING: &str = "bool_parsing: Input should be a valid boolean, unable to interpret input";
    for (value, refusal) in [
        ("2.0", PARSING),
        ("9223372036854775807", PARSING),
        ("9223372036854775808", TYPE),
        ("1e300", TYPE),
        ("NaN", TYPE),
        ("\"1.0\"", PARSING),
        ("\"oﬀ\"", PARSING),
        ("\"t\\ud800\"", PARSING),
    ] {
        assert_eq!(converted(Kind::Bool, value), Err(refusal.to_owned()), "{value}");
    }
    assert_eq!(converted(Kind::Bool, "-0.0").as_deref(), Ok("false"));
}

#[test]
fn integers() {
    const PARSING: &str = "int_parsing: Input should be a valid integer, unable to parse string as an integer";
    const SIZE: &str = "int_parsing_size: Unable to parse input string as an integer, exceeded maximum size";
    for (value, expected) in [
        ("5", Ok("5")),
        ("true", Ok("1")),
        ("2.0", Ok("2")),
        ("-0.0", Ok("0")),
        ("1e18", Ok("1000000000000000000")),
        ("9223372036854775807", Ok("9223372036854775807")),
        ("\" +012 \"", Ok("12")),
        ("\"1_000\"", Ok("1000")),
        ("\"-12.00\"", Ok("-12")),
        ("\"\u{2003}7\u{a0}\"", Ok("7")),
        ("null", Err("int_type: Input should be a valid integer")),
        ("[]", Err("int_type: Input should be a valid integer")),
        ("1.5", Err("int_from_float: Input should be a valid integer, got a number with a fractional part")),
        ("NaN", Err("finite_number: Input should be a finite number")),
        ("Infinity", Err("finite_number: Input should be a finite number")),
        ("9223372036854775808", Err(SIZE)),
        ("1e19", Err(SIZE)),
        ("\"99999999999999999999\"", Err(SIZE)),
        ("\"\"", Err(PARSING)),
        ("\"1__0\"", Err(PARSING)),
        ("\"_1\"", Err(PARSING)),
        ("\"12.\"", Err(PARSING)),
        ("\"12.5\"", Err(PARSING)),
        ("\"1e3\"", Err(PARSING)),
        ("\"0x10\"", Err(PARSING)),
        ("\"٣\"", Err(PARSING)),
    ] {
        assert_eq!(converted(Kind::Integer, value), expected.map(str::to_owned).map_err(str::to_owned), "{value}");
    }
}

#[test]
fn numbers_and_texts() {
    const PARSING: &str = "float_parsing: Input should be a valid number, unable to parse string as a number";
    const FINITE: &str = "finite_number: Input should be a finite number";
    for (value, expected) in [
        ("1.5", Ok("1.5")),
        ("5", Ok("5.0")),
        ("true", Ok("1.0")),
        ("\" 1_000.5 \"", Ok("1000.5")),
        ("\".5\"", Ok("0.5")),
        ("null", Err("float_type: Input should be a valid number")),
        ("\"x\"", Err(PARSING)),
        ("\"0x1\"", Err(PARSING)),
        ("\"inf\"", Err(FINITE)),
        ("NaN", Err(FINITE)),
        ("1e999", Err(FINITE)),
    ] {
        assert_eq!(converted(Kind::Real, value), expected.map(str::to_owned).map_err(str::to_owned), "{value}");
    }
    let huge = "9".repeat(400);
    assert_eq!(converted(Kind::Real, &huge), Err("float_type: Input should be a valid number".to_owned()));
    for (value, expected) in [
        ("\" a \"", Ok("\" a \"")),
        ("5", Err("string_type: Input should be a valid string")),
        ("\"a\\u0000\"", Err("value_error: Value error, NUL characters cannot be stored")),
        (
            "\"a\\ud800\"",
            Err("string_unicode: Input should be a valid string, unable to parse raw data as a unicode string"),
        ),
    ] {
        assert_eq!(converted(Kind::Text, value), expected.map(str::to_owned).map_err(str::to_owned), "{value}");
    }
}

#[test]
fn uuids_bytes_and_json() {
    for (kind, value, expected) in [
        (Kind::Uuid, "\"4FD3477BECCF4EE38F7D68AD72261476\"", Ok("\"4fd3477b-eccf-4ee3-8f7d-68ad72261476\"")),
        (Kind::Uuid, "5", Err("uuid_type: UUID input should be a string, bytes or UUID object")),
        (Kind::Uuid, "\"\"", Err("uuid_parsing: Input should be a valid UUID, invalid length: found 0")),
        (Kind::Uuid, "\"x\"", Err("uuid_parsing: Input should be a valid UUID, invalid character: found `x` at 0")),
        (Kind::Bytes, "\"aGk=\"", Ok("\"aGk=\"")),
        (Kind::Bytes, "5", Err("bytes_type: Input should be a valid bytes")),
        (
            Kind::Bytes,
            "\"a!\"",
            Err("bytes_invalid_encoding: Data should be valid base64: Invalid symbol 33, offset 1."),
        ),
        (Kind::Json, "{\"a\":[1,null]}", Ok("{\"a\":[1,null]}")),
        (Kind::Json, "null", Ok("null")),
        (Kind::Json, "[NaN]", Err("finite_number: Input should be a finite number")),
        (Kind::Json, "[\"\\u0000\"]", Err("value_error: Value error, NUL characters cannot be stored")),
    ] {
        assert_eq!(converted(kind, value), expected.map(str::to_owned).map_err(str::to_owned), "{value}");
    }
}

#[test]
fn dates() {
    const INEXACT: &str =
        "date_from_datetime_inexact: Datetimes provided to dates should have zero time - e.g. be exact dates";
    for (value, date) in [
        ("\"2026-11-24\"", "2026-11-24"),
        ("\"2026-11-24T00:00\"", "2026-11-24"),
        ("\"2026-11-24 00:00:00.0+01:00\"", "2026-11-24"),
        ("\"86400\"", "1970-01-02"),
        ("86400.0", "1970-01-02"),
        ("-86400", "1969-12-31"),
        ("86400000000000", "4707-11-29"),
        ("\"-62135596800000\"", "0001-01-01"),
    ] {
        assert_eq!(converted(Kind::Date, value), Ok(format!("\"{date}\"")), "{value}");
    }
    for (value, error) in [
        ("\"2026-11-2\"", "input is too short"),
        ("\"\"", "input is too short"),
        ("\"2026-13-01\"", "month value is outside expected range of 1-12"),
        ("\"2026-02-30\"", "day value is outside expected range"),
        ("\"2026/11/24\"", "invalid date separator, expected `-`"),
        ("\"24.11.2026\"", "invalid character in year"),
        ("\"2026-x1-01\"", "invalid character in month"),
        ("\"2026-01-0x\"", "invalid character in day"),
        ("\"2é26-01-01\"", "invalid character in year"),
        ("\"2026-11-24x\"", "invalid datetime separator, expected `T`, `t`, `_` or space"),
        ("\"2026-11-24T\"", "input is too short"),
        ("\"2026-11-24T1x:00\"", "invalid character in hour"),
        ("\"2026-11-24T10x00\"", "invalid time separator, expected `:`"),
        ("\"2026-11-24T10:x0\"", "invalid character in minute"),
        ("\"2026-11-24T25:00\"", "hour value is outside expected range of 0-23"),
        ("\"2026-11-24T10:60\"", "minute value is outside expected range of 0-59"),
        ("\"2026-11-24T10:00:0\"", "invalid character in second"),
        ("\"2026-11-24T10:00:60\"", "second value is outside expected range of 0-59"),
        ("\"2026-11-24T10:00:00.\"", "second fraction digits missing after `.`"),
        ("\"2026-11-24T10:00x\"", "invalid timezone sign"),
        ("\"2026-11-24T10:00+1\"", "invalid timezone hour"),
        ("\"2026-11-24T10:00+01x00\"", "invalid timezone minute"),
        ("\"2026-11-24T10:00+23:60\"", "timezone minute value is outside expected range of 0-59"),
        ("\"2026-11-24T10:00+24:00\"", "timezone offset must be less than 24 hours"),
        ("\"2026-11-24T10:00Zx\"", "unexpected extra characters at the end of the input"),
        ("1e20", "dates after 9999 are not supported as unix timestamps"),
        ("100000000000000000000000000", "dates after 9999 are not supported as unix timestamps"),
        ("-1e20", "dates before 0000 are not supported as unix timestamps"),
        ("Infinity", "dates after 9999 are not supported as unix timestamps"),
        ("NaN", "NaN values not permitted"),
    ] {
        let expected = format!("date_from_datetime_parsing: Input should be a valid date or datetime, {error}");
        assert_eq!(converted(Kind::Date, value), Err(expected), "{value}");
    }
    for value in ["\"2026-11-24T00:00:01\"", "86401", "\"20261124\"", "\"1700000000\"", "0.5"] {
        assert_eq!(converted(Kind::Date, value), Err(INEXACT.to_owned()), "{value}");
    }
    for value in ["\"0000-01-01\"", "\"-62167219200000\""] {
        let expected = "date_parsing: Input should be a valid date in the format YYYY-MM-DD, year 0 is out of range";
        assert_eq!(converted(Kind::Date, value), Err(expected.to_owned()), "{value}");
    }
    assert_eq!(converted(Kind::Date, "true"), Err("date_type: Input should be a valid date".to_owned()));
}

#[test]
fn instants() {
    for (value, instant) in [
        ("\"2026-11-24T10:11:12.5+01:00\"", "2026-11-24T09:11:12.5Z"),
        ("\"2026-11-24_10:11z\"", "2026-11-24T10:11:00Z"),
        ("\"2026-11-24 10:11:12,1234567\"", "2026-11-24T10:11:12.123456Z"),
        ("\"2026-11-24T10:11:12\u{2212}0130\"", "2026-11-24T11:41:12Z"),
        ("\"2026-11-24\"", "2026-11-24T00:00:00Z"),
        ("\"1700000000.5\"", "2023-11-14T22:13:20.5Z"),
        ("\"-.5\"", "1969-12-31T23:59:59.5Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("20000000000", "2603-10-11T11:33:20Z"),
        ("20000000001", "1970-08-20T11:33:20.001Z"),
    ] {
        assert_eq!(converted(Kind::Timestamp, value), Ok(format!("\"{instant}\"")), "{value}");
    }
    for (value, refusal) in [
        ("null", "datetime_type: Input should be a valid datetime"),
        ("\"x\"", "datetime_from_date_parsing: Input should be a valid datetime or date, input is too short"),
        ("\"1e5\"", "datetime_from_date_parsing: Input should be a valid datetime or date, input is too short"),
        (
            "\"2026-11-24T10:60\"",
            "datetime_from_date_parsing: Input should be a valid datetime or date, unexpected extra characters at the end of the input",
        ),
        (
            "1e30",
            "datetime_parsing: Input should be a valid datetime, dates after 9999 are not supported as unix timestamps",
        ),
        ("\"0000-01-01T00:00\"", "datetime_parsing: Input should be a valid datetime, year 0 is out of range"),
        ("\"0001-01-01T00:00+01:00\"", "datetime_parsing: Input should be a valid datetime, year 0 is out of range"),
        (
            "\"9999-12-31T23:59-01:00\"",
            "datetime_parsing: Input should be a valid datetime, year 10000 is out of range",
        ),
    ] {
        assert_eq!(converted(Kind::Timestamp, value), Err(refusal.to_owned()), "{value}");
    }
}
