//! Connections that cannot hang: each call has a time limit, and one that it cut off is not used again.
//!
//! The pool of sqlx opens connections; lending them is done here. It tests each one over when it comes back, in a task of its own,
//! which costs more than a read by primary key; here what just gave its answer needs no test.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum_users_core::DatabaseError;
use sqlx::{Connection as _, pool::PoolOptions};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::engine::{Engine, Executed};

/// For how long a connection to a server is taken as it is after it gave an answer.
const JUST_ANSWERED: Duration = Duration::from_millis(500);
/// How long a connection to a server may lie idle, so that a crowd that has gone leaves none behind.
const IDLE: Duration = Duration::from_secs(600);
/// How old a connection to a server may become, so that what it piled up there, and an address that moved, are left behind.
const LIFETIME: Duration = Duration::from_secs(1800);

/// The connections of a store.
pub(crate) struct Pool<E: Engine> {
    opener: sqlx::Pool<E>,
    /// As many as there may be connections.
    places: Arc<Semaphore>,
    size: u32,
    idle: Arc<Shelf<E>>,
    limit: Duration,
    /// Who writes, where one at a time can: the others wait here and not on a connection each, so that reads go on.
    writer: Option<Arc<Semaphore>>,
}

impl<E: Engine> Pool<E> {
    /// As many connections as `opener` may open.
    pub(crate) fn new(opener: sqlx::Pool<E>, limit: Duration) -> Self {
        let size = opener.options().get_max_connections();
        let places = Arc::new(Semaphore::new(size as usize));
        let writer = E::ONE_WRITER.then(|| Arc::new(Semaphore::new(1)));
        Self { opener, places, size, idle: Arc::default(), limit, writer }
    }

    /// Ends a call that takes longer than the limit.
    pub(crate) async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        timeout(self.limit, call).await.unwrap_or_else(|_| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time");
            Err(DatabaseError::Unavailable(error.into()))
        })
    }

    /// The same for a read. Without a network nothing can be silent: a connection that is waited for has a limit of its own.
    pub(crate) async fn read_within<T>(
        &self,
        call: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        if E::OVER_NETWORK { self.within(call).await } else { call.await }
    }

    /// A connection to read on.
    pub(crate) async fn reader(&self) -> Result<Connection<E>, sqlx::Error> {
        self.connection(None).await
    }

    /// A connection to write on.
    pub(crate) async fn writer(&self) -> Result<Connection<E>, sqlx::Error> {
        let turn = match &self.writer {
            Some(writer) => Some(Arc::clone(writer).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?),
            None => None,
        };
        self.connection(turn).await
    }

    /// A transaction that writes; it is rolled back unless it is committed.
    pub(crate) async fn begin(&self) -> Result<Connection<E>, sqlx::Error> {
        let mut connection = self.writer().await?;
        let begun = connection.run(async |it| E::command(it, E::BEGIN).await).await;
        connection.in_transaction = begun.is_ok();
        begun.map(|()| connection)
    }

    /// Closes the connections, once what runs has finished.
    pub(crate) async fn close(&self) {
        let all = self.places.acquire_many(self.size).await;
        self.places.close();
        for kept in self.idle.take_all() {
            let _ = timeout(self.limit, kept.raw.close()).await;
        }
        self.opener.close().await;
        drop(all);
    }

    async fn connection(&self, turn: Option<OwnedSemaphorePermit>) -> Result<Connection<E>, sqlx::Error> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let place = timeout(self.limit, Arc::clone(&self.places).acquire_owned()).await;
                place.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?
            }
        };
        let kept = match self.kept().await {
            Some(kept) => kept,
            None => {
                let now = Instant::now();
                Kept { raw: self.opener.acquire().await?.detach(), opened: now, answered: now }
            }
        };
        let idle = Arc::clone(&self.idle);
        let limit = self.limit;
        Ok(Connection {
            inner: Some(kept),
            idle,
            limit,
            is_busy: false,
            in_transaction: false,
            turn,
            place: Some(place),
        })
    }

    /// An idle connection that answers.
    async fn kept(&self) -> Option<Kept<E>> {
        if E::OVER_NETWORK {
            self.idle.take_forgotten().into_iter().for_each(|kept| part_with(kept, self.limit));
        }
        let mut kept = self.idle.take()?;
        if !E::OVER_NETWORK || kept.answered.elapsed() < JUST_ANSWERED {
            return Some(kept);
        }
        // Half of the time: the other half is for a new connection.
        if matches!(timeout(self.limit / 2, kept.raw.ping()).await, Ok(Ok(()))) {
            return Some(kept);
        }
        // What is left has been idle for longer, and fell silent with it.
        self.idle.take_all();
        None
    }
}

