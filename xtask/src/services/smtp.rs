//! A mail server that keeps what it takes and fails as it is told to: `smtp.py`, on aiosmtpd.

use anyhow::Result;
use rustix::process::Signal;
use serde_json::json;

use super::{
    Kind, Server, certificates,
    home::{Home, answers_http, free_ports, random_hex},
    python,
};

pub(super) const SMTP: Kind = Kind {
    name: "SMTP",
    variables: &[
        "AXUM_USERS_TEST_SMTP_URL",
        "AXUM_USERS_TEST_SMTPS_URL",
        "AXUM_USERS_TEST_SMTP_HTTP_URL",
        "AXUM_USERS_TEST_SMTP_CA",
    ],
    start,
    replaceable: None,
};

/// What the program needs, with the hashes of what is installed.
const REQUIREMENTS: &str = include_str!("smtp-requirements.txt");
const PROGRAM: &str = include_str!("smtp.py");

fn start(home: &Home) -> Result<Server> {
    let python = python::environment(home, REQUIREMENTS)?;
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
