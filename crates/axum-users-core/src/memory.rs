//! Users and tokens in memory, for documentation and tests. Everything is gone when the last handle is dropped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;

use crate::{
    database::{
        AccessTokenDatabase, Condition, Conflict, DatabaseError, Marked, NewToken, Outcome, StoredToken, UserChange,
        UserDatabase,
    },
    email::EmailKey,
    id::UserId,
    profile::UserProfile,
    session::{EndTokens, Mark, TokenHash, next_valid_after},
    user::{NewUser, User},
    value::{Kind, Row, Value, ValueError},
};

/// A store in memory. A cheap handle; it passes the same suites as the databases.
pub struct MemoryStore<P: UserProfile>(Arc<Mutex<Tables<P>>>);

struct Tables<P: UserProfile> {
    users: Vec<User<P>>,
    tokens: BTreeMap<String, (P::Id, OffsetDateTime)>,
    marks: BTreeMap<String, (P::Id, Mark, i64)>,
    last_id: i64,
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
            marks: BTreeMap::new(),
            last_id: 0,
        })))
    }

    fn tables(&self) -> MutexGuard<'_, Tables<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: UserProfile> UserDatabase<P> for MemoryStore<P> {
    async fn get(&self, id: &P::Id) -> Result<Option<User<P>>, DatabaseError> {
        Ok(self.tables().find(|user| user.id == *id))
    }

    async fn get_for_token(&self, id: &P::Id, token: &TokenHash) -> Result<Option<Marked<P>>, DatabaseError> {
        let tables = self.tables();
        Ok(tables.find(|user| user.id == *id).map(|user| (user, tables.mark(token.as_str()))))
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
        let mut tables = self.tables();
        tables.check_unique(None, Some(&user.email.key()), &user.profile.encode())?;
        let id = match &user.id {
            Some(id) => id.clone(),
            None => {
                tables.last_id += 1;
                P::Id::parse(&tables.last_id.to_string())
                    .ok_or_else(|| DatabaseError::Driver("this store counts integers only".into()))?
            }
        };
        let user = User::from_new(id, user);
        tables.users.push(user.clone());
        Ok(user)
    }

    async fn update(&self, id: &P::Id, change: UserChange<P>) -> Result<Outcome<User<P>>, DatabaseError> {
        let mut tables = self.tables();
        let Some(old) = tables.find(|user| user.id == *id) else { return Ok(Outcome::Missing) };
        if let Some(broken) = change.only_if.iter().find(|condition| !tables.holds(&old, condition)) {
            return Ok(Outcome::Refused(broken.clone()));
        }
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
        new.email = change.email.unwrap_or(new.email);
        new.hashed_password = change.hashed_password.unwrap_or(new.hashed_password);
        new.is_active = change.is_active.unwrap_or(new.is_active);
        new.is_superuser = change.is_superuser.unwrap_or(new.is_superuser);
        new.is_verified = change.is_verified.unwrap_or(new.is_verified);
        if let Some(EndTokens { now, keep }) = change.end_tokens {
            new.tokens_valid_after = Some(next_valid_after(now, new.tokens_valid_after));
            let kept = keep.as_ref().map(|(hash, _)| hash.as_str().to_owned());
            tables.tokens.retain(|token, (owner, _)| owner != id || Some(token) == kept.as_ref());
            tables.marks.retain(|_, (owner, mark, _)| owner != id || *mark == Mark::Ended);
            if let Some((hash, until)) = keep {
                // A mark that is still there is an ended one, and ended stays ended.
                tables.marks.entry(hash.as_str().to_owned()).or_insert((id.clone(), Mark::Kept, until));
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
        tables.tokens.retain(|_, (owner, _)| owner != id);
        tables.marks.retain(|_, (owner, _, _)| owner != id);
        Ok(Outcome::Done(()))
    }

    async fn end_token(&self, id: &P::Id, token: &TokenHash, until: i64) -> Result<(), DatabaseError> {
        self.tables().marks.insert(token.as_str().to_owned(), (id.clone(), Mark::Ended, until));
        Ok(())
    }

    async fn delete_expired_marks(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        let mut tables = self.tables();
        let expired: Vec<_> = tables
            .marks
            .iter()
            .filter(|(_, (_, _, until))| *until < now)
            .map(|(token, _)| token.clone())
            .take(limit as usize)
            .collect();
        for token in &expired {
            tables.marks.remove(token);
        }
        Ok(expired.len() as u64)
    }
}

impl<P: UserProfile> AccessTokenDatabase<P> for MemoryStore<P> {
    async fn get(&self, token: &str) -> Result<Option<StoredToken<P>>, DatabaseError> {
        let tables = self.tables();
        let Some((owner, created_at)) = tables.tokens.get(token) else { return Ok(None) };
        let mark = tables.mark(token);
        Ok(tables.find(|user| user.id == *owner).map(|user| StoredToken { user, created_at: *created_at, mark }))
    }

    async fn create(&self, token: NewToken<P>) -> Result<(), DatabaseError> {
        self.tables().tokens.insert(token.token, (token.user_id, token.created_at));
        Ok(())
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
            .filter(|(_, (_, created_at))| *created_at < before)
            .map(|(token, _)| token.clone())
            .take(limit as usize)
            .collect();
        for token in &expired {
            tables.tokens.remove(token);
        }
        Ok(expired.len() as u64)
    }
}

impl<P: UserProfile> Tables<P> {
    fn find(&self, is_it: impl Fn(&User<P>) -> bool) -> Option<User<P>> {
        self.users.iter().find(|user| is_it(user)).cloned()
    }

    fn mark(&self, token: &str) -> Option<Mark> {
        self.marks.get(token).map(|(_, mark, _)| *mark)
    }

    fn holds(&self, user: &User<P>, condition: &Condition) -> bool {
        match condition {
            Condition::HashIs(hash) => user.hashed_password.as_str() == hash.as_str(),
            Condition::EmailIs(email) => user.email == *email,
            Condition::TokensValidAfterIs(limit) => user.tokens_valid_after == *limit,
            Condition::AnotherSuperuserRemains => {
                let counts = |user: &User<P>| user.is_superuser && user.is_active;
                !counts(user) || self.users.iter().any(|other| other.id != user.id && counts(other))
            }
        }
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
