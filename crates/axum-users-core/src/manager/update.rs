//! Changing a user.

use super::UserManager;
use crate::{
    audit::{Audit, AuditChanges},
    database::{Condition, Outcome, UserChange},
    email::Email,
    error::Error,
    hooks::RequestInfo,
    outbox::{Message, Task},
    password::InvalidPassword,
    profile::UserProfile,
    secret::Secret,
    session::{EndTokens, KeptSession, NewSession, admits},
    token::issued_after,
    user::{Fields, User, UserUpdate},
};

/// The session that asks for a change: it lives on when the change ends the tokens of its own user.
#[derive(Clone, Debug)]
pub struct Acting<P: UserProfile> {
    /// Who is acting.
    pub user_id: P::Id,
    /// With which session.
    pub session: NewSession,
    /// What its token is stored as, where it is stored.
    pub stored_token: Option<Secret>,
    /// The user's `tokens_valid_after` when that token was accepted: another one tells that tokens were ended since.
    pub tokens_valid_after: Option<i64>,
    /// When its user proved who they are (Unix seconds); `None` when the token does not tell.
    pub authenticated_at: Option<i64>,
}

/// What is asked for.
struct Asked<'a, P: UserProfile> {
    update: &'a UserUpdate<P>,
    /// An address that has to be proved first.
    to_prove: Option<&'a Email>,
    current_password: Option<Secret>,
}

impl<P: UserProfile> Acting<P> {
    /// What must hold for it to ask still.
    pub(crate) fn still_counts(&self) -> Vec<Condition> {
        vec![
            Condition::SessionNotEnded(self.session.id.clone()),
            Condition::TokensValidAfterIs(self.tokens_valid_after),
        ]
    }

    /// This session as the one that lives on.
    pub(crate) fn kept(&self) -> KeptSession {
        KeptSession { session: self.session.clone(), stored_token: self.stored_token.clone() }
    }
}

impl<P: UserProfile> UserManager<P> {
    /// Changes a user; absent fields keep. [`Fields::Safe`] drops the three flags.
    ///
    /// Another address makes the user unverified, unless the update says otherwise. A new password and a deactivation end the
    /// user's tokens in the same transaction; the session that made the change (`acting`) lives on. A session of the user
    /// that was ended while its request was on its way changes nothing.
    ///
    /// Where [the mailbox is proved first](super::UserManagerBuilder::prove_mailbox_first), another mailbox in [`Fields::Safe`] is
    /// only asked for: everything else changes, and the user that is answered has the address so far.
    ///
    /// A current password that comes with a change of oneself is checked before anything else;
    /// [`UserManagerBuilder::strict`](super::UserManagerBuilder::strict) says when it has to come.
    ///
    /// # Errors
    /// [`Error::CurrentPasswordRequired`], [`Error::CurrentPasswordWrong`], [`Error::Throttled`], [`Error::InvalidPassword`],
    /// [`Error::BreachedPasswordsUnavailable`], [`Error::UserAlreadyExists`], [`Error::ValueAlreadyExists`], [`Error::LastSuperuser`],
    /// [`Error::UserNotExists`], [`Error::SessionEnded`], [`Error::Busy`], [`Error::Database`].
    pub async fn update(
        &self,
        user: &User<P>,
        mut update: UserUpdate<P>,
        fields: Fields,
        acting: Option<&Acting<P>>,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        if fields == Fields::Safe {
            (update.is_active, update.is_superuser, update.is_verified) = (None, None, None);
        }
        let current_password = update.current_password.take();
        let to_prove = self.take_email_to_prove(user, &mut update, fields);
        let mut changes = AuditChanges {
            password: update.password.is_some(),
            email: update.email.is_some(),
            is_active: update.is_active,
            is_superuser: update.is_superuser,
            is_verified: update.is_verified,
            ..AuditChanges::default()
        };
        let asked = Asked { update: &update, to_prove: to_prove.as_ref(), current_password };
        let updated = self.apply(user, asked, acting, &mut changes, request).await;
        let audit = Audit::of("update", request).user(&user.id).actor(acting.map(|acting| &acting.user_id));
        match &updated {
            Ok(_) => audit.changes(changes).succeeded(),
            Err(error) => audit.changes(changes).ended_by(error),
        }
        if to_prove.is_some() && updated.is_ok() {
            let audit = Audit::of("email_change_requested", request).user(&user.id);
            audit.actor(acting.map(|acting| &acting.user_id)).succeeded();
        }
        let updated = updated?;
        self.0.hooks.on_after_update(&updated, &update, request).await;
        Ok(updated)
    }

