//! Installing Debian packages that a service needs.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::process::{find, is_root, say};

/// Installs `package`, unless `present` holds once it is our turn.
///
/// # Errors
/// When we are not root, when there is no `apt-get`, or when it fails (with the end of its output).
pub(crate) fn install(package: &str, present: impl Fn() -> bool) -> Result<()> {
    if !is_root() || find("apt-get", &[]).is_none() {
        bail!("it is not installed, and only root on Debian can install it here: `apt-get install {package}`");
    }
    // Commands that run side by side install one after the other.
    let turn = File::open("/var/lib/dpkg").context("cannot open the package database")?;
    turn.lock()?;
    if present() {
        return Ok(());
    }
    say(format_args!("installing {package}"));
    let _guard = StartGuard::new()?;
    // Lists that cannot be refreshed matter only if the installation fails.
    let update = apt_get(&["update"])?;
    let install = apt_get(&["install", "-y", "--no-install-recommends", package])?;
    if !install.status.success() {
        bail!("`apt-get install {package}` failed ({})\n{}{}", install.status, text(&update), text(&install));
    }
    Ok(())
}

/// Runs to its end whatever happens: half an installation is worse than a late stop.
fn apt_get(arguments: &[&str]) -> Result<Output> {
    Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
        .args(["-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .process_group(0)
        .stdin(Stdio::null())
        .output()
        .context("cannot run apt-get")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Keeps the packages from starting their own system services while it lives.
struct StartGuard {
    ours: bool,
}

impl StartGuard {
    const FILE: &str = "/usr/sbin/policy-rc.d";
    const TEXT: &str =
        "#!/bin/sh\n# Written by `cargo xtask` for the time of an installation; may be removed.\nexit 101\n";

    fn new() -> Result<Self> {
        let path = Path::new(Self::FILE);
        match OpenOptions::new().write(true).create_new(true).mode(0o755).open(path) {
            Ok(mut file) => {
                file.write_all(Self::TEXT.as_bytes())?;
                Ok(Self { ours: true })
            }
            // The machine's own rule stands; one that a killed run of ours has left is taken over.
            Err(_) if path.exists() => Ok(Self { ours: fs::read(path)? == Self::TEXT.as_bytes() }),
            Err(error) => Err(error).context("cannot write /usr/sbin/policy-rc.d"),
        }
    }
}

impl Drop for StartGuard {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(Self::FILE);
        }
    }
}
