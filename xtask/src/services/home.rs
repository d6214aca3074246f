//! The folder of one service, and what is run in it.

use std::{
    ffi::OsStr,
    fmt::Display,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::process::{self, Interrupt, NOBODY, POLL, is_root, run, say, unprivileged};

/// How long a server may take until it answers. Generous: the machine may be busy compiling.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long one question to a server that starts may take.
const QUESTION: Duration = Duration::from_secs(1);

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

    /// Another folder for another attempt.
    pub(super) fn another(&self) -> Result<Self> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Self::new(self.path.parent().unwrap_or(&self.path), &format!("{name} again"), &self.interrupt)
    }

    /// Whether a server did not start because somebody else took its port between the two: nothing keeps a free one free.
    pub(super) fn lost_a_port(&self) -> bool {
        let log = fs::read(self.path("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        ["ddress already in use", "EADDRINUSE"].iter().any(|words| log.contains(words))
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

    /// Adds to a file that a program of the service made.
    pub(super) fn append(&self, name: &str, text: &str) -> Result<()> {
        OpenOptions::new().append(true).open(self.path(name))?.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Runs a program that prepares the service, to its end.
    pub(super) fn run(&self, program: &Path, arguments: &[&OsStr]) -> Result<()> {
        let status = run(self.command(program)?.args(arguments), &self.interrupt)?;
        if !status.success() {
            bail!("{} failed ({status})\n{}", program.display(), self.log_tail());
        }
        Ok(())
    }

    /// Starts a server and waits until `ready` says that it takes connections.
    pub(super) fn serve(
        &self,
        program: &Path,
        arguments: &[&OsStr],
        stop_with: Signal,
        ready: impl Fn() -> bool,
    ) -> Result<Process> {
        let mut command = self.command(program)?;
        // A process group of its own: Ctrl-C is for us, and we end the tests before the servers.
        command.args(arguments).stdin(Stdio::null()).process_group(0);
        let mut process = Process { child: command.spawn().context("cannot run setpriv")?, stop_with };
        self.wait(&program.display(), || match process.ended()? {
            Some(status) => bail!("{} ended at once ({status})\n{}", program.display(), self.log_tail()),
            None => Ok(ready()),
        })?;
        Ok(process)
    }

    /// Waits until `done` holds for `what`.
    pub(super) fn wait(&self, what: &dyn Display, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !done()? {
            self.interrupt.check()?;
            if began.elapsed() > START_LIMIT {
                bail!("{what} is not ready after {START_LIMIT:?}\n{}", self.log_tail());
            }
            thread::sleep(POLL);
        }
        Ok(())
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

/// A server process; dropping it ends the process and waits for that.
pub(super) struct Process {
    child: Child,
    /// The signal that makes it shut down without waiting for its clients.
    stop_with: Signal,
}

impl Process {
    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = process::stop(&mut self.child, self.stop_with) {
            say(format_args!("cannot stop a service: {error:#}"));
        }
    }
}

/// A loopback port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    let [port] = free_ports()?;
    Ok(port)
}

/// Different loopback ports that were free a moment ago.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::new(); // all of them until the last one is found, or one may come twice
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Whether this path of a server on this machine is answered with 200.
pub(super) fn answers_http(port: u16, path: &str) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut answer = String::new();
    let asked = TcpStream::connect_timeout(&address, QUESTION).and_then(|mut stream| {
        stream.set_read_timeout(Some(QUESTION))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        stream.read_to_string(&mut answer)
    });
    asked.is_ok() && answer.contains(" 200 ")
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
