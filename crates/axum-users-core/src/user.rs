//! Users, and what may be said of them when they are made and changed.

use std::fmt;

use crate::{email::Email, outbox::Message, password::PasswordHash, profile::UserProfile, secret::Secret};

/// A user as it is stored.
///
/// It cannot be serialised: what an answer shows is a type of its own, so that a hash never leaves by accident (ASVS 8.2.3).
#[derive(Clone)]
#[non_exhaustive]
pub struct User<P: UserProfile> {
    /// Its id.
    pub id: P::Id,
    /// Its address, in the case that was typed.
    pub email: Email,
    /// The hash of its password.
    pub hashed_password: PasswordHash,
    /// Whether it may log in at all.
    pub is_active: bool,
    /// Whether it may manage other users.
    pub is_superuser: bool,
    /// Whether it proved its address.
    pub is_verified: bool,
    /// No token that was issued before this instant (Unix seconds) counts; `None`: no limit.
    pub tokens_valid_after: Option<i64>,
    /// Which reset tokens count beside their signature; written and read by the manager. `None`: any.
    pub reset_token_hash: Option<String>,
    /// The application's own columns.
    pub profile: P,
}

/// A user that is about to be stored.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters' tests and by the manager")]
pub struct NewUser<P: UserProfile> {
    /// `None` when the database counts.
    pub id: Option<P::Id>,
    /// See [`User::email`].
    pub email: Email,
    /// See [`User::hashed_password`].
    pub hashed_password: PasswordHash,
    /// See [`User::is_active`].
    pub is_active: bool,
    /// See [`User::is_superuser`].
    pub is_superuser: bool,
    /// See [`User::is_verified`].
    pub is_verified: bool,
    /// See [`User::tokens_valid_after`].
    pub tokens_valid_after: Option<i64>,
    /// See [`User::profile`].
    pub profile: P,
    /// The message that asked for this user: it is taken away in the same transaction, and one that is not there (any more), or
    /// asks for something else, is a [`Conflict::Message`](crate::Conflict::Message).
    pub consumes: Option<Message>,
}

impl<P: UserProfile> User<P> {
    /// The user that a store made of `new`, with its id.
    #[must_use]
    pub fn from_new(id: P::Id, new: NewUser<P>) -> Self {
        let NewUser {
            id: _,
            email,
            hashed_password,
            is_active,
            is_superuser,
            is_verified,
            tokens_valid_after,
            profile,
            consumes: _,
        } = new;
        Self {
            id,
            email,
            hashed_password,
            is_active,
            is_superuser,
            is_verified,
            tokens_valid_after,
            reset_token_hash: None,
            profile,
        }
    }

    /// Whether they have a password of their own: whoever was made by a first login by a provider has none until they set one.
    #[must_use]
    pub fn has_password(&self) -> bool {
        !self.hashed_password.is_of_nobody()
    }
}

/// What is asked for when a user is created, by a request or by a program.
#[expect(clippy::exhaustive_structs, reason = "built by applications, with `UserCreate::new` for the rest")]
pub struct UserCreate<P: UserProfile> {
    /// The address.
    pub email: Email,
    /// The password as typed.
    pub password: Secret,
    /// Active unless it says otherwise.
    pub is_active: Option<bool>,
    /// Not a superuser unless it says otherwise.
    pub is_superuser: Option<bool>,
    /// Not verified unless it says otherwise.
    pub is_verified: Option<bool>,
    /// The application's own columns.
    pub profile: P,
}

impl<P: UserProfile> UserCreate<P> {
    /// An active user without privileges.
    #[must_use]
    pub fn new(email: Email, password: Secret, profile: P) -> Self {
        Self { email, password, is_active: None, is_superuser: None, is_verified: None, profile }
    }
}

/// What is asked for when a user is changed; `None` keeps.
#[expect(clippy::exhaustive_structs, reason = "built by applications, with `..Default::default()` for the rest")]
pub struct UserUpdate<P: UserProfile> {
    /// A new password, as typed.
    pub password: Option<Secret>,
    /// The password so far, as the user typed it who changes themselves; it proves who asks. Not for programs, and not for
    /// changes of another user: there it is ignored.
    pub current_password: Option<Secret>,
    /// A new address.
    pub email: Option<Email>,
    /// See [`User::is_active`].
    pub is_active: Option<bool>,
    /// See [`User::is_superuser`].
    pub is_superuser: Option<bool>,
    /// See [`User::is_verified`].
    pub is_verified: Option<bool>,
    /// The application's own columns.
    pub profile: P::Update,
}

impl<P: UserProfile> Default for UserUpdate<P> {
    fn default() -> Self {
        Self {
            password: None,
            current_password: None,
            email: None,
            is_active: None,
            is_superuser: None,
            is_verified: None,
            profile: P::Update::default(),
        }
    }
}

/// Which of the submitted fields count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the field knows exactly these two")]
pub enum Fields {
    /// Those that people may set of themselves: the three flags are dropped.
    Safe,
    /// All of them.
    All,
}

impl<P: UserProfile> fmt::Debug for User<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("is_active", &self.is_active)
            .field("is_superuser", &self.is_superuser)
            .field("is_verified", &self.is_verified)
            .finish_non_exhaustive()
    }
}
