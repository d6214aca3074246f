//! Tokens that a database knows.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::{IssuedToken, Strategy, TokenOwner};
use crate::{
    clock::Clock,
    database::{AccessTokenDatabase, NewToken},
    erased::DynAccessTokenDatabase,
    error::Error,
    manager::{Authenticated, UserManager},
    profile::UserProfile,
    random,
    secret::Secret,
    session::{SessionId, TokenHash, admits, is_idle, stored_form, stored_forms},
};

/// Tokens of 256 bits in the table `accesstoken`, stored as their SHA-256.
pub struct DatabaseStrategy<P: UserProfile> {
    tokens: Arc<dyn DynAccessTokenDatabase<P>>,
    lifetime: Option<Duration>,
    idle_lifetime: Option<Duration>,
    shared: bool,
}

impl<P: UserProfile> DatabaseStrategy<P> {
    /// Tokens that live for `lifetime` (whole seconds) after login, however often they are used.
    pub fn new(tokens: impl AccessTokenDatabase<P>, lifetime: Duration) -> Self {
        Self { tokens: Arc::new(tokens), lifetime: Some(lifetime), idle_lifetime: None, shared: false }
    }

    /// Tokens that never expire.
    ///
    /// # Security
    /// A token that leaks works until its user logs out, changes the password or is deleted (ASVS 7.3.2 asks for an end).
    pub fn danger_without_lifetime(tokens: impl AccessTokenDatabase<P>) -> Self {
        Self { tokens: Arc::new(tokens), lifetime: None, idle_lifetime: None, shared: false }
    }

    /// A session that was not used for so long ends, give or take a minute (ASVS 7.3.1). Default: it does not.
    #[must_use]
    pub fn idle_lifetime(mut self, idle: Duration) -> Self {
        self.idle_lifetime = Some(idle);
        self
    }

    /// FastAPI Users works on the same table: its tokens are read, and ours are written so that it can read them.
    ///
    /// # Security
    /// Tokens are then stored as they are issued: whoever reads the table can use them.
    #[must_use]
    pub fn shared_with_fastapi_users(mut self, shared: bool) -> Self {
        if shared {
            tracing::warn!("access tokens are stored as they are issued, so that FastAPI Users can read them");
        }
        self.shared = shared;
        self
    }

    /// Removes at most `limit` tokens whose lifetime is over; answers how many. They do not count anyway.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn delete_expired(&self, clock: &Clock, limit: u32) -> Result<u64, Error> {
        let Some(lifetime) = self.lifetime.and_then(|lifetime| time::Duration::try_from(lifetime).ok()) else {
            return Ok(0);
        };
        match clock.now().checked_sub(lifetime) {
            Some(before) => Ok(self.tokens.delete_expired(before, limit).await?),
            None => Ok(0),
        }
    }
}

impl<P: UserProfile> Strategy<P> for DatabaseStrategy<P> {
    async fn read_token(&self, token: &str, users: &UserManager<P>) -> Result<Option<TokenOwner<P>>, Error> {
        let hash = TokenHash::of(token);
        let own_session = SessionId::of(&hash);
        for stored in stored_forms(token, &hash, self.shared) {
            let Some(row) = self.tokens.get(&stored, &own_session).await? else { continue };
            let now = users.clock().now();
            let issued = row.created_at.unix_timestamp();
            let expires = self.lifetime.and_then(|lifetime| row.created_at.checked_add(lifetime.try_into().ok()?));
            let alive = self.lifetime.is_none() || expires.is_some_and(|at| at >= now);
            let counts = admits(Some(issued), row.user.tokens_valid_after, row.state.as_ref())
                && !is_idle(Some(issued), row.state.as_ref(), self.idle_lifetime, now.unix_timestamp());
            return Ok((alive && counts).then(|| TokenOwner {
                user: row.user,
                session: row.session.unwrap_or(own_session),
                state: row.state,
                stored_token: Some(Secret::from(stored)),
                expires_at: expires.map(OffsetDateTime::unix_timestamp),
                authenticated_at: Some(row.state.map_or(issued, |state| state.created_at)),
            }));
        }
        Ok(None)
    }

    async fn write_token(&self, proof: &Authenticated<P>, _users: &UserManager<P>) -> Result<IssuedToken, Error> {
        let token = random::token();
        let stored = stored_form(&token, self.shared);
        let created_at = proof.issued_at();
        let expires_at = proof.expires_at(self.lifetime);
        let row = NewToken {
            token: stored,
            user_id: proof.user().id.clone(),
            created_at,
            session: proof.session(expires_at),
            continues: proof.continues(),
        };
        if self.tokens.create(row).await? { Ok(IssuedToken { token, expires_at }) } else { Err(Error::SessionEnded) }
    }

    async fn destroy_token(&self, token: &str, _owner: &TokenOwner<P>, _users: &UserManager<P>) -> Result<(), Error> {
        for stored in stored_forms(token, &TokenHash::of(token), self.shared) {
            self.tokens.delete(&stored).await?;
        }
        Ok(())
    }

    fn idle_lifetime(&self) -> Option<Duration> {
        self.idle_lifetime
    }
}
