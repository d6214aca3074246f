//! Who is calling, by password.

use std::time::Duration;

use time::OffsetDateTime;

use super::{UserManager, throttle::Attempt};
use crate::{
    audit::Audit,
    database::{Condition, Outcome, UserChange},
    error::Error,
    hooks::RequestInfo,
    password::{PasswordHash, Verification},
    profile::UserProfile,
    secret::Secret,
    session::{NewSession, SessionId, issued_at},
    user::User,
};

/// Proof that a user may have a token: the user, when its row was read, and the session that the token will belong to.
#[derive(Debug)]
pub struct Authenticated<P: UserProfile> {
    user: User<P>,
    read_at: OffsetDateTime,
    session: SessionId,
    /// Whether the session is there already.
    continues: bool,
    /// The session lives so long at least (Unix seconds).
    session_until: i64,
    backend: String,
    request: Option<RequestInfo>,
}

impl<P: UserProfile> Authenticated<P> {
    /// A proof by other means than the password: the caller knows who this is.
    ///
    /// `read_at` is an instant from before `user` was read, so that a change after it ends the token.
    ///
    /// # Security
    /// Whoever gets the token that is written for it is this user.
    #[must_use]
    pub fn danger_without_password(user: User<P>, read_at: OffsetDateTime) -> Self {
        Self {
            user,
            read_at,
            session: SessionId::generate(),
            continues: false,
            session_until: 0,
            backend: String::new(),
            request: None,
        }
    }

    /// By which backend, and from where: what the list of sessions tells.
    #[must_use]
    pub fn through(mut self, backend: &str, request: Option<&RequestInfo>) -> Self {
        self.backend = backend.into();
        self.request = request.cloned();
        self
    }

    /// For another token of a session that is there already, and is over at `valid_until` (Unix seconds).
    #[must_use]
    pub fn continuing(mut self, session: SessionId, valid_until: i64) -> Self {
        self.session = session;
        self.continues = true;
        self.session_until = valid_until;
        self
    }

    /// Keeps the session on record until then (Unix seconds), though its first token expires before.
    #[must_use]
    pub fn session_until(mut self, valid_until: i64) -> Self {
        self.session_until = valid_until;
        self
    }

    /// The session that the token will belong to.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        &self.session
    }

    /// Whether the session is there already.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.continues
    }

    /// When a token of this lifetime expires (Unix seconds; `None`: never); not after the session that it continues.
    #[must_use]
    pub fn expires_at(&self, lifetime: Option<Duration>) -> Option<i64> {
        let issued = self.issued_at().unix_timestamp();
        let own = lifetime.map(|it| issued.saturating_add(i64::try_from(it.as_secs()).unwrap_or(i64::MAX)));
        if self.continues { Some(own.map_or(self.session_until, |own| own.min(self.session_until))) } else { own }
    }

    /// What to store of the session, for a token that expires at `expires_at` (Unix seconds; `None`: never).
    #[must_use]
    pub fn session(&self, expires_at: Option<i64>) -> NewSession {
        let until = expires_at.unwrap_or(i64::MAX).max(self.session_until);
        let created_at = self.issued_at().unix_timestamp();
        let session = NewSession::of(self.session.clone(), &self.backend, created_at, until, self.request.as_ref());
        // Whatever the clocks say: tokens that were ended since take this login with them.
        NewSession { only_if: vec![Condition::TokensValidAfterIs(self.user.tokens_valid_after)], ..session }
    }

    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &User<P> {
        &self.user
    }

    /// The instant of a token written for this proof; see [`crate::session`].
    #[must_use]
    pub fn issued_at(&self) -> OffsetDateTime {
        issued_at(self.read_at, self.user.tokens_valid_after)
    }
}

/// Why credentials prove nothing; for the audit trail, never for an answer.
struct Unproved<Id> {
    user: Option<Id>,
    reason: &'static str,
}

impl<P: UserProfile> UserManager<P> {
    /// The user of these credentials, also an inactive one; `None` when they are wrong. Upgrades an outdated hash.
    ///
    /// An unknown address costs what a wrong password costs. It is for programs: only [`login`](Self::login) counts attempts, and
    /// only of it the audit trail learns.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Database`].
    pub async fn authenticate(&self, username: &str, password: Secret) -> Result<Option<Authenticated<P>>, Error> {
        let read_at = self.0.clock.now();
        let user = self.get_by_email(username).await?;
        Ok(self.prove(user, read_at, password).await?.ok())
    }

