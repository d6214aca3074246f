//! Users and tokens in memory, for documentation and tests. Everything is gone when the last handle is dropped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;

use crate::{
    database::{
        AccessTokenDatabase, Condition, Conflict, DatabaseError, NewToken, Outcome, RefreshTokenDatabase, StoredToken,
        UserChange, UserDatabase, WithOAuthAccount, WithSession,
    },
    email::EmailKey,
    id::UserId,
    oauth::{AccountId, NewOAuthAccount, OAuthAccount, OAuthIdentity, ProviderToken},
    outbox::{Claimed, Message, Queue, Settled, StoredMessage},
    profile::UserProfile,
    refresh::{NewRefreshToken, Rotation, StoredRefreshToken, Successor, Verdict, successor_row},
    session::{
        EndTokens, KeptSession, NewSession, SessionId, SessionState, StoredSession, TokenHash, next_valid_after,
    },
    throttle::{BucketKey, Buckets, Limit, Taken},
    user::{NewUser, User},
    value::{Kind, Row, Value, ValueError},
};

/// A store in memory. A cheap handle; it passes the same suites as the databases.
pub struct MemoryStore<P: UserProfile>(Arc<Mutex<Tables<P>>>);

struct Tables<P: UserProfile> {
    users: Vec<User<P>>,
    tokens: BTreeMap<String, Token<P>>,
    sessions: BTreeMap<SessionId, (P::Id, StoredSession)>,
    refresh_tokens: BTreeMap<String, (P::Id, StoredRefreshToken)>,
    accounts: Vec<(String, OAuthAccount<P>)>,
    buckets: Arc<Buckets>,
    messages: Arc<Queue>,
    last_id: i64,
}

/// A row of the access tokens.
struct Token<P: UserProfile> {
    user_id: P::Id,
    created_at: OffsetDateTime,
    session: SessionId,
}

