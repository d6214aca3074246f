//! The commands of this repository: `cargo xtask <command>`.
//!
//! One file per command; each command is a function `run` that takes what it needs and returns a `Result`.

mod apt;
mod audit;
mod bench;
mod process;
mod release_check;
mod security_map;
mod services;
mod test;

use std::{fs, process::ExitCode};

use anyhow::{Result, anyhow};
use clap::Parser;

use process::{Interrupt, Interrupted, say};
use security_map::Map;

/// Everything a contributor or the CI runs, beyond plain cargo.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Start the databases for tests, print their URLs, and take them down when interrupted
    Services,
    /// Run every check of this repository against real databases
    Test {
        /// Only the tests: no formatting, lints or documentation
        #[arg(long)]
        quick: bool,
    },
    /// Measure CPU time beside hand-written handlers, and print a table (some minutes)
    Bench,
    /// Kill the server under load, 50 times on each engine, and look for every acknowledged write (some minutes)
    Kill,
    /// Let requests race on one server and on three, over each engine, and print a table (more than an hour)
    Races {
        /// How often each race is run in each of the eight places
        #[arg(long, default_value_t = 200)]
        rounds: usize,
    },
    /// Measure whether the time of an answer tells who has an account, and print a table (some minutes on a quiet machine)
    Timing {
        /// What the program takes; `-- --help` tells
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Check licences, banned crates, advisories and feature combinations
    Audit {
        /// Install the tools that are missing (some minutes of compilation)
        #[arg(long)]
        install: bool,
    },
    /// Check what a release needs, and write its bill of materials
    ReleaseCheck,
    /// Bring docs/security-map.toml up to date with the tests that there are
    SecurityMap,
}

fn main() -> ExitCode {
    match dispatch(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            // The shells' convention: 128 plus the signal.
            ExitCode::from(error.downcast_ref().map_or(1, |Interrupted { signal }| 128 + signal))
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    match command {
        Command::Services => services::run(&interrupt),
        Command::Test { quick } => test::run(quick, &interrupt),
        Command::Bench => bench::run(&interrupt),
        Command::Kill => bench::kill(&interrupt),
        Command::Races { rounds } => bench::races(rounds, &interrupt),
        Command::Timing { arguments } => bench::timing(&arguments, &interrupt),
        Command::Audit { install } => audit::run(install, &interrupt),
        Command::ReleaseCheck => release_check::run(&interrupt),
        Command::SecurityMap => map(),
    }
}

fn map() -> Result<()> {
    let root = process::repository();
    let functions = security_map::functions(&root)?;
    let updated = Map::read(&root)?.updated(&functions).map_err(|strangers| {
        anyhow!("no requirement in {} has the id of {strangers:?}: write it there first", security_map::FILE)
    })?;
    Ok(fs::write(root.join(security_map::FILE), updated.print())?)
}
