//! The proof of an address.

use super::{Acting, UserManager, proof::Proved};
use crate::{
    audit::{Audit, AuditChanges},
    database::{Condition, Outcome, UserChange},
    error::Error,
    hooks::RequestInfo,
    id::UserId,
    jwt::Claims,
    profile::UserProfile,
    secret::Secret,
    session::{EndTokens, admits, issued_at},
    token::{Purpose, TokenSettings},
    user::User,
};

impl<P: UserProfile> UserManager<P> {
    /// Whether tokens that verify an address are configured.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.0.verification.is_some()
    }

    /// Whether users and new addresses are [made only when the mailbox is
    /// proved](super::UserManagerBuilder::prove_mailbox_first).
    #[must_use]
    pub fn proves_mailbox_first(&self) -> bool {
        self.0.prove_mailbox_first
    }

    /// A token that verifies the address of this user, for a program that sends it by itself.
    ///
    /// # Errors
    /// [`Error::NotConfigured`], [`Error::Internal`].
    pub fn verify_token(&self, user: &User<P>) -> Result<Secret, Error> {
        let settings = self.0.verification.as_ref().ok_or(Error::NotConfigured("verification"))?;
        self.verify_token_at(user, settings, self.0.clock.unix())
    }

    pub(super) fn verify_token_at(
        &self,
        user: &User<P>,
        settings: &TokenSettings,
        instant: i64,
    ) -> Result<Secret, Error> {
        let claims = Claims::new().with("sub", user.id.to_string()).with("email", user.email.as_str());
        settings.encode(Purpose::Verify, self.0.strict, claims, not_before(user, instant))
    }

    /// Marks the address of the user as proved whose token this is. A token is bound to the address, and ends with a change of
    /// it, of the password, and with a deactivation. `acting` is the session that comes along, if there is one.
    ///
    /// Whoever registered the address before its owner came must not stay in (pre-hijacking). So, with the first proof:
    ///
    /// - The user's accounts with providers are unlinked and all sessions end, in the same transaction. But not where `acting` is a
    ///   session of this user: who reads the mail is who logged in. Nor where the provider of one of the accounts proved this
    ///   address when it was last used: the owner was here. And without accounts there is nothing to unlink, and no session ends.
    /// - With [`strict`](super::UserManagerBuilder::strict) or
    ///   [`prove_mailbox_first`](super::UserManagerBuilder::prove_mailbox_first), all sessions but `acting` end in any case.
    /// - The password stays, as with FastAPI Users: who does not know it [resets](Self::reset_password) it.
    ///
    /// So hand on the session that comes with a request; else whoever registered by a provider that proves no addresses has to set
    /// a password by mail and link the account again.
    ///
    /// Where [the mailbox is proved first](super::UserManagerBuilder::prove_mailbox_first), the token of a registration makes the
    /// user, that of a change of address changes it, and that of the mail to the old mailbox changes it back and ends all sessions
    /// of the user.
    ///
    /// # Errors
    /// [`Error::InvalidVerifyToken`], [`Error::Throttled`] in its place, [`Error::UserAlreadyVerified`], [`Error::Database`]; for a
    /// registration [`Error::ValueAlreadyExists`] and [`Error::ValueOutOfRange`], too.
    pub async fn verify(
        &self,
        token: &Secret,
        acting: Option<&Acting<P>>,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        match self.try_verify(token, acting, request).await {
            Ok(proved) => Ok(self.after_proof(proved, request).await),
            Err(error) => {
                Audit::of("verify", request).ended_by(&error);
                Err(self.failed_token(error, request).await)
            }
        }
    }

    async fn try_verify(
        &self,
        token: &Secret,
        acting: Option<&Acting<P>>,
        request: Option<&RequestInfo>,
    ) -> Result<Proved<P>, Error> {
        let settings = self.0.verification.as_ref().ok_or(Error::NotConfigured("verification"))?;
        let claims = settings.decode(Purpose::Verify, self.0.strict, token, self.0.clock.unix());
        let claims = claims.ok_or(Error::InvalidVerifyToken)?;
        if let Some(key) = claims.text("pending").filter(|_| self.0.prove_mailbox_first) {
            return self.prove_mailbox(key, claims.text("nonce"), request).await;
        }
        let email = claims.text("email").ok_or(Error::InvalidVerifyToken)?;
        let id = claims.subject().and_then(P::Id::parse).ok_or(Error::InvalidVerifyToken)?;
        let user = self.get_by_email(email).await?.filter(|user| user.id == id).ok_or(Error::InvalidVerifyToken)?;
        if !user.is_active || !admits(settings.issued(&claims), user.tokens_valid_after, None) {
            return Err(Error::InvalidVerifyToken);
        }
        if user.is_verified {
            return Err(Error::UserAlreadyVerified);
        }
        let (change, changes) = self.first_proof(&user, acting.filter(|it| it.user_id == user.id)).await?;
        match self.0.database.update(&user.id, change).await? {
            Outcome::Done(user) => Ok(Proved::Address { user, changes }),
            Outcome::Refused(_) | Outcome::Missing => Err(Error::InvalidVerifyToken),
        }
    }

    /// What the first proof of the address changes, and what of it is recorded; `acting` is a session of this user.
    async fn first_proof(
        &self,
        user: &User<P>,
        acting: Option<&Acting<P>>,
    ) -> Result<(UserChange<P>, AuditChanges), Error> {
        let linked = self.linked(user).await?;
        let unlinks = self.keeps_oauth_accounts() && acting.is_none() && !linked.of_the_mailbox;
        let ends = self.0.strict || self.0.prove_mailbox_first || (unlinks && linked.some);
        let mut only_if =
            vec![Condition::EmailIs(user.email.clone()), Condition::TokensValidAfterIs(user.tokens_valid_after)];
        only_if.extend(acting.map(Acting::still_counts).unwrap_or_default());
        let change = UserChange {
            is_verified: Some(true),
            only_if,
            unlinks_accounts: unlinks,
            end_tokens: ends.then(|| EndTokens { now: self.0.clock.unix(), keep: acting.map(Acting::kept) }),
            drops: if ends { self.pending_change(user) } else { Vec::new() },
            ..UserChange::default()
        };
        let changes =
            AuditChanges { tokens_ended: ends, accounts_unlinked: unlinks && linked.some, ..AuditChanges::default() };
        Ok((change, changes))
    }
}

/// A token is not older than the last change that ended tokens: it is asked for after it.
pub(super) fn not_before<P: UserProfile>(user: &User<P>, instant: i64) -> i64 {
    time::OffsetDateTime::from_unix_timestamp(instant)
        .map_or(instant, |instant| issued_at(instant, user.tokens_valid_after).unix_timestamp())
}