/// Makes a pool on a server open connections whose statements end in time.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), expect(dead_code, reason = "SQLite is no server"))]
pub(crate) fn over_network<E: Engine>(options: PoolOptions<E>, limit: Duration) -> PoolOptions<E> {
    options.acquire_timeout(limit).after_connect(move |connection, _| Box::pin(E::limit_statements(connection, limit)))
}

/// A connection and its age.
struct Kept<E: Engine> {
    raw: E::Connection,
    opened: Instant,
    /// When it was last known to live.
    answered: Instant,
}

impl<E: Engine> Kept<E> {
    fn is_old(&self) -> bool {
        self.opened.elapsed() > LIFETIME
    }
}

/// Says farewell to the server, beside what runs.
fn part_with<E: Engine>(kept: Kept<E>, limit: Duration) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move { timeout(limit, kept.raw.close()).await });
    }
}

/// Connections that nobody uses now; the last one used is the first to be taken.
struct Shelf<E: Engine>(Mutex<Vec<Kept<E>>>);

impl<E: Engine> Default for Shelf<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E: Engine> Shelf<E> {
    fn put(&self, kept: Kept<E>) {
        self.with(|shelf| shelf.push(kept));
    }

    fn take(&self) -> Option<Kept<E>> {
        self.with(Vec::pop)
    }

    /// The one that has been idle for longest, if that is too long.
    fn take_forgotten(&self) -> Option<Kept<E>> {
        self.with(|shelf| {
            let is_forgotten = shelf.first().is_some_and(|kept| kept.answered.elapsed() > IDLE);
            is_forgotten.then(|| shelf.remove(0))
        })
    }

