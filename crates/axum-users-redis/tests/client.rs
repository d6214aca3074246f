//! The client on Redis alone, behind TLS, as a cluster, with sentinels, and on Valkey. They are named by environment
//! variables, which `cargo xtask test` and `cargo xtask services` set. What has to be killed is started here.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing step fails the test")]

#[path = "client/outages.rs"]
mod outages;
#[path = "client/servers.rs"]
mod servers;
#[path = "client/shapes.rs"]
mod shapes;
#[path = "client/strategy.rs"]
mod strategy;
