//! From JSON to the value of a column, as Pydantic converts outside its strict mode.

use std::borrow::Cow;

use base64::Engine as _;
use time::{Date, OffsetDateTime, Time};
use uuid::Uuid;

use super::moment::{self, Moment};
use crate::{
    email::Email,
    id::{ObjectId, UserId as _},
    json::{JsonInput, NotPortable},
    value::{ColumnValue, Kind, OneOf, Value, ValueError},
};

/// Why a value was refused: an [`Issue`](super::Issue) that does not know yet where it is.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: &'static str,
    pub(super) msg: Cow<'static, str>,
    pub(super) ctx: Vec<(&'static str, String)>,
}

impl Refusal {
    fn new(kind: &'static str, msg: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, msg: msg.into(), ctx: Vec::new() }
    }

    fn ctx(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.ctx.push((name, value.into()));
        self
    }

    /// `msg` ends in the error, which `ctx` repeats.
    fn error(kind: &'static str, msg: &str, error: &str) -> Self {
        Self::new(kind, format!("{msg}, {error}")).ctx("error", error)
    }

    fn value_error(reason: &str) -> Self {
        Self::new("value_error", format!("Value error, {reason}")).ctx("reason", reason)
    }
}

/// A value of `T`.
pub(super) fn column<T: ColumnValue>(input: &JsonInput) -> Result<T, Refusal> {
    T::from_value(value(input, T::KIND, T::NULLABLE)?).map_err(|error| match error {
        ValueError::NotOneOf(words) => {
            let words = OneOf(words).to_string();
            Refusal::new("enum", format!("Input should be {words}")).ctx("expected", words)
        }
        ValueError::Refused(reason) => Refusal::value_error(&reason),
        other => Refusal::value_error(&other.to_string()),
    })
}

/// A value of a kind.
pub(super) fn value(input: &JsonInput, kind: Kind, nullable: bool) -> Result<Value, Refusal> {
    if nullable && input.is_null() {
        return Ok(Value::Null);
    }
    Ok(match kind {
        Kind::Bool => Value::Bool(boolean(input)?),
        Kind::Integer => Value::Integer(integer(input)?),
        Kind::Real => Value::Real(real(input)?),
        Kind::Text => Value::Text(storable(text(input)?)?.to_owned()),
        Kind::Bytes => Value::Bytes(bytes(input)?),
        Kind::Uuid => Value::Uuid(uuid(input)?),
        Kind::ObjectId => {
            let id = ObjectId::parse(text(input)?);
            Value::ObjectId(id.ok_or_else(|| Refusal::value_error("Id must be of type PydanticObjectId"))?)
        }
        Kind::Date => Value::Date(date(input)?),
        Kind::Timestamp => Value::Timestamp(timestamp(input)?),
        Kind::Json => Value::Json(input.to_json().map_err(not_portable)?),
    })
}

/// Any text, NUL characters too.
pub(super) fn text(input: &JsonInput) -> Result<&str, Refusal> {
    match input {
        JsonInput::Text(text) => Ok(text),
        JsonInput::BrokenText(_) => Err(not_portable(NotPortable::LoneSurrogate)),
        _ => Err(Refusal::new("string_type", "Input should be a valid string")),
    }
}

/// No database keeps a NUL in a text; PostgreSQL refuses it.
fn storable(text: &str) -> Result<&str, Refusal> {
    if text.contains('\0') { Err(not_portable(NotPortable::Nul)) } else { Ok(text) }
}

fn not_portable(why: NotPortable) -> Refusal {
    match why {
        NotPortable::NotFinite => Refusal::new("finite_number", "Input should be a finite number"),
        NotPortable::HugeInteger => too_large(),
        NotPortable::LoneSurrogate => Refusal::new(
            "string_unicode",
            "Input should be a valid string, unable to parse raw data as a unicode string",
        ),
        NotPortable::Nul => Refusal::value_error("NUL characters cannot be stored"),
    }
}

