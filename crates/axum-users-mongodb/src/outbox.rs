//! Messages that are to leave.

use axum_users_core::{
    Conflict, DatabaseError, UserProfile,
    outbox::{Claimed, LEASE, Message, NEVER, Settled, StoredMessage},
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    document::{broken, instant_of, number, text},
    error::{Failure, classify},
    pending::drops,
    store::{Store, all},
};

/// For so long (seconds) a message that came from a change leaves its number behind.
const REMEMBERED: i64 = 24 * 3600;

/// A message that was not tried yet, without its key.
pub(crate) fn fields(body: &str, due_at: i64) -> Document {
    doc! {
        "body": body, "created_at": due_at, "due_at": due_at, "attempts": 0, "first_claimed_at": Bson::Null,
    }
}

/// What is left of a message that went with this change, or came from it and was handed over.
pub(crate) fn gone(change: i64, now: i64) -> Document {
    let until = instant_of(now.saturating_add(REMEMBERED));
    doc! { "gone": true, "number": change, "body": "", "due_at": NEVER, "expires_at": until }
}

/// Messages that are not gone.
fn there() -> Document {
    doc! { "gone": { "$ne": true } }
}

fn there_with(filter: Document) -> Document {
    let mut there = there();
    there.extend(filter);
    there
}

impl<P: UserProfile> Store<P> {
    pub(crate) async fn enqueue(&self, message: &Message, now: i64) -> Result<(), DatabaseError> {
        let mut document = fields(&message.to_text(), now);
        document.insert("_id", &message.key);
        match self.outbox.insert_one(&document).await.map_err(Failure::from) {
            Ok(_) => Ok(()),
            // A write that the driver sent twice meets itself.
            Err(Failure::Duplicate(_)) if self.message(&message.key).await?.as_ref() == Some(message) => Ok(()),
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// Each message that is due is claimed by moving it on: one of several callers does.
    pub(crate) async fn claim(&self, now: i64, limit: u32) -> Result<Vec<Claimed>, DatabaseError> {
        self.move_left_over(now).await?;
        let due = self.outbox.find(doc! { "due_at": { "$lte": now } }).sort(doc! { "due_at": 1 });
        let due = due.limit(i64::from(limit)).await.map_err(classify)?;
        let mut claimed = Vec::new();
        let lease = now.saturating_add(LEASE);
        for document in all(due).await.map_err(Failure::into_error)? {
            let first = number(&document, "first_claimed_at").unwrap_or(now);
            let as_read = doc! {
                "_id": document.get("_id").cloned(),
                "due_at": document.get("due_at").cloned(),
                "body": document.get("body").cloned(),
            };
            let attempts = number(&document, "attempts").unwrap_or(0).saturating_add(1);
            let update = doc! { "$set": { "due_at": lease, "attempts": attempts, "first_claimed_at": first } };
            if self.outbox.update_one(as_read, update).await.map_err(classify)?.matched_count == 1 {
                let key = text(&document, "_id").unwrap_or_default().to_owned();
                claimed.push(Claimed {
                    message: Message::from_text(&key, text(&document, "body").unwrap_or_default()),
                    key,
                    attempt: u32::try_from(attempts).unwrap_or(u32::MAX),
                    created_at: number(&document, "created_at").unwrap_or(now),
                    first_claimed_at: first,
                    lease,
                });
            }
        }
        Ok(claimed)
    }

    pub(crate) async fn settle(&self, claimed: &Claimed, settled: Settled) -> Result<(), DatabaseError> {
        // Still this caller's, and not another message under the same key.
        let mut mine = doc! { "_id": &claimed.key, "due_at": claimed.lease };
        let Some(stored) = self.outbox.find_one(mine.clone()).await.map_err(classify)? else { return Ok(()) };
        let body = text(&stored, "body").unwrap_or_default();
        if Message::from_text(&claimed.key, body) != claimed.message {
            return Ok(());
        }
        mine.insert("body", body);
        match settled {
            Settled::Done => self.remove(mine).await.map(drop),
            Settled::Later(due_at) => self.set(mine, doc! { "due_at": due_at }).await.map(drop),
            Settled::Parked(due_at) => {
                let Some(mut message) = claimed.message.clone() else { return Ok(()) };
                message.parked = true;
                self.set(mine, doc! { "body": message.to_text(), "due_at": due_at }).await.map(drop)
            }
            // Never due again, and there for whoever looks.
            Settled::Failed => self.set(mine, doc! { "due_at": NEVER }).await.map(drop),
        }
    }

    async fn set(&self, filter: Document, set: Document) -> Result<bool, DatabaseError> {
        let done = self.outbox.update_one(filter, doc! { "$set": set }).await.map_err(classify)?;
        Ok(done.matched_count == 1)
    }

    /// One that came from a change leaves its number behind.
    async fn remove(&self, filter: Document) -> Result<bool, DatabaseError> {
        let mut of_no_change = filter.clone();
        of_no_change.insert("number", Bson::Null);
        if self.outbox.delete_one(of_no_change).await.map_err(classify)?.deleted_count == 1 {
            return Ok(true);
        }
        let mut gone = gone(0, self.clock.unix());
        gone.remove("number");
        self.set(there_with(filter), gone).await
    }

    pub(crate) async fn message(&self, key: &str) -> Result<Option<Message>, DatabaseError> {
        let found = self.outbox.find_one(there_with(doc! { "_id": key })).await.map_err(classify)?;
        Ok(found.and_then(|document| Message::from_text(key, text(&document, "body")?)))
    }

    /// That the message is there that asks for a change, and no change of this user that is on its way has taken it.
    pub(crate) async fn check_is_there(&self, message: &Message, user: Option<&Document>) -> Result<(), DatabaseError> {
        let is_taken = user.is_some_and(|user| drops(user, &message.key));
        let stored = self.message(&message.key).await?;
        if is_taken || stored.is_none_or(|stored| stored.task != message.task) {
            return Err(DatabaseError::Conflict(Conflict::Message));
        }
        Ok(())
    }

    pub(crate) async fn list_messages(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredMessage>, DatabaseError> {
        let filter = after.map_or_else(there, |after| there_with(doc! { "_id": { "$gt": after } }));
        let found = self.outbox.find(filter).sort(doc! { "_id": 1 }).limit(i64::from(limit)).await.map_err(classify)?;
        let stored = |document: Document| {
            let key = text(&document, "_id").ok_or_else(|| broken("a message without a key"))?.to_owned();
            Ok(StoredMessage {
                message: Message::from_text(&key, text(&document, "body").unwrap_or_default()),
                key,
                attempts: u32::try_from(number(&document, "attempts").unwrap_or(0)).unwrap_or(u32::MAX),
                created_at: number(&document, "created_at").unwrap_or(0),
                due_at: number(&document, "due_at").unwrap_or(NEVER),
            })
        };
        all(found).await.map_err(Failure::into_error)?.into_iter().map(stored).collect()
    }

    pub(crate) async fn retry_message(&self, key: &str, now: i64) -> Result<bool, DatabaseError> {
        let failed = there_with(doc! { "_id": key, "due_at": NEVER });
        self.set(failed, doc! { "due_at": now, "attempts": 0, "first_claimed_at": Bson::Null }).await
    }

    pub(crate) async fn delete_message(&self, key: &str) -> Result<bool, DatabaseError> {
        self.remove(doc! { "_id": key }).await
    }
}
