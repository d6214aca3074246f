//! Buckets of attempts: one document each, in which one number says when it is full again.

use std::time::Duration;

use axum_users_core::{BucketKey, DatabaseError, Limit, Taken, UserProfile};
use mongodb::bson::{Document, doc};

use crate::{
    document::number,
    error::{Failure, classify},
    store::{Store, all},
};

/// So often a bucket that comes and goes is tried.
const TURNS: usize = 5;

impl<P: UserProfile> Store<P> {
    /// Each step is one write under its own condition, so that no two callers take the same one.
    pub(crate) async fn take_from_bucket(
        &self,
        bucket: &BucketKey,
        limit: Limit,
        now: i64,
    ) -> Result<Taken, DatabaseError> {
        let id = bucket.as_str();
        let full = doc! { "_id": id, "full_at": { "$lte": now } };
        let partly = doc! { "_id": id, "full_at": { "$gt": now, "$lte": limit.latest(now) } };
        let after_full = now.saturating_add(limit.interval());
        for _ in 0..TURNS {
            if self.bucket(partly.clone(), doc! { "$inc": { "full_at": limit.interval() } }).await?
                || self.bucket(full.clone(), doc! { "$set": { "full_at": after_full } }).await?
            {
                return Ok(Taken::Yes);
            }
            match self.buckets.find_one(doc! { "_id": id }).await.map_err(classify)? {
                Some(document) => {
                    if let Err(wait) = limit.take(number(&document, "full_at"), now) {
                        return Ok(Taken::No(wait));
                    }
                }
                None => match self.buckets.insert_one(doc! { "_id": id, "full_at": after_full }).await {
                    Ok(_) => return Ok(Taken::Yes),
                    Err(error) => match Failure::from(error) {
                        Failure::Duplicate(_) => {}
                        Failure::Other(error) => return Err(error),
                    },
                },
            }
        }
        Ok(Taken::No(Duration::from_secs(1)))
    }

    async fn bucket(&self, filter: Document, update: Document) -> Result<bool, DatabaseError> {
        Ok(self.buckets.update_one(filter, update).await.map_err(classify)?.matched_count == 1)
    }

    pub(crate) async fn give_back_to_bucket(&self, bucket: &BucketKey, limit: Limit) -> Result<(), DatabaseError> {
        let back = doc! { "$inc": { "full_at": limit.interval().saturating_neg() } };
        self.bucket(doc! { "_id": bucket.as_str() }, back).await.map(drop)
    }

    pub(crate) async fn fill_bucket(&self, bucket: &BucketKey) -> Result<(), DatabaseError> {
        self.bucket(doc! { "_id": bucket.as_str() }, doc! { "$set": { "full_at": 0_i64 } }).await.map(drop)
    }

    pub(crate) async fn delete_full_buckets(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        let full = doc! { "full_at": { "$lt": now } };
        self.delete_some(&self.buckets, full, limit).await
    }

    /// Removes at most `limit` documents of those.
    pub(crate) async fn delete_some(
        &self,
        collection: &mongodb::Collection<Document>,
        filter: Document,
        limit: u32,
    ) -> Result<u64, DatabaseError> {
        let found = collection.find(filter.clone()).projection(doc! { "_id": 1 }).limit(i64::from(limit));
        let found = all(found.await.map_err(classify)?).await.map_err(Failure::into_error)?;
        let ids: Vec<_> = found.into_iter().filter_map(|mut document| document.remove("_id")).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        // One that was used meanwhile stays.
        let mut these = filter;
        these.insert("_id", doc! { "$in": ids });
        Ok(collection.delete_many(these).await.map_err(classify)?.deleted_count)
    }
}
