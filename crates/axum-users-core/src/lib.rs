//! The rules of axum-users.

pub mod value;
pub use value::{Column, ColumnValue, Json, Kind, OneOf, Row, Value, ValueError};
