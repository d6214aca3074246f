//! The rules of axum-users.

pub mod password;
pub mod random;
pub mod secret;
pub mod value;
pub use value::{Column, ColumnValue, Json, Kind, OneOf, Row, Value, ValueError};
