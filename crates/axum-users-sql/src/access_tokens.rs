//! Access tokens in SQL.

use axum_users_core::{DatabaseError, Kind, NewToken, StoredToken, UserProfile, Value};
use time::OffsetDateTime;

use crate::{engine::Engine, store::Store, users::read};

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn token(&self, token: &str) -> Result<Option<StoredToken<P>>, DatabaseError> {
        let row = self.fetch_one(&self.sql.token_get, vec![(Kind::Text, Value::Text(token.into()))]).await?;
        let Some(row) = row else { return Ok(None) };
        let after_user = self.sql.columns.len();
        // A collation may find a token in another case.
        if read::<String, E>(&row, after_user + 2)? != token {
            return Ok(None);
        }
        Ok(Some(StoredToken {
            user: self.user(&row)?,
            created_at: read::<OffsetDateTime, E>(&row, after_user)?,
            mark: self.mark(&row, after_user + 1)?,
        }))
    }

    pub(crate) async fn create_token(&self, token: NewToken<P>) -> Result<(), DatabaseError> {
        // Whole seconds where the column has no finer ones: an engine may round up, and a token must not look younger.
        let created_at = if E::WHOLE_SECONDS {
            token.created_at.replace_nanosecond(0).unwrap_or(token.created_at)
        } else {
            token.created_at
        };
        let arguments = self.arguments(vec![
            (Kind::Text, Value::Text(token.token)),
            (Kind::Timestamp, Value::Timestamp(created_at)),
            self.id(&token.user_id),
        ])?;
        self.execute(&self.sql.token_insert, arguments).await.map(drop)
    }

    pub(crate) async fn delete_token(&self, token: &str) -> Result<(), DatabaseError> {
        let arguments = self.arguments(vec![(Kind::Text, Value::Text(token.into()))])?;
        self.execute(&self.sql.token_delete, arguments).await.map(drop)
    }

    pub(crate) async fn delete_expired_tokens(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        let arguments = self.arguments(vec![
            (Kind::Timestamp, Value::Timestamp(before)),
            (Kind::Integer, Value::Integer(limit.into())),
        ])?;
        self.execute(&self.sql.token_delete_expired, arguments).await
    }
}
