//! Passwords that are known from breaches, and whom to ask about them.

mod file;

use std::{error::Error as StdError, fmt, future::Future, sync::Arc, time::Duration};

use aws_lc_rs::digest;

pub use file::BreachedPasswordsFile;

use super::InvalidPassword;
use crate::{erased::BoxFuture, error::Error, secret::Secret};

/// How long a source may take; then it has failed.
pub const BREACHED_BUDGET: Duration = Duration::from_secs(2);

/// A list of passwords that are known from breaches (ASVS 6.2.12). It is asked about every password that someone chooses, not at
/// login: see [`UserManagerBuilder::breached_passwords`](crate::UserManagerBuilder::breached_passwords).
///
/// A source sees a hash and never the password. Ours are [`BreachedPasswordsFile`], which needs no network, and, in the crate
/// `axum-users` with the feature `breached-range`, `BreachedPasswordsRange`.
///
/// ```
/// use axum_users_core::password::{BreachedError, BreachedPasswords, PasswordSha1};
///
/// /// A few hashes in memory, sorted.
/// struct Known(Vec<String>);
///
/// impl BreachedPasswords for Known {
///     async fn contains(&self, password: &PasswordSha1) -> Result<bool, BreachedError> {
///         Ok(self.0.binary_search_by(|known| known.as_str().cmp(password.as_str())).is_ok())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of breached passwords",
    note = "use `BreachedPasswordsFile`, or implement `BreachedPasswords`"
)]
pub trait BreachedPasswords: Send + Sync + 'static {
    /// Whether the list holds this password. More than [`BREACHED_BUDGET`] is a failure.
    ///
    /// # Errors
    /// [`BreachedError`] when that could not be found out.
    fn contains(&self, password: &PasswordSha1) -> impl Future<Output = Result<bool, BreachedError>> + Send;
}

/// What becomes of a new password when the list cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum OnFailure {
    /// It is accepted, with a warning in the log: the rest of the policy has judged it.
    Allow,
    /// It is refused, [`Error::BreachedPasswordsUnavailable`](crate::Error): nobody sets a password until the list answers.
    Refuse,
}

/// The SHA-1 of a password in UTF-8, as lists of breached passwords are keyed: 40 hexadecimal digits in upper case. It does not
/// print; a common password is found by its hash in no time.
#[derive(Clone)]
pub struct PasswordSha1(Secret);

impl PasswordSha1 {
    /// Of this password.
    #[must_use]
    pub fn of(password: &str) -> Self {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        Self(Secret::from(hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<String>()))
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.expose()
    }

    /// The first 5 digits, all that a range service is told, and the 35 others.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        self.as_str().split_at(RANGE_DIGITS)
    }
}

/// Digits that name a range.
const RANGE_DIGITS: usize = 5;

impl fmt::Debug for PasswordSha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordSha1(…)")
    }
}

/// The list could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the list of breached passwords could not be asked")]
pub struct BreachedError(#[source] Box<dyn StdError + Send + Sync>);

impl BreachedError {
    /// From the cause, which the log will show. It must hold neither the password nor its hash.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// A list and what to do without it.
#[derive(Clone)]
pub(crate) struct BreachedCheck {
    list: Arc<dyn DynBreachedPasswords>,
    on_failure: OnFailure,
}

impl BreachedCheck {
    pub(crate) fn new(list: impl BreachedPasswords, on_failure: OnFailure) -> Self {
        Self { list: Arc::new(list), on_failure }
    }

    /// Accepts a password that is not on the list.
    pub(crate) async fn check(&self, password: &Secret) -> Result<(), Error> {
        let hash = PasswordSha1::of(password.expose());
        let answer = tokio::time::timeout(BREACHED_BUDGET, self.list.contains(&hash)).await;
        match answer.unwrap_or_else(|elapsed| Err(BreachedError::new(elapsed))) {
            Ok(false) => Ok(()),
            Ok(true) => {
                Err(Error::InvalidPassword(InvalidPassword::new("Password should not be one known from a data breach")))
            }
            Err(error) => {
                let refused = self.on_failure == OnFailure::Refuse;
                tracing::warn!(refused, error = &error as &dyn StdError, "a new password was not looked up");
                if refused { Err(Error::BreachedPasswordsUnavailable) } else { Ok(()) }
            }
        }
    }
}

/// [`BreachedPasswords`], erased.
trait DynBreachedPasswords: Send + Sync {
    fn contains<'a>(&'a self, password: &'a PasswordSha1) -> BoxFuture<'a, Result<bool, BreachedError>>;
}

impl<T: BreachedPasswords> DynBreachedPasswords for T {
    fn contains<'a>(&'a self, password: &'a PasswordSha1) -> BoxFuture<'a, Result<bool, BreachedError>> {
        Box::pin(BreachedPasswords::contains(self, password))
    }
}
