//! The rules of axum-users.

pub mod email;
pub mod json;
pub mod value;

pub use email::{Email, EmailKey, InvalidEmail};
pub use json::{JsonError, JsonInput};
pub use value::{Column, ColumnValue, Json, Kind, OneOf, Row, Value, ValueError};
