//! `cargo xtask services`: real servers for the tests, each kind in a throw-away folder on a free loopback port.
//!
//! To add a service, write a file with a [`Kind`] beside `postgres.rs` and name it in [`KINDS`].

mod browser;
mod certificates;
mod ferretdb;
mod folder;
mod home;
mod mariadb;
mod mongodb;
mod openid;
mod postgres;
mod python;
mod redis;
mod smtp;
mod valkey;

use std::{
    env,
    io::{self, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::process::{Interrupt, POLL, say};
use folder::Folder;
use home::{Home, Process};

const KINDS: &[Kind] = &[
    postgres::POSTGRES,
    mariadb::MARIADB,
    redis::SINGLE,
    redis::TLS,
    redis::CLUSTER,
    redis::SENTINEL,
    valkey::VALKEY,
    smtp::SMTP,
    browser::BROWSER,
    openid::OPENID,
    mongodb::MONGODB,
    ferretdb::FERRETDB,
];

/// How often a server whose port was taken is started.
const ATTEMPTS: u32 = 3;

/// What kind of server, and how to start it.
struct Kind {
    name: &'static str,
    /// The environment variables by which tests find it, and by which a server that runs already can be named. The first
    /// is its URL.
    variables: &'static [&'static str],
    /// Starts it in its folder; returns when it takes connections.
    start: fn(&Home) -> Result<Server>,
    /// A word in the names of the tests that need it, where another kind stands for it when it cannot be had: they are left out
    /// then, and that is said. Without such a word, all fails.
    replaceable: Option<&'static str>,
}

/// Variables with their values.
type Environment = Vec<(&'static str, String)>;

/// A service that could not be had, though others stand for it.
pub(crate) struct Absent {
    pub(crate) name: &'static str,
    /// In the names of the tests that need it.
    pub(crate) word: &'static str,
    pub(crate) reason: String,
}

/// Starts all services, prints their URLs as shell commands, and waits for the interrupt.
pub(crate) fn run(interrupt: &Interrupt) -> Result<()> {
    let mut services = Services::start(KINDS.iter(), interrupt)?;
    let (environment, absent) = services.ready()?;
    for (variable, url) in environment {
        // A closed pipe is no reason to stop: the databases are what was asked for.
        let _ = writeln!(io::stdout(), "export {variable}='{url}'");
    }
    for Absent { name, reason, .. } in absent {
        say(format_args!("{name} cannot be had: {reason}"));
    }
    say(format_args!("all services are up; Ctrl-C takes them down"));
    while interrupt.check().is_ok() {
        services.check()?;
        thread::sleep(POLL);
    }
    Ok(())
}

/// Running services. Dropping this takes them down and removes their files, whatever the reason.
pub(crate) struct Services {
    running: Vec<Running>,
    interrupt: Interrupt,
    /// After `running`, for fields are dropped in this order.
    folder: Folder,
}

impl Services {
    /// Begins to start, side by side, the services that the environment does not name yet. Does not wait for them.
    pub(crate) fn start_missing(interrupt: &Interrupt) -> Result<Self> {
        let is_missing = |variable: &&str| env::var_os(variable).is_none_or(|value| value.is_empty());
        Self::start(KINDS.iter().filter(|kind| kind.variables.iter().any(is_missing)), interrupt)
    }

    fn start(kinds: impl Iterator<Item = &'static Kind>, interrupt: &Interrupt) -> Result<Self> {
        Folder::sweep();
        let folder = Folder::new()?;
        let mut services = Self { running: Vec::new(), interrupt: interrupt.clone(), folder };
        for kind in kinds {
            let home = Home::new(services.folder.path(), kind.name, interrupt)?;
            services.running.push(Running::start(kind, home)?);
        }
        Ok(services)
    }

    /// Waits until all of them take connections; gives their variables with their values, and those that others stand for.
    ///
    /// # Errors
    /// The first service that could not be had, with the end of its log.
    pub(crate) fn ready(&mut self) -> Result<(Environment, Vec<Absent>)> {
        let (mut environment, mut absent) = (Vec::new(), Vec::new());
        let mut up = Vec::new();
        for mut running in self.running.drain(..) {
            match (running.values(&self.interrupt), running.kind.replaceable) {
                (Ok(values), _) => {
                    environment.extend(running.kind.variables.iter().copied().zip(values));
                    up.push(running);
                }
                (Err(error), Some(word)) if self.interrupt.check().is_ok() => {
                    absent.push(Absent { name: running.kind.name, word, reason: format!("{error:#}") });
                }
                (Err(error), _) => return Err(error),
            }
        }
        self.running = up;
        Ok((environment, absent))
    }

    /// An error if one of them has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.running.iter_mut().filter(|running| running.has_ended()).try_for_each(Running::join)
    }
}

/// A service and the thread that it lives and dies with.
///
/// The thread must outlive the server: the kernel kills a server of ours when the thread that started it ends.
struct Running {
    kind: &'static Kind,
    values: Receiver<Vec<String>>,
    /// Dropped to stop the service.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    fn start(kind: &'static Kind, home: Home) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let (started, values) = mpsc::channel();
        let live = move || live(kind, home, &started, &stopped);
        let thread = thread::Builder::new().name(kind.name.to_owned()).spawn(live)?;
        Ok(Self { kind, values, stop: Some(stop), thread: Some(thread) })
    }

    fn values(&mut self, interrupt: &Interrupt) -> Result<Vec<String>> {
        loop {
            interrupt.check()?;
            match self.values.recv_timeout(POLL) {
                Ok(values) => return Ok(values),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.join()?;
                    bail!("{} went away", self.kind.name);
                }
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    fn join(&mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(anyhow!("the thread of {} panicked", self.kind.name)),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop = None;
        if let Err(error) = self.join() {
            say(format_args!("{error:#}"));
        }
    }
}

/// The life of a service, from installation to its end.
fn live(kind: &Kind, mut home: Home, started: &Sender<Vec<String>>, stopped: &Receiver<()>) -> Result<()> {
    let began = Instant::now();
    let mut attempts = 1;
    let mut server = loop {
        match (kind.start)(&home) {
            Err(_) if attempts < ATTEMPTS && home.lost_a_port() => home = home.another()?,
            started => break started.with_context(|| format!("{} cannot be had", kind.name))?,
        }
        attempts += 1;
    };
    say(format_args!("{} is up after {:.1} s", kind.name, began.elapsed().as_secs_f64()));
    let _ = started.send(server.values.clone());
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(POLL) {
        for process in &mut server.processes {
            if let Some(status) = process.ended()? {
                bail!("{} ended by itself ({status})\n{}", kind.name, home.log_tail());
            }
        }
    }
    drop(server);
    say(format_args!("{} is down", kind.name));
    Ok(())
}

/// What runs for one kind; dropping it ends all its processes.
struct Server {
    processes: Vec<Process>,
    /// One for each of [`Kind::variables`].
    values: Vec<String>,
}
