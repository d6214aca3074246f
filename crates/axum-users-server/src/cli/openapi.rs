//! `axum-users openapi`.

use super::{for_id, print};
use crate::{Config, Failure, app};

/// Prints the document; no database is asked for it.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let document = for_id!(config, Id => app::openapi::<Id>(config)?);
    let text = serde_json::to_string_pretty(&document).map_err(Failure::failed)?;
    print(format_args!("{text}"))
}
