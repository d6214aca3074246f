//! Messages in SQL.

use axum_users_core::{
    DatabaseError, Kind, UserProfile, Value,
    outbox::{Claimed, LEASE, Message, Settled},
};

use crate::{
    engine::Engine,
    store::{Store, integer, text},
    users::read,
};

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn enqueue(&self, message: Message, now: i64) -> Result<(), DatabaseError> {
        self.execute(&self.sql.message_insert, message_values(&message, now)).await.map(drop)
    }

    /// Each message that is due is claimed by moving it on: one of several callers does.
    pub(crate) async fn claim(&self, now: i64, limit: u32) -> Result<Vec<Claimed>, DatabaseError> {
        let due = self.fetch(&self.sql.messages_due, vec![integer(now), integer(limit.into())]).await?;
        let mut claimed = Vec::with_capacity(due.len());
        let lease = now.saturating_add(LEASE);
        for row in due {
            let (key, body) = (read::<String, E>(&row, 0)?, read::<String, E>(&row, 1)?);
            let (created_at, due_at) = (read::<i64, E>(&row, 2)?, read::<i64, E>(&row, 3)?);
            let (attempts, first) = (read::<i64, E>(&row, 4)?, read::<Option<i64>, E>(&row, 5)?);
            let values = vec![integer(lease), integer(now), text(&key), integer(due_at)];
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
        let mine = || [text(&claimed.key), integer(claimed.lease)];
        let later = |due_at| [vec![integer(due_at)], mine().to_vec()].concat();
        match settled {
            Settled::Done => self.execute(&self.sql.message_done, mine().to_vec()).await,
            Settled::Later(due_at) => self.execute(&self.sql.message_later, later(due_at)).await,
            // Never due again, and there for whoever looks.
            Settled::Failed => self.execute(&self.sql.message_later, later(i64::MAX)).await,
        }
        .map(drop)
    }
}

pub(crate) fn message_values(message: &Message, now: i64) -> Vec<(Kind, Value)> {
    vec![text(&message.key), text(&message.to_text()), integer(now), integer(now)]
}
