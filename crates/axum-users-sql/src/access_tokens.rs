//! Access tokens in SQL.

use axum_users_core::{DatabaseError, Kind, NewToken, SessionId, StoredToken, UserProfile, Value};
use time::OffsetDateTime;

use crate::{
    engine::Engine,
    sessions::{STATE, session_id, state},
    store::{Failure, Store, integer, retried, text},
    users::read,
};

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn token(
        &self,
        token: &str,
        session: &SessionId,
    ) -> Result<Option<StoredToken<P>>, DatabaseError> {
        let row = self.fetch_one(&self.sql.token_get, vec![text(session.as_str()), text(token)]).await?;
        let Some(row) = row else { return Ok(None) };
        let after_user = self.sql.columns.len();
        // A collation may find a token in another case.
        if E::LAX_TEXT && read::<String, E>(&row, after_user + 2 + STATE)? != token {
            return Ok(None);
        }
        Ok(Some(StoredToken {
            user: self.user(&row)?,
            created_at: read::<OffsetDateTime, E>(&row, after_user)?,
            session: session_id::<E>(&row, after_user + 1)?,
            state: state::<E>(&row, after_user + 2)?,
        }))
    }

    pub(crate) async fn create_token(&self, token: NewToken<P>) -> Result<bool, DatabaseError> {
        retried!(self, self.try_create_token(&token))
    }

    async fn try_create_token(&self, token: &NewToken<P>) -> Result<bool, Failure> {
        let NewToken { token, user_id, created_at, session, continues } = token;
        // Whole seconds where the column has no finer ones: an engine may round up, and a token must not look younger.
        let created_at =
            if E::WHOLE_SECONDS { created_at.replace_nanosecond(0).unwrap_or(*created_at) } else { *created_at };
        let mut transaction = self.pool.begin().await?;
        if *continues {
            // In the order of all other changes: the user first. Whoever ends the session waits, and then finds the token.
            let arguments = self.arguments(vec![self.id(user_id)])?;
            if transaction.fetch(self.sql.get_for_update.clone(), arguments).await?.is_empty() {
                return Ok(false);
            }
            let arguments = self.arguments(vec![text(session.id.as_str())])?;
            let rows = transaction.fetch(self.sql.session_lock.clone(), arguments).await?;
            let state = rows.first().map(|row| state::<E>(row, 0)).transpose()?.flatten();
            if state.is_none_or(|state| state.ended) {
                return Ok(false);
            }
        } else if !self.begin_session_in(&mut transaction, user_id, session).await? {
            return Ok(false);
        }
        let created_at = (Kind::Timestamp, Value::Timestamp(created_at));
        let arguments = self.arguments(vec![text(token), created_at, text(session.id.as_str()), self.id(user_id)])?;
        let done = transaction.execute(self.sql.token_insert.clone(), arguments).await?;
        transaction.commit().await?;
        Ok(done.rows > 0)
    }

    pub(crate) async fn delete_token(&self, token: &str) -> Result<(), DatabaseError> {
        self.execute(&self.sql.token_delete, vec![text(token)]).await.map(drop)
    }

    pub(crate) async fn delete_expired_tokens(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        let before = (Kind::Timestamp, Value::Timestamp(before));
        self.execute(&self.sql.token_delete_expired, vec![before, integer(limit.into())]).await
    }
}
