//! The tests of the core, one module a subject, in one binary.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails is a test that fails")]

#[path = "core/body.rs"]
mod body;
#[path = "core/breached.rs"]
mod breached;
#[path = "core/columns.rs"]
mod columns;
#[path = "core/email.rs"]
mod email;
#[path = "core/id.rs"]
mod id;
#[path = "core/json.rs"]
mod json;
#[path = "core/jwt.rs"]
mod jwt;
#[path = "core/vectors.rs"]
mod vectors;
