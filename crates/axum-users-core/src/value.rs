//! Neutral values: what a column holds, before any driver or wire format.
//!
//! Stores work from [`Column`]s and [`Value`]s, never from serde of a whole struct, so that one declaration serves SQL,
//! documents and memory alike.

use std::fmt;

use serde::{Serialize, Serializer, de::DeserializeOwned};
use time::{
    Date, OffsetDateTime, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};
use uuid::Uuid;

use crate::id::ObjectId;

/// The kind of a column: which [`Value`] it holds when it is not null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// True or false.
    Bool,
    /// A signed integer of 64 bits.
    Integer,
    /// A floating-point number of 64 bits.
    Real,
    /// Text, without NUL characters.
    Text,
    /// Bytes; base64 on the wire.
    Bytes,
    /// A UUID.
    Uuid,
    /// An object id of MongoDB; no column of the application's own.
    ObjectId,
    /// A calendar date, `2026-11-24` on the wire.
    Date,
    /// An instant with microseconds, RFC 3339 in UTC on the wire.
    Timestamp,
    /// Any JSON.
    Json,
}

/// One value of a column.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No value.
    Null,
    /// See [`Kind::Bool`].
    Bool(bool),
    /// See [`Kind::Integer`].
    Integer(i64),
    /// See [`Kind::Real`].
    Real(f64),
    /// See [`Kind::Text`].
    Text(String),
    /// See [`Kind::Bytes`].
    Bytes(Vec<u8>),
    /// See [`Kind::Uuid`].
    Uuid(Uuid),
    /// See [`Kind::ObjectId`].
    ObjectId(ObjectId),
    /// See [`Kind::Date`].
    Date(Date),
    /// See [`Kind::Timestamp`].
    Timestamp(OffsetDateTime),
    /// See [`Kind::Json`].
    Json(serde_json::Value),
}

/// Why a [`Value`] is not a value of the type that was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Another kind of value, or null where none is allowed.
    #[error("a value of kind {expected:?} was expected")]
    Kind {
        /// What the type holds.
        expected: Kind,
    },
    /// The right kind, but not one of the words of an enumeration.
    #[error("the value is not one of {0:?}")]
    NotOneOf(&'static [&'static str]),
    /// The right kind, refused by the type, with a reason for people.
    #[error("{0}")]
    Refused(String),
}

/// A type that can stand in a column.
///
/// Implemented for `bool`, `i64`, `i32`, `f64`, `String`, `Vec<u8>`, [`Uuid`], [`Date`], [`OffsetDateTime`], [`Json`] and
/// `Option` of each. For an enumeration or a newtype, derive it (`#[derive(ColumnValue)]`). By hand, three items are enough:
///
/// ```
/// use axum_users_core::{ColumnValue, Kind, Value, ValueError};
///
/// /// A colour, stored and sent as `#rrggbb`.
/// #[derive(Clone, Debug, PartialEq)]
/// struct Colour(u32);
///
/// impl ColumnValue for Colour {
///     const KIND: Kind = Kind::Text;
///     fn to_value(&self) -> Value {
///         Value::Text(format!("#{:06x}", self.0))
///     }
///     fn from_value(value: Value) -> Result<Self, ValueError> {
///         String::from_value(value)?
///             .strip_prefix('#')
///             .and_then(|digits| u32::from_str_radix(digits, 16).ok())
///             .map(Colour)
///             .ok_or_else(|| ValueError::Refused("a colour looks like #20b2aa".into()))
///     }
/// }
/// assert_eq!(Colour::from_value(Colour(0x20b2aa).to_value()), Ok(Colour(0x20b2aa)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in a column",
    label = "not a column type",
    note = "derive `ColumnValue` for an enumeration or a newtype, wrap any serde type in `Json<T>`, or implement `ColumnValue`"
)]
pub trait ColumnValue: Sized + Send + Sync {
    /// The kind of its values.
    const KIND: Kind;
    /// Whether null is one of its values; true for `Option`.
    const NULLABLE: bool = false;

    /// As it is stored and sent.
    fn to_value(&self) -> Value;

    /// Back from the store or a request.
    ///
    /// # Errors
    /// [`ValueError`] when the value is of another kind or refused by the type.
    fn from_value(value: Value) -> Result<Self, ValueError>;

    /// Its JSON schema, without title and default.
    #[must_use]
    fn schema() -> serde_json::Value {
        Self::KIND.schema()
    }
}

/// One of the application's own columns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Column {
    /// Its name on the wire: the field of the profile.
    pub field: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether no two users may have the same value.
    pub unique: bool,
    /// What existing rows get when the column is added to their table.
    pub default: Option<fn() -> Value>,
}

impl Column {
    /// A column that holds `T`, neither unique nor with a default.
    #[must_use]
    pub const fn of<T: ColumnValue>(field: &'static str) -> Self {
        Self::new(field, T::KIND, T::NULLABLE)
    }

    /// A column of a kind that is known only at run time.
    #[must_use]
    pub const fn new(field: &'static str, kind: Kind, nullable: bool) -> Self {
        Self { field, name: field, kind, nullable, unique: false, default: None }
    }

