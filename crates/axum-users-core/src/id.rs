//! The id of a user: a UUID that we draw, or a number that the database counts.

use std::{fmt, hash::Hash};

use uuid::Uuid;

use crate::{random, value::ColumnValue};

/// A type that identifies users: [`Uuid`] (version 4) or `i64`.
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
    note = "use `uuid::Uuid` or `i64`; a new type needs a store that keeps it"
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
