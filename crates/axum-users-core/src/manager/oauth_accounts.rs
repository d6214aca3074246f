//! Accounts with providers that are linked to a user: shown, used, unlinked.

use super::{Acting, UserManager};
use crate::{
    audit::Audit,
    database::{Condition, Outcome},
    error::Error,
    hooks::RequestInfo,
    oauth::{AccountId, AnyOAuthClient, OAuthAccount, OAuthClient as _, OAuthClientError, OAuthToken},
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

    /// Unlinks the account of this id from a user; answers whether it was theirs. Whoever has no password of their own, having
    /// registered by a provider, keeps the last one. `acting` is the session that asks.
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
        let audit = || Audit::of("oauth_unlink", request).user(&user.id);
        let mut only_if = acting.map(Acting::still_counts).unwrap_or_default();
        if user.hashed_password.is_of_nobody() {
            only_if.push(Condition::AnotherOAuthAccountRemains);
        }
        let removed = match self.0.database.remove_oauth_account(&user.id, account, only_if).await {
            Ok(Outcome::Done(removed)) => Ok(removed),
            Ok(Outcome::Refused(Condition::AnotherOAuthAccountRemains)) => Err(Error::LastLoginMethod),
            Ok(Outcome::Refused(_)) => Err(Error::SessionEnded),
            Ok(Outcome::Missing) => Err(Error::UserNotExists),
            Err(error) => Err(error.into()),
        };
        match &removed {
            Ok(true) => audit().succeeded(),
            Ok(false) => {}
            Err(error) => audit().ended_by(error),
        }
        removed
    }

    /// The tokens of an account as the provider issued them; `None` when no key of ours sealed them.
    ///
    /// # Errors
    /// [`Error::NotConfigured`].
    pub fn stored_oauth_token(&self, account: &OAuthAccount<P>) -> Result<Option<OAuthToken>, Error> {
        let Some((access_token, refresh_token)) = self.oauth_keys()?.open_account(account) else { return Ok(None) };
        Ok(Some(OAuthToken { access_token, expires_at: account.expires_at, refresh_token, id_token: None }))
    }

    /// An access token of an account for calls to the provider: the stored one, or a new one in its place when it is about to
    /// expire and there is a refresh token.
    ///
    /// # Errors
    /// [`Error::OAuthProvider`], [`Error::NotConfigured`], [`Error::Database`].
    pub async fn oauth_access_token(
        &self,
        account: &OAuthAccount<P>,
        client: &AnyOAuthClient,
    ) -> Result<Option<Secret>, Error> {
        let Some(stored) = self.stored_oauth_token(account)? else { return Ok(None) };
        let lives = stored.expires_at.is_none_or(|at| at > self.0.clock.unix().saturating_add(ABOUT_TO_EXPIRE));
        let (Some(refresh_token), false) = (&stored.refresh_token, lives) else { return Ok(Some(stored.access_token)) };
        let token = client.refresh(refresh_token).await?;
        if let Some(identity) = account.identity() {
            let renewed = self.sealed_account(identity, account.account_email.clone(), &token)?;
            let _ = self.0.database.put_oauth_account(&account.user_id, renewed, Vec::new()).await?;
        }
        Ok(Some(token.access_token))
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

/// In seconds.
const ABOUT_TO_EXPIRE: i64 = 60;