    /// Another name in the table than on the wire.
    #[must_use]
    pub const fn stored_as(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// No two users may have the same value; nulls are not compared.
    #[must_use]
    pub const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// What existing rows get when the column is added to their table.
    #[must_use]
    pub const fn default(mut self, default: fn() -> Value) -> Self {
        self.default = Some(default);
        self
    }
}

/// One row of a store, read column by column in the order of [`Column`]s.
pub trait Row {
    /// The value at `index`, which the caller knows to be of `kind`.
    ///
    /// # Errors
    /// [`ValueError`] when the store holds something else there.
    fn value(&self, index: usize, kind: Kind) -> Result<Value, ValueError>;
}

impl dyn Row + '_ {
    /// The value at `index` as a `T`.
    ///
    /// # Errors
    /// [`ValueError`] when the store holds something else there.
    pub fn get<T: ColumnValue>(&self, index: usize) -> Result<T, ValueError> {
        T::from_value(self.value(index, T::KIND)?)
    }
}

/// Any serde type in a column of [`Kind::Json`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned + Send + Sync> ColumnValue for Json<T> {
    const KIND: Kind = Kind::Json;
    fn to_value(&self) -> Value {
        serde_json::to_value(&self.0).map_or(Value::Null, Value::Json)
    }
    fn from_value(value: Value) -> Result<Self, ValueError> {
        match value {
            Value::Json(json) => serde_json::from_value(json).map(Self).map_err(|e| ValueError::Refused(e.to_string())),
            _ => Err(ValueError::Kind { expected: Kind::Json }),
        }
    }
}

impl<T: ColumnValue> ColumnValue for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
    fn from_value(value: Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({ "anyOf": [T::schema(), { "type": "null" }] })
    }
}

macro_rules! column_value {
    ($($type:ty => $kind:ident),* $(,)?) => {$(
        impl ColumnValue for $type {
            const KIND: Kind = Kind::$kind;
            fn to_value(&self) -> Value {
                Value::$kind(self.clone())
            }
            fn from_value(value: Value) -> Result<Self, ValueError> {
                match value {
                    Value::$kind(it) => Ok(it),
                    _ => Err(ValueError::Kind { expected: Kind::$kind }),
                }
            }
        }
    )*};
}
column_value! {
    bool => Bool, i64 => Integer, f64 => Real, String => Text, Vec<u8> => Bytes, Uuid => Uuid, Date => Date,
    OffsetDateTime => Timestamp,
}

impl ColumnValue for i32 {
    const KIND: Kind = Kind::Integer;
    fn to_value(&self) -> Value {
        Value::Integer(i64::from(*self))
    }
    fn from_value(value: Value) -> Result<Self, ValueError> {
        Self::try_from(i64::from_value(value)?)
            .map_err(|_| ValueError::Refused("Input should be an integer of 32 bits".into()))
    }
}

impl Kind {
    /// The JSON schema of a value of this kind.
    #[must_use]
    pub fn schema(self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Self::Bool => json!({ "type": "boolean" }),
            Self::Integer => json!({ "type": "integer" }),
            Self::Real => json!({ "type": "number" }),
            Self::Text => json!({ "type": "string" }),
            Self::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Self::Uuid => json!({ "type": "string", "format": "uuid" }),
            Self::ObjectId => json!({ "type": "string", "maxLength": 24, "minLength": 24, "pattern": "^[0-9a-f]{24}$" }),
            Self::Date => json!({ "type": "string", "format": "date" }),
            Self::Timestamp => json!({ "type": "string", "format": "date-time" }),
            Self::Json => json!({}),
        }
    }
}

const DATE: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");

/// As on the wire; see [`Kind`].
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        use serde::ser::Error as _;
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Integer(it) => serializer.serialize_i64(*it),
            Self::Real(it) => serializer.serialize_f64(*it),
            Self::Text(it) => serializer.serialize_str(it),
            Self::Bytes(it) => serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(it)),
            Self::Uuid(it) => serializer.collect_str(it),
            Self::ObjectId(it) => serializer.collect_str(it),
            Self::Date(it) => serializer.serialize_str(&it.format(&DATE).map_err(S::Error::custom)?),
            Self::Timestamp(it) => {
                let text = it.to_offset(UtcOffset::UTC).format(&Rfc3339).map_err(S::Error::custom)?;
                serializer.serialize_str(&text)
            }
            Self::Json(it) => it.serialize(serializer),
        }
    }
}

impl Value {
    /// The kind of this value; `None` for null.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => Kind::Bool,
            Self::Integer(_) => Kind::Integer,
            Self::Real(_) => Kind::Real,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::Uuid(_) => Kind::Uuid,
            Self::ObjectId(_) => Kind::ObjectId,
            Self::Date(_) => Kind::Date,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Json(_) => Kind::Json,
        })
    }

    /// A date from `2026-11-24`.
    #[must_use]
    pub fn parse_date(text: &str) -> Option<Date> {
        Date::parse(text, &DATE).ok()
    }
}

/// The words of an enumeration as people read them: `'free', 'pro' or 'team'`.
#[derive(Clone, Copy, Debug)]
pub struct OneOf(pub &'static [&'static str]);

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let separator = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{separator}'{word}'")?;
        }
        Ok(())
    }
}
