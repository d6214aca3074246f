//! `axum-users config`.

use super::print;
use crate::{Config, Failure};

/// Prints a file of settings that says the same, and where each value comes from.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    for warning in config.warnings() {
        print(format_args!("# warning: {warning}"))?;
    }
    for entry in &config.entries {
        print(format_args!("{:<60} # {}", format!("{} = {}", entry.key, entry.shown), entry.origin))?;
    }
    if config.secrets.is_to_be_made(config.uses()) {
        print(format_args!("# the secrets are made at the first start, in {}", config.secrets.file.display()))?;
    }
    Ok(())
}
