//! What can go wrong, as facts.

use std::time::Duration;

use crate::{
    database::{Conflict, DatabaseError},
    hooks::Veto,
    oauth::OAuthClientError,
    password::{InvalidPassword, PasswordError},
};

/// Why an operation of the [`UserManager`](crate::UserManager) was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The mailbox has an account already.
    #[error("a user with this e-mail address exists already")]
    UserAlreadyExists,
    /// A unique column of the application's own, by its field, has this value already.
    #[error("another user has this value of {0}")]
    ValueAlreadyExists(&'static str),
    /// A value does not fit its column.
    #[error("a value is too long or too large")]
    ValueOutOfRange,
    /// The password may not be set.
    #[error("the password was refused")]
    InvalidPassword(InvalidPassword),
    /// The current password is asked for, or a login of the last minutes.
    #[error("the current password is asked for")]
    CurrentPasswordRequired,
    /// The current password that was sent is not the one.
    #[error("the current password is wrong")]
    CurrentPasswordWrong,
    /// Whether the password is known from a breach was not found out, and [`OnFailure::Refuse`](crate::password::OnFailure) says
    /// that it is refused then.
    #[error("whether the password is known from a breach was not found out")]
    BreachedPasswordsUnavailable,
    /// The credentials do not prove who is calling.
    #[error("unknown user, wrong password or inactive user")]
    BadCredentials,
    /// The address is not proved yet, and that is asked for.
    #[error("the user is not verified")]
    UserNotVerified,
    /// There is no such user (any more).
    #[error("the user does not exist")]
    UserNotExists,
    /// The session that asks was ended while its request was on its way.
    #[error("the session that asks has ended")]
    SessionEnded,
    /// The refresh token counts for nothing (any more).
    #[error("the refresh token counts for nothing")]
    InvalidRefreshToken,
    /// The token verifies no address (any more).
    #[error("the token verifies no address")]
    InvalidVerifyToken,
    /// The address is proved already.
    #[error("the user is verified already")]
    UserAlreadyVerified,
    /// The token sets no password (any more).
    #[error("the token sets no password")]
    InvalidResetToken,
    /// The state of a login by a provider does not count (any more).
    #[error("the state of the login does not count: {0}")]
    BadOAuthState(BadOAuthState),
    /// A provider did not do what it is there for.
    #[error(transparent)]
    OAuthProvider(OAuthClientError),
    /// The provider tells no address that an account can have.
    #[error("the provider tells no usable address")]
    OAuthEmailUnavailable,
    /// The account with the provider belongs to another user.
    #[error("the account with the provider belongs to another user")]
    OAuthAccountAlreadyExists,
    /// The user could not log in any more.
    #[error("the last way to log in cannot be removed")]
    LastLoginMethod,
    /// A setting is missing that this needs.
    #[error("{0} is not configured")]
    NotConfigured(&'static str),
    /// Nobody could manage users any more.
    #[error("the last active superuser cannot be demoted, deactivated or deleted")]
    LastSuperuser,
    /// A hook refused.
    #[error("a hook refused")]
    Veto(Veto),
    /// Too much to do; the same call may go through later.
    #[error("too many passwords wait to be hashed")]
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many attempts; see [`Throttle`](crate::Throttle).
    #[error("too many attempts")]
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// The store did not do it.
    #[error(transparent)]
    Database(DatabaseError),
    /// Anything else that should not happen.
    #[error("internal error")]
    Internal(#[source] crate::database::Source),
}

/// Why the state of a login by a provider does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadOAuthState {
    /// It is none, or nobody here signed it.
    #[error("it cannot be read")]
    Unreadable,
    /// Its ten minutes are over.
    #[error("it has expired")]
    Expired,
    /// It is for another browser, provider or flow, or was used already.
    #[error("it is not for this, or was used already")]
    Wrong,
    /// It is for another user, who began to link an account.
    #[error("it is for another user")]
    OtherUser,
}

impl From<OAuthClientError> for Error {
    fn from(error: OAuthClientError) -> Self {
        Self::OAuthProvider(error)
    }
}

impl From<BadOAuthState> for Error {
    fn from(bad: BadOAuthState) -> Self {
        Self::BadOAuthState(bad)
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { retry_after } => Self::Busy { retry_after },
            PasswordError::Hasher(error) => Self::Internal(error.into()),
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Conflict(Conflict::Email) => Self::UserAlreadyExists,
            DatabaseError::Conflict(Conflict::OAuthAccount) => Self::OAuthAccountAlreadyExists,
            DatabaseError::Conflict(Conflict::Column(field)) => Self::ValueAlreadyExists(field),
            DatabaseError::OutOfRange(_) => Self::ValueOutOfRange,
            other => Self::Database(other),
        }
    }
}
