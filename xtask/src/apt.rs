//! Installing Debian packages that a service needs.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::process::{find, is_root, say};

/// Where packages come from that the system's own sources do not have.
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// What they have to be signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

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

/// Unpacks packages of a suite of Debian in `folder`, and gives the root of their files. The system stays as it is: lists
/// and packages are kept in `folder` too.
///
/// # Errors
/// When there is no `apt-get`, or when it fails (with the end of its output).
pub(crate) fn unpack(suite: &str, packages: &[&str], folder: &Path) -> Result<PathBuf> {
    if find("apt-get", &[]).is_none() {
        bail!("it is not installed, and can be had here only on Debian: {}", packages.join(", "));
    }
    say(format_args!("unpacking {} of {suite}", packages.join(", ")));
    let root = folder.join("root");
    for name in ["root", "lists/partial", "cache/archives/partial", "none"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("sources.list"), format!("deb [signed-by={KEYRING}] {ARCHIVE} {suite} main\n"))?;
    let option = |name: &str, place: &str| format!("-oDir::{name}={}", folder.join(place).display());
    let options = [
        option("State::Lists", "lists"),
        option("Cache", "cache"),
        option("Etc::SourceList", "sources.list"),
        option("Etc::SourceParts", "none"),
        // Downloading as another user would ask for a folder of theirs.
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAcquire::Languages=none".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    // It succeeds without the network, and says so.
    let update = apt_get_in(folder, &[&options, &["update"][..]].concat())?;
    let download = apt_get_in(folder, &[&options, &["download"][..], packages].concat())?;
    if !download.status.success() {
        let packages = packages.join(" ");
        let output = [text(&update), text(&download)].concat();
        bail!("`apt-get download {packages}` failed for {suite} ({})\n{output}", download.status);
    }
    for entry in fs::read_dir(folder)? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            let output = Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&root).output()?;
            if !output.status.success() {
                bail!("{} cannot be unpacked ({})\n{}", package.display(), output.status, text(&output));
            }
        }
    }
    Ok(root)
}

/// Runs to its end whatever happens: half an installation is worse than a late stop.
fn apt_get(arguments: &[&str]) -> Result<Output> {
    apt_get_in(Path::new("/"), arguments)
}

fn apt_get_in(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Command::new("apt-get")
        .current_dir(folder)
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
