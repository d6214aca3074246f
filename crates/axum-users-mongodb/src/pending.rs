//! What a change has for the outbox: written into the user with the change, moved then.
//!
//! Each change has a number that grows within its user. A message that came from a change bears it, and leaves its number behind
//! when it goes (`gone`), so that a process that was held up and moves it again, late, changes nothing.

use axum_users_core::{DatabaseError, Message, UserChange, UserProfile};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    change::Change,
    document::{OURS, broken, items, number, ours, text},
    error::{Failure, again, classify},
    outbox::{self, gone},
    store::{Store, all},
};

/// What one change has for the outbox.
pub(crate) struct Entry {
    number: i64,
    at: i64,
    drops: Vec<String>,
    puts: Vec<(Message, i64)>,
}

/// Older than that (seconds), it was left over.
const LEFT_OVER: i64 = 10;
/// So many users are helped at a time.
const AT_A_TIME: i64 = 20;

fn path() -> String {
    format!("{OURS}.pending")
}

impl Entry {
    pub(crate) fn of<P: UserProfile>(number: i64, at: i64, change: &UserChange<P>) -> Self {
        let consumed = change.consumes.iter().map(|message| &message.key);
        Self { number, at, drops: consumed.chain(&change.drops).cloned().collect(), puts: change.messages.clone() }
    }

    /// Of a change that only tells something.
    pub(crate) fn told(number: i64, at: i64, messages: &[(Message, i64)]) -> Self {
        Self { number, at, drops: Vec::new(), puts: messages.to_vec() }
    }

    fn to_document(&self) -> Document {
        let put = |(message, due_at): &(Message, i64)| {
            doc! { "key": &message.key, "body": message.to_text(), "due_at": *due_at }
        };
        doc! {
            "number": self.number,
            "at": self.at,
            "drops": &self.drops,
            "puts": self.puts.iter().map(put).collect::<Vec<_>>(),
        }
    }

    /// With the change that it belongs to; nothing when there is nothing.
    pub(crate) fn add_to_change(&self, change: &mut Change) {
        if !self.drops.is_empty() || !self.puts.is_empty() {
            change.push.insert(path(), self.to_document());
            change.set.insert(format!("{OURS}.changes"), self.number);
        }
    }
}

/// With a user that is about to be stored, and is made by this message alone.
pub(crate) fn add_to(user: &mut Document, at: i64, message: &Message) {
    let entry = Entry { number: 1, at, drops: vec![message.key.clone()], puts: Vec::new() };
    if let Ok(ours) = user.get_document_mut(OURS) {
        ours.insert("made_by", &message.key);
        ours.insert("pending", vec![entry.to_document()]);
        ours.insert("changes", entry.number);
    }
}

/// Whether a change that stands in this user takes this message away.
pub(crate) fn drops(user: &Document, key: &str) -> bool {
    let Some(ours) = ours(user) else { return false };
    items(ours, "pending").any(|entry| keys(entry).any(|dropped| dropped == key))
}

fn keys(entry: &Document) -> impl Iterator<Item = &str> {
    entry.get("drops").and_then(Bson::as_array).into_iter().flatten().filter_map(Bson::as_str)
}

impl<P: UserProfile> Store<P> {
    /// Moves what stands in this user.
    pub(crate) async fn move_pending(&self, user: &Document) -> Result<(), DatabaseError> {
        let Some(ours) = ours(user) else { return Ok(()) };
        let mut moved = Vec::new();
        for entry in items(ours, "pending") {
            let number = number(entry, "number").ok_or_else(|| broken("a change without a number"))?;
            let is_put = |key: &str| items(entry, "puts").any(|put| text(put, "key") == Some(key));
            for key in keys(entry).filter(|key| !is_put(key)) {
                self.drop_message(key, number).await?;
            }
            for put in items(entry, "puts") {
                self.put_message(put, number).await?;
            }
            moved.push(number);
        }
        if !moved.is_empty() {
            let id = user.get("_id").cloned().unwrap_or_default();
            let pull = doc! { "$pull": { path(): { "number": { "$in": moved } } } };
            again(|| self.users.update_one(doc! { "_id": id.clone() }, pull.clone())).await.map_err(classify)?;
        }
        Ok(())
    }

    /// Moves what processes that died have left over.
    pub(crate) async fn move_left_over(&self, now: i64) -> Result<(), DatabaseError> {
        let old = doc! { format!("{}.at", path()): { "$lt": now.saturating_sub(LEFT_OVER) } };
        let users = self.users.find(old).projection(doc! { path(): 1 }).limit(AT_A_TIME).await.map_err(classify)?;
        for user in all(users).await.map_err(Failure::into_error)? {
            self.move_pending(&user).await?;
        }
        Ok(())
    }

    /// The message is gone as of this change, whatever comes late.
    async fn drop_message(&self, key: &str, number: i64) -> Result<(), DatabaseError> {
        let update = doc! { "$set": gone(number, self.clock.unix()) };
        self.unless_newer(key, number, update).await
    }

    async fn put_message(&self, put: &Document, number: i64) -> Result<(), DatabaseError> {
        let key = text(put, "key").unwrap_or_default();
        let body = text(put, "body").unwrap_or_default();
        let mut message = outbox::fields(body, crate::document::number(put, "due_at").unwrap_or_default());
        message.insert("number", number);
        let update = doc! { "$set": message, "$unset": { "gone": "", "expires_at": "" } };
        self.unless_newer(key, number, update).await
    }

    /// Writes the message with this key, unless this change or a newer one has.
    async fn unless_newer(&self, key: &str, number: i64, update: Document) -> Result<(), DatabaseError> {
        let older = doc! { "_id": key, "$or": [{ "number": null }, { "number": { "$lt": number } }] };
        let written = again(|| self.outbox.update_one(older.clone(), update.clone()).upsert(true)).await;
        match written.map_err(Failure::from) {
            Ok(_) | Err(Failure::Duplicate(_)) => Ok(()),
            Err(Failure::Other(error)) => Err(error),
        }
    }
}
