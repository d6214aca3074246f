//! The rules of axum-users: users, passwords, tokens, and the traits of what stores them.
//!
//! Applications use the crate `axum-users`, which re-exports this one. Authors of adapters depend on this crate alone: it
//! names neither a web framework nor a driver.

mod audit;
pub mod body;
mod clock;
mod database;
mod derive;
pub mod email;
mod erased;
mod error;
mod hooks;
mod id;
pub mod json;
pub mod jwt;
pub mod mail;
mod manager;
#[cfg(feature = "memory")]
pub mod memory;
pub mod oauth;
pub mod outbox;
pub mod password;
mod profile;
pub mod random;
pub mod refresh;
pub mod secret;
pub mod session;
pub mod strategy;
mod throttle;
mod token;
mod user;
mod value;

pub use audit::{Audit, AuditChanges};
pub use body::{Body, FromBody, Issue, Loc, Property};
pub use clock::Clock;
pub use database::{
    AccessTokenDatabase, Condition, Conflict, DatabaseError, NewToken, Outcome, RefreshTokenDatabase, StoredToken,
    UserChange, UserDatabase, WithOAuthAccount, WithSession,
};
pub use email::{Email, EmailKey, InvalidEmail};
pub use error::{BadOAuthState, Error, error_chain};
pub use hooks::{Delivery, PasswordContext, RequestInfo, UserHooks, Veto};
pub use id::{ObjectId, UserId};
pub use json::{JsonError, JsonInput};
pub use manager::{Acting, Authenticated, FRESH, OAuthReturn, OAuthStart, UserManager, UserManagerBuilder};
pub use oauth::{
    AccountId, AnyOAuthClient, ExternalIdentity, NewOAuthAccount, OAuthAccount, OAuthClient, OAuthClientError,
    OAuthIdentity, OAuthKeys, OAuthRules, OAuthToken,
};
pub use outbox::{Message, Task};
pub use password::{
    Argon2Params, DefaultHasher, InvalidPassword, PasswordHash, PasswordHasher, PasswordPolicy, PasswordPool,
    ValidatedPassword, Verification,
};
pub use profile::{Changes, ProfileRead, UserProfile, serialize_member};
pub use refresh::{NewRefreshToken, RefreshTokens, Rotation, Successor};
pub use secret::Secret;
pub use session::{EndTokens, KeptSession, NewSession, SessionId, SessionState, StoredSession, TokenHash};
pub use strategy::{AnyStrategy, DatabaseStrategy, IssuedToken, JwtStrategy, Strategy, TokenOwner};
pub use throttle::{BucketKey, KnownDevice, KnownDevices, Limit, Taken, Throttle};
pub use token::TokenSettings;
pub use user::{Fields, NewUser, User, UserCreate, UserUpdate};
pub use value::{Column, ColumnValue, Json, Kind, OneOf, Row, Value, ValueError};

/// For the derive macros only.
#[doc(hidden)]
pub mod __private {
    pub use serde::ser::SerializeMap;
    pub use serde_json;
    pub use uuid::Uuid;

    /// The schema of an enumeration.
    #[must_use]
    pub fn enumeration_schema(words: &[&str]) -> serde_json::Value {
        serde_json::json!({ "type": "string", "enum": words })
    }
}
