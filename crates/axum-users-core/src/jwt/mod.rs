//! Signed tokens (JWT), as FastAPI Users writes and reads them.
//!
//! A codec and nothing else: no store, no clock, no purpose. What a token is for is said by its audience (`aud`), so one
//! codec serves login, verify, reset and state tokens.
//!
//! - The algorithm belongs to the [key](JwtKey); a token only has to name the same one (RFC 8725, 3.1).
//! - A signature is verified before a claim is read.
//! - A token has one spelling, but for `=` at its end, which FastAPI Users accepts too. Whoever remembers a token (to end it)
//!   remembers its [`canonical`] form.
//!
//! ```
//! use axum_users_core::jwt::{Claims, JwtError, JwtKey, JwtKeys, Validation};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = JwtKeys::new(JwtKey::hs256(b"2f0c9b1d7e6a4853b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6"));
//! let claims = Claims::new().with("sub", "7").with("aud", vec!["fastapi-users:auth"]).with("exp", 1_700_003_600);
//! let token = keys.encode(&claims)?;
//!
//! let login = Validation::audience("fastapi-users:auth");
//! assert_eq!(keys.decode(&token, &login, 1_700_000_000)?.subject(), Some("7"));
//! assert_eq!(keys.decode(&token, &login, 1_700_003_600).unwrap_err(), JwtError::Expired);
//!
//! let reset = Validation::audience("fastapi-users:reset");
//! assert_eq!(keys.decode(&token, &reset, 1_700_000_000).unwrap_err(), JwtError::Audience);
//! # Ok(()) }
//! ```

mod algorithm;
mod claims;
mod compact;
mod json;
mod key;
mod keys;
mod strength;
mod validation;

pub use algorithm::{JwtAlgorithm, UnknownAlgorithm};
pub use claims::Claims;
pub use compact::{MAX_TOKEN_BYTES, canonical};
pub use key::{JwtKey, KeyError};
pub use keys::JwtKeys;
pub use strength::{WeakSecret, check_secret};
pub use validation::{JwtError, LEEWAY_SECONDS, Validation};
