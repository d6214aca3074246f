//! The SQL adapter on its three engines. PostgreSQL and MariaDB are named by environment variables, which
//! `cargo xtask test` and `cargo xtask services` set.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing step fails the test")]

#[path = "sql/accounts.rs"]
mod accounts;
#[path = "sql/adoption.rs"]
mod adoption;
#[path = "sql/crash.rs"]
mod crash;
#[path = "sql/databases.rs"]
mod databases;
#[path = "sql/lent.rs"]
mod lent;
#[path = "sql/limits.rs"]
mod limits;
#[path = "sql/proof.rs"]
mod proof;
#[path = "sql/reset.rs"]
mod reset;
#[path = "sql/schema.rs"]
mod schema;
#[path = "sql/suites.rs"]
mod suites;
#[path = "sql/throttle.rs"]
mod throttle;