    fn take_all(&self) -> Vec<Kept<E>> {
        self.with(std::mem::take)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Kept<E>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that is lent.
pub(crate) struct Connection<E: Engine> {
    inner: Option<Kept<E>>,
    idle: Arc<Shelf<E>>,
    limit: Duration,
    /// Whether an answer is still to come, or never will.
    is_busy: bool,
    in_transaction: bool,
    turn: Option<OwnedSemaphorePermit>,
    /// Given back after the connection.
    place: Option<OwnedSemaphorePermit>,
}

impl<E: Engine> Connection<E> {
    pub(crate) async fn fetch(&mut self, sql: Arc<str>, arguments: E::Arguments) -> Result<Vec<E::Row>, sqlx::Error> {
        self.run(async |it| E::fetch(it, sql, arguments).await).await
    }

    pub(crate) async fn fetch_one(
        &mut self,
        sql: Arc<str>,
        arguments: E::Arguments,
    ) -> Result<Option<E::Row>, sqlx::Error> {
        self.run(async |it| E::fetch_one(it, sql, arguments).await).await
    }

    pub(crate) async fn execute(&mut self, sql: Arc<str>, arguments: E::Arguments) -> Result<Executed, sqlx::Error> {
        self.run(async |it| E::execute(it, sql, arguments).await).await
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.run(async |it| E::command(it, "COMMIT").await).await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn run<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut E::Connection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let connection = &mut self.inner.as_mut().ok_or(sqlx::Error::PoolClosed)?.raw;
        self.is_busy = true;
        let result = call(connection).await;
        // An error of the database is an answer, unless the server parts with it.
        self.is_busy = match &result {
            Ok(_) => false,
            Err(sqlx::Error::Database(error)) => E::ends_connection(&**error),
            Err(_) => true,
        };
        if self.is_busy && E::OVER_NETWORK {
            // Where one connection was ended, mostly all were.
            self.idle.take_all();
        }
        result
    }
}

impl<E: Engine> Drop for Connection<E> {
    fn drop(&mut self) {
        let Some(mut kept) = self.inner.take() else { return };
        if E::OVER_NETWORK {
            if self.is_busy {
                return;
            }
            kept.answered = Instant::now();
            if !self.in_transaction && kept.is_old() {
                return part_with(kept, self.limit);
            }
        }
        if !self.is_busy && !self.in_transaction {
            return self.idle.put(kept);
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let (idle, limit) = (Arc::clone(&self.idle), self.limit);
        let (turn, place) = (self.turn.take(), self.place.take());
        runtime.spawn(async move {
            if roll_back::<E>(&mut kept.raw, limit).await {
                idle.put(kept);
            }
            // Only now: SQLite may have waited for the lock until here.
            drop((turn, place));
        });
    }
}

/// Whether nothing is open any more.
async fn roll_back<E: Engine>(raw: &mut E::Connection, limit: Duration) -> bool {
    let rollback = E::command(raw, "ROLLBACK");
    if E::OVER_NETWORK {
        return matches!(timeout(limit, rollback).await, Ok(Ok(())));
    }
    // There may be nothing to roll back, which is an error and no harm: then a transaction can begin.
    rollback.await.is_ok() || (E::command(raw, "BEGIN").await.is_ok() && E::command(raw, "ROLLBACK").await.is_ok())
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

    use super::*;

    async fn kept(opened: Duration, answered: Duration) -> Result<Kept<sqlx::Sqlite>, sqlx::Error> {
        let (now, raw) = (Instant::now(), SqliteConnectOptions::new().in_memory(true).connect().await?);
        Ok(Kept { raw, opened: now - opened, answered: now - answered })
    }

    #[tokio::test]
    async fn a_connection_that_lay_idle_for_long_is_parted_with_and_the_last_one_used_is_the_next()
    -> Result<(), sqlx::Error> {
        let minute = Duration::from_secs(60);
        let shelf = Shelf::default();
        shelf.put(kept(IDLE * 2, IDLE + minute).await?);
        shelf.put(kept(IDLE * 2, IDLE - minute).await?);
        shelf.put(kept(minute, Duration::ZERO).await?);
        assert!(shelf.take_forgotten().is_some_and(|it| it.answered.elapsed() > IDLE));
        assert!(shelf.take_forgotten().is_none());
        assert!(shelf.take().is_some_and(|it| it.answered.elapsed() < minute));
        assert_eq!(shelf.take_all().len(), 1);
        Ok(())
    }

    /// One connection to a database in memory, which lives as long.
    fn memory() -> Pool<sqlx::Sqlite> {
        let opener = PoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        Pool::new(opener.connect_lazy_with(SqliteConnectOptions::new().in_memory(true)), Duration::from_secs(30))
    }

    async fn execute(connection: &mut Connection<sqlx::Sqlite>, sql: &str) -> Result<(), sqlx::Error> {
        connection.execute(sql.into(), sqlx::sqlite::SqliteArguments::default()).await.map(drop)
    }

    #[tokio::test]
    async fn av_03_a_connection_whose_rollback_fails_is_not_lent_again() -> Result<(), sqlx::Error> {
        let pool = memory();
        let mut connection = pool.begin().await?;
        execute(&mut connection, "PRAGMA user_version = 1").await?;
        if let Some(kept) = &mut connection.inner {
            kept.raw.lock_handle().await?.set_progress_handler(1, || false);
        }
        assert!(
            execute(&mut connection, "PRAGMA user_version").await.is_err(),
            "every statement is interrupted from now on"
        );
        drop(connection);
        execute(&mut pool.begin().await?, "PRAGMA user_version").await
    }

    #[tokio::test]
    async fn av_03_a_connection_with_nothing_to_roll_back_is_lent_again() -> Result<(), sqlx::Error> {
        let pool = memory();
        let mut connection = pool.begin().await?;
        execute(&mut connection, "CREATE TEMP TABLE kings (name TEXT)").await?;
        // Unseen by the pool, as when its caller is gone before the answer.
        execute(&mut connection, "COMMIT").await?;
        drop(connection);
        execute(&mut pool.begin().await?, "REINDEX kings").await
    }

    #[tokio::test]
    async fn a_connection_grows_old_whether_it_is_used_or_not() -> Result<(), sqlx::Error> {
        assert!(!kept(LIFETIME / 2, Duration::ZERO).await?.is_old());
        assert!(kept(LIFETIME * 2, Duration::ZERO).await?.is_old());
        Ok(())
    }
}