fn too_large() -> Refusal {
    Refusal::new("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size")
}

pub(super) fn email(input: &JsonInput) -> Result<Email, Refusal> {
    Email::parse(text(input)?)
        .map_err(|refused| Refusal::new("value_error", refused.to_string()).ctx("reason", refused.reason()))
}

pub(super) fn boolean(input: &JsonInput) -> Result<bool, Refusal> {
    const TRUE: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
    const FALSE: [&str; 6] = ["false", "f", "no", "n", "off", "0"];
    let is_type = Refusal::new("bool_type", "Input should be a valid boolean");
    let unclear = Refusal::new("bool_parsing", "Input should be a valid boolean, unable to interpret input");
    match input {
        JsonInput::Bool(it) => Ok(*it),
        JsonInput::Integer(it) => match it.parse::<i64>() {
            Ok(0) => Ok(false),
            Ok(1) => Ok(true),
            Ok(_) => Err(unclear),
            Err(_) => Err(is_type),
        },
        JsonInput::Real(0.0) => Ok(false),
        JsonInput::Real(1.0) => Ok(true),
        JsonInput::Real(it) if whole(*it).is_some() => Err(unclear),
        JsonInput::Text(it) if TRUE.iter().any(|word| it.eq_ignore_ascii_case(word)) => Ok(true),
        JsonInput::Text(it) if FALSE.iter().any(|word| it.eq_ignore_ascii_case(word)) => Ok(false),
        JsonInput::Text(_) | JsonInput::BrokenText(_) => Err(unclear),
        _ => Err(is_type),
    }
}

fn integer(input: &JsonInput) -> Result<i64, Refusal> {
    match input {
        JsonInput::Bool(it) => Ok((*it).into()),
        JsonInput::Integer(it) => it.parse().map_err(|_| too_large()),
        JsonInput::Real(it) if !it.is_finite() => Err(not_portable(NotPortable::NotFinite)),
        JsonInput::Real(it) if it.fract() != 0.0 => {
            Err(Refusal::new("int_from_float", "Input should be a valid integer, got a number with a fractional part"))
        }
        JsonInput::Real(it) => whole(*it).ok_or_else(too_large),
        JsonInput::Text(it) => integer_text(it),
        JsonInput::BrokenText(_) => integer_text(""),
        _ => Err(Refusal::new("int_type", "Input should be a valid integer")),
    }
}

/// A number without fraction within 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "checked to be within 64 bits")]
fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && (-LIMIT..LIMIT).contains(&number)).then_some(number as i64)
}

/// `12`, `+12`, `1_000`, `12.00`, with blanks around.
fn integer_text(text: &str) -> Result<i64, Refusal> {
    let unclear =
        || Refusal::new("int_parsing", "Input should be a valid integer, unable to parse string as an integer");
    let text = text.trim();
    let text = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return Err(unclear()),
        None => text,
    };
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let groups = || digits.split('_');
    if groups().any(|group| group.is_empty() || !group.bytes().all(|b| b.is_ascii_digit())) {
        return Err(unclear());
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    format!("{sign}{}", groups().collect::<String>()).parse().map_err(|_| too_large())
}

fn real(input: &JsonInput) -> Result<f64, Refusal> {
    let is_type = || Refusal::new("float_type", "Input should be a valid number");
    let unclear =
        || Refusal::new("float_parsing", "Input should be a valid number, unable to parse string as a number");
    let number = match input {
        JsonInput::Bool(it) => u8::from(*it).into(),
        JsonInput::Integer(it) => it.parse().ok().filter(|it: &f64| it.is_finite()).ok_or_else(is_type)?,
        JsonInput::Real(it) => *it,
        JsonInput::Text(it) => number_text(it.trim()).ok_or_else(unclear)?,
        JsonInput::BrokenText(_) => return Err(unclear()),
        _ => return Err(is_type()),
    };
    // No database keeps the others alike.
    if number.is_finite() { Ok(number) } else { Err(not_portable(NotPortable::NotFinite)) }
}

