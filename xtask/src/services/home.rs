//! The folder of one service, and what is run in it.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Write},
    net::TcpListener,
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::Server;
use crate::process::{Interrupt, NOBODY, POLL, is_root, run, unprivileged};

/// How long a server may take until it answers. Generous: the machine may be busy compiling.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How many lines of a log are shown when something fails.
const TAIL: usize = 30;

/// A folder that belongs to the user a service runs as.
pub(super) struct Home {
    path: PathBuf,
    interrupt: Interrupt,
}

impl Home {
    pub(super) fn new(parent: &Path, name: &str, interrupt: &Interrupt) -> Result<Self> {
        let path = parent.join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        give_away(&path)?;
        Ok(Self { path, interrupt: interrupt.clone() })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that only the service may read, for instance with its password.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(text.as_bytes())?;
        give_away(&path)?;
        Ok(path)
    }

    /// Runs a program that prepares the service, to its end.
    pub(super) fn run(&self, program: &Path, arguments: &[&OsStr]) -> Result<()> {
        let status = run(self.command(program)?.args(arguments), &self.interrupt)?;
        if !status.success() {
            bail!("{} failed ({status})\n{}", program.display(), self.log_tail());
        }
        Ok(())
    }

    /// Starts the server itself and waits until `ready` says that it takes connections.
    pub(super) fn serve(
        &self,
        program: &Path,
        arguments: &[&OsStr],
        stop_with: Signal,
        url: String,
        ready: impl Fn() -> bool,
    ) -> Result<Server> {
        let mut command = self.command(program)?;
        // A process group of its own: Ctrl-C is for us, and we end the tests before the servers.
        command.args(arguments).stdin(Stdio::null()).process_group(0);
        let process = command.spawn().context("cannot run setpriv")?;
        let mut server = Server { process, stop_with, url };
        let began = Instant::now();
        while !ready() {
            self.interrupt.check()?;
            if let Some(status) = server.process.try_wait()? {
                bail!("{} ended at once ({status})\n{}", program.display(), self.log_tail());
            }
            if began.elapsed() > START_LIMIT {
                bail!("{} does not answer after {START_LIMIT:?}\n{}", program.display(), self.log_tail());
            }
            thread::sleep(POLL);
        }
        Ok(server)
    }

    /// The last lines of what the service wrote.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(self.path("log")).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log))
    }

    fn command(&self, program: &Path) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        let mut command = unprivileged(program);
        command.current_dir(&self.path).env("TMPDIR", &self.path).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}

/// A loopback port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Random bytes for names and passwords of throw-away servers, as hexadecimal digits.
pub(super) fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn give_away(path: &Path) -> Result<()> {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines() {
        let text: String = (1..=100).map(|line| format!("{line}\n")).collect();
        assert!(tail(&text).starts_with("71\n"));
        assert!(tail(&text).ends_with("\n100"));
        assert_eq!(tail("one\ntwo"), "one\ntwo");
        assert_eq!(tail(""), "");
    }

    #[test]
    fn passwords_differ() {
        assert_eq!(random_hex(16).unwrap().len(), 32);
        assert_ne!(random_hex(16).unwrap(), random_hex(16).unwrap());
    }
}
