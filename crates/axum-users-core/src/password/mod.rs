//! Passwords: which are accepted, how they are hashed, and where that work runs.
//!
//! A password goes one way. [`PasswordPolicy`] turns text into a [`ValidatedPassword`]; only that can be hashed; the
//! work runs on the threads of a [`PasswordPool`], by a [`PasswordHasher`], which is [`DefaultHasher`] unless the
//! application brings its own.
//!
//! ```
//! use axum_users_core::{password::{Argon2Params, DefaultHasher, PasswordPolicy, PasswordPool, Verification}, secret::Secret};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cheap = Argon2Params::danger_below_floor(8, 1, 1)?;
//! # let hasher = DefaultHasher::new(cheap);
//! # let _ = "
//! let hasher = DefaultHasher::default();
//! # ";
//! let pool = PasswordPool::builder(hasher).build()?;
//!
//! let password = PasswordPolicy::default().check("plum tomato engine", Some("king@camelot.bt"))?;
//! let stored = pool.hash(password).await?;
//!
//! let answer = pool.verify(Secret::from("plum tomato engine"), stored).await?;
//! assert_eq!(answer, Verification::Valid);
//! # Ok(()) }
//! ```

mod arena;
pub(crate) mod breached;
pub(crate) mod fingerprint;
mod hash;
mod params;
mod phc;
mod policy;
mod pool;

#[cfg(test)]
mod tests;

use std::{error::Error, fmt};

pub use breached::{BREACHED_BUDGET, BreachedError, BreachedPasswords, BreachedPasswordsFile, OnFailure, PasswordSha1};
pub use hash::DefaultHasher;
pub use params::{Argon2Params, CostCeiling, ParamsError};
pub use policy::{InvalidPassword, PasswordPolicy, ValidatedPassword};
pub use pool::{PasswordError, PasswordPool, PasswordPoolBuilder};

use crate::{random, secret::Secret};

/// How passwords are hashed and verified. Implement this to replace [`DefaultHasher`] whole.
///
/// The methods are synchronous and slow on purpose; a [`PasswordPool`] calls them on threads of its own, several at a
/// time.
///
/// ```
/// use axum_users_core::{password::*, secret::Secret};
///
/// /// Hashes anew by Argon2, and also knows the passwords of the system before.
/// struct WithLegacy { current: DefaultHasher }
///
/// impl PasswordHasher for WithLegacy {
///     fn hash(&self, password: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
///         self.current.hash(password)
///     }
///
///     fn verify(&self, password: &str, stored: &PasswordHash) -> Result<Verification, HasherError> {
///         match stored.as_str().strip_prefix("{legacy}") {
///             Some(legacy) if legacy_matches(password, legacy) => Ok(Verification::ValidButOutdated),
///             Some(_) => Ok(Verification::Invalid),
///             None => self.current.verify(password, stored),
///         }
///     }
///
///     fn verify_dummy(&self, password: &str) -> Result<(), HasherError> {
///         self.current.verify_dummy(password)
///     }
/// }
/// # fn legacy_matches(password: &str, stored: &str) -> bool { password.len() == stored.len() }
///
/// let hasher = WithLegacy { current: DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1)?) };
/// let answer = hasher.verify("plum tomato engine", &PasswordHash::from_stored("{legacy}123456789012345678".to_owned()))?;
/// assert_eq!(answer, Verification::ValidButOutdated);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PasswordHasher: Send + Sync + 'static {
    /// The text to store for this password, with a fresh salt.
    ///
    /// # Errors
    /// [`HasherError`] when the work could not be done at all: no memory, or what the implementation needs is away.
    fn hash(&self, password: &ValidatedPassword) -> Result<PasswordHash, HasherError>;

    /// Whether this password belongs to that hash.
    ///
    /// # Errors
    /// [`HasherError`] as for [`hash`](Self::hash). A stored text that makes no sense is no error, but
    /// [`Verification::Unusable`].
    fn verify(&self, password: &str, stored: &PasswordHash) -> Result<Verification, HasherError>;

    /// Works as much as [`verify`](Self::verify) does for an ordinary user, for nothing: called where there is no user,
    /// so that the time of the answer does not tell (ASVS 6.3.8). The default hashes the password and drops the result.
    ///
    /// # Errors
    /// [`HasherError`] as for [`hash`](Self::hash).
    fn verify_dummy(&self, password: &str) -> Result<(), HasherError> {
        self.hash(&ValidatedPassword::proved(Secret::from(password))).map(drop)
    }

    /// A password that nobody knows, for users who are created without one: 43 characters, 256 bits.
    fn generate(&self) -> Secret {
        random::token()
    }

    /// How many calls may run at the same time within `budget` bytes of memory; 0 counts as 1. The default takes each
    /// to need 64 MiB.
    fn concurrency_within(&self, budget: usize) -> usize {
        budget / (64 << 20)
    }

    /// Called when there was no work for a while: memory that was kept for the next call can go.
    fn release(&self) {}
}

/// What a [`PasswordHasher`] found.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The password is right.
    Valid,
    /// The password is right, and its hash was not made by the current rule: hash it again and store that.
    ValidButOutdated,
    /// The password is wrong.
    Invalid,
    /// The stored text is no hash that can be checked: damaged, of an unknown kind, or more costly than
    /// [`CostCeiling`] allows. To the client this is a wrong password; the operator should hear of it.
    Unusable,
}

impl Verification {
    /// Whether the password is right, whatever else there is to say.
    #[must_use]
    pub fn is_valid(self) -> bool {
        match self {
            Self::Valid | Self::ValidButOutdated => true,
            Self::Invalid | Self::Unusable => false,
        }
    }
}

/// The stored form of a password, as it stands in the column `hashed_password`. Untrusted: it may come from an import.
///
/// ```
/// # use axum_users_core::password::PasswordHash;
/// let stored = PasswordHash::from_stored("$2b$04$...".to_owned());
/// assert_eq!(format!("{stored:?}"), "PasswordHash(…)");
/// assert_eq!(stored.as_str(), "$2b$04$...");
/// ```
#[derive(Clone)]
pub struct PasswordHash(Secret);

impl PasswordHash {
    /// The text that a store holds. Nothing is checked: [`PasswordHasher::verify`] does that.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(Secret::from(text))
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.expose()
    }

    /// In the place of a hash for somebody who chose no password: no password has it, checking one against it costs what it
    /// costs for everybody, and [`is_of_nobody`](Self::is_of_nobody) recognises it. `hash` is that of a random password; one of
    /// Argon2 gets another salt, any other stays as it is.
    #[must_use]
    pub(crate) fn of_nobody(hash: Self) -> Self {
        let mut parts: Vec<&str> = hash.as_str().split('$').collect();
        match parts.as_mut_slice() {
            ["", name, _, _, salt, _] if name.starts_with("argon2") => *salt = SALT_OF_NOBODY,
            _ => return hash,
        }
        Self(Secret::from(parts.join("$")))
    }

    /// Whether it stands for no password at all.
    #[must_use]
    pub(crate) fn is_of_nobody(&self) -> bool {
        self.as_str().split('$').nth(4) == Some(SALT_OF_NOBODY)
    }
}

/// `no password set!` in the alphabet of hashes.
const SALT_OF_NOBODY: &str = "bm8gcGFzc3dvcmQgc2V0IQ";

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

/// A [`PasswordHasher`] could not do its work: neither right nor wrong was found.
#[derive(Debug, thiserror::Error)]
#[error("the password hasher failed")]
pub struct HasherError(#[source] Box<dyn Error + Send + Sync>);

impl HasherError {
    /// From the cause, which the log will show.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
