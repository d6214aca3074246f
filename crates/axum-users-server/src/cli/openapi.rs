//! `axum-users openapi`.

use axum_users::ObjectId;
use uuid::Uuid;

use super::print;
use crate::{Config, Failure, app, config::IdKind};

/// Prints the document; no database is asked for it.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let document = match config.database.user_id {
        IdKind::Integer => app::openapi::<i64>(config)?,
        IdKind::Uuid => app::openapi::<Uuid>(config)?,
        IdKind::ObjectId => app::openapi::<ObjectId>(config)?,
    };
    let text = serde_json::to_string_pretty(&document).map_err(Failure::failed)?;
    print(format_args!("{text}"))
}
