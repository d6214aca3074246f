//! Redis and Valkey for axum-users.
//!
//! [`RedisClient`] is one handle for a single server, a cluster, or the master that sentinels watch; the URL says which.

mod client;

pub use client::{RedisClient, RedisClientBuilder, RedisConfigError};
