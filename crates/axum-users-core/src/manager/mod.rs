//! The rules: what it takes to register, to log in, to change and to leave.

mod builder;
mod login;
mod messages;
mod oauth;
mod oauth_accounts;
mod proof;
mod reset;
mod sessions;
mod throttle;
mod update;
mod verify;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    audit::Audit,
    clock::Clock,
    database::{Condition, Conflict, DatabaseError, Outcome, WithSession},
    email::EmailKey,
    erased::{DynMailer, DynUserDatabase, DynUserHooks},
    error::Error,
    hooks::{PasswordContext, RequestInfo},
    id::UserId,
    oauth::OAuthKeys,
    password::{PasswordPolicy, PasswordPool, ValidatedPassword, breached::BreachedCheck},
    profile::UserProfile,
    secret::Secret,
    session::{SessionId, next_valid_after},
    token::TokenSettings,
    user::{Fields, NewUser, User, UserCreate},
};
pub use builder::UserManagerBuilder;
pub use login::Authenticated;
use messages::Worker;
pub use oauth::{OAuthReturn, OAuthStart};
pub use sessions::FRESH;
use throttle::Throttling;
pub use update::Acting;

/// Registers, authenticates, changes and removes users; for requests and for programs alike. A cheap handle.
///
/// ```
/// # use axum_users_core::{Fields, UserCreate, UserManager, Email, Secret, memory::MemoryStore};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let users = UserManager::<()>::builder(MemoryStore::new()).build()?;
/// let email = Email::parse("King.Arthur@camelot.bt")?;
/// let created = users.create(UserCreate::new(email, Secret::from("excalibur in the lake"), ()), Fields::All, None).await?;
/// let found = users.get_by_email("king.arthur@CAMELOT.bt").await?;
/// assert_eq!(found.map(|user| user.id), Some(created.id));
/// # Ok(()) }
/// ```
pub struct UserManager<P: UserProfile>(Arc<Inner<P>>);

impl<P: UserProfile> Clone for UserManager<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<P: UserProfile> {
    database: Arc<dyn DynUserDatabase<P>>,
    hooks: Arc<dyn DynUserHooks<P>>,
    passwords: PasswordPool,
    policy: PasswordPolicy,
    clock: Clock,
    keep_last_superuser: bool,
    keep_sessions_on_password_change: bool,
    strict: bool,
    prove_mailbox_first: bool,
    breached: Option<BreachedCheck>,
    verification: Option<TokenSettings>,
    reset_password: Option<TokenSettings>,
    mailer: Option<Arc<dyn DynMailer>>,
    notices: bool,
    works_off_messages: bool,
    oauth: Option<OAuthKeys>,
    /// By the name of the provider.
    oauth_display_names: BTreeMap<String, String>,
    keeps_oauth_accounts: bool,
    keeps_messages: bool,
    throttling: Throttling,
    worker: Worker,
}

