//! `axum-users openapi`.

use crate::{Config, Failure};

/// Prints the document.
pub(super) fn run(_config: &Config) -> Result<(), Failure> {
    Err(Failure::failed("the OpenAPI document comes in a later release"))
}
