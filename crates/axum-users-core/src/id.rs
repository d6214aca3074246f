//! The id of a user: a UUID or an object id that we draw, or a number that the database counts.

use std::{fmt, hash::Hash};

use uuid::Uuid;

use crate::{
    clock::Clock,
    random,
    value::{ColumnValue, Kind, Value, ValueError},
};

/// A type that identifies users: [`Uuid`] (version 4), `i64`, or [`ObjectId`] (of MongoDB).
///
/// Its `Display` form is the canonical one: paths and the `sub` of tokens carry it, and [`UserId::parse`] reads it back. In JSON
/// it is what [`ColumnValue::to_value`] serialises as: a text, or a number.
///
/// ```
/// use axum_users_core::UserId;
/// use uuid::Uuid;
///
/// let id = Uuid::generate().unwrap();
/// assert_eq!(Uuid::parse(&id.to_string()), Some(id));
/// assert_eq!(i64::generate(), None);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot identify users",
    note = "use `uuid::Uuid`, `i64` or `ObjectId`; a new type needs a store that keeps it"
)]
pub trait UserId: ColumnValue + Clone + Eq + Hash + fmt::Display + fmt::Debug + Send + Sync + 'static {
    /// An id for a new user; `None`: the database counts.
    fn generate() -> Option<Self>;

    /// Reads an id of a path or of a token. Only canonical spellings are ids, so that a user has no aliases in logs, caches and
    /// rate limits; `None` is answered like an unknown id.
    fn parse(text: &str) -> Option<Self>;
}

/// Hyphenated or 32 digits, in either case, alone, in one pair of braces, or after `urn:uuid:`.
impl UserId for Uuid {
    fn generate() -> Option<Self> {
        Some(random::uuid_v4())
    }

    fn parse(text: &str) -> Option<Self> {
        let braced = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let digits = braced.or_else(|| text.strip_prefix("urn:uuid:")).unwrap_or(text);
        match digits.len() {
            32 | 36 => Self::try_parse(digits).ok(),
            _ => None,
        }
    }
}

/// Decimal digits, after `-` for the negative ones that an adopted table may have.
impl UserId for i64 {
    fn generate() -> Option<Self> {
        None
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Leading zeros pass, as in the contract; a minus goes with a canonical number only.
        let canonical = digits.len() == text.len() || !digits.starts_with('0');
        if decimal && canonical { text.parse().ok() } else { None }
    }
}

/// An object id of MongoDB: 12 bytes, the first four of which count the seconds since 1970 when it was drawn, so that ids sort by
/// age. It tells when a user registered; where that is a secret, use [`Uuid`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId([u8; 12]);

impl ObjectId {
    /// The id of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 12] {
        self.0
    }
}

/// 24 hexadecimal digits in either case.
impl UserId for ObjectId {
    fn generate() -> Option<Self> {
        Some(Self(random::object_id(Clock::default().unix())))
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() != 24 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 12];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl ColumnValue for ObjectId {
    const KIND: Kind = Kind::ObjectId;

    fn to_value(&self) -> Value {
        Value::ObjectId(*self)
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        match value {
            Value::ObjectId(id) => Ok(id),
            _ => Err(ValueError::Kind { expected: Kind::ObjectId }),
        }
    }
}

/// 24 hexadecimal digits in lower case.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
