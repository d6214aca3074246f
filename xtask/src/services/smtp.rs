//! A mail server that keeps what it takes and fails as it is told to: `smtp.py`, on aiosmtpd.

use std::{fs::File, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::json;

use super::{
    Kind, Server, certificates,
    home::{Home, answers_http, free_ports, random_hex},
};
use crate::{apt, process::find};

pub(super) const SMTP: Kind = Kind {
    name: "SMTP",
    variables: &[
        "AXUM_USERS_TEST_SMTP_URL",
        "AXUM_USERS_TEST_SMTPS_URL",
        "AXUM_USERS_TEST_SMTP_HTTP_URL",
        "AXUM_USERS_TEST_SMTP_CA",
    ],
    start,
};

/// What the program needs, with the hashes of what is installed.
const REQUIREMENTS: &str = include_str!("smtp-requirements.txt");
const PROGRAM: &str = include_str!("smtp.py");

fn start(home: &Home) -> Result<Server> {
    let python = make_environment(home)?;
    let authority = certificates::make(home)?;
    let [smtp_port, smtps_port, http_port] = free_ports()?;
    let (user, password) = ("axum-users@localhost", random_hex(16)?);
    let settings = json!({
        "smtp_port": smtp_port,
        "smtps_port": smtps_port,
        "http_port": http_port,
        "certificate": "cert.pem",
        "key": "key.pem",
        "user": user,
        "password": password,
    });
    let settings = home.write("smtp.json", &settings.to_string())?;
    let program = home.write("smtp.py", PROGRAM)?;
    // It listens for mail before it listens for HTTP.
    let process =
        home.serve(&python, &[program.as_ref(), settings.as_ref()], Signal::TERM, || answers_http(http_port, "/"))?;
    let login = format!("{}:{password}", user.replace('@', "%40"));
    let values = vec![
        format!("smtp://{login}@127.0.0.1:{smtp_port}"),
        format!("smtps://{login}@127.0.0.1:{smtps_port}"),
        format!("http://127.0.0.1:{http_port}"),
        authority.to_string_lossy().into_owned(),
    ];
    Ok(Server { processes: vec![process], values })
}

/// A Python of its own, with the packages; the system's stays as it is.
fn make_environment(home: &Home) -> Result<PathBuf> {
    let has_venv =
        || system_python().is_some_and(|python| succeeds(Command::new(python).args(["-c", "import ensurepip"])));
    if !has_venv() {
        apt::install("python3-venv", has_venv)?;
    }
    let python = system_python().context("python3 is not installed")?;
    let requirements = home.write("requirements.txt", REQUIREMENTS)?;
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
