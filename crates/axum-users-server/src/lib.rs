//! User management as a server that starts with one command: `axum-users`.
//!
//! The binary is [`run`] over this library. A program that wants the routes inside its own router uses the crate
//! `axum-users` instead.

mod app;
mod cli;
mod config;
mod housekeeping;
mod logging;
mod middleware;
mod pages;
mod profile;
mod secrets;
mod serve;
mod storage;
mod web;

use std::{ffi::OsString, process::ExitCode};

pub use config::{Config, ConfigError, Sources};

/// Runs the command line, the name of the program first; answers the exit code: 0, 1 failed, 2 usage or configuration.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The routes of this configuration with everything around them, for a program that listens by itself. Opens the database, and
/// makes the secrets if there are none. One process can have one set of own columns.
///
/// # Errors
/// [`AppError`] says what cannot be used, or did not work.
pub async fn app(config: &Config) -> Result<axum::Router, AppError> {
    async fn open<S: storage::Storage>(config: &Config) -> Result<axum::Router, Failure> {
        Ok(app::App::<S>::open(config, &config.secrets.or_make(config.uses())?).await?.router)
    }
    storage::for_store!(config, Store => open::<Store>(config).await).map_err(|failure| AppError(failure.message()))
}

/// Why there is no [`app`].
#[derive(Clone, Debug)]
pub struct AppError(String);

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AppError {}

/// Why a command did not do what it should.
#[derive(Debug)]
enum Failure {
    /// The command line or the configuration cannot be used.
    Usage(String),
    /// Something else went wrong.
    Failed(String),
    /// The command-line parser has its own words.
    Parser(clap::Error),
}

impl Failure {
    fn usage(message: impl ToString) -> Self {
        Self::Usage(message.to_string())
    }

    fn failed(message: impl ToString) -> Self {
        Self::Failed(message.to_string())
    }

    fn message(self) -> String {
        match self {
            Self::Usage(message) | Self::Failed(message) => message,
            Self::Parser(error) => error.to_string(),
        }
    }

    fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                cli::print_error(&message);
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                cli::print_error(&message);
                ExitCode::FAILURE
            }
            Self::Parser(error) => {
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<axum_users::SchemaError> for Failure {
    fn from(error: axum_users::SchemaError) -> Self {
        match error {
            axum_users::SchemaError::Url(_) => Self::usage(error),
            axum_users::SchemaError::NotOurs { .. } => {
                Self::Failed(format!("{error}\nSay so with `axum-users migrate --adopt`, or database.adopt = true"))
            }
            other => Self::Failed(axum_users::error_chain(&other)),
        }
    }
}

impl From<axum_users::Error> for Failure {
    fn from(error: axum_users::Error) -> Self {
        match error {
            axum_users::Error::InvalidPassword(invalid) => match invalid.reason().as_str() {
                Some(reason) => Self::failed(reason),
                None => Self::failed(invalid.reason()),
            },
            other => Self::Failed(axum_users::error_chain(&other)),
        }
    }
}