    /// Whether the session that asks is good enough for this change.
    async fn check_may_change(
        &self,
        user: &User<P>,
        asked: Asked<'_, P>,
        acting: &Acting<P>,
        request: Option<&RequestInfo>,
    ) -> Result<(), Error> {
        let Asked { update, to_prove, current_password } = asked;
        let strict = self.0.strict;
        if acting.user_id != user.id {
            return if strict && update.password.is_some() {
                Err(Error::InvalidPassword(InvalidPassword::new("The password of another user cannot be chosen")))
            } else {
                Ok(())
            };
        }
        if let Some(password) = current_password {
            return self.check_current_password(user, password, request).await;
        }
        let changes_credential = update.password.is_some()
            || to_prove.is_some()
            || update.email.as_ref().is_some_and(|email| *email != user.email);
        // ASVS 7.5.1.
        if strict && changes_credential && !self.is_fresh(acting.authenticated_at) {
            Err(Error::CurrentPasswordRequired)
        } else {
            Ok(())
        }
    }

    /// A wrong one counts as one at a login does.
    async fn check_current_password(
        &self,
        user: &User<P>,
        password: Secret,
        request: Option<&RequestInfo>,
    ) -> Result<(), Error> {
        let attempt = self.begin_attempt(user.email.as_str(), Some(user), request).await?;
        match self.0.passwords.verify(password, user.hashed_password.clone()).await {
            Ok(verification) if verification.is_valid() => {
                self.attempt_succeeded(attempt).await;
                Ok(())
            }
            Ok(_) => Err(Error::CurrentPasswordWrong),
            Err(error) => {
                let error = Error::from(error);
                if matches!(error, Error::Busy { .. }) {
                    self.attempt_was_none(attempt).await;
                }
                Err(error)
            }
        }
    }

    async fn apply(
        &self,
        user: &User<P>,
        asked: Asked<'_, P>,
        acting: Option<&Acting<P>>,
        changes: &mut AuditChanges,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let (update, to_prove) = (asked.update, asked.to_prove);
        if let Some(acting) = acting {
            self.check_may_change(user, asked, acting, request).await?;
        }
        if to_prove.is_some() {
            self.may_ask_for_mail(request).await?;
        }
        let mut change = self.change(user, update, acting).await?;
        *changes = AuditChanges {
            password: change.hashed_password.is_some(),
            email: change.email.is_some(),
            is_active: change.is_active,
            is_superuser: change.is_superuser,
            is_verified: change.is_verified,
            tokens_ended: change.end_tokens.is_some(),
            accounts_unlinked: false,
        };
        if change.is_empty() && to_prove.is_none() {
            return Ok(user.clone());
        }
        let mut messages = self.notices_of(user, &change, request);
        if let Some(email) = to_prove {
            messages.extend(self.ask_for_proof(user, &mut change, email, request));
        }
        change.messages = self.with_change(&messages);
        let updated = self.write(user, change, acting.filter(|acting| acting.user_id == user.id)).await?;
        self.post_after(messages).await;
        Ok(updated)
    }

    /// What the user is told: of a new password, and at both addresses of a new one.
    fn notices_of(&self, user: &User<P>, change: &UserChange<P>, request: Option<&RequestInfo>) -> Vec<Message> {
        let old = user.email.as_str();
        let password = change.hashed_password.iter().map(|_| Task::PasswordChanged { to: old.to_owned() });
        let new = change.email.as_ref().filter(|new| new.key() != user.email.key()).map(Email::as_str);
        let email = new.into_iter().flat_map(|new| {
            [old, new].map(|to| Task::EmailChanged { to: to.to_owned(), old: old.to_owned(), new: new.to_owned() })
        });
        password.chain(email).filter_map(|task| self.notice(task, request)).collect()
    }

