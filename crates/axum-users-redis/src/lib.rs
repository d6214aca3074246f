//! Redis and Valkey for axum-users.
//!
//! [`RedisClient`] is one handle for a single server, a cluster, or the master that sentinels watch; the URL says which.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use axum_users_redis::RedisClient;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = RedisClient::builder("rediss+sentinel://app:secret@sentinel-1,sentinel-2,sentinel-3/main")
//!     .ca_file("/etc/ssl/redis-ca.pem")
//!     .build()?;
//! redis.set("key", "value", Some(Duration::from_secs(3600))).await?;
//! assert!(redis.get_with_ttl("key").await?.is_some());
//! # Ok(())
//! # }
//! ```

mod client;
mod strategy;

pub use client::{RedisClient, RedisClientBuilder, RedisConfigError};
pub use strategy::RedisStrategy;
