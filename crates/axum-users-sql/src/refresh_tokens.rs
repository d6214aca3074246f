//! Refresh tokens in SQL.

use axum_users_core::{
    DatabaseError, NewRefreshToken, NewSession, Rotation, Successor, TokenHash, UserProfile,
    refresh::{StoredRefreshToken, Verdict, successor_row},
};
use time::OffsetDateTime;

use crate::{
    engine::Engine,
    pool::Connection,
    sessions::{STATE, session_id, state},
    store::{Failure, Store, integer, retried, text},
    users::read,
};

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn create_refresh_token(&self, token: NewRefreshToken<P>) -> Result<bool, DatabaseError> {
        Ok(self.execute(&self.sql.refresh_insert, self.refresh_values(&token)).await? > 0)
    }

    pub(crate) async fn rotate(
        &self,
        token: &TokenHash,
        successor: Successor,
        now: OffsetDateTime,
    ) -> Result<Rotation<P>, DatabaseError> {
        let owner = self.fetch_one(&self.sql.refresh_owner, vec![text(token.as_str())]).await?;
        let Some(owner) = owner else { return Ok(Rotation::Unknown) };
        let owner = read::<P::Id, E>(&owner, 0)?;
        retried!(self, self.try_rotate(&owner, token, &successor, now))
    }

    async fn try_rotate(
        &self,
        owner: &P::Id,
        token: &TokenHash,
        successor: &Successor,
        now: OffsetDateTime,
    ) -> Result<Rotation<P>, Failure> {
        let mut transaction = self.pool.begin().await?;
        // Whatever else happens to this user's sessions waits.
        let arguments = self.arguments(vec![self.id(owner)])?;
        let rows = transaction.fetch(self.sql.get_for_update.clone(), arguments).await?;
        let Some(user) = rows.first().map(|row| self.user(row)).transpose()? else { return Ok(Rotation::Unknown) };
        let arguments = self.arguments(vec![text(token.as_str())])?;
        let rows = transaction.fetch(self.sql.refresh_get.clone(), arguments).await?;
        let Some(row) = rows.first() else { return Ok(Rotation::Unknown) };
        let (session, stored) = (state::<E>(row, 0)?, stored::<E>(row)?);
        let unix = now.unix_timestamp();
        let (nonce, rotated_at) = match stored.judge(&user, session.as_ref(), successor, unix) {
            Verdict::Refuse => return Ok(Rotation::Unknown),
            Verdict::NotVerified => return Ok(Rotation::NotVerified { user_id: owner.clone() }),
            Verdict::Repeat(nonce, used_at) => (nonce, OffsetDateTime::from_unix_timestamp(used_at).unwrap_or(now)),
            Verdict::EndSession => {
                let ended = NewSession::of(stored.session.clone(), "", unix, stored.valid_until, None);
                self.end_session_in(&mut transaction, owner, &ended).await?;
                transaction.commit().await?;
                return Ok(Rotation::Reused { user_id: owner.clone(), session: stored.session });
            }
            Verdict::Rotate => {
                let row = successor_row(&user, &stored, successor.hash.clone(), now);
                self.put_successor(&mut transaction, token, &row, &successor.nonce, unix).await?;
                let arguments = self.arguments(vec![integer(unix), text(stored.session.as_str())])?;
                transaction.execute(self.sql.session_touch.clone(), arguments).await?;
                transaction.commit().await?;
                (successor.nonce.clone(), now)
            }
        };
        let (session, valid_until) = (stored.session, stored.valid_until);
        Ok(Rotation::Rotated { user, session, valid_until, nonce, rotated_at })
    }

    async fn put_successor(
        &self,
        transaction: &mut Connection<E>,
        token: &TokenHash,
        row: &NewRefreshToken<P>,
        nonce: &str,
        now: i64,
    ) -> Result<(), Failure> {
        let arguments = self.arguments(vec![integer(now), text(nonce), text(token.as_str())])?;
        transaction.execute(self.sql.refresh_used.clone(), arguments).await?;
        let arguments = self.arguments(self.refresh_values(row))?;
        transaction.execute(self.sql.refresh_insert.clone(), arguments).await?;
        Ok(())
    }

    fn refresh_values(&self, token: &NewRefreshToken<P>) -> Vec<(axum_users_core::Kind, axum_users_core::Value)> {
        vec![
            text(token.token.as_str()),
            text(token.session.as_str()),
            integer(token.issued_at),
            integer(token.valid_until),
            self.id(&token.user_id),
        ]
    }
}

/// The columns after the session's state.
fn stored<E: Engine>(row: &E::Row) -> Result<StoredRefreshToken, DatabaseError> {
    let used_at = read::<Option<i64>, E>(row, STATE + 3)?;
    let nonce = read::<Option<String>, E>(row, STATE + 4)?;
    Ok(StoredRefreshToken {
        session: session_id::<E>(row, STATE)?
            .ok_or_else(|| DatabaseError::Driver("the session of a refresh token cannot be read".into()))?,
        issued_at: read::<i64, E>(row, STATE + 1)?,
        valid_until: read::<i64, E>(row, STATE + 2)?,
        used: used_at.zip(nonce),
    })
}
