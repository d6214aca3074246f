//! PostgreSQL is killed while people register, and starts again on what it wrote.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    faults::{End, Writers, comes_back, stored},
    harness::{Folder, PASSWORD},
};

const KING: &str = "king@camelot.bt";
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// The user and group that PostgreSQL runs as when we are root, which it refuses.
const NOBODY: u32 = 65_534;

#[test]
fn av_03_av_05_av_06_what_was_acknowledged_survives_a_killed_postgres() {
    let folder = Folder::new();
    let mut postgres = Postgres::start(&folder);
    let server = folder.serve_with(&[("AXUM_USERS__DATABASE__URL", &postgres.url)]);
    assert_eq!(server.register(KING).status, 201);
    let token = server.token(KING, PASSWORD);
    let writers = Writers::default();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| writers.register_until_over(&server));
        }
        let end = End(&writers.over);
        for _ in 0..ROUNDS {
            writers.wait_for_more();
            postgres.kill();
            let answer = server.as_bearer("GET", "/users/me", &token);
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            postgres.restart();
            comes_back(&server, &token);
        }
        writers.wait_for_more();
        drop(end);
    });
    let stored = stored(&folder, &postgres.url);
    for email in writers.acknowledged.lock().unwrap().iter() {
        assert!(stored.contains(email), "{email} was acknowledged and is lost");
    }
}

/// One of our own, with the durability of the default.
struct Postgres {
    program: PathBuf,
    data: PathBuf,
    port: u16,
    url: String,
    process: Child,
}

impl Postgres {
    fn start(folder: &Folder) -> Self {
        let initdb = fs::canonicalize(find_initdb()).unwrap();
        let home = folder.path().join("postgres");
        fs::create_dir(&home).unwrap();
        if is_root() {
            chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = home.join("data");
        let mut initialise = unprivileged(&initdb, &home);
        initialise.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        let made = initialise.arg("-D").arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = initdb.with_file_name("postgres");
        let process = run(&program, &data, port);
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let mut postgres = Self { program, data, port, url, process };
        postgres.wait();
        postgres
    }

    fn kill(&mut self) {
        self.process.kill().unwrap(); // SIGKILL
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = run(&self.program, &self.data, self.port);
        self.wait();
    }

    /// Until it is ready. It refuses to start while processes of the killed one are still there.
    fn wait(&mut self) {
        let start = Instant::now();
        // As `pg_ctl` does: the eighth line of the pid file, and whose it is.
        let is_ready = |process: &Child| {
            let pid_file = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
            let line = |number| pid_file.lines().nth(number).map(str::trim);
            line(0) == Some(&*process.id().to_string()) && line(7) == Some("ready")
        };
        while !is_ready(&self.process) {
            assert!(start.elapsed() < PATIENCE, "PostgreSQL does not start");
            if self.process.try_wait().unwrap().is_some() {
                self.process = run(&self.program, &self.data, self.port);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &Path, data: &Path, port: u16) -> Child {
    let mut command = unprivileged(program, data.parent().unwrap());
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "dynamic_shared_memory_type=mmap"] {
        command.args(["-c", setting]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A program that ends with us, and is not root.
fn unprivileged(program: &Path, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups");
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).current_dir(home);
    command
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// In `PATH`, or where Debian puts it.
fn find_initdb() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|it| it.path().join("bin"));
    let mut folders = std::env::split_paths(&path).chain(debian);
    folders.find_map(|folder| Some(folder.join("initdb")).filter(|it| it.is_file())).expect("PostgreSQL is installed")
}
