//! What was recorded is what we answer, but for the differences that `docs/differences.md` lists.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing step fails the test")]

#[path = "parity/application.rs"]
mod application;
#[path = "parity/compare.rs"]
mod compare;
#[path = "parity/database.rs"]
mod database;
#[path = "parity/google.rs"]
mod google;
#[path = "parity/moving.rs"]
mod moving;
#[path = "parity/replay.rs"]
mod replay;
