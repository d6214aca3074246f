//! What a token says.

use std::fmt;

use serde_json::Value;

use super::{json, validation::JwtError};

/// The claims of a token, in the order in which they are written.
///
/// The shape of a claim is the shape of its value: the other system writes the audience of a login token as a list and that of
/// every other token as a string, so `.with("aud", vec!["a"])` and `.with("aud", "a")` differ on the wire.
#[derive(Clone, Default)]
pub struct Claims(Vec<(String, Value)>);

impl Claims {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a claim at the end; one of that name is replaced where it stands.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name.to_owned(), value.into())),
        }
        self
    }

    /// A claim.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A claim that is text; `None` also for any other type.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A claim that is an integer of 64 bits; `None` also for any other type.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    /// Whose token it is (`sub`).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// When it expires (`exp`, Unix seconds).
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        self.integer("exp")
    }

    /// When it was issued (`iat`, Unix seconds). The other system does not write it.
    #[must_use]
    pub fn issued_at(&self) -> Option<i64> {
        self.integer("iat")
    }

    /// The claims in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> + Clone {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(super) fn parse(payload: &[u8]) -> Result<Self, JwtError> {
        json::members(payload).map(Self).ok_or(JwtError::Malformed)
    }
}

/// Names only: values are personal or secret.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
