//! The rules of axum-users.

pub mod email;
pub mod value;

pub use email::{Email, EmailKey, InvalidEmail};
pub use value::{Column, ColumnValue, Json, Kind, OneOf, Row, Value, ValueError};
