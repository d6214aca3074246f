//! The routes, from outside.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing step fails the test")]

#[path = "http/access.rs"]
mod access;
#[cfg(feature = "docs")]
#[path = "http/docs.rs"]
mod docs;
#[path = "http/input.rs"]
mod input;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/people.rs"]
mod people;
#[path = "http/sessions.rs"]
mod sessions;
#[path = "http/transports.rs"]
mod transports;
