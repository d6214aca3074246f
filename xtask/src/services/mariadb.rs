//! MariaDB, as fast as it gets when nothing needs to survive. It stands for MySQL too.

use std::{
    ffi::{OsStr, OsString},
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::{
    Kind, Server,
    home::{Home, free_port, random_hex},
};
use crate::{
    apt,
    process::{POLL, find},
};

pub(super) const MARIADB: Kind =
    Kind { name: "MariaDB", variables: &["AXUM_USERS_TEST_MYSQL_URL"], start, replaceable: None };

/// No durability, no log for replication, room for many tests at once, no socket in the file system.
const SETTINGS: &[&str] = &[
    "--bind-address=127.0.0.1",
    "--socket=",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--skip-innodb-doublewrite",
    "--max-connections=300",
    "--character-set-server=utf8mb4",
];

fn start(home: &Home) -> Result<Server> {
    if find_programs().is_none() {
        apt::install("mariadb-server", || find_programs().is_some())?;
    }
    let (install, mariadbd) = find_programs().context("mariadbd and mariadb-install-db are not installed")?;

    let data = option("--datadir=", home.path("data"));
    home.run(
        &install,
        &[
            "--no-defaults".as_ref(), // must be the first
            data.as_ref(),
            "--auth-root-authentication-method=socket".as_ref(),
            "--skip-test-db".as_ref(),
            "--skip-name-resolve".as_ref(),
        ],
    )?;

    let password = random_hex(16)?;
    let init_file = option("--init-file=", home.write("init.sql", &users(&password))?);
    let pid_file = option("--pid-file=", home.path("pid"));
    let port = free_port()?;
    let port_option = format!("--port={port}");
    let mut arguments: Vec<&OsStr> = vec!["--no-defaults".as_ref(), data.as_ref()];
    arguments.extend([init_file.as_ref(), pid_file.as_ref(), OsStr::new(&port_option)]);
    arguments.extend(SETTINGS.iter().map(OsStr::new));
    let url = format!("mysql://axum_users:{password}@127.0.0.1:{port}/axum_users_test");
    let process = home.serve(&mariadbd, &arguments, Signal::TERM, || is_ready(port))?;
    Ok(Server { processes: vec![process], values: vec![url] })
}

/// Run by the server before it takes connections. One statement a line, or the rest of a line is ignored.
fn users(password: &str) -> String {
    format!(
        "CREATE DATABASE axum_users_test;\n\
         CREATE USER 'axum_users'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO 'axum_users'@'127.0.0.1' WITH GRANT OPTION;\n"
    )
}

/// The port is open before the server is ready; it is ready when it greets: length, sequence, protocol version 10.
fn is_ready(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut greeting = [0; 5];
    let greeted = TcpStream::connect_timeout(&address, POLL).and_then(|mut stream| {
        stream.set_read_timeout(Some(POLL))?;
        stream.read_exact(&mut greeting)
    });
    greeted.is_ok() && greeting.ends_with(&[0, 10])
}

fn option(name: &str, path: PathBuf) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

fn find_programs() -> Option<(PathBuf, PathBuf)> {
    Some((find("mariadb-install-db", &[])?, find("mariadbd", &[])?))
}
