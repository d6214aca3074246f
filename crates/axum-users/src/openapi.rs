//! The OpenAPI document.

use serde_json::Value;

/// How OpenAPI describes where a token travels: a name and a security scheme object.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SecurityScheme {
    /// The key under `components.securitySchemes`; schemes of one name collapse, the last one counts.
    pub name: String,
    /// The object (OpenAPI 3.1 section 4.8.27).
    pub object: Value,
}

impl SecurityScheme {
    /// A scheme.
    pub fn new(name: impl Into<String>, object: Value) -> Self {
        Self { name: name.into(), object }
    }
}