impl<P: UserProfile> Clone for MemoryStore<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: UserProfile> Default for MemoryStore<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: UserProfile> MemoryStore<P> {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Tables {
            users: Vec::new(),
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            accounts: Vec::new(),
            buckets: Arc::default(),
            messages: Arc::new(Queue::of_a_store()),
            last_id: 0,
        })))
    }

    fn buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.tables().buckets)
    }

    fn messages(&self) -> Arc<Queue> {
        Arc::clone(&self.tables().messages)
    }

    fn tables(&self) -> MutexGuard<'_, Tables<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: UserProfile> UserDatabase<P> for MemoryStore<P> {
    async fn get(&self, id: &P::Id) -> Result<Option<User<P>>, DatabaseError> {
        Ok(self.tables().find(|user| user.id == *id))
    }

    async fn get_for_token(&self, id: &P::Id, session: &SessionId) -> Result<Option<WithSession<P>>, DatabaseError> {
        let tables = self.tables();
        Ok(tables.find(|user| user.id == *id).map(|user| (user, tables.state(session))))
    }

    async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<P>>, DatabaseError> {
        Ok(self.tables().find(|user| email.matches(user.email.as_str())))
    }

    async fn list(&self, after: Option<&P::Id>, limit: u32) -> Result<Vec<User<P>>, DatabaseError> {
        let tables = self.tables();
        let mut users: Vec<_> = tables.users.iter().collect();
        users.sort_by_key(|user| order(&user.id));
        let after = after.map(order);
        Ok(users
            .into_iter()
            .filter(|user| after.as_ref().is_none_or(|after| order(&user.id) > *after))
            .take(limit as usize)
            .cloned()
            .collect())
    }

    async fn create(&self, user: NewUser<P>) -> Result<User<P>, DatabaseError> {
        self.tables().create(user)
    }

    async fn update(&self, id: &P::Id, change: UserChange<P>) -> Result<Outcome<User<P>>, DatabaseError> {
        let mut tables = self.tables();
        let Some(old) = tables.find(|user| user.id == *id) else { return Ok(Outcome::Missing) };
        if let Some(broken) = change.only_if.iter().find(|condition| !tables.holds(&old, condition)) {
            return Ok(Outcome::Refused(broken.clone()));
        }
        tables.check_there(change.consumes.as_ref())?;
        let mut new = old;
        let mut columns = new.profile.encode();
        for (index, value) in P::changes(&change.profile).iter() {
            if let Some(column) = columns.get_mut(*index) {
                *column = value.clone();
            }
        }
        new.profile = P::decode(&Columns(&columns)).map_err(|error| DatabaseError::Driver(error.into()))?;
        let key = change.email.as_ref().map(crate::email::Email::key);
        tables.check_unique(Some(id), key.as_ref(), &columns)?;
        let drops = change.consumes.iter().map(|message| &message.key).chain(&change.drops);
        tables.messages.replace(&drops.map(String::as_str).collect::<Vec<_>>(), change.messages)?;
        new.reset_token_hash = change.reset_token_hash.unwrap_or(new.reset_token_hash);
        new.email = change.email.unwrap_or(new.email);
        new.hashed_password = change.hashed_password.unwrap_or(new.hashed_password);
        new.is_active = change.is_active.unwrap_or(new.is_active);
        new.is_superuser = change.is_superuser.unwrap_or(new.is_superuser);
        new.is_verified = change.is_verified.unwrap_or(new.is_verified);
        if change.unlinks_accounts {
            tables.accounts.retain(|(_, account)| account.user_id != *id);
        }
        if let Some(EndTokens { now, keep }) = change.end_tokens {
            let now = tables.last_issued(id).map_or(now, |last| last.max(now));
            new.tokens_valid_after = Some(next_valid_after(now, new.tokens_valid_after));
            tables.end_sessions(id, keep.as_ref());
            if let Some(KeptSession { session, .. }) = keep {
                let kept = tables.session(id, session);
                kept.state.renewed_at = new.tokens_valid_after;
            }
        }
        if let Some(stored) = tables.users.iter_mut().find(|user| user.id == *id) {
            *stored = new.clone();
        }
        Ok(Outcome::Done(new))
    }

    async fn delete(&self, id: &P::Id, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        let mut tables = self.tables();
        let Some(old) = tables.find(|user| user.id == *id) else { return Ok(Outcome::Missing) };
        if let Some(broken) = only_if.into_iter().find(|condition| !tables.holds(&old, condition)) {
            return Ok(Outcome::Refused(broken));
        }
        tables.users.retain(|user| user.id != *id);
        tables.accounts.retain(|(_, account)| account.user_id != *id);
        tables.end_sessions(id, None);
        Ok(Outcome::Done(()))
    }

    async fn begin_session(&self, id: &P::Id, session: NewSession) -> Result<bool, DatabaseError> {
        let mut tables = self.tables();
        let begins = tables.may_begin(id, &session);
        if begins {
            tables.session(id, session);
        }
        Ok(begins)
    }

    async fn touch_session(&self, id: &P::Id, session: NewSession, now: i64) -> Result<(), DatabaseError> {
        let mut tables = self.tables();
        if tables.find(|user| user.id == *id).is_some() {
            let stored = tables.session(id, session);
            stored.state.seen_at = stored.state.seen_at.max(now);
        }
        Ok(())
    }

    async fn end_session(&self, id: &P::Id, session: NewSession) -> Result<(), DatabaseError> {
        let mut tables = self.tables();
        if tables.find(|user| user.id == *id).is_some() {
            tables.end_session(id, session);
        }
        Ok(())
    }

    async fn sessions(&self, id: &P::Id) -> Result<Vec<StoredSession>, DatabaseError> {
        let tables = self.tables();
        let theirs = tables.sessions.values().filter(|(owner, session)| owner == id && !session.state.ended);
        Ok(theirs.map(|(_, session)| session.clone()).collect())
    }

    async fn delete_expired_sessions(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        let mut tables = self.tables();
        let limit = limit as usize;
        let expired = |until: i64| until < now;
        let sessions: Vec<_> =
            tables.sessions.iter().filter(|(_, (_, it))| expired(it.valid_until)).take(limit).collect();
        let sessions: Vec<_> = sessions.into_iter().map(|(id, _)| id.clone()).collect();
        let refresh = tables.refresh_tokens.iter().filter(|(_, (_, it))| expired(it.valid_until)).take(limit);
        let refresh: Vec<_> = refresh.map(|(token, _)| token.clone()).collect();
        for id in &sessions {
            tables.sessions.remove(id);
        }
        for token in &refresh {
            tables.refresh_tokens.remove(token);
        }
        Ok((sessions.len() + refresh.len()) as u64)
    }

    fn keeps_messages(&self) -> bool {
        true
    }

    async fn enqueue(&self, message: Message, now: i64) -> Result<(), DatabaseError> {
        self.messages().put(message, now)
    }

    async fn claim(&self, now: i64, limit: u32) -> Result<Vec<Claimed>, DatabaseError> {
        Ok(self.messages().claim(now, limit as usize))
    }

    async fn settle(&self, claimed: &Claimed, settled: Settled) -> Result<(), DatabaseError> {
        self.messages().settle(claimed, settled);
        Ok(())
    }

    async fn message(&self, key: &str) -> Result<Option<Message>, DatabaseError> {
        Ok(self.messages().get(key))
    }

    async fn list_messages(&self, after: Option<&str>, limit: u32) -> Result<Vec<StoredMessage>, DatabaseError> {
        Ok(self.messages().list(after, limit))
    }

    async fn retry_message(&self, key: &str, now: i64) -> Result<bool, DatabaseError> {
        Ok(self.messages().retry(key, now))
    }

    async fn delete_message(&self, key: &str) -> Result<bool, DatabaseError> {
        Ok(self.messages().remove(key))
    }

    fn keeps_oauth_accounts(&self) -> bool {
        true
    }

    async fn get_by_oauth_account(
        &self,
        identity: &OAuthIdentity,
    ) -> Result<Option<WithOAuthAccount<P>>, DatabaseError> {
        let tables = self.tables();
        let key = identity.key();
        let Some((_, account)) = tables.accounts.iter().find(|(known, _)| *known == key) else { return Ok(None) };
        Ok(tables.find(|user| user.id == account.user_id).map(|user| (user, account.clone())))
    }

    async fn create_with_oauth_account(
        &self,
        user: NewUser<P>,
        account: NewOAuthAccount,
    ) -> Result<User<P>, DatabaseError> {
        let mut tables = self.tables();
        tables.check_account_free(&account.identity, None)?;
        let user = tables.create(user)?;
        tables.put_account(&user.id, account)?;
        Ok(user)
    }

    async fn put_oauth_account(
        &self,
        id: &P::Id,
        account: NewOAuthAccount,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<User<P>>, DatabaseError> {
        let mut tables = self.tables();
        let Some(user) = tables.find(|user| user.id == *id) else { return Ok(Outcome::Missing) };
        if let Some(broken) = only_if.into_iter().find(|condition| !tables.holds(&user, condition)) {
            return Ok(Outcome::Refused(broken));
        }
        tables.check_account_free(&account.identity, Some(id))?;
        tables.messages.replace(&[], messages)?;
        tables.put_account(id, account)?;
        Ok(Outcome::Done(user))
    }

    async fn oauth_accounts(&self, id: &P::Id) -> Result<Vec<OAuthAccount<P>>, DatabaseError> {
        let tables = self.tables();
        Ok(tables.accounts.iter().filter(|(_, it)| it.user_id == *id).map(|(_, it)| it.clone()).collect())
    }

    async fn remove_oauth_account(
        &self,
        id: &P::Id,
        account: AccountId,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<bool>, DatabaseError> {
        let mut tables = self.tables();
        let Some(user) = tables.find(|user| user.id == *id) else { return Ok(Outcome::Missing) };
        let is_it = |it: &OAuthAccount<P>| it.user_id == *id && it.id == account;
        if !tables.accounts.iter().any(|(_, it)| is_it(it)) {
            return Ok(Outcome::Done(false));
        }
        if let Some(broken) = only_if.into_iter().find(|condition| !tables.holds(&user, condition)) {
            return Ok(Outcome::Refused(broken));
        }
        tables.messages.replace(&[], messages)?;
        tables.accounts.retain(|(_, it)| !is_it(it));
        Ok(Outcome::Done(true))
    }

    fn keeps_buckets(&self) -> bool {
        true
    }

    async fn take_from_bucket(&self, bucket: &BucketKey, limit: Limit, now: i64) -> Result<Taken, DatabaseError> {
        Ok(self.buckets().take(bucket, limit, now))
    }

    async fn give_back_to_bucket(&self, bucket: &BucketKey, limit: Limit) -> Result<(), DatabaseError> {
        self.buckets().give_back(bucket, limit);
        Ok(())
    }

    async fn fill_bucket(&self, bucket: &BucketKey) -> Result<(), DatabaseError> {
        self.buckets().fill(bucket);
        Ok(())
    }

    async fn delete_full_buckets(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        Ok(self.buckets().delete_full(now, limit))
    }
}

impl<P: UserProfile> AccessTokenDatabase<P> for MemoryStore<P> {
    async fn get(&self, token: &str, _session: &SessionId) -> Result<Option<StoredToken<P>>, DatabaseError> {
        let tables = self.tables();
        let Some(row) = tables.tokens.get(token) else { return Ok(None) };
        let Some(user) = tables.find(|user| user.id == row.user_id) else { return Ok(None) };
        let (session, state) = (Some(row.session.clone()), tables.state(&row.session));
        Ok(Some(StoredToken { user, created_at: row.created_at, session, state }))
    }

    async fn create(&self, token: NewToken<P>) -> Result<bool, DatabaseError> {
        let mut tables = self.tables();
        let NewToken { token, user_id, created_at, session, continues } = token;
        let goes_on = || tables.state(&session.id).is_some_and(|state| !state.ended);
        if !(if continues { goes_on() } else { tables.may_begin(&user_id, &session) }) {
            return Ok(false);
        }
        let row = Token { user_id: user_id.clone(), created_at, session: session.id.clone() };
        tables.session(&user_id, session);
        tables.tokens.insert(token, row);
        Ok(true)
    }

    async fn delete(&self, token: &str) -> Result<(), DatabaseError> {
        self.tables().tokens.remove(token);
        Ok(())
    }

    async fn delete_expired(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        let mut tables = self.tables();
        let expired: Vec<_> = tables
            .tokens
            .iter()
            .filter(|(_, row)| row.created_at < before)
            .map(|(token, _)| token.clone())
            .take(limit as usize)
            .collect();
        for token in &expired {
            tables.tokens.remove(token);
        }
        Ok(expired.len() as u64)
    }
}

impl<P: UserProfile> RefreshTokenDatabase<P> for MemoryStore<P> {
    async fn create(&self, token: NewRefreshToken<P>) -> Result<bool, DatabaseError> {
        let mut tables = self.tables();
        let exists = tables.find(|user| user.id == token.user_id).is_some();
        if exists {
            tables.put_refresh_token(token);
        }
        Ok(exists)
    }

    async fn rotate(
        &self,
        token: &TokenHash,
        successor: Successor,
        now: OffsetDateTime,
    ) -> Result<Rotation<P>, DatabaseError> {
        let mut tables = self.tables();
        let Some((owner, stored)) = tables.refresh_tokens.get(token.as_str()).cloned() else {
            return Ok(Rotation::Unknown);
        };
        let Some(user) = tables.find(|user| user.id == owner) else { return Ok(Rotation::Unknown) };
        let state = tables.state(&stored.session);
        let unix = now.unix_timestamp();
        let (nonce, rotated_at) = match stored.judge(&user, state.as_ref(), &successor, unix) {
            Verdict::Refuse => return Ok(Rotation::Unknown),
            Verdict::NotVerified => return Ok(Rotation::NotVerified { user_id: owner }),
            Verdict::EndSession => {
                tables.end_session(&owner, NewSession::of(stored.session.clone(), "", unix, stored.valid_until, None));
                return Ok(Rotation::Reused { user_id: owner, session: stored.session });
            }
            Verdict::Repeat(nonce, used_at) => (nonce, OffsetDateTime::from_unix_timestamp(used_at).unwrap_or(now)),
            Verdict::Rotate => {
                tables.put_refresh_token(successor_row(&user, &stored, successor.hash, now));
                if let Some((_, row)) = tables.refresh_tokens.get_mut(token.as_str()) {
                    row.used = Some((unix, successor.nonce.clone()));
                }
                if let Some((_, session)) = tables.sessions.get_mut(&stored.session) {
                    session.state.seen_at = session.state.seen_at.max(unix);
                }
                (successor.nonce, now)
            }
        };
        let (session, valid_until) = (stored.session, stored.valid_until);
        Ok(Rotation::Rotated { user, session, valid_until, nonce, rotated_at })
    }
}

impl<P: UserProfile> Tables<P> {
    fn create(&mut self, user: NewUser<P>) -> Result<User<P>, DatabaseError> {
        self.check_there(user.consumes.as_ref())?;
        self.check_unique(None, Some(&user.email.key()), &user.profile.encode())?;
        let id = match &user.id {
            Some(id) => id.clone(),
            None => self.count()?,
        };
        if let Some(message) = &user.consumes {
            self.messages.remove(&message.key);
        }
        let user = User::from_new(id, user);
        self.users.push(user.clone());
        Ok(user)
    }

    fn count(&mut self) -> Result<P::Id, DatabaseError> {
        self.last_id += 1;
        P::Id::parse(&self.last_id.to_string())
            .ok_or_else(|| DatabaseError::Driver("this store counts integers only".into()))
    }

    /// Whether nobody has the account, or but this user.
    fn check_account_free(&self, identity: &OAuthIdentity, user: Option<&P::Id>) -> Result<(), DatabaseError> {
        let key = identity.key();
        let is_taken = self.accounts.iter().any(|(known, it)| *known == key && Some(&it.user_id) != user);
        if is_taken { Err(DatabaseError::Conflict(Conflict::OAuthAccount)) } else { Ok(()) }
    }

    /// Of an account that is [free](Self::check_account_free).
    fn put_account(&mut self, user: &P::Id, new: NewOAuthAccount) -> Result<(), DatabaseError> {
        let NewOAuthAccount { identity, account_email, expires_at, access_token, refresh_token } = new;
        let key = identity.key();
        let (access_token, refresh_token) =
            (ProviderToken::Sealed(access_token), refresh_token.map(ProviderToken::Sealed));
        match self.accounts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, account)) => {
                (account.account_email, account.expires_at) = (account_email, expires_at);
                account.access_token = access_token;
                account.refresh_token = refresh_token.or(account.refresh_token.take());
            }
            None => {
                let id = P::Id::generate().map_or_else(|| self.count(), Ok)?;
                let id = AccountId::of(&id)
                    .ok_or_else(|| DatabaseError::Driver("this store has no ids of this kind".into()))?;
                let (oauth_name, account_id) = (identity.oauth_name().to_owned(), identity.account_id().to_owned());
                let account = OAuthAccount {
                    id,
                    user_id: user.clone(),
                    oauth_name,
                    account_id,
                    account_email,
                    expires_at,
                    access_token,
                    refresh_token,
                };
                self.accounts.push((key, account));
            }
        }
        Ok(())
    }

    fn put_refresh_token(&mut self, new: NewRefreshToken<P>) {
        let NewRefreshToken { token, user_id, session, issued_at, valid_until } = new;
        let row = StoredRefreshToken { session, issued_at, valid_until, used: None };
        self.refresh_tokens.insert(token.as_str().to_owned(), (user_id, row));
    }

    /// Whether the message is there that asks for a change.
    fn check_there(&self, message: Option<&Message>) -> Result<(), DatabaseError> {
        let is_there = |message: &Message| self.messages.get(&message.key).is_some_and(|it| it.task == message.task);
        if message.is_none_or(is_there) { Ok(()) } else { Err(DatabaseError::Conflict(Conflict::Message)) }
    }

    fn find(&self, is_it: impl Fn(&User<P>) -> bool) -> Option<User<P>> {
        self.users.iter().find(|user| is_it(user)).cloned()
    }

    fn state(&self, session: &SessionId) -> Option<SessionState> {
        self.sessions.get(session).map(|(_, session)| session.state)
    }

    /// The stored session, stored now if it was not yet.
    fn session(&mut self, id: &P::Id, new: NewSession) -> &mut StoredSession {
        let key = new.id.clone();
        let stored = || StoredSession {
            id: new.id,
            backend: new.backend,
            state: SessionState { ended: false, renewed_at: None, created_at: new.created_at, seen_at: new.created_at },
            valid_until: new.valid_until,
            address: new.address.map(|it| it.to_string()),
            user_agent: new.user_agent,
        };
        &mut self.sessions.entry(key).or_insert_with(|| (id.clone(), stored())).1
    }

    fn end_session(&mut self, id: &P::Id, session: NewSession) {
        let key = session.id.clone();
        let until = session.valid_until;
        let stored = self.session(id, session);
        stored.state.ended = true;
        stored.valid_until = stored.valid_until.max(until);
        self.tokens.retain(|_, row| row.session != key);
        self.refresh_tokens.retain(|_, (_, row)| row.session != key);
    }

    fn end_sessions(&mut self, id: &P::Id, keep: Option<&KeptSession>) {
        let kept = keep.map(|keep| &keep.session.id);
        self.tokens.retain(|_, row| row.user_id != *id || Some(&row.session) == kept);
        self.sessions.retain(|session, (owner, _)| owner != id || Some(session) == kept);
        self.refresh_tokens.retain(|_, (owner, row)| owner != id || Some(&row.session) == kept);
    }

    /// Whether the user is there, and what must hold for a session to begin does.
    fn may_begin(&self, id: &P::Id, session: &NewSession) -> bool {
        let user = self.find(|user| user.id == *id);
        user.is_some_and(|user| session.only_if.iter().all(|condition| self.holds(&user, condition)))
    }

    /// When the latest session or refresh token of a user was issued.
    fn last_issued(&self, id: &P::Id) -> Option<i64> {
        let sessions = self.sessions.values().filter(|(owner, _)| owner == id).map(|(_, it)| it.state.created_at);
        let refresh = self.refresh_tokens.values().filter(|(owner, _)| owner == id).map(|(_, row)| row.issued_at);
        sessions.chain(refresh).max()
    }

    fn holds(&self, user: &User<P>, condition: &Condition) -> bool {
        match condition {
            Condition::HashIs(hash) => user.hashed_password.as_str() == hash.as_str(),
            Condition::EmailIs(email) => user.email == *email,
            Condition::TokensValidAfterIs(limit) => user.tokens_valid_after == *limit,
            Condition::SessionNotEnded(session) => !self.state(session).is_some_and(|state| state.ended),
            Condition::ResetTokenHashIs(hash) => user.reset_token_hash == *hash,
            Condition::AnotherOAuthAccountRemains => {
                self.accounts.iter().filter(|(_, account)| account.user_id == user.id).count() > 1
            }
            Condition::OAuthAccountLinked(identity) => self.is_linked(user, identity),
            Condition::OAuthAccountNotLinked(identity) => !self.is_linked(user, identity),
            Condition::AnotherSuperuserRemains => {
                let counts = |user: &User<P>| user.is_superuser && user.is_active;
                !counts(user) || self.users.iter().any(|other| other.id != user.id && counts(other))
            }
        }
    }

    fn is_linked(&self, user: &User<P>, identity: &OAuthIdentity) -> bool {
        let key = identity.key();
        self.accounts.iter().any(|(known, account)| *known == key && account.user_id == user.id)
    }

    /// What the unique indexes of a database decide.
    fn check_unique(
        &self,
        id: Option<&P::Id>,
        email: Option<&EmailKey>,
        columns: &[Value],
    ) -> Result<(), DatabaseError> {
        for other in self.users.iter().filter(|user| Some(&user.id) != id) {
            if email.is_some_and(|email| email.matches(other.email.as_str())) {
                return Err(DatabaseError::Conflict(Conflict::Email));
            }
            for (column, (mine, theirs)) in P::columns().iter().zip(columns.iter().zip(other.profile.encode())) {
                if column.unique && *mine != Value::Null && *mine == theirs {
                    return Err(DatabaseError::Conflict(Conflict::Column(column.field)));
                }
            }
        }
        Ok(())
    }
}

/// A sort key in the order of a database: numbers by size, the rest by text.
fn order<I: UserId>(id: &I) -> (i64, String) {
    match id.to_value() {
        Value::Integer(number) => (number, String::new()),
        _ => (0, id.to_string()),
    }
}

struct Columns<'a>(&'a [Value]);

impl Row for Columns<'_> {
    fn value(&self, index: usize, kind: Kind) -> Result<Value, ValueError> {
        self.0.get(index).cloned().ok_or(ValueError::Kind { expected: kind })
    }
}
