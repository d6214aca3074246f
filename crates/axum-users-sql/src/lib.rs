//! SQLite, PostgreSQL and MySQL/MariaDB for axum-users, on the tables of FastAPI Users: made when they are missing, or
//! adopted as they are.
//!
//! One type, [`SqlStore`], stores users and access tokens over one pool. The engine is chosen by the URL, among those whose
//! feature is on: `sqlite`, `postgres`, `mysql`.

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!(
    "axum-users-sql needs a database: turn on at least one of its features `sqlite`, `postgres` and `mysql` (MariaDB too)"
);

#[macro_use]
mod oauth_accounts;
mod access_tokens;
mod buckets;
mod builder;
mod engine;
mod error;
mod names;
mod outbox;
mod pool;
mod refresh_tokens;
mod schema;
mod sessions;
mod statements;
mod store;
mod users;

pub use builder::SqlStoreBuilder;
pub use schema::SchemaError;
pub use store::{SqlId, SqlStore};
