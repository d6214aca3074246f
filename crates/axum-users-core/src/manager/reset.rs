//! A forgotten password.

use aws_lc_rs::digest::{SHA256, digest};

use super::{UserManager, verify::not_before};
use crate::{
    audit::{Audit, AuditChanges},
    database::{Condition, Outcome, UserChange},
    error::Error,
    hooks::RequestInfo,
    id::UserId,
    jwt::Claims,
    outbox::Task,
    password::{PasswordHash, fingerprint},
    profile::UserProfile,
    random,
    secret::Secret,
    session::{EndTokens, TokenHash, admits},
    token::{Purpose, TokenSettings, is_newest},
    user::User,
};

impl<P: UserProfile> UserManager<P> {
    /// Whether tokens that set a forgotten password are configured.
    #[must_use]
    pub fn resets_passwords(&self) -> bool {
        self.0.reset_password.is_some()
    }

    /// A token that sets another password for this user, for a program that sends it by itself. It ends those before it.
    ///
    /// # Errors
    /// [`Error::NotConfigured`], [`Error::UserNotExists`], [`Error::Database`], [`Error::Internal`].
    pub async fn reset_password_token(&self, user: &User<P>) -> Result<Secret, Error> {
        let settings = self.0.reset_password.as_ref().ok_or(Error::NotConfigured("reset_password"))?;
        let key = random::short_token();
        let (token, change) = self.reset_token_at(user, settings, &key, self.0.clock.unix())?;
        match self.0.database.update(&user.id, change).await? {
            Outcome::Done(_) => Ok(token),
            Outcome::Refused(_) | Outcome::Missing => Err(Error::UserNotExists),
        }
    }

    /// A token, the same for the same key and instant, and the change that makes it the only one.
    pub(super) fn reset_token_at(
        &self,
        user: &User<P>,
        settings: &TokenSettings,
        key: &str,
        instant: i64,
    ) -> Result<(Secret, UserChange<P>), Error> {
        let mut salt = [0; 16];
        let of_key = digest(&SHA256, format!("axum-users fingerprint {key}").as_bytes());
        salt.iter_mut().zip(of_key.as_ref()).for_each(|(salt, byte)| *salt = *byte);
        let fingerprint = fingerprint::make(&user.hashed_password, &salt)
            .ok_or_else(|| Error::Internal("the fingerprint of a password hash cannot be made".into()))?;
        let claims = Claims::new().with("sub", user.id.to_string()).with("password_fgpt", fingerprint);
        let token = settings.encode(Purpose::ResetPassword, self.0.strict, claims, not_before(user, instant))?;
        let change = UserChange {
            reset_token_hash: Some(Some(TokenHash::of(token.expose()).as_str().to_owned())),
            only_if: vec![
                Condition::HashIs(user.hashed_password.clone()),
                Condition::EmailIs(user.email.clone()),
                Condition::TokensValidAfterIs(user.tokens_valid_after),
            ],
            ..UserChange::default()
        };
        Ok((token, change))
    }

    /// Sets a new password with a mailed token. The token works once, whatever runs in parallel; a newer one ends it, and so does
    /// a change of the password or of the address. All tokens and sessions of the user end in the same transaction; so do the
    /// accounts that are linked to a user who is not verified: somebody else may have linked them, who registered this address first.
    ///
    /// A token that is none costs no hash (ASVS 15.2.2).
    ///
    /// # Errors
    /// [`Error::InvalidResetToken`], [`Error::Throttled`] in its place, [`Error::InvalidPassword`] (the token still works), [`Error::Busy`], [`Error::Database`].
    pub async fn reset_password(
        &self,
        token: &Secret,
        password: &Secret,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let audit = Audit::of("reset_password", request);
        let (user, changes) = match self.try_reset(token, password, request).await {
            Ok(done) => done,
            Err(error) => {
                audit.ended_by(&error);
                return Err(self.failed_token(error, request).await);
            }
        };
        audit.user(&user.id).changes(changes).succeeded();
        self.fill_account(user.email.as_str()).await;
        self.0.hooks.on_after_reset_password(&user, request).await;
        Ok(user)
    }

    async fn try_reset(
        &self,
        token: &Secret,
        password: &Secret,
        request: Option<&RequestInfo>,
    ) -> Result<(User<P>, AuditChanges), Error> {
        let settings = self.0.reset_password.as_ref().ok_or(Error::NotConfigured("reset_password"))?;
        let claims = settings.decode(Purpose::ResetPassword, self.0.strict, token, self.0.clock.unix());
        let claims = claims.ok_or(Error::InvalidResetToken)?;
        let fingerprint = claims.text("password_fgpt").ok_or(Error::InvalidResetToken)?;
        let id = claims.subject().and_then(P::Id::parse).ok_or(Error::InvalidResetToken)?;
        let user = self.get(&id).await?.filter(|user| user.is_active).ok_or(Error::InvalidResetToken)?;
        let issued = settings.issued(&claims);
        let counts = admits(issued, user.tokens_valid_after, None)
            && is_newest(user.reset_token_hash.as_deref(), &TokenHash::of(token.expose()), issued);
        if !counts || !self.is_of_hash(fingerprint, &user.hashed_password).await? {
            return Err(Error::InvalidResetToken);
        }
        let password = self.validate_password(password, user.email.as_str(), Some(&user)).await?;
        let unlinks = !user.is_verified;
        let changes =
            AuditChanges { accounts_unlinked: unlinks && self.linked(&user).await?.some, ..AuditChanges::default() };
        let notice = self.notice(Task::PasswordChanged { to: user.email.as_str().to_owned() }, request);
        let messages = Vec::from_iter(notice);
        let change = UserChange {
            hashed_password: Some(self.0.passwords.hash(password).await?),
            reset_token_hash: Some(None),
            only_if: vec![
                Condition::HashIs(user.hashed_password.clone()),
                Condition::ResetTokenHashIs(user.reset_token_hash.clone()),
                Condition::TokensValidAfterIs(user.tokens_valid_after),
            ],
            // Whoever linked them before the first proof of the mailbox may have been somebody else.
            unlinks_accounts: unlinks,
            end_tokens: (!self.0.keep_sessions_on_password_change)
                .then(|| EndTokens { now: self.0.clock.unix(), keep: None }),
            drops: self.pending_change(&user),
            messages: self.with_change(&messages),
            ..UserChange::default()
        };
        match self.0.database.update(&user.id, change).await? {
            Outcome::Done(user) => {
                self.post_after(messages).await;
                Ok((user, changes))
            }
            Outcome::Refused(_) | Outcome::Missing => Err(Error::InvalidResetToken),
        }
    }

    /// Whether a fingerprint is that of this hash: ours cost next to nothing, those of FastAPI Users a place in the pool.
    async fn is_of_hash(&self, fingerprint: &str, stored: &PasswordHash) -> Result<bool, Error> {
        if let Some(is_it) = fingerprint::verify(fingerprint, stored) {
            return Ok(is_it);
        }
        let text = Secret::from(stored.as_str());
        let verification = self.0.passwords.verify(text, PasswordHash::from_stored(fingerprint.to_owned())).await?;
        Ok(verification.is_valid())
    }
}
