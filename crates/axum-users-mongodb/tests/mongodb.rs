//! The MongoDB adapter on the servers that environment variables name, which `cargo xtask test` and `cargo xtask services` set.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

#[path = "mongodb/servers.rs"]
mod servers;
#[path = "mongodb/suites.rs"]
mod suites;
