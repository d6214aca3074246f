//! Mail as facts: what it is about and for whom. What it looks like and how it travels is for a [`Mailer`].

use std::{error::Error, fmt, future::Future};

use crate::{email::Email, secret::Secret};

/// What a mail is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailKind {
    /// A link that proves the address; with a token for `POST /verify`.
    VerifyAddress,
    /// A link to a new password; with a token for `POST /reset-password`.
    ResetPassword,
    /// The password was changed.
    PasswordChanged,
    /// The address was changed; told to the old and to the new one.
    EmailChanged {
        /// What it was.
        old: Email,
        /// What it is.
        new: Email,
    },
    /// An account with a provider was linked.
    AccountLinked {
        /// What people call the provider.
        provider: String,
    },
    /// An account with a provider was unlinked.
    AccountUnlinked {
        /// What people call the provider.
        provider: String,
    },
    /// Somebody asked to register an address that has an account.
    AlreadyRegistered,
    /// A user asks for this address; with a token for `POST /verify` that makes it theirs.
    ConfirmEmailChange,
    /// A user asks for this address, which has an account already.
    AddressInUse,
    /// Another address was asked for; told to the one so far.
    EmailChangeRequested {
        /// What was asked for.
        new: Email,
    },
    /// The address was changed; told to the old one, with a token for `POST /verify` that undoes it.
    UndoEmailChange {
        /// What it was.
        old: Email,
        /// What it is.
        new: Email,
    },
}

/// One mail to one person.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mail {
    /// What it is about.
    pub kind: MailKind,
    /// For whom.
    pub to: Email,
    /// The token of its link, where it has one.
    pub token: Option<Secret>,
    /// The same for every attempt to send this mail, and for no other: 22 characters of base64url. A receiver that sees it
    /// twice has one mail.
    pub key: String,
    /// The header `Accept-Language` of the request that asked for it.
    pub languages: Option<String>,
}

impl Mail {
    /// A mail of this kind.
    #[must_use]
    pub fn new(kind: MailKind, to: Email, token: Option<Secret>, key: impl Into<String>) -> Self {
        Self { kind, to, token, key: key.into(), languages: None }
    }
}

/// Sends mail. `axum-users-mail` has one for SMTP and one for development.
///
/// ```
/// use axum_users_core::mail::{Mail, Mailer, Undelivered};
///
/// struct Printed;
///
/// impl Mailer for Printed {
///     async fn send(&self, mail: &Mail) -> Result<(), Undelivered> {
///         println!("to {}: {:?}", mail.to, mail.kind);
///         Ok(())
///     }
/// }
/// ```
pub trait Mailer: Send + Sync + 'static {
    /// Hands one mail over. Called by a worker, never within a request; again, later, after an error.
    ///
    /// # Errors
    /// [`Undelivered`] says whether trying again makes sense.
    fn send(&self, mail: &Mail) -> impl Future<Output = Result<(), Undelivered>> + Send;
}

/// A mail that was not taken.
#[derive(Debug)]
pub struct Undelivered {
    permanent: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl Undelivered {
    /// Not now; the same mail may go through later.
    pub fn for_now(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { permanent: false, source: source.into() }
    }

    /// Never; trying again makes no sense.
    pub fn for_good(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { permanent: true, source: source.into() }
    }

    /// Whether trying again makes no sense.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.permanent { "the mail was refused" } else { "the mail was not taken yet" })
    }
}

impl Error for Undelivered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
