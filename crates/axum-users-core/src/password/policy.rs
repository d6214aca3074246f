//! Which passwords are accepted.

use std::{fmt, ops::RangeInclusive, sync::LazyLock};

use serde_json::Value;

use crate::secret::Secret;

/// The rule for new passwords; the same on every way that sets one (ASVS 6.3.4).
///
/// A password is taken as it is typed: nothing is trimmed, cut or folded, and no kinds of characters are demanded
/// (ASVS 6.2.5, 6.2.8).
///
/// ```
/// use axum_users_core::password::PasswordPolicy;
///
/// let policy = PasswordPolicy::default().min_length(15).context_words(["camelot"]);
/// assert!(policy.check("plum tomato engine", None).is_ok());
/// let refused = policy.check("short", None).unwrap_err();
/// assert_eq!(refused.reason(), "Password should be at least 15 characters");
/// ```
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    min_length: usize,
    max_length: usize,
    refuse_common: bool,
    refuse_context: bool,
    context_words: Vec<String>,
}

impl PasswordPolicy {
    /// Fewest characters (Unicode code points). Default: 8 (ASVS 6.2.1). NIST SP 800-63B-4 asks for 15 where the password
    /// is the only factor. With 0 the empty password is accepted.
    #[must_use]
    pub fn min_length(self, min_length: usize) -> Self {
        Self { min_length, ..self }
    }

    /// Most characters (Unicode code points). Default: 1024. ASVS 6.2.9 asks for 64 or more.
    #[must_use]
    pub fn max_length(self, max_length: usize) -> Self {
        Self { max_length, ..self }
    }

    /// Whether the 17,950 most common passwords of 8 characters or more are refused, in whatever case. Default: yes
    /// (ASVS 6.2.4). Below 8 characters there is no list: a smaller [`min_length`](Self::min_length) lets `123456` pass.
    #[must_use]
    pub fn refuse_common(self, refuse_common: bool) -> Self {
        Self { refuse_common, ..self }
    }

    /// Whether passwords are refused that contain what an attacker tries first with this user (ASVS 6.2.11), in whatever
    /// case: the local part of the e-mail address, also without what follows a `+`; the name of its domain, which is the
    /// last label of 4 characters or more before the top level (`camelot` in `king@mail.camelot.bt`); and the
    /// [`context_words`](Self::context_words). Each counts from 4 characters on. Default: yes.
    #[must_use]
    pub fn refuse_context(self, refuse_context: bool) -> Self {
        Self { refuse_context, ..self }
    }

    /// Words that belong to the application, such as its name (ASVS 6.1.2). Default: none.
    #[must_use]
    pub fn context_words(self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { context_words: words.into_iter().map(Into::into).collect(), ..self }
    }

    /// How many characters a password may have.
    #[must_use]
    pub fn length(&self) -> RangeInclusive<usize> {
        self.min_length..=self.max_length
    }

    /// Accepts the password, or says why not. `email` is the address that the user will have.
    ///
    /// # Errors
    /// [`InvalidPassword`] with one reason, the first of: too short, too long, common, taken from the context.
    pub fn check(&self, password: &str, email: Option<&str>) -> Result<ValidatedPassword, InvalidPassword> {
        let length = password.chars().count();
        if length < self.min_length {
            return Err(InvalidPassword::new(format!("Password should be at least {} characters", self.min_length)));
        }
        if length > self.max_length {
            return Err(InvalidPassword::new(format!("Password should be at most {} characters", self.max_length)));
        }
        let folded = Secret::from(password.to_lowercase());
        if self.refuse_common && COMMON.binary_search(&folded.expose()).is_ok() {
            return Err(InvalidPassword::new("Password should not be a common one"));
        }
        if self.refuse_context && self.context(email).any(|word| folded.expose().contains(&word)) {
            return Err(InvalidPassword::new(
                "Password should not contain the e-mail address or the name of this service",
            ));
        }
        Ok(ValidatedPassword(Secret::from(password)))
    }

    /// The words that must not occur, folded.
    fn context<'a>(&'a self, email: Option<&'a str>) -> impl Iterator<Item = String> + use<'a> {
        let (local, domain) = email.and_then(|email| email.rsplit_once('@')).unwrap_or_default();
        let untagged = local.split_once('+').map_or(local, |(untagged, _)| untagged);
        let name = domain.rsplit('.').skip(1).find(|label| is_long(label)).unwrap_or_default();
        [local, untagged, name]
            .into_iter()
            .chain(self.context_words.iter().map(String::as_str))
            .filter(|word| is_long(word))
            .map(str::to_lowercase)
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: 8, max_length: 1024, refuse_common: true, refuse_context: true, context_words: Vec::new() }
    }
}

/// A password that may be set: only this can be hashed, and only the rule in force makes one.
///
/// ```compile_fail,E0308
/// use axum_users_core::{password::{DefaultHasher, PasswordHasher}, secret::Secret};
/// DefaultHasher::default().hash(&Secret::from("anything"));
/// ```
///
/// ```compile_fail,E0423
/// use axum_users_core::{password::ValidatedPassword, secret::Secret};
/// let password = ValidatedPassword(Secret::from("anything"));
/// ```
pub struct ValidatedPassword(Secret);

impl ValidatedPassword {
    /// For the user manager, after the application's `validate_password` accepted the password in place of a
    /// [`PasswordPolicy`].
    #[must_use]
    pub fn accepted_by_hook(password: Secret) -> Self {
        Self(password)
    }

    /// For imports and tests, without any rule.
    ///
    /// # Security
    /// The first passwords that an attacker tries are those that a rule would have refused.
    #[must_use]
    pub fn danger_unchecked(password: Secret) -> Self {
        Self(password)
    }

    /// A password that is in use already and was just verified, or one that is thrown away.
    pub(super) fn proved(password: Secret) -> Self {
        Self(password)
    }

    /// The password itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for ValidatedPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ValidatedPassword(…)")
    }
}

/// A password was refused. The reason goes to the client as it is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the password was refused: {reason}")]
pub struct InvalidPassword {
    reason: Value,
}

impl InvalidPassword {
    /// With the reason in words.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: Value::String(reason.into()) }
    }

    /// With a reason of any shape, for a client that expects one.
    pub fn from_json(reason: Value) -> Self {
        Self { reason }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &Value {
        &self.reason
    }

    /// The reason, to send it.
    #[must_use]
    pub fn into_reason(self) -> Value {
        self.reason
    }
}

/// Lower case, sorted by byte, from 8 characters on. Origin and licence: `common-passwords.md`.
static COMMON: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("common-passwords.txt").lines().collect());

/// Shorter words occur in passwords by chance.
fn is_long(word: &str) -> bool {
    word.chars().nth(3).is_some()
}
