//! `axum-users migrate`.

use axum_users::UserId;
use clap::Args;

use super::{block_on, for_id, print};
use crate::{Config, Failure, app, logging};

#[derive(Args)]
pub(super) struct Migrate {
    /// Only print the statements that are missing; nothing, if the schema is up to date
    #[arg(long)]
    check: bool,
    /// Also on tables that FastAPI Users made
    #[arg(long)]
    adopt: bool,
}

impl Migrate {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        logging::start(config.server.log_format, "warn");
        block_on(async { for_id!(config, Id => self.run_for::<Id>(config).await) })
    }

    async fn run_for<Id: UserId>(&self, config: &Config) -> Result<(), Failure> {
        let builder = app::store_builder::<Id>(config)?;
        if self.check {
            // Nothing is done, so tables of others may be looked at, too.
            for statement in builder.adopt(true).plan().await? {
                print(format_args!("{statement};"))?;
            }
            return Ok(());
        }
        builder.adopt(self.adopt || config.database.adopt).migrate(true).connect().await?.close().await;
        print(format_args!("{} is up to date", config.database.shown))
    }
}
