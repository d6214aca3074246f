//! Sessions in SQL.

use axum_users_core::{
    DatabaseError, EndTokens, Kind, NewSession, SessionId, SessionState, StoredSession, UserProfile, Value,
};

use crate::{
    engine::Engine,
    pool::Connection,
    store::{Failure, Store, integer, retried, text},
    users::read,
};

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn begin_session(&self, id: &P::Id, session: NewSession) -> Result<bool, DatabaseError> {
        retried!(self, self.try_begin_session(id, &session))
    }

    async fn try_begin_session(&self, id: &P::Id, session: &NewSession) -> Result<bool, Failure> {
        let mut transaction = self.pool.begin().await?;
        let begins = self.begin_session_in(&mut transaction, id, session).await?;
        transaction.commit().await?;
        Ok(begins)
    }

    /// Stores a session that begins; answers whether it did.
    pub(crate) async fn begin_session_in(
        &self,
        transaction: &mut Connection<E>,
        id: &P::Id,
        session: &NewSession,
    ) -> Result<bool, Failure> {
        if self.lock_and_check(transaction, id, &session.only_if).await?.is_err() {
            return Ok(false);
        }
        let arguments = self.arguments(self.session_values(id, session))?;
        transaction.execute(self.sql.session_insert.clone(), arguments).await?;
        Ok(true)
    }

    pub(crate) async fn touch_session(&self, id: &P::Id, session: NewSession, now: i64) -> Result<(), DatabaseError> {
        let values = vec![integer(now), text(session.id.as_str())];
        if self.execute(&self.sql.session_touch, values).await? == 0 {
            self.execute(&self.sql.session_insert_missing, self.session_values(id, &session)).await?;
            self.execute(&self.sql.session_touch, vec![integer(now), text(session.id.as_str())]).await?;
        }
        Ok(())
    }

    pub(crate) async fn end_session(&self, id: &P::Id, session: NewSession) -> Result<(), DatabaseError> {
        retried!(self, self.try_end_session(id, &session))
    }

    async fn try_end_session(&self, id: &P::Id, session: &NewSession) -> Result<(), Failure> {
        let mut transaction = self.pool.begin().await?;
        // In the order of all other changes: the user first.
        let arguments = self.arguments(vec![self.id(id)])?;
        if transaction.fetch(self.sql.get_for_update.clone(), arguments).await?.is_empty() {
            return Ok(());
        }
        self.end_session_in(&mut transaction, id, session).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends a session in the transaction of somebody who has locked its user.
    pub(crate) async fn end_session_in(
        &self,
        transaction: &mut Connection<E>,
        id: &P::Id,
        session: &NewSession,
    ) -> Result<(), Failure> {
        let arguments = self.arguments(self.session_values(id, session))?;
        transaction.execute(self.sql.session_insert_missing.clone(), arguments).await?;
        let session_id = session.id.as_str();
        let arguments = self.arguments(vec![integer(session.valid_until), text(session_id)])?;
        transaction.execute(self.sql.session_end.clone(), arguments).await?;
        let arguments = self.arguments(vec![text(session_id)])?;
        transaction.execute(self.sql.refresh_end_of_session.clone(), arguments).await?;
        let arguments = self.arguments(vec![self.id(id), text(session_id)])?;
        transaction.execute(self.sql.tokens_end_of_session.clone(), arguments).await?;
        // Rows of the other system name no session: the token itself tells it.
        let arguments = self.arguments(vec![self.id(id)])?;
        for row in transaction.fetch(self.sql.tokens_without_session.clone(), arguments).await? {
            let stored = read::<String, E>(&row, 0)?;
            if session.id.is_of_stored(&stored) {
                let arguments = self.arguments(vec![text(&stored)])?;
                transaction.execute(self.sql.token_delete.clone(), arguments).await?;
            }
        }
        Ok(())
    }

    /// When the latest session or refresh token of a user was issued: not later than now, unless clocks differ.
    pub(crate) async fn last_issued_in(
        &self,
        transaction: &mut Connection<E>,
        id: &P::Id,
    ) -> Result<Option<i64>, Failure> {
        let arguments = self.arguments(vec![self.id(id), self.id(id)])?;
        let rows = transaction.fetch(self.sql.last_issued.clone(), arguments).await?;
        Ok(rows.first().map(|row| read::<Option<i64>, E>(row, 0)).transpose()?.flatten())
    }

    /// Ends all sessions of a user but one; `valid_after` is what the user's `tokens_valid_after` has become.
    pub(crate) async fn end_sessions_in(
        &self,
        transaction: &mut Connection<E>,
        id: &P::Id,
        end: &EndTokens,
        valid_after: Option<i64>,
    ) -> Result<(), Failure> {
        let Some(keep) = &end.keep else {
            for sql in [&self.sql.tokens_end, &self.sql.refresh_end, &self.sql.sessions_end] {
                transaction.execute(sql.clone(), self.arguments(vec![self.id(id)])?).await?;
            }
            return Ok(());
        };
        let kept = keep.session.id.as_str();
        let stored = keep.stored_token.as_ref().map_or("", |token| token.expose());
        let arguments = self.arguments(vec![self.id(id), text(stored), text(kept)])?;
        transaction.execute(self.sql.tokens_end_but.clone(), arguments).await?;
        for sql in [&self.sql.refresh_end_but, &self.sql.sessions_end_but] {
            transaction.execute(sql.clone(), self.arguments(vec![self.id(id), text(kept)])?).await?;
        }
        let arguments = self.arguments(self.session_values(id, &keep.session))?;
        transaction.execute(self.sql.session_insert_missing.clone(), arguments).await?;
        let renewed_at = (Kind::Integer, valid_after.map_or(Value::Null, Value::Integer));
        let arguments = self.arguments(vec![renewed_at, integer(keep.session.valid_until), text(kept)])?;
        transaction.execute(self.sql.session_renew.clone(), arguments).await?;
        Ok(())
    }

    pub(crate) async fn sessions(&self, id: &P::Id) -> Result<Vec<StoredSession>, DatabaseError> {
        let rows = self.fetch(&self.sql.sessions_list, vec![self.id(id)]).await?;
        rows.iter()
            .map(|row| {
                let state =
                    state::<E>(row, 0)?.ok_or_else(|| DatabaseError::Driver("a session without state".into()))?;
                Ok(StoredSession {
                    id: session_id::<E>(row, STATE)?
                        .ok_or_else(|| DatabaseError::Driver("the id of a session cannot be read".into()))?,
                    backend: read::<String, E>(row, STATE + 1)?,
                    state,
                    valid_until: read::<i64, E>(row, STATE + 2)?,
                    address: read::<Option<String>, E>(row, STATE + 3)?,
                    user_agent: read::<Option<String>, E>(row, STATE + 4)?,
                })
            })
            .collect()
    }

    pub(crate) async fn delete_expired_sessions(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        let values = || vec![integer(now), integer(limit.into())];
        let sessions = self.execute(&self.sql.sessions_delete_expired, values()).await?;
        Ok(sessions + self.execute(&self.sql.refresh_delete_expired, values()).await?)
    }

    pub(crate) fn session_values(&self, id: &P::Id, session: &NewSession) -> Vec<(Kind, Value)> {
        let optional = |text: Option<String>| (Kind::Text, text.map_or(Value::Null, Value::Text));
        vec![
            text(session.id.as_str()),
            text(&session.backend),
            integer(session.created_at),
            integer(session.created_at),
            integer(session.valid_until),
            optional(session.address.map(|address| address.to_string())),
            optional(session.user_agent.clone()),
            self.id(id),
        ]
    }
}

/// How many columns a [`state`] takes.
pub(crate) const STATE: usize = 4;

/// What is stored of a session, from `index` on; `None` when nothing is.
pub(crate) fn state<E: Engine>(row: &E::Row, index: usize) -> Result<Option<SessionState>, DatabaseError> {
    let Some(ended) = read::<Option<bool>, E>(row, index)? else { return Ok(None) };
    Ok(Some(SessionState {
        ended,
        renewed_at: read::<Option<i64>, E>(row, index + 1)?,
        created_at: read::<i64, E>(row, index + 2)?,
        seen_at: read::<i64, E>(row, index + 3)?,
    }))
}

/// The id of a session at `index`, if there is one.
pub(crate) fn session_id<E: Engine>(row: &E::Row, index: usize) -> Result<Option<SessionId>, DatabaseError> {
    Ok(read::<Option<String>, E>(row, index)?.as_deref().and_then(SessionId::parse))
}
