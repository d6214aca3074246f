//! Connections that cannot hang: each call has a time limit, and one that it cut off is not used again.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum_users_core::DatabaseError;
use sqlx::{
    Connection as _,
    pool::{PoolConnection, PoolOptions},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::engine::{Engine, Executed};

/// The connections of a store.
pub(crate) struct Pool<E: Engine> {
    pool: sqlx::Pool<E>,
    limit: Duration,
    /// Who writes, where one at a time can: the others wait here and not on a connection each, so that reads go on.
    writer: Option<Arc<Semaphore>>,
}

impl<E: Engine> Pool<E> {
    pub(crate) fn new(pool: sqlx::Pool<E>, limit: Duration) -> Self {
        Self { pool, limit, writer: E::ONE_WRITER.then(|| Arc::new(Semaphore::new(1))) }
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
        self.pool.close().await;
    }

    async fn connection(&self, turn: Option<OwnedSemaphorePermit>) -> Result<Connection<E>, sqlx::Error> {
        let inner = self.pool.acquire().await?;
        Ok(Connection { inner: Some(inner), limit: self.limit, is_busy: false, in_transaction: false, turn })
    }
}

/// A connection that was returned so short a while ago was tested then.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), expect(dead_code, reason = "SQLite is no server"))]
const JUST_TESTED: Duration = Duration::from_millis(500);

/// Makes a pool on a server test its connections before they are used, without waiting for one that is silent.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), expect(dead_code, reason = "SQLite is no server"))]
pub(crate) fn over_network<E: Engine>(options: PoolOptions<E>, limit: Duration) -> PoolOptions<E> {
    options
        .acquire_timeout(limit)
        .test_before_acquire(false)
        .before_acquire(move |connection, about| {
            // Half of the time: the other half is for a new connection.
            Box::pin(async move {
                let idle = about.idle_for;
                Ok(idle < JUST_TESTED || matches!(timeout(limit / 2, connection.ping()).await, Ok(Ok(()))))
            })
        })
        .after_connect(move |connection, _| Box::pin(E::limit_statements(connection, limit)))
}

/// A connection of the pool.
pub(crate) struct Connection<E: Engine> {
    inner: Option<PoolConnection<E>>,
    limit: Duration,
    /// Whether an answer is still to come.
    is_busy: bool,
    in_transaction: bool,
    turn: Option<OwnedSemaphorePermit>,
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
        let connection = self.inner.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?;
        self.is_busy = true;
        let result = call(connection).await;
        // An error of the database is an answer.
        self.is_busy = !matches!(result, Ok(_) | Err(sqlx::Error::Database(_)));
        result
    }
}

impl<E: Engine> Drop for Connection<E> {
    fn drop(&mut self) {
        let Some(mut connection) = self.inner.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        if self.is_busy && E::OVER_NETWORK {
            drop(connection.detach());
            return;
        }
        let is_clean = !self.is_busy && !self.in_transaction;
        let (limit, turn) = (self.limit, self.turn.take());
        runtime.spawn(async move {
            if E::OVER_NETWORK {
                let rolled_back =
                    is_clean || matches!(timeout(limit, E::command(&mut connection, "ROLLBACK")).await, Ok(Ok(())));
                if rolled_back {
                    // The pool tests it, and would wait for that without an end.
                    let _ = timeout(limit, connection.return_to_pool()).await;
                } else {
                    connection.detach();
                }
            } else {
                if !is_clean {
                    // There may be none; then this is an error and no harm.
                    let _ = E::command(&mut connection, "ROLLBACK").await;
                }
                connection.return_to_pool().await;
            }
            // Only now: SQLite may have waited for the lock until here.
            drop(turn);
        });
    }
}
