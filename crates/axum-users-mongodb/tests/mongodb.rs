//! The MongoDB adapter on the servers that environment variables name, which `cargo xtask test` and `cargo xtask services` set.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing step fails the test")]

#[path = "mongodb/beside.rs"]
mod beside;
#[path = "mongodb/certain.rs"]
mod certain;
#[path = "mongodb/documents.rs"]
mod documents;
#[path = "mongodb/servers.rs"]
mod servers;
#[path = "mongodb/step_down.rs"]
mod step_down;
#[path = "mongodb/suites.rs"]
mod suites;
