//! The last superuser stays, though no transaction spans two users.
//!
//! Whoever is about to stop being one writes that down first, in one document that all share, and only if somebody remains who
//! has not. Of two who count on each other, the second sees the first. A note that was left behind by a process that died is
//! taken away once it is old, after the user was touched, so that a write that is still on its way misses.

use axum_users_core::{DatabaseError, UserProfile, random};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    change::{Found, before_turn, revision_path, too_busy},
    document::{items, number, text},
    error::{Failure, classify},
    store::Store,
};

/// The document that all share.
const NOTES: &str = "superusers";
/// A note as old as that (seconds) was left behind.
const OLD: i64 = 60;
const TURNS: u32 = 200;

/// A note that a user is about to stop being a superuser.
pub(crate) struct Leaving(String);

impl<P: UserProfile> Store<P> {
    /// Writes the note; `None` when nobody else remains. The user was read before.
    pub(crate) async fn leave(&self, found: &Found<P>) -> Result<Option<Leaving>, DatabaseError> {
        for turn in 0..TURNS {
            before_turn(turn).await;
            let notes = self.meta.find_one(doc! { "_id": NOTES }).await.map_err(classify)?;
            let notes = match notes {
                Some(notes) => notes,
                None => {
                    match self.meta.insert_one(doc! { "_id": NOTES, "revision": "", "leaving": [] }).await {
                        Ok(_) => {}
                        Err(error) => match Failure::from(error) {
                            Failure::Duplicate(_) => {}
                            Failure::Other(error) => return Err(error),
                        },
                    }
                    continue;
                }
            };
            if self.sweep(&notes).await? {
                continue;
            }
            let mut leaving: Vec<Bson> =
                items(&notes, "leaving").filter_map(|note| note.get("user").cloned()).collect();
            leaving.push(found.id());
            let remains = doc! { "is_superuser": true, "is_active": true, "_id": { "$nin": leaving } };
            let remains = self.users.find_one(remains).projection(doc! { "_id": 1 }).await.map_err(classify)?;
            if remains.is_none() {
                return Ok(None);
            }
            let key = random::short_token();
            let note = doc! { "key": &key, "user": found.id(), "at": self.clock.unix() };
            let revision = text(&notes, "revision").unwrap_or_default();
            let unchanged = doc! { "_id": NOTES, "revision": revision };
            let update = doc! { "$push": { "leaving": note }, "$set": { "revision": &key } };
            let written = self.meta.update_one(unchanged, update).await.map_err(classify)?;
            if written.matched_count == 1 || self.is_noted(&key).await? {
                return Ok(Some(Leaving(key)));
            }
        }
        Err(too_busy())
    }

    /// Whether the note is there: a write that the driver sent twice does not find what it has changed.
    async fn is_noted(&self, key: &str) -> Result<bool, DatabaseError> {
        let noted = self.meta.find_one(doc! { "_id": NOTES, "leaving.key": key }).await.map_err(classify)?;
        Ok(noted.is_some())
    }

    /// Takes the note away, once it came true or not.
    pub(crate) async fn left(&self, leaving: Option<Leaving>) -> Result<(), DatabaseError> {
        let Some(Leaving(key)) = leaving else { return Ok(()) };
        self.remove_note(&key).await
    }

    async fn remove_note(&self, key: &str) -> Result<(), DatabaseError> {
        let update = doc! { "$pull": { "leaving": { "key": key } }, "$set": { "revision": random::short_token() } };
        self.meta.update_one(doc! { "_id": NOTES }, update).await.map(drop).map_err(classify)
    }

    /// Takes notes away that were left behind; answers whether there were any.
    async fn sweep(&self, notes: &Document) -> Result<bool, DatabaseError> {
        let now = self.clock.unix();
        let mut swept = false;
        for note in items(notes, "leaving") {
            let (Some(key), Some(user)) = (text(note, "key"), note.get("user")) else { continue };
            if number(note, "at").is_none_or(|at| at.saturating_add(OLD) < now) {
                let touch = doc! { "$set": { revision_path(): random::short_token() } };
                self.users.update_one(doc! { "_id": user.clone() }, touch).await.map_err(classify)?;
                self.remove_note(key).await?;
                swept = true;
            }
        }
        Ok(swept)
    }
}
