//! A folder, a process in it, and a client that sends exactly what it is told.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything takes on a busy machine; what reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PASSWORD: &str = "excalibur in the lake";

/// A folder that is gone when the test is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("axum-users-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The binary with these arguments, in this folder, with nothing of our environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axum-users"));
        command.args(arguments).current_dir(&self.0).env_clear();
        if arguments.first() == Some(&"serve") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        // The least that is not refused, so that tests are quick.
        command.env("AXUM_USERS__PASSWORD__ARGON2__MEMORY_KIB", "19456");
        command.env("AXUM_USERS__PASSWORD__ARGON2__ITERATIONS", "2");
        command.env("AXUM_USERS__PASSWORD__ARGON2__PARALLELISM", "1");
        // All of them come from one address.
        command.env("AXUM_USERS__THROTTLE__ENABLED", "false");
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments), "")
    }

    /// Runs to the end with these variables.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        Ran::of(command, "")
    }

    /// Runs to the end with this on standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        Ran::of(self.command(arguments), input)
    }

    /// A server on a free port.
    pub(crate) fn serve(&self) -> Server {
        Server::start(self.command(&["serve"]))
    }

    /// A server on a free port, with these variables.
    pub(crate) fn serve_with(&self, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command(&["--listen", "127.0.0.1:0"]);
        command.envs(variables.iter().copied());
        Server::start(command)
    }

    /// A server on a free port, started by this script of a shell, which has the command as `"$0" "$@"`.
    pub(crate) fn serve_by_shell(&self, script: &str) -> Server {
        let server = self.command(&["serve"]);
        let variables = server.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).arg(server.get_program()).args(server.get_args());
        shell.current_dir(&self.0).env_clear().envs(variables);
        Server::start(shell)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that is held from now on, for whoever has to say where a server will be before it runs.
pub(crate) struct Door(TcpListener);

impl Door {
    pub(crate) fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Whoever comes is led to this server, until the tests are over.
    pub(crate) fn leads_to(self, server: &Server) {
        let address = server.address;
        let carry = |mut from: TcpStream, mut to: TcpStream| {
            std::thread::spawn(move || {
                // One side that is gone takes the other one along.
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
        };
        std::thread::spawn(move || {
            for visitor in self.0.incoming() {
                let Ok(visitor) = visitor else { continue };
                // The server has gone: so does the visitor.
                let Ok(server) = TcpStream::connect(address) else { continue };
                carry(visitor.try_clone().unwrap(), server.try_clone().unwrap());
                carry(server, visitor);
            }
        });
    }
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Runs to the end, but not for ever: one that serves where it should have refused is ended, and has no exit code.
    pub(crate) fn of(mut command: Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let id = Pid::from_child(&child);
        // What does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let (ended, end) = mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(id, Signal::KILL);
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        watch.join().unwrap();
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let code = output.status.code().unwrap_or_else(|| panic!("it had to be ended: {stdout}{stderr}"));
        Self { code, stdout, stderr }
    }

    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Exit code 2, and a message with these words in it.
    pub(crate) fn refused(self, words: &[&str]) -> Self {
        assert_eq!(self.code, 2, "stdout {:?} stderr {:?}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing in {}", self.stderr);
        }
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) welcome: String,
    log: Arc<(Mutex<String>, Condvar)>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let stderr = child.stderr.take().unwrap();
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in BufReader::new(stderr).split(b'\n') {
                    let line = String::from_utf8(line.unwrap()).expect("the log is UTF-8");
                    log.0.lock().unwrap().push_str(&format!("{line}\n"));
                    log.1.notify_all();
                }
            }
        });
        let stdout = child.stdout.take().unwrap();
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let _ = said.send(line.unwrap());
            }
        });
        let mut welcome = String::new();
        let address = loop {
            let Ok(line) = heard.recv_timeout(PATIENCE) else {
                let _ = child.kill();
                reader.join().unwrap();
                panic!("it does not listen: {welcome}\n{}", log.0.lock().unwrap());
            };
            match line.strip_prefix("Listening on http://") {
                Some(address) => break address.parse().unwrap(),
                None => welcome.push_str(&format!("{line}\n")),
            }
        };
        Self { child, address, welcome, log, reader: Some(reader) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A connection on which to say anything.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap_or_else(|error| {
            panic!("{} does not answer: {error}\n{}", self.address, self.log.0.lock().unwrap())
        });
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends one request and reads one answer.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // An answer may come before all was sent.
        let _ = stream.write_all(body);
        Answer::read(stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn json(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        self.send(method, path, &headers, body.to_string().as_bytes())
    }

    pub(crate) fn as_bearer(&self, method: &str, path: &str, token: &str) -> Answer {
        self.send(method, path, &[("authorization", &format!("Bearer {token}"))], b"")
    }

    pub(crate) fn register(&self, email: &str) -> Answer {
        self.json("POST", "/auth/register", None, &serde_json::json!({ "email": email, "password": PASSWORD }))
    }

    pub(crate) fn log_in(&self, backend: &str, email: &str, password: &str) -> Answer {
        let form = format!("username={}&password={}", email.replace('+', "%2B"), password.replace(' ', "+"));
        let path = format!("/auth/{backend}/login");
        self.send("POST", &path, &[("content-type", "application/x-www-form-urlencoded")], form.as_bytes())
    }

    /// The token of a login that has to succeed.
    pub(crate) fn token(&self, email: &str, password: &str) -> String {
        let answer = self.log_in("jwt", email, password);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.value()["access_token"].as_str().unwrap().to_owned()
    }

    /// The log until now.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits until the log says this.
    pub(crate) fn wait_for(&self, words: &str) {
        let log = self.log.0.lock().unwrap();
        let (log, waited) = self.log.1.wait_timeout_while(log, PATIENCE, |log| !log.contains(words)).unwrap();
        assert!(!waited.timed_out(), "{words:?} does not come: {log}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops in order; the whole log.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        assert!(self.wait().success());
        self.reader.take().unwrap().join().unwrap();
        self.log.0.lock().unwrap().clone()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A server that refuses a body may reset the connection behind its answer.
        let read = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?} {read:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.filter(move |(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}
