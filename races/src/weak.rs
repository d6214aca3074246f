//! Stores with one guard taken out.

mod accounts;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum_users::{
    AccessTokenDatabase, AccountId, Clock, Condition, Conflict, DatabaseError, EmailKey, Message, NewOAuthAccount,
    NewRefreshToken, NewSession, NewToken, NewUser, OAuthAccount, OAuthIdentity, Outcome, RefreshTokenDatabase,
    Rotation, SessionId, SqlStore, StoredSession, StoredToken, Successor, TokenHash, User, UserChange, UserDatabase,
    WithOAuthAccount, WithSession, refresh::successor_row, session::issued_at,
};
use time::OffsetDateTime;
use uuid::Uuid;

use self::accounts::LooseAccounts;
use crate::Tables;

/// Which guard is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// A hash is replaced whatever it has become ([`Condition::HashIs`]).
    HashIs,
    /// Nobody asks when a user's tokens were ended.
    ValidAfter,
    /// A user is read once; the node goes by what it was.
    Cached,
    /// A session that was ended goes on with what it is doing ([`Condition::SessionNotEnded`],
    /// [`Condition::TokensValidAfterIs`]).
    EndedSessionsChange,
    /// A session begins whatever became of its user since the password was proved ([`NewSession::only_if`]).
    BegunInAnyCase,
    /// A token is dated when it is written, not when the password was proved.
    DatedWhenWritten,
    /// A token of a refresh is written without a look at its session, and dated then.
    SessionNotLookedAt,
    /// The tokens of a user who is deactivated stay.
    DeactivationKeepsTokens,
    /// Whether another superuser remains is looked up before the write.
    SuperuserCheckedBefore,
    /// Nobody asks whether a session was ended.
    EndedForgotten,
    /// The end of a session leaves its refresh tokens.
    RefreshTokensLeft,
    /// A refresh token is read, and replaced later.
    RotatedWithoutLock,
    /// Whose an account with a provider is, and whether the user is there, is looked up before it is linked.
    LinkedWithoutLock,
    /// A login by a provider brings its account up to date whatever became of it meanwhile.
    LinkedInAnyCase,
}

/// A store with a [`Gap`]. A cheap handle.
#[derive(Clone)]
pub struct Weak(Arc<Inner>);

struct Inner {
    store: SqlStore<()>,
    tables: Arc<Tables>,
    gap: Gap,
    clock: Clock,
    users: Mutex<HashMap<Uuid, User<()>>>,
    tokens: Loose,
    accounts: LooseAccounts,
}

/// Refresh tokens, and who used them; shared by all nodes.
pub(crate) type Loose = Arc<Mutex<HashMap<String, (NewRefreshToken<()>, Option<String>)>>>;

impl Weak {
    /// So many nodes' stores with this gap.
    #[must_use]
    pub fn stores(stores: Vec<SqlStore<()>>, tables: &Arc<Tables>, gap: Gap, clock: &Clock) -> Vec<Self> {
        let (tokens, accounts) = (Loose::default(), LooseAccounts::default());
        let weak = |store| {
            Self(Arc::new(Inner {
                store,
                tables: Arc::clone(tables),
                gap,
                clock: clock.clone(),
                users: Mutex::default(),
                tokens: Arc::clone(&tokens),
                accounts: accounts.clone(),
            }))
        };
        stores.into_iter().map(weak).collect()
    }

    fn has(&self, gap: Gap) -> bool {
        self.0.gap == gap
    }

    /// A user as this node sees it.
    fn seen(&self, mut user: User<()>) -> User<()> {
        if self.has(Gap::ValidAfter) {
            user.tokens_valid_after = None;
        }
        if self.has(Gap::Cached) {
            return locked(&self.0.users).entry(user.id).or_insert(user).clone();
        }
        user
    }

    fn known(&self, id: &Uuid) -> Option<User<()>> {
        locked(&self.0.users).get(id).cloned().filter(|_| self.has(Gap::Cached))
    }
}

