//! Messages in SQL.

use axum_users_core::{
    Conflict, DatabaseError, Kind, UserProfile, Value,
    outbox::{Claimed, LEASE, Message, NEVER, Settled, StoredMessage},
};

use crate::{
    engine::Engine,
    pool::Connection,
    store::{Failure, Store, integer, retried, text},
    users::read,
};

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn enqueue(&self, message: Message, now: i64) -> Result<(), DatabaseError> {
        self.execute(&self.sql.message_insert, message_values(&message, now)).await.map(drop)
    }

    /// Each message that is due is claimed by moving it on, as it was read: one of several callers does.
    pub(crate) async fn claim(&self, now: i64, limit: u32) -> Result<Vec<Claimed>, DatabaseError> {
        let due = self.fetch(&self.sql.messages_due, vec![integer(now), integer(limit.into())]).await?;
        let mut claimed = Vec::with_capacity(due.len());
        let lease = now.saturating_add(LEASE);
        for row in due {
            let (key, body) = (read::<String, E>(&row, 0)?, read::<String, E>(&row, 1)?);
            let (created_at, due_at) = (read::<i64, E>(&row, 2)?, read::<i64, E>(&row, 3)?);
            let (attempts, first) = (read::<i64, E>(&row, 4)?, read::<Option<i64>, E>(&row, 5)?);
            let values = vec![integer(lease), integer(now), text(&key), integer(due_at), text(&body)];
            if self.execute(&self.sql.message_claim, values).await? == 1 {
                claimed.push(Claimed {
                    message: Message::from_text(&key, &body),
                    key,
                    attempt: u32::try_from(attempts).unwrap_or(u32::MAX).saturating_add(1),
                    created_at,
                    first_claimed_at: first.unwrap_or(now),
                    lease,
                });
            }
        }
        Ok(claimed)
    }

    pub(crate) async fn settle(&self, claimed: &Claimed, settled: Settled) -> Result<(), DatabaseError> {
        retried!(self, self.try_settle(claimed, settled))
    }

    /// Key and lease alone do not tell: the message may have been replaced, and claimed again until the same second.
    async fn try_settle(&self, claimed: &Claimed, settled: Settled) -> Result<(), Failure> {
        let mut transaction = self.pool.begin().await?;
        if self.locked(&mut transaction, &claimed.key).await? != claimed.message {
            return Ok(());
        }
        let mine = || [text(&claimed.key), integer(claimed.lease)];
        let later = |due_at| [vec![integer(due_at)], mine().to_vec()].concat();
        let (statement, values) = match settled {
            Settled::Done => (&self.sql.message_done, mine().to_vec()),
            Settled::Later(due_at) => (&self.sql.message_later, later(due_at)),
            Settled::Parked(due_at) => {
                let Some(mut message) = claimed.message.clone() else { return Ok(()) };
                message.parked = true;
                (&self.sql.message_parked, [vec![text(&message.to_text())], later(due_at)].concat())
            }
            // Never due again, and there for whoever looks.
            Settled::Failed => (&self.sql.message_later, later(NEVER)),
        };
        transaction.execute(statement.clone(), self.arguments(values)?).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn message(&self, key: &str) -> Result<Option<Message>, DatabaseError> {
        let row = self.fetch_one(&self.sql.message_get, vec![text(key)]).await?;
        Ok(row.map(|row| read::<String, E>(&row, 0)).transpose()?.and_then(|body| Message::from_text(key, &body)))
    }

    pub(crate) async fn list_messages(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredMessage>, DatabaseError> {
        let limit = integer(limit.into());
        let rows = match after {
            None => self.fetch(&self.sql.messages_list, vec![limit]).await?,
            Some(after) => self.fetch(&self.sql.messages_list_after, vec![text(after), limit]).await?,
        };
        let stored = |row: &E::Row| {
            let (key, body) = (read::<String, E>(row, 0)?, read::<String, E>(row, 1)?);
            Ok(StoredMessage {
                message: Message::from_text(&key, &body),
                key,
                attempts: u32::try_from(read::<i64, E>(row, 4)?).unwrap_or(u32::MAX),
                created_at: read::<i64, E>(row, 2)?,
                due_at: read::<i64, E>(row, 3)?,
            })
        };
        rows.iter().map(stored).collect()
    }

    pub(crate) async fn retry_message(&self, key: &str, now: i64) -> Result<bool, DatabaseError> {
        let values = vec![integer(now), text(key), integer(NEVER)];
        Ok(self.execute(&self.sql.message_retry, values).await? == 1)
    }

    pub(crate) async fn delete_message(&self, key: &str) -> Result<bool, DatabaseError> {
        Ok(self.execute(&self.sql.message_delete, vec![text(key)]).await? == 1)
    }

    /// Stores what a change tells, each with when it is due, in the transaction of the change.
    pub(crate) async fn put_messages_in(
        &self,
        transaction: &mut Connection<E>,
        messages: &[(Message, i64)],
    ) -> Result<(), Failure> {
        for (message, due_at) in messages {
            let arguments = self.arguments(message_values(message, *due_at))?;
            transaction.execute(self.sql.message_insert.clone(), arguments).await?;
        }
        Ok(())
    }

    /// Takes the message away that asked for what this transaction does. Whether it is parked by now does not matter.
    pub(crate) async fn consume(&self, transaction: &mut Connection<E>, message: &Message) -> Result<(), Failure> {
        let stored = self.locked(transaction, &message.key).await?;
        if stored.is_none_or(|stored| stored.task != message.task) {
            return Err(DatabaseError::Conflict(Conflict::Message).into());
        }
        let arguments = self.arguments(vec![text(&message.key)])?;
        transaction.execute(self.sql.message_delete.clone(), arguments).await?;
        Ok(())
    }

    /// The message with this key, which nobody else changes until the transaction ends.
    async fn locked(&self, transaction: &mut Connection<E>, key: &str) -> Result<Option<Message>, Failure> {
        let arguments = self.arguments(vec![text(key)])?;
        let rows = transaction.fetch(self.sql.message_lock.clone(), arguments).await?;
        let body = rows.first().map(|row| read::<String, E>(row, 0)).transpose()?;
        Ok(body.and_then(|body| Message::from_text(key, &body)))
    }
}

fn message_values(message: &Message, now: i64) -> Vec<(Kind, Value)> {
    vec![text(&message.key), text(&message.to_text()), integer(now), integer(now)]
}
