//! How a manager is put together.

use std::{collections::BTreeMap, io, sync::Arc};

use super::{Inner, UserManager, messages::Worker, proof::not_stored_yet, throttle::Throttling};
use crate::{
    clock::Clock,
    database::UserDatabase,
    erased::{DynMailer, DynUserDatabase, DynUserHooks},
    hooks::UserHooks,
    mail::Mailer,
    oauth::OAuthKeys,
    password::{BreachedPasswords, DefaultHasher, OnFailure, PasswordPolicy, PasswordPool, breached::BreachedCheck},
    profile::UserProfile,
    throttle::{KnownDevices, Throttle},
    token::TokenSettings,
};

/// Builds a [`UserManager`].
#[must_use]
pub struct UserManagerBuilder<P: UserProfile> {
    database: Arc<dyn DynUserDatabase<P>>,
    keeps_messages: bool,
    keeps_buckets: bool,
    hooks: Arc<dyn DynUserHooks<P>>,
    passwords: Option<PasswordPool>,
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
    oauth_display_names: BTreeMap<String, String>,
    keeps_oauth_accounts: bool,
    throttle: Option<Throttle>,
    devices: Option<KnownDevices>,
}

impl<P: UserProfile> UserManager<P> {
    /// A manager over this store.
    pub fn builder(database: impl UserDatabase<P>) -> UserManagerBuilder<P> {
        UserManagerBuilder {
            keeps_messages: database.keeps_messages(),
            keeps_buckets: database.keeps_buckets(),
            keeps_oauth_accounts: database.keeps_oauth_accounts(),
            database: Arc::new(database),
            hooks: Arc::new(()),
            passwords: None,
            policy: PasswordPolicy::default(),
            clock: Clock::system(),
            keep_last_superuser: true,
            keep_sessions_on_password_change: false,
            strict: false,
            prove_mailbox_first: false,
            breached: None,
            verification: None,
            reset_password: None,
            mailer: None,
            notices: true,
            works_off_messages: true,
            oauth: None,
            oauth_display_names: BTreeMap::new(),
            throttle: Some(Throttle::default()),
            devices: None,
        }
    }
}

impl<P: UserProfile> UserManagerBuilder<P> {
    /// The application's hooks. Default: none.
    pub fn hooks(mut self, hooks: impl UserHooks<P>) -> Self {
        self.hooks = Arc::new(hooks);
        self
    }

    /// Where passwords are hashed. Default: Argon2id on as many threads as there are cores.
    pub fn passwords(mut self, passwords: PasswordPool) -> Self {
        self.passwords = Some(passwords);
        self
    }

    /// Which passwords may be set, unless a hook says otherwise. Default: [`PasswordPolicy::default`].
    pub fn password_policy(mut self, policy: PasswordPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Refuses new passwords that are known from breaches (ASVS 6.2.12). Default: nobody is asked.
    ///
    /// The list is asked about every password that is set, by requests and by programs, once
    /// [`UserHooks::validate_password`](crate::UserHooks::validate_password), be it the policy or the application's own, has
    /// accepted it. It may take [`BREACHED_BUDGET`](crate::password::BREACHED_BUDGET); on an error and after that, `on_failure`
    /// decides.
    pub fn breached_passwords(mut self, list: impl BreachedPasswords, on_failure: OnFailure) -> Self {
        self.breached = Some(BreachedCheck::new(list, on_failure));
        self
    }

    /// Where the time comes from. Default: the system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Whether the last active superuser may neither be demoted nor deactivated nor deleted. Default: true.
    pub fn keep_last_superuser(mut self, keep: bool) -> Self {
        self.keep_last_superuser = keep;
        self
    }

    /// Whether other sessions live on when a password changes or is reset. Default: false (ASVS 7.4.3).
    ///
    /// # Security
    /// With `true`, whoever holds a stolen session keeps it after the owner changed the password.
    pub fn danger_keep_sessions_on_password_change(mut self, keep: bool) -> Self {
        self.keep_sessions_on_password_change = keep;
        self
    }

    /// Closes what is weak because the wire of FastAPI Users has it so. Default: off.
    ///
    /// - Who changes their own password or address proves who they are: by the current password
    ///   ([`UserUpdate::current_password`](crate::UserUpdate)), or by a session whose login is less than 10 minutes old
    ///   (ASVS 6.2.3, 7.5.1). Else [`Error::CurrentPasswordRequired`](crate::Error).
    /// - A superuser does not choose the password of another user (ASVS 6.4.6): [`Error::InvalidPassword`](crate::Error).
    /// - The first proof of an address ends all sessions of the user but the one that comes along
    ///   ([`UserManager::verify`]).
    ///
    /// Programs, which call without an [`Acting`](crate::Acting) session, may do both. Later releases may add rules here.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Makes a user, and gives one another address, only when the mailbox is proved. Default: off; then whoever asks learns whether
    /// an address has an account.
    ///
    /// - [`create`](UserManager::create) with [`Fields::Safe`](crate::Fields::Safe) answers the same for every address, with a user
    ///   who is not stored yet ([`UserManager::create`] says which id). Whoever has the mailbox gets a mail: that it has an account
    ///   already, or with a token that makes the user ([`UserManager::verify`]), verified. Of several such tokens the first one
    ///   counts.
    /// - [`update`](UserManager::update) with [`Fields::Safe`](crate::Fields::Safe) and another mailbox changes everything else at
    ///   once; the address follows when the new mailbox is proved. The old one is told at once, and can take the change back for
    ///   [7 days](crate::outbox::UNDO).
    ///
    /// It needs [`verification`](Self::verification), a [`mailer`](Self::mailer), which sends these mails itself, and a store that
    /// [keeps messages](UserDatabase::keeps_messages).
    pub fn prove_mailbox_first(mut self, prove: bool) -> Self {
        self.prove_mailbox_first = prove;
        self
    }

    /// How tokens that verify an address are signed. Default: there are none.
    pub fn verification(mut self, settings: TokenSettings) -> Self {
        self.verification = Some(settings);
        self
    }

    /// How tokens that set a forgotten password are signed. Default: there are none.
    pub fn reset_password(mut self, settings: TokenSettings) -> Self {
        self.reset_password = Some(settings);
        self
    }

    /// What sends mail, unless a hook does. Default: nothing.
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.mailer = Some(Arc::new(mailer));
        self
    }

