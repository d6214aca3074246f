//! Removes what has expired, a little at a time, so that no table is held for long.

use std::time::Duration;

use axum_users::{AccessTokenDatabase, Error, UserManager, UserProfile};
use tokio::time::sleep;

use crate::config::{Config, StrategySettings};

/// Rows that one statement removes.
const BATCH: u32 = 500;
/// Between two statements, so that others get their turn.
const BREATH: Duration = Duration::from_millis(50);
/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(600);

/// Runs for ever. Rows that have expired count for nobody already; this only makes room.
pub(crate) async fn run<P: UserProfile>(
    manager: UserManager<P>,
    tokens: impl AccessTokenDatabase<P>,
    token_lifetime: Option<Duration>,
) {
    loop {
        match round(&manager, &tokens, token_lifetime).await {
            Ok(0) => {}
            Ok(removed) => {
                tracing::info!(removed, "expired tokens and sessions, and attempts that do not count any more, removed")
            }
            Err(error) => tracing::warn!(%error, "expired tokens and sessions were not removed"),
        }
        sleep(PAUSE).await;
    }
}

/// Until nothing is left; answers how many.
async fn round<P: UserProfile>(
    manager: &UserManager<P>,
    tokens: &impl AccessTokenDatabase<P>,
    token_lifetime: Option<Duration>,
) -> Result<u64, Error> {
    let now = manager.clock().now();
    let before = token_lifetime.and_then(|lifetime| now.checked_sub(lifetime.try_into().ok()?));
    let mut removed = 0;
    loop {
        let rows = match before {
            Some(before) => tokens.delete_expired(before, BATCH).await?,
            None => 0,
        };
        let sessions = manager.delete_expired_sessions(BATCH).await?;
        let buckets = manager.delete_full_buckets(BATCH).await?;
        removed += rows + sessions + buckets;
        if rows.max(sessions).max(buckets) < u64::from(BATCH) {
            return Ok(removed);
        }
        sleep(BREATH).await;
    }
}

