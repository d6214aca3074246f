//! `axum-users migrate`.

use clap::Args;

use super::{block_on, print};
use crate::{
    Config, Failure, logging,
    storage::{Storage, for_store},
};

#[derive(Args)]
pub(super) struct Migrate {
    /// Only print what is missing (statements, or indexes of MongoDB); nothing, if the schema is up to date
    #[arg(long)]
    check: bool,
    /// Also on tables that FastAPI Users made
    #[arg(long)]
    adopt: bool,
}

impl Migrate {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        logging::start(config.server.log_format, "warn");
        block_on(async { for_store!(config, Store => self.run_for::<Store>(config).await) })
    }

    async fn run_for<S: Storage>(&self, config: &Config) -> Result<(), Failure> {
        if self.check {
            for missing in S::missing(config).await? {
                print(missing)?;
            }
            return Ok(());
        }
        S::migrate(config, self.adopt).await?;
        print(format_args!("{} is up to date", config.database.shown))
    }
}
