//! Who races.

use uuid::Uuid;

use crate::Answer;

/// A user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Person {
    /// Their id.
    pub id: Uuid,
    /// Their address.
    pub email: String,
}

/// How somebody logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every node has these")]
pub enum Backend {
    /// A JWT as a bearer token.
    Jwt,
    /// A stored token as a bearer token.
    Db,
    /// A stored token in a cookie.
    Cookie,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Jwt, Self::Db, Self::Cookie];

    /// One after the other.
    #[must_use]
    pub fn number(number: usize) -> Self {
        match number % 3 {
            0 => Self::Jwt,
            1 => Self::Db,
            _ => Self::Cookie,
        }
    }

    /// Those with refresh tokens, one after the other.
    #[must_use]
    pub fn refreshable(number: usize) -> Self {
        if number.is_multiple_of(2) { Self::Jwt } else { Self::Db }
    }

    /// Its part of a path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Db => "db",
            Self::Cookie => "cookie",
        }
    }
}

/// What a login or a refresh gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// The backend that gave it.
    pub backend: Backend,
    /// The header that proves who is calling.
    pub header: (&'static str, String),
    /// Its refresh token, if there are any.
    pub refresh: Option<String>,
}

impl Session {
    /// What a login or a refresh answered, if it gave anything.
    #[must_use]
    pub fn of(answer: &Answer, backend: Backend) -> Option<Self> {
        if !(200..300).contains(&answer.status) {
            return None;
        }
        let refresh = answer.text("refresh_token").map(str::to_owned);
        let bearer = answer.text("access_token").map(|token| ("authorization", format!("Bearer {token}")));
        let header = bearer.or_else(|| Some(("cookie", answer.cookie.clone()?)))?;
        Some(Self { backend, header, refresh })
    }
}
