//! Suites that say whether an adapter of axum-users does what the rules rely on; for our own adapters and for yours.
//!
//! ```
//! # #[tokio::main] async fn main() {
//! use axum_users_core::memory::MemoryStore;
//! use axum_users_testing::{Sample, access_token_database, buckets, messages, oauth_accounts, session_database, user_database};
//!
//! // Each call of the closure makes an empty store.
//! user_database::<Sample, _>(async || MemoryStore::new()).await;
//! access_token_database::<Sample, _>(async || MemoryStore::new()).await;
//! session_database::<Sample, _>(async || MemoryStore::new()).await;
//! messages::<Sample, _>(async || MemoryStore::new()).await;
//! buckets::<Sample, _>(async || MemoryStore::new()).await;
//! oauth_accounts::<Sample, _>(async || MemoryStore::new()).await;
//! # }
//! ```
//!
//! A failing check panics with what it expected. Stores of integer ids are tested with [`CountedSample`].

#![expect(clippy::expect_used, clippy::panic, reason = "a suite says by a panic what is not as expected")]

mod buckets;
mod messages;
mod oauth_accounts;
mod sample;
mod sessions;
mod strategy;
mod tokens;
mod users;

pub use buckets::buckets;
pub use messages::messages;
pub use oauth_accounts::oauth_accounts;
pub use sample::{CountedSample, ObjectSample, Sample, SampleProfile, Tier};
pub use sessions::session_database;
pub use strategy::strategy;
pub use tokens::access_token_database;
pub use users::{races, user_database, user_database_that_refuses_look_alikes};
