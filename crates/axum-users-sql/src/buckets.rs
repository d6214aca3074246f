//! Buckets of attempts in SQL: one row each, in which one number says when it is full again.

use axum_users_core::{BucketKey, DatabaseError, Limit, Taken, UserProfile};

use crate::{
    engine::Engine,
    store::{Failure, Store, integer, retried, text},
    users::read,
};

impl<P: UserProfile, E: Engine> Store<P, E> {
    /// One statement for a bucket that is known and not empty. The row that it writes is locked and read as it is by then, so
    /// that no two callers take the same one.
    pub(crate) async fn take_from_bucket(
        &self,
        bucket: &BucketKey,
        limit: Limit,
        now: i64,
    ) -> Result<Taken, DatabaseError> {
        let key = || text(bucket.as_str());
        let take = || vec![integer(now), integer(limit.interval()), key(), integer(limit.latest(now))];
        // Rows come and go between the statements, though hardly twice.
        for _ in 0..TURNS {
            if self.execute(&self.sql.bucket_take, take()).await? > 0 {
                return Ok(Taken::Yes);
            }
            match self.fetch_one(&self.sql.bucket_get, vec![key()]).await? {
                Some(row) => {
                    if let Err(wait) = limit.take(Some(read::<i64, E>(&row, 0)?), now) {
                        return Ok(Taken::No(wait));
                    }
                }
                None => {
                    let full_at = now.saturating_add(limit.interval());
                    if retried!(self, self.try_insert_bucket(bucket, full_at))? {
                        return Ok(Taken::Yes);
                    }
                }
            }
        }
        Ok(Taken::No(std::time::Duration::from_secs(1)))
    }

    /// Whether it was not there yet.
    async fn try_insert_bucket(&self, bucket: &BucketKey, full_at: i64) -> Result<bool, Failure> {
        let values = vec![text(bucket.as_str()), integer(full_at)];
        match self.try_execute(&self.sql.bucket_insert, values).await {
            Ok(_) => Ok(true),
            Err(Failure::Sql(sqlx::Error::Database(error))) if error.is_unique_violation() => Ok(false),
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn give_back_to_bucket(&self, bucket: &BucketKey, limit: Limit) -> Result<(), DatabaseError> {
        let values = vec![integer(limit.interval()), text(bucket.as_str())];
        self.execute(&self.sql.bucket_give_back, values).await.map(drop)
    }

    pub(crate) async fn fill_bucket(&self, bucket: &BucketKey) -> Result<(), DatabaseError> {
        self.execute(&self.sql.bucket_fill, vec![text(bucket.as_str())]).await.map(drop)
    }

    pub(crate) async fn delete_full_buckets(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        self.execute(&self.sql.buckets_delete_full, vec![integer(now), integer(limit.into())]).await
    }
}

const TURNS: usize = 5;
