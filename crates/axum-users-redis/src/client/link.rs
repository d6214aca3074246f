//! The connection that all calls share, until it breaks.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{FromRedisValue, Pipeline};
use tokio::time::{Instant, timeout_at};

use super::{
    connect::{Connection, Target},
    error::{Failure, Remedy},
};

/// Between attempts to connect, doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LAST_DELAY: Duration = Duration::from_secs(1);

/// A cluster's connection mends itself, node by node. After this many calls without any success it is replaced.
const CLUSTER_PATIENCE: u32 = 5;

pub(super) struct Link {
    target: Target,
    timeout: Duration,
    state: Mutex<State>,
    /// Held while connecting: one call connects, the others wait for it.
    connecting: tokio::sync::Mutex<()>,
    /// Since the last call that went through.
    failures: AtomicU32,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Counts connections, so that only the first of many calls that fail on one replaces it.
    generation: u64,
    /// Why there is none, and until when that is answered without another attempt.
    pause: Option<(Instant, Failure)>,
}

impl Link {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            failures: AtomicU32::new(0),
        }
    }

    /// Runs the commands, which must be such that running them twice does no harm.
    pub(super) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Failure> {
        let deadline = Instant::now() + self.timeout;
        let mut may_retry = true;
        loop {
            let (generation, mut connection) = self.connection(deadline).await?;
            let (failure, remedy) = match timeout_at(deadline, connection.run(commands)).await {
                Ok(Ok(answer)) => {
                    self.succeeded();
                    return Ok(answer);
                }
                Ok(Err(error)) => (Failure::of(&error), Remedy::of(&error)),
                Err(_) => (Failure::timed_out(), Remedy::Replace),
            };
            if remedy == Remedy::Keep || !self.replace(generation, &connection, &failure) {
                return Err(failure);
            }
            if remedy == Remedy::Replace || !may_retry {
                return Err(failure);
            }
            may_retry = false;
        }
    }

    async fn connection(&self, deadline: Instant) -> Result<(u64, Connection), Failure> {
        if let Some(known) = self.state().known() {
            return known;
        }
        let _turn = timeout_at(deadline, self.connecting.lock()).await.map_err(|_| Failure::timed_out())?;
        if let Some(known) = self.state().known() {
            return known;
        }
        let connected = timeout_at(deadline, self.target.connect(self.timeout)).await;
        let mut state = self.state();
        match connected.unwrap_or_else(|_| Err(Failure::timed_out())) {
            Ok(connection) => {
                state.generation += 1;
                state.connection = Some(connection.clone());
                Ok((state.generation, connection))
            }
            Err(failure) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                state.pause = Some((Instant::now() + delay(failures), failure.clone()));
                Err(failure)
            }
        }
    }

    /// Drops the connection of this generation; answers whether it is gone. After the first failure another attempt is made at
    /// once; from the second on there is a pause, or each call would connect anew to a server that fails them all.
    fn replace(&self, generation: u64, connection: &Connection, failure: &Failure) -> bool {
        let mut state = self.state();
        if state.generation != generation || state.connection.is_none() {
            return true;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        if matches!(connection, Connection::Cluster(_)) && failures < CLUSTER_PATIENCE {
            return false;
        }
        state.connection = None;
        state.pause = (failures > 0).then(|| (Instant::now() + delay(failures), failure.clone()));
        true
    }

    fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The connection, or why there is none as long as the pause lasts.
    fn known(&self) -> Option<Result<(u64, Connection), Failure>> {
        match (&self.connection, &self.pause) {
            (Some(connection), _) => Some(Ok((self.generation, connection.clone()))),
            (None, Some((until, failure))) if Instant::now() < *until => Some(Err(failure.clone())),
            (None, _) => None,
        }
    }
}

fn delay(failures: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(LAST_DELAY)
}
