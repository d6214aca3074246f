//! `cargo xtask audit`: checks that need tools beyond Rust's own, or the network.

use std::process::Stdio;

use anyhow::{Result, bail};

use crate::process::{Interrupt, cargo, run as run_process, say};

/// A cargo subcommand, the release we use, and what to call it with.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// Each is a check of its own; a failing one does not hide the others.
    checks: &'static [&'static [&'static str]],
}

/// Comparison with the published API (`cargo semver-checks`) joins with the first release: there is nothing to compare yet.
const TOOLS: &[Tool] = &[
    Tool {
        name: "deny",
        version: "0.20.2",
        checks: &[
            &["--workspace", "--all-features", "--locked", "check", "licenses", "bans", "sources"],
            // Alone, because it fetches the advisory database.
            &["--workspace", "--all-features", "--locked", "check", "advisories"],
        ],
    },
    Tool {
        name: "hack",
        version: "0.6.46",
        checks: &[
            &["check", "--workspace", "--exclude", "axum-users-sql", "--each-feature", "--locked"],
            // Without any engine it says so, and does not compile.
            &["check", "-p", "axum-users-sql", "--each-feature", "--exclude-no-default-features", "--locked"],
        ],
    },
];

/// Runs all checks and fails if one of them did.
pub(crate) fn run(install: bool, interrupt: &Interrupt) -> Result<()> {
    for tool in TOOLS {
        if is_installed(tool, interrupt)? {
            continue;
        }
        let package = format!("cargo-{}@{}", tool.name, tool.version);
        if !install {
            bail!(
                "cargo-{} is missing: `cargo xtask audit --install`, or `cargo install --locked {package}`",
                tool.name
            );
        }
        say(format_args!("==> installing {package}"));
        if !run_process(cargo().args(["install", "--locked", &package]), interrupt)?.success() {
            bail!("cannot install {package}");
        }
    }
    let mut failed = Vec::new();
    for (tool, check) in TOOLS.iter().flat_map(|tool| tool.checks.iter().map(move |check| (tool, check))) {
        let line = format!("cargo {} {}", tool.name, check.join(" "));
        say(format_args!("==> {line}"));
        if !run_process(cargo().arg(tool.name).args(*check), interrupt)?.success() {
            failed.push(line);
        }
    }
    if !failed.is_empty() {
        bail!("failed:\n  {}", failed.join("\n  "));
    }
    Ok(())
}

fn is_installed(tool: &Tool, interrupt: &Interrupt) -> Result<bool> {
    let mut version = cargo();
    version.args([tool.name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(run_process(&mut version, interrupt)?.success())
}
