//! Accounts with providers that are linked to a user: linked, shown, used, unlinked.

use super::{Acting, UserManager, oauth::TURNS};
use crate::{
    audit::Audit,
    database::{Condition, Conflict, DatabaseError, Outcome},
    error::Error,
    hooks::RequestInfo,
    oauth::{
        AccountId, AnyOAuthClient, NewOAuthAccount, OAuthAccount, OAuthClient as _, OAuthClientError, OAuthToken,
        keys::Opened,
    },
    outbox::{Message, Task},
    profile::UserProfile,
    secret::Secret,
    user::User,
};

impl<P: UserProfile> UserManager<P> {
    /// The accounts that are linked to a user, each once.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn oauth_accounts(&self, user: &User<P>) -> Result<Vec<OAuthAccount<P>>, Error> {
        let mut accounts: Vec<OAuthAccount<P>> = Vec::new();
        for account in self.0.database.oauth_accounts(&user.id).await? {
            let same = |other: &&OAuthAccount<P>| {
                other.oauth_name == account.oauth_name && other.account_id == account.account_id
            };
            if accounts.iter().find(same).is_none() {
                accounts.push(account);
            }
        }
        Ok(accounts)
    }

    /// What is linked to a user who proves a mailbox, and whether one of it is of that mailbox: its provider proved the address.
    /// Without providers nothing is asked.
    pub(super) async fn linked(&self, user: &User<P>) -> Result<Linked, Error> {
        let Some(keys) = self.0.oauth.as_ref().filter(|_| self.0.keeps_oauth_accounts) else {
            // There may be rows of a time when there were providers.
            return Ok(Linked { some: false, of_the_mailbox: false });
        };
        let accounts = self.0.database.oauth_accounts(&user.id).await?;
        let mailbox = user.email.key();
        let is_of_it = |account| {
            keys.open_account(account).and_then(|it| it.proved).is_some_and(|proved| proved == mailbox.as_str())
        };
        Ok(Linked { some: !accounts.is_empty(), of_the_mailbox: accounts.iter().any(is_of_it) })
    }

    /// Links an account to the user of a session, who is told, or brings it up to date, which is told to nobody.
    pub(super) async fn put_for(
        &self,
        acting: &Acting<P>,
        account: &NewOAuthAccount,
        client: &AnyOAuthClient,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let id = &acting.user_id;
        for _ in 0..TURNS {
            let user = self.get(id).await?.ok_or(Error::UserNotExists)?;
            match self.link(&user, account, acting.still_counts(), client, request).await? {
                Outcome::Done(user) => return Ok(user),
                Outcome::Refused(Condition::OAuthAccountNotLinked(_)) => {}
                // Another address by now: that one is told.
                Outcome::Refused(Condition::EmailIs(_)) => continue,
                Outcome::Refused(_) => return Err(Error::SessionEnded),
                Outcome::Missing => return Err(Error::UserNotExists),
            }
            let mut only_if = acting.still_counts();
            only_if.push(Condition::OAuthAccountLinked(account.identity.clone()));
            match self.0.database.put_oauth_account(id, account.clone(), only_if, Vec::new()).await? {
                Outcome::Done(user) => return Ok(user),
                // Unlinked in between.
                Outcome::Refused(Condition::OAuthAccountLinked(_)) => {}
                Outcome::Refused(_) => return Err(Error::SessionEnded),
                Outcome::Missing => return Err(Error::UserNotExists),
            }
        }
        Err(Error::OAuthAccountAlreadyExists)
    }

    /// Links an account that is not linked to this user yet, and tells the mailbox that they have.
    async fn link(
        &self,
        user: &User<P>,
        account: &NewOAuthAccount,
        mut only_if: Vec<Condition>,
        client: &AnyOAuthClient,
        request: Option<&RequestInfo>,
    ) -> Result<Outcome<User<P>>, DatabaseError> {
        only_if.push(Condition::EmailIs(user.email.clone()));
        only_if.push(Condition::OAuthAccountNotLinked(account.identity.clone()));
        let (to, provider) = (user.email.as_str().to_owned(), client.display_name().to_owned());
        let messages = Vec::from_iter(self.notice(Task::AccountLinked { to, provider }, request));
        let with_change = self.with_change(&messages);
        let outcome = self.0.database.put_oauth_account(&user.id, account.clone(), only_if, with_change).await?;
        if matches!(outcome, Outcome::Done(_)) {
            self.post_after(messages).await;
        }
        Ok(outcome)
    }

    /// Brings the account of a user up to date; `None` when who has it changed meanwhile. For an inactive user nothing is written.
    pub(super) async fn refresh_if_active(
        &self,
        user: User<P>,
        account: &NewOAuthAccount,
    ) -> Result<Option<User<P>>, Error> {
        if !user.is_active {
            return Ok(Some(user));
        }
        let linked = vec![Condition::OAuthAccountLinked(account.identity.clone())];
        if_unchanged(self.0.database.put_oauth_account(&user.id, account.clone(), linked, Vec::new()).await)
    }

    /// Links an account; `None` when the user, or who has it, changed meanwhile. For an inactive user nothing is written.
    pub(super) async fn link_if_active(
        &self,
        user: User<P>,
        account: &NewOAuthAccount,
        client: &AnyOAuthClient,
        request: Option<&RequestInfo>,
    ) -> Result<Option<User<P>>, Error> {
        if !user.is_active {
            return Ok(Some(user));
        }
        if_unchanged(self.link(&user, account, Vec::new(), client, request).await)
    }

    /// Unlinks the account of this id from a user; answers whether it was theirs. Whoever has no password of their own, having
    /// registered by a provider, keeps the last one. `acting` is the session that asks. The user is told by mail.
    ///
    /// # Errors
    /// [`Error::LastLoginMethod`], [`Error::SessionEnded`], [`Error::UserNotExists`], [`Error::Database`].
    pub async fn remove_oauth_account(
        &self,
        user: &User<P>,
        account: AccountId,
        acting: Option<&Acting<P>>,
        request: Option<&RequestInfo>,
    ) -> Result<bool, Error> {
        let linked = self.0.database.oauth_accounts(&user.id).await?.into_iter().find(|it| it.id == account);
        let audit = || {
            let audit = Audit::of("oauth_unlink", request).user(&user.id);
            linked.iter().fold(audit, |audit, account| audit.provider(&account.oauth_name))
        };
        let mut only_if = acting.map(Acting::still_counts).unwrap_or_default();
        if !user.has_password() {
            only_if.push(Condition::AnotherOAuthAccountRemains);
        }
        let notice = linked.as_ref().and_then(|account| self.unlinked(user, &account.oauth_name, request));
        let messages = Vec::from_iter(notice);
        let with_change = self.with_change(&messages);
        let removed = match self.0.database.remove_oauth_account(&user.id, account, only_if, with_change).await {
            Ok(Outcome::Done(removed)) => Ok(removed),
            Ok(Outcome::Refused(Condition::AnotherOAuthAccountRemains)) => Err(Error::LastLoginMethod),
            Ok(Outcome::Refused(_)) => Err(Error::SessionEnded),
            Ok(Outcome::Missing) => Err(Error::UserNotExists),
            Err(error) => Err(error.into()),
        };
        match &removed {
            Ok(true) => {
                audit().succeeded();
                self.post_after(messages).await;
            }
            Ok(false) => {}
            Err(error) => audit().ended_by(error),
        }
        removed
    }

    /// What tells a user that an account with the provider of this name was unlinked.
    fn unlinked(&self, user: &User<P>, provider: &str, request: Option<&RequestInfo>) -> Option<Message> {
        let known = self.0.oauth_display_names.get(provider).map(String::as_str);
        let (to, provider) = (user.email.as_str().to_owned(), known.unwrap_or(provider).to_owned());
        self.notice(Task::AccountUnlinked { to, provider }, request)
    }

    /// The tokens of an account as the provider issued them; `None` when no key of ours sealed them.
    ///
    /// # Errors
    /// [`Error::NotConfigured`].
    pub fn stored_oauth_token(&self, account: &OAuthAccount<P>) -> Result<Option<OAuthToken>, Error> {
        let opened = self.oauth_keys()?.open_account(account);
        Ok(opened.map(|Opened { access, refresh, .. }| OAuthToken {
            access_token: access,
            expires_at: account.expires_at,
            refresh_token: refresh,
            id_token: None,
        }))
    }

    /// An access token of an account for calls to the provider: the stored one, or a new one in its place when it is about to
    /// expire and there is a refresh token. `None` when no key of ours sealed it, and when the account was unlinked while the
    /// provider was asked.
    ///
    /// # Errors
    /// [`Error::OAuthProvider`], [`Error::NotConfigured`], [`Error::Database`].
    pub async fn oauth_access_token(
        &self,
        account: &OAuthAccount<P>,
        client: &AnyOAuthClient,
    ) -> Result<Option<Secret>, Error> {
        let Some(stored) = self.oauth_keys()?.open_account(account) else { return Ok(None) };
        let lives = account.expires_at.is_none_or(|at| at > self.0.clock.unix().saturating_add(ABOUT_TO_EXPIRE));
        let (Some(refresh_token), false) = (&stored.refresh, lives) else { return Ok(Some(stored.access)) };
        let token = client.refresh(refresh_token).await?;
        let Some(identity) = account.identity() else { return Ok(Some(token.access_token)) };
        let linked = vec![Condition::OAuthAccountLinked(identity.clone())];
        let renewed = self.sealed_account(identity, account.account_email.clone(), &token, stored.proved.as_deref())?;
        match self.0.database.put_oauth_account(&account.user_id, renewed, linked, Vec::new()).await? {
            Outcome::Done(_) => Ok(Some(token.access_token)),
            Outcome::Refused(_) | Outcome::Missing => Ok(None),
        }
    }

    /// Tells the provider that the tokens of an account are not needed any more, the refresh token first, as the others hang on it.
    ///
    /// # Errors
    /// [`Error::OAuthProvider`], with [`OAuthClientError::Unsupported`] where the provider cannot be told;
    /// [`Error::NotConfigured`].
    pub async fn revoke_oauth_tokens(&self, account: &OAuthAccount<P>, client: &AnyOAuthClient) -> Result<(), Error> {
        let Some(stored) = self.stored_oauth_token(account)? else {
            return Err(OAuthClientError::Answer("the stored token cannot be read".into()).into());
        };
        Ok(client.revoke(stored.refresh_token.as_ref().unwrap_or(&stored.access_token)).await?)
    }
}

/// What is linked to a user.
pub(super) struct Linked {
    /// Whether anything is.
    pub(super) some: bool,
    /// Whether the provider of one proved the address that the user has.
    pub(super) of_the_mailbox: bool,
}

/// Who was written; nobody when somebody else was faster.
fn if_unchanged<P: UserProfile>(written: Result<Outcome<User<P>>, DatabaseError>) -> Result<Option<User<P>>, Error> {
    match written {
        Ok(Outcome::Done(user)) => Ok(Some(user)),
        Ok(Outcome::Refused(_) | Outcome::Missing) | Err(DatabaseError::Conflict(Conflict::OAuthAccount)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// In seconds.
const ABOUT_TO_EXPIRE: i64 = 60;
