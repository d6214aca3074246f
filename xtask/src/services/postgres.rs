//! PostgreSQL, as fast as it gets when nothing needs to survive.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::{
    Kind, Server,
    home::{Home, free_port, random_hex},
};
use crate::{apt, process::find};

pub(super) const POSTGRES: Kind =
    Kind { name: "PostgreSQL", variables: &["AXUM_USERS_TEST_POSTGRES_URL"], start, replaceable: None };

/// Settings: no durability, room for many tests at once, no files outside the folder (neither sockets nor shared memory).
const SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_connections=300",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "dynamic_shared_memory_type=mmap",
];

fn start(home: &Home) -> Result<Server> {
    if find_initdb().is_none() {
        apt::install("postgresql", || find_initdb().is_some())?;
    }
    // One release for both: `initdb` may be a link into the folder where its `postgres` is.
    let initdb = fs::canonicalize(find_initdb().context("initdb is not installed")?)?;
    let postgres = initdb.with_file_name("postgres");

    let password = random_hex(16)?;
    let password_file = home.write("password", &password)?;
    let data = home.path("data");
    // Authentication "password" is compared on the server: no key stretching in an unoptimised client.
    home.run(
        &initdb,
        &[
            "-D".as_ref(),
            data.as_ref(),
            "--username=postgres".as_ref(),
            "--auth=password".as_ref(),
            "--pwfile".as_ref(),
            password_file.as_ref(),
            "--encoding=UTF8".as_ref(),
            "--locale=C.UTF-8".as_ref(),
            "--no-sync".as_ref(),
            "--no-instructions".as_ref(),
        ],
    )?;

    let port = free_port()?;
    let port_number = port.to_string();
    let mut arguments: Vec<&OsStr> = vec!["-D".as_ref(), data.as_ref(), "-p".as_ref(), port_number.as_ref()];
    arguments.extend(SETTINGS.iter().flat_map(|setting| [OsStr::new("-c"), OsStr::new(setting)]));
    let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
    let process = home.serve(&postgres, &arguments, Signal::INT, || is_ready(&data))?;
    Ok(Server { processes: vec![process], values: vec![url] })
}

/// Reads what `pg_ctl` reads: the eighth line of the pid file.
fn is_ready(data: &Path) -> bool {
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    pid_file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

/// In `PATH`, or where Debian puts it, the newest release first.
fn find_initdb() -> Option<PathBuf> {
    let mut releases: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    releases.sort_by_key(|(release, _)| std::cmp::Reverse(*release));
    let folders: Vec<PathBuf> = releases.into_iter().map(|(_, folder)| folder).collect();
    find("initdb", &folders)
}
