//! Accounts with a provider that no index and no lock watches over.

use std::sync::{Arc, Mutex};

use axum_users::{AccountId, NewOAuthAccount, OAuthAccount, OAuthIdentity, oauth::ProviderToken, random};
use uuid::Uuid;

use super::locked;

/// Shared by all nodes. A cheap handle.
#[derive(Clone, Default)]
pub(super) struct LooseAccounts(Arc<Mutex<Vec<OAuthAccount<()>>>>);

impl LooseAccounts {
    pub(super) fn find(&self, identity: &OAuthIdentity) -> Option<OAuthAccount<()>> {
        locked(&self.0).iter().find(|account| account.identity().as_ref() == Some(identity)).cloned()
    }

    pub(super) fn of(&self, user: &Uuid) -> Vec<OAuthAccount<()>> {
        locked(&self.0).iter().filter(|account| account.user_id == *user).cloned().collect()
    }

    /// Whoever else may have it.
    pub(super) fn put(&self, user: &Uuid, new: NewOAuthAccount) {
        let account = OAuthAccount {
            id: AccountId::Uuid(random::uuid_v4()),
            user_id: *user,
            oauth_name: new.identity.oauth_name().to_owned(),
            account_id: new.identity.account_id().to_owned(),
            account_email: new.account_email,
            expires_at: new.expires_at,
            access_token: ProviderToken::Sealed(new.access_token),
            refresh_token: new.refresh_token.map(ProviderToken::Sealed),
        };
        self.remove(|it| it.user_id == *user && it.identity().as_ref() == Some(&new.identity));
        locked(&self.0).push(account);
    }

    /// Whether there was one.
    pub(super) fn remove(&self, is_it: impl Fn(&OAuthAccount<()>) -> bool) -> bool {
        let mut accounts = locked(&self.0);
        let before = accounts.len();
        accounts.retain(|account| !is_it(account));
        accounts.len() < before
    }
}
