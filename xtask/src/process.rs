//! Child processes, and the signals that end them and us.

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getuid, kill_process, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// How often a waiting loop looks again.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// How long a process that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Whether someone asked this command to stop, by Ctrl-C, `kill` or a closed terminal.
///
/// The signal only sets a flag; every loop that waits looks at it. So a command always ends by returning, and whatever
/// it holds is dropped, which takes the services down.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// From here on signals are noted instead of ending the process.
    pub(crate) fn listen() -> Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_usize(number, Arc::clone(&signal), usize::try_from(number)?)?;
        }
        Ok(Self(signal))
    }

    /// An error as soon as a signal has come.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        match u8::try_from(self.0.load(Ordering::Relaxed)) {
            Ok(0) => Ok(()),
            Ok(signal) => Err(Interrupted { signal }),
            Err(_) => Err(Interrupted { signal: 0 }),
        }
    }
}

/// The command was asked to stop.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// The number of the signal.
    pub(crate) signal: u8,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted by signal {}", self.signal)
    }
}

impl std::error::Error for Interrupted {}

/// One line of progress, on standard error. Unlike `eprintln!` it does not panic when nobody reads it any more.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Cargo, as it was called, at the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = tied(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository());
    // `cargo run` describes xtask to xtask. Handed on, that would look like a change to build scripts that watch it.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    // Asked at run time first: work trees that share a target folder also share this binary.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs a command to its end. When we are interrupted, it and all its children are ended first.
pub(crate) fn run(command: &mut Command, interrupt: &Interrupt) -> Result<ExitStatus> {
    interrupt.check()?;
    // A process group of its own: Ctrl-C reaches us alone, and we reach its grandchildren (compilers, test programs).
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Err(interrupted) = interrupt.check() {
            end(&mut child, Signal::TERM, kill_process_group)?;
            return Err(interrupted.into());
        }
        thread::sleep(POLL);
    }
}

/// Asks a process to end with `signal`, and kills it if it does not.
pub(crate) fn stop(child: &mut Child, signal: Signal) -> Result<()> {
    end(child, signal, kill_process)
}

fn end(child: &mut Child, signal: Signal, send: fn(Pid, Signal) -> rustix::io::Result<()>) -> Result<()> {
    if child.try_wait()?.is_some() {
        return Ok(()); // reaped: the number may belong to someone else by now
    }
    let pid = Pid::from_child(child);
    send(pid, signal)?;
    let asked = Instant::now();
    while child.try_wait()?.is_none() {
        if asked.elapsed() > GRACE {
            send(pid, Signal::KILL)?;
            child.wait()?;
            break;
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// A command for `program` that dies with the *thread* that starts it, even if that is killed with SIGKILL.
///
/// Linux only; elsewhere it is a plain command, and services have to be named by their environment variables.
pub(crate) fn tied(program: impl Into<OsString>) -> Command {
    let program = program.into();
    if cfg!(target_os = "linux") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Like [`tied`], with an empty environment, and as the user "nobody" if we are root: database servers refuse root.
pub(crate) fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups");
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command.env_clear().env("PATH", search_path());
    command
}

/// The user and group that servers run as when we are root.
pub(crate) const NOBODY: u32 = 65_534;

/// Whether we may install packages and change users.
pub(crate) fn is_root() -> bool {
    getuid().is_root()
}

/// Looks for a program in `PATH`, in the folders of the system's own programs, and then in `further` folders.
pub(crate) fn find(program: &str, further: &[PathBuf]) -> Option<PathBuf> {
    env::split_paths(&search_path())
        .chain(further.iter().cloned())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}
