//! The rules of axum-users.

pub mod body;
pub mod email;
pub mod id;
pub mod json;
pub mod random;
pub mod value;

pub use body::{Body, FromBody, Issue, Property};
pub use email::{Email, EmailKey, InvalidEmail};
pub use id::UserId;
pub use json::{JsonError, JsonInput};
pub use value::{Column, ColumnValue, Json, Kind, OneOf, Row, Value, ValueError};