    /// The proof that a login route needs: right credentials, active, verified where that is asked for, no veto.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] (unknown, wrong or inactive, in strict also not verified: indistinguishable, ASVS 6.3.8),
    /// [`Error::UserNotVerified`],
    /// [`Error::Throttled`] (the same for all of these), [`Error::Veto`], [`Error::Busy`], [`Error::Database`].
    pub async fn login(
        &self,
        username: &str,
        password: Secret,
        requires_verification: bool,
        request: Option<&RequestInfo>,
    ) -> Result<Authenticated<P>, Error> {
        let audit = Audit::of("login", request).method("password");
        let (proof, attempt) = match self.try_password(username, password, request).await {
            Ok((Ok(proof), attempt)) => (proof, attempt),
            Ok((Err(Unproved { user: Some(id), reason }), _)) => {
                audit.user(&id).refused(reason);
                return Err(Error::BadCredentials);
            }
            Ok((Err(Unproved { user: None, reason }), _)) => {
                audit.refused(reason);
                return Err(Error::BadCredentials);
            }
            Err(error) => {
                audit.ended_by(&error);
                return Err(error);
            }
        };
        let audit = audit.user(&proof.user.id);
        if !proof.user.is_active {
            audit.refused("inactive");
            return Err(Error::BadCredentials);
        }
        match self.admit(&proof.user, requires_verification, request).await {
            Ok(()) => {
                self.attempt_succeeded(attempt).await;
                audit.succeeded();
            }
            Err(error) => {
                audit.ended_by(&error);
                // Whoever registered an address must not learn by a login what became of it (ASVS 6.3.8).
                let told = if self.0.strict && matches!(error, Error::UserNotVerified) {
                    Error::BadCredentials
                } else {
                    error
                };
                return Err(told);
            }
        }
        Ok(proof)
    }

    /// The password is looked at only if there is an attempt left; one that is right is put back by the caller.
    async fn try_password(
        &self,
        username: &str,
        password: Secret,
        request: Option<&RequestInfo>,
    ) -> Result<(Result<Authenticated<P>, Unproved<P::Id>>, Attempt), Error> {
        let read_at = self.0.clock.now();
        let user = self.get_by_email(username).await?;
        let attempt = self.begin_attempt(username, user.as_ref(), request).await?;
        match self.prove(user, read_at, password).await {
            Ok(proof) => Ok((proof, attempt)),
            Err(error) => {
                if matches!(error, Error::Busy { .. }) {
                    self.attempt_was_none(attempt).await;
                }
                Err(error)
            }
        }
    }

    async fn prove(
        &self,
        user: Option<User<P>>,
        read_at: OffsetDateTime,
        password: Secret,
    ) -> Result<Result<Authenticated<P>, Unproved<P::Id>>, Error> {
        let Some(mut user) = user else {
            self.0.passwords.verify_dummy(password).await?;
            return Ok(Err(Unproved { user: None, reason: "unknown_user" }));
        };
        let (verification, upgraded) =
            self.0.passwords.verify_and_update(password, user.hashed_password.clone()).await?;
        let reason = match verification {
            Verification::Valid | Verification::ValidButOutdated => None,
            Verification::Invalid => Some("wrong_password"),
            Verification::Unusable => {
                tracing::error!(user = %user.id, "the stored password hash cannot be used: reset the password of this user");
                Some("unusable_hash")
            }
        };
        if let Some(reason) = reason {
            return Ok(Err(Unproved { user: Some(user.id), reason }));
        }
        if let Some(hash) = upgraded {
            self.upgrade_hash(&mut user, hash).await;
        }
        Ok(Ok(Authenticated::danger_without_password(user, read_at)))
    }

    async fn admit(
        &self,
        user: &User<P>,
        requires_verification: bool,
        request: Option<&RequestInfo>,
    ) -> Result<(), Error> {
        if requires_verification && !user.is_verified {
            return Err(Error::UserNotVerified);
        }
        self.0.hooks.before_login(user, request).await.map_err(Error::Veto)
    }

    /// Stores a hash of today's parameters, only if the hash is still the one that was verified. A failure is logged, and the
    /// login goes on.
    async fn upgrade_hash(&self, user: &mut User<P>, hash: PasswordHash) {
        let change = UserChange {
            hashed_password: Some(hash),
            only_if: vec![Condition::HashIs(user.hashed_password.clone())],
            ..UserChange::default()
        };
        match self.0.database.update(&user.id, change).await {
            Ok(Outcome::Done(upgraded)) => *user = upgraded,
            Ok(Outcome::Refused(_) | Outcome::Missing) => {}
            Err(error) => tracing::warn!(user = %user.id, %error, "the password hash was not upgraded"),
        }
    }
}