    /// Whether messages that are asked for are worked off here. Default: true. With false they are stored only, for another process
    /// over the same store, which has the mailer: for programs that end before a mail has left.
    pub fn works_off_messages(mut self, works_off: bool) -> Self {
        self.works_off_messages = works_off;
        self
    }

    /// Whether users are told of a new password, of a new address, and of accounts with providers that are linked or unlinked, where
    /// there is a mailer. Default: true (ASVS 6.3.7).
    pub fn notices(mut self, notices: bool) -> Self {
        self.notices = notices;
        self
    }

    /// The keys of logins by other providers. Default: there are none, and nobody logs in so.
    pub fn oauth(mut self, keys: OAuthKeys) -> Self {
        self.oauth = Some(keys);
        self
    }

    /// What people call the provider of this name: mails name it so. Default: the name itself.
    pub fn oauth_display_name(mut self, name: impl Into<String>, display_name: impl Into<String>) -> Self {
        self.oauth_display_names.insert(name.into(), display_name.into());
        self
    }

    /// How often passwords may be tried, users be registered and mails be asked for; `None`: without a limit. Default:
    /// [`Throttle::default`].
    pub fn throttle(mut self, throttle: impl Into<Option<Throttle>>) -> Self {
        self.throttle = throttle.into();
        self
    }

    /// Makes devices known that a user logged in with: they try passwords on their own account, whatever strangers do. Default:
    /// none is, and whoever keeps trying wrong passwords keeps the owner waiting, too.
    pub fn known_devices(mut self, devices: KnownDevices) -> Self {
        self.devices = Some(devices);
        self
    }

    /// The manager.
    ///
    /// # Errors
    /// The operating system's, when it has no threads for hashing; [`io::ErrorKind::InvalidInput`] when
    /// [`prove_mailbox_first`](Self::prove_mailbox_first) lacks what it needs.
    pub fn build(self) -> io::Result<UserManager<P>> {
        if self.prove_mailbox_first {
            let lacks = [
                (self.keeps_messages, "a store that keeps messages"),
                (self.verification.is_some(), "tokens that verify an address: `verification`"),
                (self.mailer.is_some(), "a mailer: `mailer`"),
                (not_stored_yet::<P>().is_some(), "ids that are drawn, or for which `UserId::parse` reads 0"),
            ];
            if let Some((_, needed)) = lacks.iter().find(|(has, _)| !has) {
                let message = format!("`prove_mailbox_first` needs {needed}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        let passwords = match self.passwords {
            Some(passwords) => passwords,
            None => PasswordPool::builder(DefaultHasher::default()).build()?,
        };
        Ok(UserManager(Arc::new(Inner {
            database: self.database,
            hooks: self.hooks,
            passwords,
            policy: self.policy,
            clock: self.clock,
            keep_last_superuser: self.keep_last_superuser,
            keep_sessions_on_password_change: self.keep_sessions_on_password_change,
            strict: self.strict,
            prove_mailbox_first: self.prove_mailbox_first,
            breached: self.breached,
            verification: self.verification,
            reset_password: self.reset_password,
            mailer: self.mailer,
            notices: self.notices,
            works_off_messages: self.works_off_messages,
            keeps_messages: self.keeps_messages,
            oauth: self.oauth,
            oauth_display_names: self.oauth_display_names,
            keeps_oauth_accounts: self.keeps_oauth_accounts,
            throttling: Throttling::new(self.throttle, self.devices, self.keeps_buckets),
            worker: Worker::default(),
        })))
    }
}
