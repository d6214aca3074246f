//! Users in SQL.

use axum_users_core::{
    ColumnValue, Condition, DatabaseError, Email, EmailKey, Kind, NewUser, Outcome, PasswordHash, Row, SessionId, User,
    UserChange, UserId, UserProfile, Value, ValueError, WithSession,
};

use crate::{
    engine::Engine,
    names::{OURS, at, counts},
    pool::Connection,
    sessions::state,
    store::{Failure, Store, integer, retried, text},
};

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn get(&self, id: &P::Id) -> Result<Option<User<P>>, DatabaseError> {
        let row = self.fetch_one(&self.sql.get, vec![self.id(id)]).await?;
        row.map(|row| self.user(&row)).transpose()
    }

    pub(crate) async fn get_for_token(
        &self,
        id: &P::Id,
        session: &SessionId,
    ) -> Result<Option<WithSession<P>>, DatabaseError> {
        let row = self.fetch_one(&self.sql.get_for_token, vec![text(session.as_str()), self.id(id)]).await?;
        row.map(|row| Ok((self.user(&row)?, state::<E>(&row, self.sql.columns.len())?))).transpose()
    }

    pub(crate) async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<P>>, DatabaseError> {
        let candidates = email.candidates().map(|it| (Kind::Text, Value::Text(it.into())));
        let rows = self.fetch(&self.sql.get_by_email, candidates.into()).await?;
        let mut users = rows.iter().map(|row| self.user(row)).collect::<Result<Vec<_>, _>>()?;
        // The engine may find more than our rule does. Of two rows that another system let in, ours is the normal one.
        users.retain(|user| email.matches(user.email.as_str()));
        let normal = users.iter().position(|user| user.email.key().candidates().first() == email.candidates().first());
        Ok(users.into_iter().nth(normal.unwrap_or(0)))
    }

    pub(crate) async fn list(&self, after: Option<&P::Id>, limit: u32) -> Result<Vec<User<P>>, DatabaseError> {
        let limit = integer(limit.into());
        let rows = match after {
            None => self.fetch(&self.sql.list, vec![limit]).await?,
            Some(after) => self.fetch(&self.sql.list_after, vec![self.id(after), limit]).await?,
        };
        rows.iter().map(|row| self.user(row)).collect()
    }

    pub(crate) async fn create(&self, user: NewUser<P>) -> Result<User<P>, DatabaseError> {
        if user.consumes.is_some() {
            return retried!(self, self.try_create(&user));
        }
        let mut connection = self.pool.writer().await.map_err(|error| self.classify(error))?;
        self.create_in(&mut connection, user).await.map_err(|failure| self.failure(failure))
    }

    /// On a connection of somebody who may be in a transaction; one that [consumes](NewUser::consumes) a message has to be.
    pub(crate) async fn create_in(
        &self,
        connection: &mut Connection<E>,
        mut user: NewUser<P>,
    ) -> Result<User<P>, Failure> {
        let mut values: Vec<(Kind, Value)> = Vec::with_capacity(at::PROFILE + P::columns().len());
        if !counts::<P>() {
            let id = user.id.as_ref().ok_or_else(|| DatabaseError::Driver("this store does not count ids".into()))?;
            values.push(self.id(id));
        }
        values.extend([
            (Kind::Text, Value::Text(user.email.as_str().into())),
            (Kind::Text, Value::Text(user.hashed_password.as_str().into())),
            (Kind::Bool, Value::Bool(user.is_active)),
            (Kind::Bool, Value::Bool(user.is_superuser)),
            (Kind::Bool, Value::Bool(user.is_verified)),
            (Kind::Integer, user.tokens_valid_after.to_value()),
            (Kind::Text, Value::Null),
        ]);
        values.extend(P::columns().iter().map(|column| column.kind).zip(user.profile.encode()));
        if let Some(message) = &user.consumes {
            self.consume(connection, message).await?;
        }
        let arguments = self.arguments(values)?;
        let id = if counts::<P>() && E::RETURNING {
            let rows = connection.fetch(self.sql.insert.clone(), arguments).await?;
            let row = rows.first().ok_or_else(|| DatabaseError::Driver("no id came back".into()))?;
            user.tokens_valid_after = read::<Option<i64>, E>(row, 1)?;
            read::<P::Id, E>(row, 0)?
        } else {
            let done = connection.execute(self.sql.insert.clone(), arguments).await?;
            match &user.id {
                Some(id) if !counts::<P>() => id.clone(),
                _ => P::Id::parse(&done.last_id.to_string())
                    .ok_or_else(|| DatabaseError::Driver("the database counted to no id".into()))?,
            }
        };
        Ok(User::from_new(id, user))
    }

    /// The message that asked for it goes, and the user comes.
    async fn try_create(&self, user: &NewUser<P>) -> Result<User<P>, Failure> {
        let mut transaction = self.pool.begin().await?;
        let user = self.create_in(&mut transaction, user.clone()).await?;
        transaction.commit().await?;
        Ok(user)
    }

    pub(crate) async fn update(&self, id: &P::Id, change: UserChange<P>) -> Result<Outcome<User<P>>, DatabaseError> {
        retried!(self, self.try_update(id, &change))
    }

    pub(crate) async fn delete(&self, id: &P::Id, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        retried!(self, self.try_delete(id, &only_if))
    }

    async fn try_update(&self, id: &P::Id, change: &UserChange<P>) -> Result<Outcome<User<P>>, Failure> {
        let mut transaction = self.pool.begin().await?;
        if let Err(ended) = self.lock_and_check(&mut transaction, id, &change.only_if).await? {
            return Ok(ended.into_outcome());
        }
        if let Some(message) = &change.consumes {
            self.consume(&mut transaction, message).await?;
        }
        let (indexes, mut values) = set_of(change);
        let now = match &change.end_tokens {
            Some(end) => {
                Some(self.last_issued_in(&mut transaction, id).await?.map_or(end.now, |last| last.max(end.now)))
            }
            None => None,
        };
        values.extend(now.map(|now| (Kind::Integer, Value::Integer(now))));
        if !values.is_empty() {
            let statement = self.sql.update::<E>(&indexes, now.map(|_| at::TOKENS_VALID_AFTER));
            values.push(self.id(id));
            transaction.execute(statement.into(), self.arguments(values)?).await?;
        }
        let rows = transaction.fetch(self.sql.get.clone(), self.arguments(vec![self.id(id)])?).await?;
        let Some(row) = rows.first() else { return Ok(Outcome::Missing) };
        let user = self.user(row)?;
        if let Some(end) = &change.end_tokens {
            self.end_sessions_in(&mut transaction, id, end, user.tokens_valid_after).await?;
        }
        if change.unlinks_accounts {
            transaction.execute(self.sql.accounts.end.clone(), self.arguments(vec![self.id(id)])?).await?;
        }
        for key in &change.drops {
            let arguments = self.arguments(vec![text(key)])?;
            transaction.execute(self.sql.message_delete.clone(), arguments).await?;
        }
        self.put_messages_in(&mut transaction, &change.messages).await?;
        transaction.commit().await?;
        Ok(Outcome::Done(user))
    }

    async fn try_delete(&self, id: &P::Id, only_if: &[Condition]) -> Result<Outcome<()>, Failure> {
        let mut transaction = self.pool.begin().await?;
        let user = match self.lock_and_check(&mut transaction, id, only_if).await? {
            Ok(user) => user,
            Err(ended) => return Ok(ended.into_outcome()),
        };
        if let Some(valid_after) = user.tokens_valid_after.filter(|_| counts::<P>() && E::REUSES_IDS) {
            let arguments = self.arguments(vec![integer(valid_after)])?;
            transaction.execute(self.sql.remember_valid_after.clone(), arguments).await?;
        }
        // The tables' own cascades do the same, where the application declared them.
        let theirs = [&self.sql.tokens_end, &self.sql.refresh_end, &self.sql.sessions_end, &self.sql.accounts.end];
        for sql in theirs.into_iter().chain([&self.sql.delete]) {
            transaction.execute(sql.clone(), self.arguments(vec![self.id(id)])?).await?;
        }
        transaction.commit().await?;
        Ok(Outcome::Done(()))
    }

    /// Locks the user's row and sees whether the conditions hold: the user, or how the write ends instead.
    pub(crate) async fn lock_and_check(
        &self,
        transaction: &mut Connection<E>,
        id: &P::Id,
        only_if: &[Condition],
    ) -> Result<Result<User<P>, Ended>, Failure> {
        let arguments = self.arguments(vec![self.id(id)])?;
        let rows = transaction.fetch(self.sql.get_for_update.clone(), arguments).await?;
        let Some(row) = rows.first() else { return Ok(Err(Ended::Missing)) };
        let user = self.user(row)?;
        for condition in only_if {
            let holds = match condition {
                Condition::HashIs(hash) => user.hashed_password.as_str() == hash.as_str(),
                Condition::EmailIs(email) => user.email == *email,
                Condition::TokensValidAfterIs(limit) => user.tokens_valid_after == *limit,
                Condition::SessionNotEnded(session) => {
                    let arguments = self.arguments(vec![text(session.as_str())])?;
                    let rows = transaction.fetch(self.sql.session_lock.clone(), arguments).await?;
                    let state = rows.first().map(|row| state::<E>(row, 0)).transpose()?.flatten();
                    !state.is_some_and(|state| state.ended)
                }
                Condition::ResetTokenHashIs(hash) => user.reset_token_hash == *hash,
                Condition::OAuthAccountLinked(identity) => self.is_linked_in(transaction, id, identity).await?,
                Condition::OAuthAccountNotLinked(identity) => !self.is_linked_in(transaction, id, identity).await?,
                Condition::AnotherSuperuserRemains if !(user.is_superuser && user.is_active) => true,
                Condition::AnotherSuperuserRemains => {
                    // One at a time, or two superusers could each count on the other.
                    transaction.fetch(self.sql.lock_superusers.clone(), self.arguments(vec![])?).await?;
                    let arguments = self.arguments(vec![self.id(id)])?;
                    !transaction.fetch(self.sql.another_superuser.clone(), arguments).await?.is_empty()
                }
                _ => false,
            };
            if !holds {
                return Ok(Err(Ended::Refused(condition.clone())));
            }
        }
        Ok(Ok(user))
    }

    /// The id as a parameter.
    pub(crate) fn id(&self, id: &P::Id) -> (Kind, Value) {
        (<P::Id as ColumnValue>::KIND, id.to_value())
    }

    /// The user at the beginning of a row.
    pub(crate) fn user(&self, row: &E::Row) -> Result<User<P>, DatabaseError> {
        let profile = P::decode(&Profile::<E>(row)).map_err(|error| {
            DatabaseError::Driver(format!("a column of the profile cannot be read: {error}").into())
        })?;
        let new = NewUser {
            id: None,
            email: Email::from_stored(read::<String, E>(row, at::EMAIL)?),
            hashed_password: PasswordHash::from_stored(read::<String, E>(row, at::HASHED_PASSWORD)?),
            is_active: read::<bool, E>(row, at::IS_ACTIVE)?,
            is_superuser: read::<bool, E>(row, at::IS_SUPERUSER)?,
            is_verified: read::<bool, E>(row, at::IS_VERIFIED)?,
            tokens_valid_after: read::<Option<i64>, E>(row, at::TOKENS_VALID_AFTER)?,
            profile,
            consumes: None,
        };
        let mut user = User::from_new(read::<P::Id, E>(row, at::ID)?, new);
        user.reset_token_hash = read::<Option<String>, E>(row, at::RESET_TOKEN_HASH)?;
        Ok(user)
    }
}