impl<P: UserProfile> UserManager<P> {
    /// The user with this id.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn get(&self, id: &P::Id) -> Result<Option<User<P>>, Error> {
        Ok(self.0.database.get(id).await?)
    }

    /// The user with this id and what is stored of this session of theirs; what a strategy asks.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn get_for_token(&self, id: &P::Id, session: &SessionId) -> Result<Option<WithSession<P>>, Error> {
        Ok(self.0.database.get_for_token(id, session).await?)
    }

    /// The user of this mailbox; any text may be asked for.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn get_by_email(&self, email: &str) -> Result<Option<User<P>>, Error> {
        // No address holds a NUL, and PostgreSQL refuses the question.
        if email.contains('\0') {
            return Ok(None);
        }
        Ok(self.0.database.get_by_email(&EmailKey::of_typed(email)).await?)
    }

    /// Users in the order of their ids, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list(&self, after: Option<&P::Id>, limit: u32) -> Result<Vec<User<P>>, Error> {
        Ok(self.0.database.list(after, limit).await?)
    }

    /// Creates a user. [`Fields::Safe`] is what a registration may do: the user is active, no superuser and not verified,
    /// whatever was asked for.
    ///
    /// Where [the mailbox is proved first](UserManagerBuilder::prove_mailbox_first), such a registration is kept, and stored when the
    /// mailbox is proved. The user that is answered has the id that it will have; where the database counts, 0.
    ///
    /// # Errors
    /// [`Error::InvalidPassword`], [`Error::BreachedPasswordsUnavailable`], then [`Error::Veto`], [`Error::UserAlreadyExists`], [`Error::ValueAlreadyExists`],
    /// [`Error::Throttled`], [`Error::Busy`], [`Error::Database`].
    pub async fn create(
        &self,
        create: UserCreate<P>,
        fields: Fields,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let stored = match self.may_register(fields, request).await {
            Ok(()) if fields == Fields::Safe && self.0.prove_mailbox_first => {
                return self.ask_to_register(create, request).await;
            }
            Ok(()) => self.store_new(create, fields, request).await,
            Err(error) => Err(error),
        };
        let user = stored.inspect_err(|error| Audit::of("register", request).ended_by(error))?;
        Audit::of("register", request).user(&user.id).succeeded();
        self.0.hooks.on_after_register(&user, request).await;
        Ok(user)
    }

    async fn store_new(
        &self,
        create: UserCreate<P>,
        fields: Fields,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let new = self.new_user(create, fields, request).await?;
        let email = new.email.key();
        match self.0.database.create(new).await {
            Ok(user) => Ok(user),
            Err(error) => Err(self.first_conflict(error, Some((&email, None))).await),
        }
    }

    /// A user that may be stored: the password was accepted and hashed.
    async fn new_user(
        &self,
        mut create: UserCreate<P>,
        fields: Fields,
        request: Option<&RequestInfo>,
    ) -> Result<NewUser<P>, Error> {
        if fields == Fields::Safe {
            (create.is_active, create.is_superuser, create.is_verified) = (None, None, None);
        }
        let password = self.validate_password(&create.password, create.email.as_str(), None).await?;
        self.0.hooks.before_register(&create, request).await.map_err(Error::Veto)?;
        let hashed_password = self.0.passwords.hash(password).await?;
        let id = P::Id::generate();
        Ok(NewUser {
            // A database that counts may give a number out again; it must not inherit a token.
            tokens_valid_after: id.is_none().then(|| next_valid_after(self.0.clock.unix(), None)),
            id,
            email: create.email,
            hashed_password,
            is_active: create.is_active.unwrap_or(true),
            is_superuser: create.is_superuser.unwrap_or(false),
            is_verified: create.is_verified.unwrap_or(false),
            profile: create.profile,
            consumes: None,
        })
    }

    /// Removes a user and everything that is theirs.
    ///
    /// # Errors
    /// [`Error::Veto`], [`Error::LastSuperuser`], [`Error::UserNotExists`], [`Error::Database`].
    pub async fn delete(&self, user: &User<P>, request: Option<&RequestInfo>) -> Result<(), Error> {
        let audit = Audit::of("delete", request).user(&user.id);
        match self.remove(user, request).await {
            Ok(()) => audit.succeeded(),
            Err(error) => {
                audit.ended_by(&error);
                return Err(error);
            }
        }
        self.0.hooks.on_after_delete(user, request).await;
        Ok(())
    }

    async fn remove(&self, user: &User<P>, request: Option<&RequestInfo>) -> Result<(), Error> {
        self.0.hooks.on_before_delete(user, request).await.map_err(Error::Veto)?;
        let only_if = if self.0.keep_last_superuser { vec![Condition::AnotherSuperuserRemains] } else { Vec::new() };
        match self.0.database.delete(&user.id, only_if).await? {
            Outcome::Done(()) => {
                self.drop_messages_about(user).await;
                Ok(())
            }
            Outcome::Refused(_) => Err(Error::LastSuperuser),
            Outcome::Missing => Err(Error::UserNotExists),
        }
    }

    /// Answers when the store is reachable.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn ping(&self) -> Result<(), Error> {
        Ok(self.0.database.ping().await?)
    }

    /// To be called when the token of a login was written: records it, and runs the application's hook.
    pub async fn after_login(&self, user: &User<P>, request: Option<&RequestInfo>, head: &mut http::response::Parts) {
        Audit::of("token_issued", request).user(&user.id).succeeded();
        self.0.hooks.on_after_login(user, request, head).await;
    }

    /// The clock that this manager goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// When both an address and a column are taken, each store meets another of them first: the address is what is told.
    async fn first_conflict(&self, error: DatabaseError, email: Option<(&EmailKey, Option<&P::Id>)>) -> Error {
        if let (DatabaseError::Conflict(Conflict::Column(_)), Some((email, own))) = (&error, email) {
            match self.0.database.get_by_email(email).await {
                Ok(Some(other)) if Some(&other.id) != own => return Error::UserAlreadyExists,
                Ok(_) => {}
                Err(error) => return error.into(),
            }
        }
        error.into()
    }

    /// The one place where a password that someone chose is judged (ASVS 6.3.4).
    async fn validate_password(
        &self,
        password: &Secret,
        email: &str,
        user: Option<&User<P>>,
    ) -> Result<ValidatedPassword, Error> {
        let context = PasswordContext::new(email, user, &self.0.policy);
        self.0.hooks.validate_password(password.expose(), context).await.map_err(Error::InvalidPassword)?;
        if let Some(breached) = &self.0.breached {
            breached.check(password).await?;
        }
        Ok(ValidatedPassword::accepted_by_hook(password.clone()))
    }
}
