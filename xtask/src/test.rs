//! `cargo xtask test`: every check, in order, against real databases.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{
    process::{Interrupt, cargo, run as run_process, say},
    services::{Absent, Services},
};

/// One call of cargo.
struct Step {
    name: &'static str,
    /// Whether it runs code that needs the databases. Only these steps are left with `--quick`.
    tests: bool,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// All of them take the whole workspace with all features, so that nothing is compiled twice.
#[rustfmt::skip]
const STEPS: &[Step] = &[
    Step { name: "format",   tests: false, environment: &[],
           arguments: &["fmt", "--all", "--check"] },
    Step { name: "lint",     tests: false, environment: &[],
           arguments: &["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"] },
    Step { name: "test",     tests: true,  environment: &[],
           arguments: &["test", "--workspace", "--all-targets", "--all-features", "--locked"] },
    // `--all-targets` leaves the examples in the documentation out.
    Step { name: "doctest",  tests: true,  environment: &[],
           arguments: &["test", "--doc", "--workspace", "--all-features", "--locked"] },
    Step { name: "document", tests: false, environment: &[("RUSTDOCFLAGS", "-D warnings")],
           arguments: &["doc", "--workspace", "--no-deps", "--all-features", "--locked"] },
];

/// Runs the steps until one fails. The services come up meanwhile, and go down in any case.
///
/// # Errors
/// The step that failed, or the service that could not be had: nothing is skipped.
pub(crate) fn run(quick: bool, interrupt: &Interrupt) -> Result<()> {
    let mut services = Services::start_missing(interrupt)?;
    let mut ready = None;
    let mut durations = Vec::new();
    for step in STEPS.iter().filter(|step| step.tests || !quick) {
        if step.tests && ready.is_none() {
            ready = Some(services.ready()?);
        }
        let (urls, absent) = ready.as_ref().map_or((&[][..], &[][..]), |(urls, absent)| (urls, absent));
        durations.push((step.name, run_step(step, urls, absent, interrupt)?));
        services.check()?;
    }
    drop(services);
    for (name, duration) in &durations {
        say(format_args!("{name:>10} {:>7.1} s", duration.as_secs_f64()));
    }
    say(format_args!("all {} steps passed", durations.len()));
    for Absent { name, word, reason } in ready.iter().flat_map(|(_, absent)| absent) {
        say(format_args!(
            "BUT {name} could not be had, and tests with `{word}` in their names were left out: {reason}"
        ));
    }
    Ok(())
}

fn run_step(step: &Step, urls: &[(&str, String)], absent: &[Absent], interrupt: &Interrupt) -> Result<Duration> {
    let mut arguments = step.arguments.to_vec();
    if step.tests && !absent.is_empty() {
        arguments.push("--");
        arguments.extend(absent.iter().flat_map(|absent| ["--skip", absent.word]));
    }
    let line = format!("cargo {}", arguments.join(" "));
    say(format_args!("==> {}: {line}", step.name));
    let began = Instant::now();
    let mut command = cargo();
    command.args(&arguments).envs(step.environment.iter().copied());
    command.envs(urls.iter().map(|(variable, url)| (variable, url)));
    let status = run_process(&mut command, interrupt).with_context(|| format!("in step `{}`", step.name))?;
    let duration = began.elapsed();
    if !status.success() {
        bail!("step `{}` failed after {:.1} s ({status}): {line}", step.name, duration.as_secs_f64());
    }
    say(format_args!("<== {}: passed in {:.1} s", step.name, duration.as_secs_f64()));
    Ok(duration)
}