/// A number as Rust and Python read it, with single underscores within.
fn number_text(text: &str) -> Option<f64> {
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// Base64 with padding, of the standard alphabet.
fn bytes(input: &JsonInput) -> Result<Vec<u8>, Refusal> {
    let text = match input {
        JsonInput::Text(text) => text,
        JsonInput::BrokenText(_) => return Err(not_portable(NotPortable::LoneSurrogate)),
        _ => return Err(Refusal::new("bytes_type", "Input should be a valid bytes")),
    };
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| {
        let error = error.to_string();
        Refusal::new("bytes_invalid_encoding", format!("Data should be valid base64: {error}"))
            .ctx("encoding", "base64")
            .ctx("encoding_error", error)
    })
}

fn uuid(input: &JsonInput) -> Result<Uuid, Refusal> {
    match input {
        JsonInput::Text(it) | JsonInput::BrokenText(it) => Uuid::parse_str(it)
            .map_err(|error| Refusal::error("uuid_parsing", "Input should be a valid UUID", &error.to_string())),
        _ => Err(Refusal::new("uuid_type", "UUID input should be a string, bytes or UUID object")),
    }
}

fn date(input: &JsonInput) -> Result<Date, Refusal> {
    let error = |error| Refusal::error("date_from_datetime_parsing", "Input should be a valid date or datetime", error);
    let exact = |it: Moment| {
        if it.local.time() == Time::MIDNIGHT {
            Ok(it.local.date())
        } else {
            Err(Refusal::new(
                "date_from_datetime_inexact",
                "Datetimes provided to dates should have zero time - e.g. be exact dates",
            ))
        }
    };
    let date = match input {
        JsonInput::Text(it) | JsonInput::BrokenText(it) => match moment::date(it) {
            Ok(date) => date,
            Err(what) if it.len() == 10 => exact(moment::unix_text(it).unwrap_or(Err(what)).map_err(error)?)?,
            Err(_) => exact(moment::moment(it).map_err(error)?)?,
        },
        JsonInput::Integer(_) | JsonInput::Real(_) => exact(unix(input).map_err(error)?)?,
        _ => return Err(Refusal::new("date_type", "Input should be a valid date")),
    };
    if date.year() > 0 {
        return Ok(date);
    }
    Err(Refusal::error("date_parsing", "Input should be a valid date in the format YYYY-MM-DD", YEAR))
}

/// What has no offset is in UTC.
fn timestamp(input: &JsonInput) -> Result<OffsetDateTime, Refusal> {
    let error = |error| Refusal::error("datetime_parsing", "Input should be a valid datetime", error);
    let moment = match input {
        JsonInput::Text(it) | JsonInput::BrokenText(it) => match (moment::moment(it), moment::date(it)) {
            (Ok(moment), _) => moment,
            (_, Ok(date)) => Moment { local: date.midnight(), offset: None },
            (_, Err(what)) => {
                let msg = "Input should be a valid datetime or date";
                return Err(Refusal::error("datetime_from_date_parsing", msg, what));
            }
        },
        JsonInput::Integer(_) | JsonInput::Real(_) => unix(input).map_err(error)?,
        _ => return Err(Refusal::new("datetime_type", "Input should be a valid datetime")),
    };
    moment.instant().ok_or_else(|| error(if moment.local.year() > 5000 { "year 10000 is out of range" } else { YEAR }))
}

const YEAR: &str = "year 0 is out of range";

fn unix(input: &JsonInput) -> Result<Moment, &'static str> {
    match input {
        JsonInput::Integer(it) => match it.parse() {
            Ok(number) => moment::unix_integer(number),
            Err(_) => moment::unix_real(if it.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        },
        JsonInput::Real(it) => moment::unix_real(*it),
        _ => Err("not a number"),
    }
}