    /// Writes a change; `acting` is the session of the same user that asks for it.
    async fn write(
        &self,
        user: &User<P>,
        mut change: UserChange<P>,
        acting: Option<&Acting<P>>,
    ) -> Result<User<P>, Error> {
        change.only_if.extend(acting.map(|acting| Condition::SessionNotEnded(acting.session.id.clone())));
        let others = change.only_if.len();
        let mut tokens_valid_after = acting.map(|acting| acting.tokens_valid_after);
        loop {
            change.only_if.truncate(others);
            change.only_if.extend(tokens_valid_after.map(Condition::TokensValidAfterIs));
            match (self.0.database.update(&user.id, change.clone()).await, acting) {
                (Ok(Outcome::Done(updated)), _) => return Ok(updated),
                (Ok(Outcome::Missing), _) => return Err(Error::UserNotExists),
                (Ok(Outcome::Refused(Condition::TokensValidAfterIs(_))), Some(acting)) => {
                    // Its own change in another request may be what ended the others; each turn is one such change.
                    match self.get_for_token(&user.id, &acting.session.id).await? {
                        Some((now, session))
                            if tokens_valid_after != Some(now.tokens_valid_after)
                                && admits(None, now.tokens_valid_after, session.as_ref()) =>
                        {
                            tokens_valid_after = Some(now.tokens_valid_after);
                        }
                        Some(_) => return Err(Error::SessionEnded),
                        None => return Err(Error::UserNotExists),
                    }
                }
                (Ok(Outcome::Refused(Condition::SessionNotEnded(_))), _) => return Err(Error::SessionEnded),
                (Ok(Outcome::Refused(_)), _) => return Err(Error::LastSuperuser),
                (Err(error), _) => {
                    let email = change.email.as_ref().map(Email::key);
                    return Err(self.first_conflict(error, email.as_ref().map(|it| (it, Some(&user.id)))).await);
                }
            }
        }
    }

    /// What an update writes.
    async fn change(
        &self,
        user: &User<P>,
        update: &UserUpdate<P>,
        acting: Option<&Acting<P>>,
    ) -> Result<UserChange<P>, Error> {
        let mut change = UserChange {
            is_active: update.is_active,
            is_superuser: update.is_superuser,
            is_verified: update.is_verified,
            profile: update.profile.clone(),
            ..UserChange::default()
        };
        if let Some(password) = &update.password {
            let password = self.validate_password(password, user.email.as_str(), Some(user)).await?;
            change.hashed_password = Some(self.0.passwords.hash(password).await?);
            change.drops = self.pending_change(user);
            if !self.0.keep_sessions_on_password_change {
                let keep = acting.filter(|acting| acting.user_id == user.id).map(Acting::kept);
                change.end_tokens = Some(EndTokens { now: self.0.clock.unix(), keep });
            }
        }
        if let Some(email) = update.email.as_ref().filter(|email| **email != user.email) {
            if email.key() != user.email.key() && update.is_verified.is_none() {
                change.is_verified = Some(false);
            }
            // The address that reset tokens were mailed to is not the user's any more.
            change.reset_token_hash = Some(Some(issued_after(self.0.clock.unix())));
            change.email = Some(email.clone());
        }
        if update.is_active == Some(false) {
            change.end_tokens = Some(EndTokens { now: self.0.clock.unix(), keep: None });
            change.drops = self.pending_change(user);
        }
        let may_lose_superuser = update.is_active == Some(false) || update.is_superuser == Some(false);
        if self.0.keep_last_superuser && may_lose_superuser {
            change.only_if.push(Condition::AnotherSuperuserRemains);
        }
        Ok(change)
    }
}