impl UserDatabase<()> for Weak {
    async fn get(&self, id: &Uuid) -> Result<Option<User<()>>, DatabaseError> {
        UserDatabase::get(&self.0.store, id).await
    }
    async fn get_for_token(&self, id: &Uuid, session: &SessionId) -> Result<Option<WithSession<()>>, DatabaseError> {
        let found = self.0.store.get_for_token(id, session).await?;
        Ok(match found {
            Some((user, state)) => {
                let state = state.map(|mut state| {
                    state.ended &= !self.has(Gap::EndedForgotten);
                    state
                });
                Some((self.seen(user), state))
            }
            None => self.known(id).map(|user| (user, None)),
        })
    }
    async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<()>>, DatabaseError> {
        self.0.store.get_by_email(email).await
    }
    async fn list(&self, after: Option<&Uuid>, limit: u32) -> Result<Vec<User<()>>, DatabaseError> {
        self.0.store.list(after, limit).await
    }
    async fn create(&self, user: NewUser<()>) -> Result<User<()>, DatabaseError> {
        UserDatabase::create(&self.0.store, user).await
    }
    async fn update(&self, id: &Uuid, mut change: UserChange<()>) -> Result<Outcome<User<()>>, DatabaseError> {
        match self.0.gap {
            Gap::HashIs => change.only_if.retain(|it| !matches!(it, Condition::HashIs(_))),
            Gap::EndedSessionsChange => change
                .only_if
                .retain(|it| !matches!(it, Condition::TokensValidAfterIs(_) | Condition::SessionNotEnded(_))),
            Gap::ValidAfter | Gap::Cached => {
                change.only_if.retain(|it| !matches!(it, Condition::TokensValidAfterIs(_)));
            }
            Gap::DeactivationKeepsTokens if change.is_active == Some(false) => change.end_tokens = None,
            Gap::SuperuserCheckedBefore => {
                let conditions = change.only_if.len();
                change.only_if.retain(|it| !matches!(it, Condition::AnotherSuperuserRemains));
                if change.only_if.len() < conditions {
                    let users = self.list(None, 10_000).await?;
                    if !users.iter().any(|user| user.is_superuser && user.is_active && user.id != *id) {
                        return Ok(Outcome::Refused(Condition::AnotherSuperuserRemains));
                    }
                }
            }
            _ => {}
        }
        self.0.store.update(id, change).await
    }
    async fn delete(&self, id: &Uuid, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        let deleted = UserDatabase::delete(&self.0.store, id, only_if).await?;
        self.0.accounts.remove(|account| account.user_id == *id);
        Ok(deleted)
    }
    async fn begin_session(&self, id: &Uuid, mut session: NewSession) -> Result<bool, DatabaseError> {
        if self.has(Gap::DatedWhenWritten) {
            session.created_at = self.now_of(id, session.created_at).await?;
        }
        if self.has(Gap::DatedWhenWritten) || self.has(Gap::BegunInAnyCase) {
            session.only_if.clear();
        }
        self.0.store.begin_session(id, session).await
    }
    async fn touch_session(&self, id: &Uuid, session: NewSession, now: i64) -> Result<(), DatabaseError> {
        self.0.store.touch_session(id, session, now).await
    }
    async fn end_session(&self, id: &Uuid, session: NewSession) -> Result<(), DatabaseError> {
        if !self.has(Gap::RefreshTokensLeft) {
            return self.0.store.end_session(id, session).await;
        }
        let (here, away) = (session.id.to_string(), SessionId::generate().to_string());
        let failed = |error: anyhow::Error| DatabaseError::Driver(error.into());
        self.0.tables.move_refresh_tokens(&here, &away).await.map_err(failed)?;
        self.0.store.end_session(id, session).await?;
        self.0.tables.move_refresh_tokens(&away, &here).await.map_err(failed)
    }
    async fn sessions(&self, id: &Uuid) -> Result<Vec<StoredSession>, DatabaseError> {
        self.0.store.sessions(id).await
    }
    fn keeps_oauth_accounts(&self) -> bool {
        true
    }
    async fn get_by_oauth_account(
        &self,
        identity: &OAuthIdentity,
    ) -> Result<Option<WithOAuthAccount<()>>, DatabaseError> {
        if !self.has(Gap::LinkedWithoutLock) {
            return self.0.store.get_by_oauth_account(identity).await;
        }
        let Some(account) = self.0.accounts.find(identity) else { return Ok(None) };
        Ok(UserDatabase::get(&self.0.store, &account.user_id).await?.map(|user| (user, account)))
    }
    async fn create_with_oauth_account(
        &self,
        user: NewUser<()>,
        account: NewOAuthAccount,
    ) -> Result<User<()>, DatabaseError> {
        if !self.has(Gap::LinkedWithoutLock) {
            return self.0.store.create_with_oauth_account(user, account).await;
        }
        let user = UserDatabase::create(&self.0.store, user).await?;
        let _ = self.link(&user.id, account).await?;
        Ok(user)
    }
    async fn put_oauth_account(
        &self,
        id: &Uuid,
        account: NewOAuthAccount,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<User<()>>, DatabaseError> {
        match self.0.gap {
            Gap::LinkedWithoutLock => self.link(id, account).await,
            Gap::LinkedInAnyCase => self.0.store.put_oauth_account(id, account, Vec::new(), messages).await,
            _ => self.0.store.put_oauth_account(id, account, only_if, messages).await,
        }
    }
    async fn oauth_accounts(&self, id: &Uuid) -> Result<Vec<OAuthAccount<()>>, DatabaseError> {
        if self.has(Gap::LinkedWithoutLock) {
            return Ok(self.0.accounts.of(id));
        }
        self.0.store.oauth_accounts(id).await
    }
    async fn remove_oauth_account(
        &self,
        id: &Uuid,
        account: AccountId,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<bool>, DatabaseError> {
        if self.has(Gap::LinkedWithoutLock) {
            let removed = self.0.accounts.remove(|it| it.user_id == *id && it.id == account);
            return Ok(Outcome::Done(removed));
        }
        self.0.store.remove_oauth_account(id, account, only_if, messages).await
    }
}

impl Weak {
    /// The instant of a token that is dated now, once nobody holds the user's row.
    async fn now_of(&self, id: &Uuid, at: i64) -> Result<i64, DatabaseError> {
        Ok(match self.0.store.update(id, UserChange::default()).await? {
            Outcome::Done(user) => issued_at(self.0.clock.now(), user.tokens_valid_after).unix_timestamp(),
            _ => at,
        })
    }

    /// Looks, and writes then.
    async fn link(&self, id: &Uuid, account: NewOAuthAccount) -> Result<Outcome<User<()>>, DatabaseError> {
        if self.0.accounts.find(&account.identity).is_some_and(|it| it.user_id != *id) {
            return Err(DatabaseError::Conflict(Conflict::OAuthAccount));
        }
        let Some(user) = UserDatabase::get(&self.0.store, id).await? else { return Ok(Outcome::Missing) };
        self.0.accounts.put(id, account);
        Ok(Outcome::Done(user))
    }
}

impl AccessTokenDatabase<()> for Weak {
    async fn get(&self, token: &str, session: &SessionId) -> Result<Option<StoredToken<()>>, DatabaseError> {
        let found = AccessTokenDatabase::get(&self.0.store, token, session).await?;
        Ok(found.map(|found| {
            let state = found.state.map(|mut state| {
                state.ended &= !self.has(Gap::EndedForgotten);
                state
            });
            StoredToken { user: self.seen(found.user), state, ..found }
        }))
    }
    async fn create(&self, mut token: NewToken<()>) -> Result<bool, DatabaseError> {
        let unseen = token.continues && self.has(Gap::SessionNotLookedAt);
        if unseen {
            (token.continues, token.session.id) = (false, SessionId::generate());
        }
        if unseen || self.has(Gap::DatedWhenWritten) || self.has(Gap::BegunInAnyCase) {
            token.session.only_if.clear();
        }
        if unseen || self.has(Gap::DatedWhenWritten) {
            let now = self.now_of(&token.user_id, token.session.created_at).await?;
            token.session.created_at = now;
            token.created_at = OffsetDateTime::from_unix_timestamp(now).unwrap_or(token.created_at);
        }
        AccessTokenDatabase::create(&self.0.store, token).await
    }
    async fn delete(&self, token: &str) -> Result<(), DatabaseError> {
        AccessTokenDatabase::delete(&self.0.store, token).await
    }
    async fn delete_expired(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        self.0.store.delete_expired(before, limit).await
    }
}

impl RefreshTokenDatabase<()> for Weak {
    async fn create(&self, token: NewRefreshToken<()>) -> Result<bool, DatabaseError> {
        if self.has(Gap::RotatedWithoutLock) {
            locked(&self.0.tokens).insert(token.token.as_str().to_owned(), (token, None));
            return Ok(true);
        }
        RefreshTokenDatabase::create(&self.0.store, token).await
    }
    async fn rotate(
        &self,
        token: &TokenHash,
        successor: Successor,
        now: OffsetDateTime,
    ) -> Result<Rotation<()>, DatabaseError> {
        if !self.has(Gap::RotatedWithoutLock) {
            return self.0.store.rotate(token, successor, now).await;
        }
        let found = locked(&self.0.tokens).get(token.as_str()).cloned();
        let Some((row, nonce)) = found else { return Ok(Rotation::Unknown) };
        let Some(user) = UserDatabase::get(&self.0.store, &row.user_id).await? else { return Ok(Rotation::Unknown) };
        let (session, valid_until) = (row.session.clone(), row.valid_until);
        if let Some(nonce) = nonce {
            return Ok(Rotation::Rotated { user, session, valid_until, nonce, rotated_at: now });
        }
        let stored = axum_users::refresh::StoredRefreshToken {
            session: session.clone(),
            issued_at: row.issued_at,
            valid_until,
            used: None,
        };
        let next = successor_row(&user, &stored, successor.hash.clone(), now);
        let nonce = successor.nonce;
        let mut tokens = locked(&self.0.tokens);
        tokens.insert(successor.hash.as_str().to_owned(), (next, None));
        tokens.insert(token.as_str().to_owned(), (row, Some(nonce.clone())));
        Ok(Rotation::Rotated { user, session, valid_until, nonce, rotated_at: now })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