/// Index and value of every column that a change sets.
fn set_of<P: UserProfile>(change: &UserChange<P>) -> (Vec<usize>, Vec<(Kind, Value)>) {
    let ours = [
        (at::EMAIL, change.email.as_ref().map(|it| Value::Text(it.as_str().into()))),
        (at::HASHED_PASSWORD, change.hashed_password.as_ref().map(|it| Value::Text(it.as_str().into()))),
        (at::IS_ACTIVE, change.is_active.map(Value::Bool)),
        (at::IS_SUPERUSER, change.is_superuser.map(Value::Bool)),
        (at::IS_VERIFIED, change.is_verified.map(Value::Bool)),
        (at::RESET_TOKEN_HASH, change.reset_token_hash.as_ref().map(|it| it.clone().map_or(Value::Null, Value::Text))),
    ];
    let kind_of = |index: usize| OURS.get(index - 1).map_or(Kind::Text, |(_, kind)| *kind);
    let ours = ours.into_iter().filter_map(|(index, value)| Some((index, (kind_of(index), value?))));
    let changes = P::changes(&change.profile);
    let own = changes
        .iter()
        .filter_map(|(index, value)| Some((at::PROFILE + index, (P::columns().get(*index)?.kind, value.clone()))));
    ours.chain(own).unzip()
}

/// A value of a row as a `T`.
pub(crate) fn read<T: ColumnValue, E: Engine>(row: &E::Row, index: usize) -> Result<T, DatabaseError> {
    E::read(row, index, T::KIND)
        .and_then(T::from_value)
        .map_err(|error| DatabaseError::Driver(format!("column {index} of the user cannot be read: {error}").into()))
}

/// The application's own columns within a row.
struct Profile<'a, E: Engine>(&'a E::Row);

impl<E: Engine> Row for Profile<'_, E> {
    fn value(&self, index: usize, kind: Kind) -> Result<Value, ValueError> {
        E::read(self.0, at::PROFILE + index, kind)
    }
}

/// How a conditional write ended before it began.
pub(crate) enum Ended {
    Missing,
    Refused(Condition),
}

impl Ended {
    pub(crate) fn into_outcome<T>(self) -> Outcome<T> {
        match self {
            Self::Missing => Outcome::Missing,
            Self::Refused(condition) => Outcome::Refused(condition),
        }
    }
}
