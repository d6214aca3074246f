//! What every store does that keeps buckets of attempts.

use std::time::Duration;

use axum_users_core::{BucketKey, Limit, Taken, UserDatabase};
use tokio::task::JoinSet;

use crate::SampleProfile;

/// Runs every check, each on an empty store.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn buckets<P: SampleProfile, D: UserDatabase<P> + Clone>(make: impl AsyncFn() -> D) {
    life(make().await).await;
    removal(make().await).await;
    au_03_no_more_are_taken_than_there_are(make().await).await;
}

const NOW: i64 = 1_800_000_000_000;

/// Three at once, and one each ten seconds.
fn limit() -> Limit {
    Limit::new(3, Duration::from_secs(30))
}

async fn take<P: SampleProfile>(db: &impl UserDatabase<P>, bucket: &BucketKey, now: i64) -> Taken {
    db.take_from_bucket(bucket, limit(), now).await.expect("an answer")
}

async fn life<P: SampleProfile>(db: impl UserDatabase<P>) {
    assert!(db.keeps_buckets());
    let (bucket, other) = (BucketKey::of("test", "a"), BucketKey::of("test", "A"));
    let wait = |seconds| Taken::No(Duration::from_secs(seconds));
    for _ in 0..3 {
        assert_eq!(take(&db, &bucket, NOW).await, Taken::Yes);
    }
    assert_eq!(take(&db, &bucket, NOW).await, wait(10));
    assert_eq!(take(&db, &bucket, NOW + 9_000).await, wait(1), "what is refused takes nothing");
    assert_eq!(take(&db, &other, NOW).await, Taken::Yes, "another bucket");
    assert_eq!(take(&db, &bucket, NOW + 10_000).await, Taken::Yes);
    assert_eq!(take(&db, &bucket, NOW + 10_000).await, wait(10));

    db.give_back_to_bucket(&bucket, limit()).await.expect("given back");
    assert_eq!(take(&db, &bucket, NOW + 10_000).await, Taken::Yes);
    assert_eq!(take(&db, &bucket, NOW + 10_000).await, wait(10), "one and no more");
    db.fill_bucket(&bucket).await.expect("filled");
    for _ in 0..3 {
        assert_eq!(take(&db, &bucket, NOW + 10_000).await, Taken::Yes);
    }
    assert_eq!(take(&db, &bucket, NOW + 10_000).await, wait(10), "full, and not fuller");
    // A long time later there is no more in it than at first.
    for _ in 0..3 {
        assert_eq!(take(&db, &bucket, NOW + 86_400_000).await, Taken::Yes);
    }
    assert_eq!(take(&db, &bucket, NOW + 86_400_000).await, wait(10));
    let unknown = BucketKey::of("test", "unknown");
    db.give_back_to_bucket(&unknown, limit()).await.expect("no harm");
    db.fill_bucket(&unknown).await.expect("no harm");
    for _ in 0..3 {
        assert_eq!(take(&db, &unknown, NOW).await, Taken::Yes);
    }
    assert_eq!(take(&db, &unknown, NOW).await, wait(10));
}

async fn removal<P: SampleProfile>(db: impl UserDatabase<P>) {
    for number in 0..5 {
        assert_eq!(take(&db, &BucketKey::of("early", &number.to_string()), NOW).await, Taken::Yes);
    }
    let late = BucketKey::of("late", "");
    for _ in 0..3 {
        assert_eq!(take(&db, &late, NOW + 1_000).await, Taken::Yes);
    }
    assert_eq!(db.delete_full_buckets(NOW + 9_000, 10).await.expect("an answer"), 0, "none is full yet");
    assert_eq!(db.delete_full_buckets(NOW + 20_000, 3).await.expect("an answer"), 3, "a few at a time");
    assert_eq!(db.delete_full_buckets(NOW + 20_000, 3).await.expect("an answer"), 2);
    assert_eq!(db.delete_full_buckets(NOW + 20_000, 3).await.expect("an answer"), 0);
    assert_eq!(take(&db, &late, NOW + 1_000).await, Taken::No(Duration::from_secs(10)), "this one counts still");
}

/// Where there is no row yet, and where there is one.
async fn au_03_no_more_are_taken_than_there_are<P: SampleProfile>(db: impl UserDatabase<P> + Clone) {
    for now in [NOW, NOW + 86_400_000] {
        let mut running = JoinSet::new();
        for _ in 0..50 {
            let db = db.clone();
            running.spawn(async move { take(&db, &BucketKey::of("test", "parallel"), now).await });
        }
        let taken = running.join_all().await.into_iter().filter(|taken| *taken == Taken::Yes).count();
        assert_eq!(taken, 3, "of 50 in parallel");
    }
}
