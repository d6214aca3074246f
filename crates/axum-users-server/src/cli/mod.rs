//! The command line.

mod config;
mod migrate;
mod openapi;
mod outbox;
mod serve;
mod user;

use std::{
    ffi::OsString,
    fmt::Display,
    future::Future,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand};

use crate::{Config, Failure, Sources, logging};

/// User management as a server: accounts, login, sessions.
///
/// Without a command it serves. Settings come from the command line, the environment (AXUM_USERS__SERVER__LISTEN), a file
/// (axum-users.toml), and defaults.
#[derive(Parser)]
#[command(name = "axum-users", version)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Global {
    /// The file of settings [default: axum-users.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8000]
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The database [default: sqlite://axum-users.db]
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (this is the default)
    Serve,
    /// Bring the schema of the database up to date
    Migrate(migrate::Migrate),
    /// Manage users
    #[command(subcommand)]
    User(user::User),
    /// Look after messages: mails that wait, registrations and changes that wait for an answer, what was given up
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Print the OpenAPI document of this configuration
    Openapi,
    /// Print the configuration in force, without secrets, and where each value comes from
    Config,
}

/// Parses and runs.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let Cli { global, command } = Cli::try_parse_from(arguments).map_err(Failure::Parser)?;
    private_files();
    let config = Config::load(&global.sources())?;
    match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&config),
        Command::Migrate(migrate) => migrate.run(&config),
        Command::User(user) => user.run(&config),
        Command::Outbox(outbox) => outbox.run(&config),
        Command::Openapi => openapi::run(&config),
        Command::Config => config::run(&config),
    }
}

impl Global {
    fn sources(self) -> Sources {
        let mut sources = Sources::process();
        if let Some(file) = self.config {
            sources = sources.file(file);
        }
        if let Some(address) = self.listen {
            sources = sources.listen(address);
        }
        if let Some(url) = self.database {
            sources = sources.database(url);
        }
        sources
    }
}

/// Files that this process makes hold hashes and secrets: nobody else may read them.
fn private_files() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Runs a command that asks the database.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // One provider for the whole process: two, or none, and the first connection would panic.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let done = runtime.block_on(work);
    // What still blocks, such as a slow look-up of a name, does not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

/// For the commands beside `serve`: what they print is their answer, so the log says only what went wrong.
fn quiet_log(config: &Config) {
    logging::start(config.server.log_format, "warn");
}

/// A line of the answer, on standard output. Whoever closed it does not want the rest.
fn print(line: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        _ => Ok(()),
    }
}

/// Says why a command failed, on standard error.
pub(crate) fn print_error(message: &str) {
    let lines = message.lines().map(|line| logging::escape(line, false)).collect::<Vec<_>>().join("\n");
    let _ = writeln!(io::stderr().lock(), "axum-users: {lines}");
}
