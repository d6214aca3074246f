//! JSON bodies, with the grammar, the messages and the offsets that clients of FastAPI Users know.
//!
//! serde_json would refuse what the contract accepts (`NaN`), report other messages, and lose what an echo needs: integers of
//! any size, lone surrogates.

mod parse;

use std::fmt;

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _},
};
use serde_json::value::RawValue;

pub use parse::{parse, parse_unique};

/// One JSON value as it came in.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum JsonInput {
    /// `null`
    #[default]
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer of up to 4300 digits, in its canonical decimal form.
    Integer(String),
    /// Any other number; infinite if it was too large, or written as `Infinity`, `-Infinity`, `NaN`.
    Real(f64),
    /// A string.
    Text(String),
    /// A string with surrogates that have no partner, each replaced by U+FFFD here: no text, and never stored.
    BrokenText(String),
    /// An array.
    Array(Vec<JsonInput>),
    /// An object in the order of its members; of members with the same name the last counts, in the place of the first, unless
    /// [`parse_unique`] was asked.
    Object(Vec<(String, JsonInput)>),
}

/// Why a body is not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It does not follow the grammar: 422 `json_invalid`.
    #[error("{message} (character {position})")]
    Invalid {
        /// In characters from the start, without a byte order mark.
        position: usize,
        /// In the words of the wire.
        message: &'static str,
    },
    /// Not UTF-8, nested hundreds of levels deep, or a number of thousands of digits: 400.
    #[error("There was an error parsing the body")]
    Unreadable,
}

impl JsonInput {
    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As a value of `serde_json`.
    ///
    /// # Errors
    /// [`NotPortable`] for what that, or a database, cannot keep.
    pub fn to_json(&self) -> Result<serde_json::Value, NotPortable> {
        Ok(match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(it) => (*it).into(),
            Self::Integer(it) => serde_json::Value::Number(match (it.parse::<i64>(), it.parse::<u64>()) {
                (Ok(it), _) => it.into(),
                (_, Ok(it)) => it.into(),
                _ => return Err(NotPortable::HugeInteger),
            }),
            Self::Real(it) => serde_json::Number::from_f64(*it).ok_or(NotPortable::NotFinite)?.into(),
            Self::Text(it) => check_nul(it)?.into(),
            Self::BrokenText(_) => return Err(NotPortable::LoneSurrogate),
            Self::Array(items) => items.iter().map(Self::to_json).collect::<Result<_, _>>()?,
            Self::Object(members) => members
                .iter()
                .map(|(name, value)| Ok((check_nul(name)?.to_owned(), value.to_json()?)))
                .collect::<Result<_, NotPortable>>()?,
        })
    }
}

fn check_nul(text: &str) -> Result<&str, NotPortable> {
    if text.contains('\0') { Err(NotPortable::Nul) } else { Ok(text) }
}

/// What a JSON value holds that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotPortable {
    /// `NaN` or an infinity.
    NotFinite,
    /// An integer beyond 64 bits.
    HugeInteger,
    /// A surrogate without its partner.
    LoneSurrogate,
    /// A NUL character.
    Nul,
}

/// As it is echoed in an error: compact, numbers as Python prints them, `null` for what JSON has no word for. Meant for
/// `serde_json`.
impl Serialize for JsonInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = |text: String| RawValue::from_string(text).map_err(S::Error::custom);
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Integer(it) => raw(it.clone())?.serialize(serializer),
            Self::Real(it) if it.is_finite() => raw(PythonFloat(*it).to_string())?.serialize(serializer),
            Self::Real(_) => serializer.serialize_unit(),
            Self::Text(it) | Self::BrokenText(it) => serializer.serialize_str(it),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// Shape only: a body may hold a password.
impl fmt::Debug for JsonInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(_) => f.write_str("boolean"),
            Self::Integer(_) | Self::Real(_) => f.write_str("number"),
            Self::Text(_) | Self::BrokenText(_) => f.write_str("string"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Object(members) => f.debug_map().entries(members.iter().map(|(name, value)| (name, value))).finish(),
        }
    }
}

impl From<&str> for JsonInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A finite number as Python prints it: `1.0`, `100000.0`, `1e+16`, `1e-05`.
struct PythonFloat(f64);

impl fmt::Display for PythonFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The shortest digits that read back as the same number, with an exponent from the same sizes on; it is only
        // written otherwise.
        let text = format!("{:?}", self.0);
        match text.split_once('e') {
            None => f.write_str(&text),
            Some((digits, exponent)) => {
                let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |it| ('-', it));
                write!(f, "{digits}e{sign}{exponent:0>2}")
            }
        }
    }
}
