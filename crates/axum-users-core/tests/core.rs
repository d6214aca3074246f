//! The tests of the core, one module a subject, in one binary.

#[path = "core/body.rs"]
mod body;
#[path = "core/columns.rs"]
mod columns;
#[path = "core/email.rs"]
mod email;
#[path = "core/id.rs"]
mod id;
#[path = "core/json.rs"]
mod json;
#[path = "core/vectors.rs"]
mod vectors;