/// How old a row of the token table must be to count for no backend; `None`: none ever is.
pub(crate) fn token_lifetime(config: &Config) -> Option<Duration> {
    // The other system's tokens may live longer than ours.
    if config.database.shared_with_fastapi_users {
        return None;
    }
    let lifetimes = config.auth.backends.iter().filter_map(|backend| match backend.strategy {
        StrategySettings::Database { lifetime } => Some(lifetime),
        StrategySettings::Jwt { .. } | StrategySettings::Redis { .. } => None,
    });
    // One that never expires makes the whole `None`.
    lifetimes.collect::<Option<Vec<_>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    };

    use axum_users::{
        BucketKey, Clock, DatabaseError, Email, Limit, NewRefreshToken, NewSession, NewToken, NewUser, PasswordHash,
        RefreshTokenDatabase, SessionId, SqlStore, StoredToken, Taken, TokenHash, UserDatabase, UserId as _,
        memory::MemoryStore,
    };
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Begins a login of each kind: a session, its access token, its refresh token; answers the stored token.
    async fn log_in(store: &SqlStore<()>, user: &Uuid, at: OffsetDateTime) -> String {
        let issued_at = at.unix_timestamp();
        let valid_until = issued_at + 3600;
        let session = NewSession::of(SessionId::generate(), "cookie", issued_at, valid_until, None);
        let token = TokenHash::of(session.id.as_str());
        let refresh = NewRefreshToken {
            token: token.clone(),
            user_id: *user,
            session: session.id.clone(),
            issued_at,
            valid_until,
        };
        let stored = token.as_str().to_owned();
        let row = NewToken { token: stored.clone(), user_id: *user, created_at: at, session, continues: false };
        assert!(AccessTokenDatabase::create(store, row).await.unwrap());
        assert!(RefreshTokenDatabase::create(store, refresh).await.unwrap());
        stored
    }

    #[tokio::test]
    async fn se_13_a_round_removes_what_has_expired_and_nothing_else() {
        let store = SqlStore::<()>::connect("sqlite::memory:").await.unwrap();
        let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let manager = UserManager::builder(store.clone()).clock(clock.clone()).build().unwrap();
        let user = NewUser {
            id: Uuid::generate(),
            email: Email::parse("king@camelot.bt").unwrap(),
            hashed_password: PasswordHash::from_stored("!".to_owned()),
            is_active: true,
            is_superuser: false,
            is_verified: false,
            tokens_valid_after: None,
            profile: (),
            consumes: None,
        };
        let user = UserDatabase::create(&store, user).await.unwrap();
        let expired = log_in(&store, &user.id, clock.now()).await;
        for _ in 0..BATCH {
            log_in(&store, &user.id, clock.now()).await;
        }
        clock.advance(time::Duration::hours(2));
        // Attempts of long ago, and one that counts still.
        let bucket = |number: u32| BucketKey::of("test", &number.to_string());
        let minute = Limit::new(1, Duration::from_secs(60));
        let millis = clock.unix() * 1000;
        for number in 0..=BATCH {
            let _ = store.take_from_bucket(&bucket(number), minute, millis - 61_000).await.unwrap();
        }
        let _ = store.take_from_bucket(&bucket(BATCH + 1), minute, millis).await.unwrap();
        let live = log_in(&store, &user.id, clock.now()).await;

        let removed = round(&manager, &store, Some(HOUR)).await.unwrap();
        assert_eq!(removed, 4 * (u64::from(BATCH) + 1), "more than a batch of each");
        assert_eq!(round(&manager, &store, Some(HOUR)).await.unwrap(), 0);
        let counts = store.take_from_bucket(&bucket(BATCH + 1), minute, millis).await.unwrap();
        assert!(matches!(counts, Taken::No(_)));
        let session = SessionId::generate();
        assert!(AccessTokenDatabase::get(&store, &expired, &session).await.unwrap().is_none());
        assert!(AccessTokenDatabase::get(&store, &live, &session).await.unwrap().is_some());
        assert_eq!(UserDatabase::sessions(&store, &user.id).await.unwrap().len(), 1);
    }

    /// A table with so many expired rows, that notes how many each statement may remove. Every third statement fails.
    #[derive(Clone, Default)]
    struct Table {
        expired: Arc<AtomicU64>,
        limits: Arc<Mutex<Vec<u32>>>,
    }

    impl AccessTokenDatabase<()> for Table {
        async fn get(&self, _token: &str, _session: &SessionId) -> Result<Option<StoredToken<()>>, DatabaseError> {
            Ok(None)
        }
        async fn create(&self, _token: NewToken<()>) -> Result<bool, DatabaseError> {
            Ok(false)
        }
        async fn delete(&self, _token: &str) -> Result<(), DatabaseError> {
            Ok(())
        }
        async fn delete_expired(&self, _before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
            let mut limits = self.limits.lock().unwrap();
            limits.push(limit);
            if limits.len().is_multiple_of(3) {
                return Err(DatabaseError::Unavailable("away".into()));
            }
            let left = self.expired.load(Ordering::SeqCst);
            let removed = left.min(limit.into());
            self.expired.store(left - removed, Ordering::SeqCst);
            Ok(removed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn se_13_it_runs_many_times_a_day_a_batch_at_a_time_whatever_fails() {
        let manager = UserManager::<()>::builder(MemoryStore::new()).build().unwrap();
        let table = Table::default();
        let expired = 10 * u64::from(BATCH) + 1;
        table.expired.store(expired, Ordering::SeqCst);
        let running = tokio::spawn(run(manager, table.clone(), Some(HOUR)));
        sleep(12 * HOUR).await;
        assert_eq!(table.expired.load(Ordering::SeqCst), 0, "well within a day");
        // What expires later is removed as well.
        table.expired.store(1, Ordering::SeqCst);
        sleep(12 * HOUR).await;
        assert_eq!(table.expired.load(Ordering::SeqCst), 0);
        running.abort();
        assert!(table.limits.lock().unwrap().iter().all(|limit| *limit == BATCH));
    }
}
