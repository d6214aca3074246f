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
    let _guard = StartGuard::new(Path::new("/usr/sbin/policy-rc.d"))?;
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
struct StartGuard<'a> {
    /// To be removed at the end.
    ours: Option<&'a Path>,
}

impl<'a> StartGuard<'a> {
    const TEXT: &'static str =
        "#!/bin/sh\n# Written by `cargo xtask` for the time of an installation; may be removed.\nexit 101\n";

    fn new(path: &'a Path) -> Result<Self> {
        match OpenOptions::new().write(true).create_new(true).mode(0o755).open(path) {
            Ok(mut file) => {
                file.write_all(Self::TEXT.as_bytes())?;
                Ok(Self { ours: Some(path) })
            }
            // The machine's own rule stands; one that a killed run of ours has left is taken over.
            Err(_) if path.exists() => Ok(Self { ours: (fs::read(path)? == Self::TEXT.as_bytes()).then_some(path) }),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

impl Drop for StartGuard<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.ours {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_guard_removes_its_own_rule_and_leaves_the_machines() {
        let path = env::temp_dir().join(format!("xtask-test-policy-{}", std::process::id()));

        let guard = StartGuard::new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111);
        std::mem::forget(guard); // as if killed
        drop(StartGuard::new(&path).unwrap());
        assert!(!path.exists());

        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        drop(StartGuard::new(&path).unwrap());
        assert!(path.exists());
        fs::remove_file(path).unwrap();
    }
}
