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
            Ok(removed) => tracing::info!(removed, "expired tokens removed"),
            Err(error) => tracing::warn!(%error, "expired tokens were not removed"),
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
        removed += rows + sessions;
        if rows.max(sessions) < u64::from(BATCH) {
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
        StrategySettings::Jwt { .. } => None,
    });
    // One that never expires makes the whole `None`.
    lifetimes.collect::<Option<Vec<_>>>()?.into_iter().max()
}
