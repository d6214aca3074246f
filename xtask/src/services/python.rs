//! Python with packages, for servers that are written in it.

use std::{fs::File, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use super::home::Home;
use crate::{apt, process::find};

/// A Python of its own, with these packages, whose hashes are named; the system's stays as it is.
pub(super) fn environment(home: &Home, requirements: &str) -> Result<PathBuf> {
    let has_venv =
        || system_python().is_some_and(|python| succeeds(Command::new(python).args(["-c", "import ensurepip"])));
    if !has_venv() {
        apt::install("python3-venv", has_venv)?;
    }
    let python = system_python().context("python3 is not installed")?;
    let requirements = home.write("requirements.txt", requirements)?;
    let environment = home.path("python");
    // As ourselves, with our environment: it says where packages come from. The server only reads them.
    let log = File::options().create(true).append(true).open(home.path("log"))?;
    let run = |command: &mut Command| -> Result<()> {
        let name = command.get_program().display().to_string();
        let status = command.stdout(log.try_clone()?).stderr(log.try_clone()?).status();
        if !status.with_context(|| format!("cannot run {name}"))?.success() {
            bail!("{name} failed; pip and the network are needed\n{}", home.log_tail());
        }
        Ok(())
    };
    run(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
    let python = environment.join("bin/python3");
    let install = ["-m", "pip", "install", "--quiet", "--no-input", "--only-binary=:all:", "--require-hashes"];
    run(Command::new(&python).args(install).arg("--requirement").arg(requirements))?;
    Ok(python)
}

/// The one of the system: one that a person installed for themselves may be out of reach for the user that servers run as.
fn system_python() -> Option<PathBuf> {
    let usual = PathBuf::from("/usr/bin/python3");
    if usual.is_file() { Some(usual) } else { find("python3", &[]) }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
