//! `cargo xtask bench`, `kill`, `races` and `timing`: long runs of their own, never part of `test`.

use anyhow::{Result, bail};

use crate::{
    process::{Interrupt, cargo, run as run_process},
    services::Services,
};

/// CPU time beside hand-written handlers; prints a table.
///
/// # Errors
/// When a service cannot be had or the program fails.
pub(crate) fn run(interrupt: &Interrupt) -> Result<()> {
    with_services(
        &[&["run", "--profile", "bench-run", "--locked", "--package", "axum-users-bench", "--bin", "axum-users-bench"]],
        interrupt,
    )
}

/// Kills the server under load and looks for every write that it acknowledged.
///
/// # Errors
/// When a service cannot be had, or a write is missing.
pub(crate) fn kill(interrupt: &Interrupt) -> Result<()> {
    let build = ["build", "--locked", "--package", "axum-users-server"];
    with_services(&[&build, &["run", "--locked", "--package", "axum-users-bench", "--bin", "kill"]], interrupt)
}

/// Races of requests on one server and on three, over each engine; prints a table.
///
/// # Errors
/// When a service cannot be had, or something is seen that must not be.
pub(crate) fn races(rounds: usize, interrupt: &Interrupt) -> Result<()> {
    let build = ["build", "--locked", "--package", "axum-users-server", "--package", "axum-users-races"];
    let rounds = rounds.to_string();
    let run = ["run", "--locked", "--package", "axum-users-races", "--", "--rounds", &rounds];
    with_services(&[&build, &run], interrupt)
}

/// Whether the time of an answer tells who has an account; prints a table.
///
/// # Errors
/// When it does, or when a control does not behave.
pub(crate) fn timing(arguments: &[String], interrupt: &Interrupt) -> Result<()> {
    let mut command = cargo();
    command.args([
        "run",
        "--profile",
        "bench-run",
        "--locked",
        "--package",
        "axum-users-bench",
        "--bin",
        "timing",
        "--",
    ]);
    let status = run_process(command.args(arguments), interrupt)?;
    if !status.success() {
        bail!("the times of answers are not as they must be ({status})");
    }
    Ok(())
}

fn with_services(steps: &[&[&str]], interrupt: &Interrupt) -> Result<()> {
    let mut services = Services::start_missing(interrupt)?;
    let (urls, _) = services.ready()?;
    for arguments in steps {
        let mut command = cargo();
        command.args(*arguments).envs(urls.iter().map(|(variable, url)| (variable, url)));
        let status = run_process(&mut command, interrupt)?;
        if !status.success() {
            bail!("cargo {} failed ({status})", arguments.join(" "));
        }
    }
    Ok(())
}
