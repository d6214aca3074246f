//! Redis in its four shapes, without any durability: alone, behind TLS, as a cluster, watched by sentinels.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::{
    Kind, Server, certificates,
    home::{Home, Process, free_port, free_ports, random_hex},
};
use crate::{apt, process::find};

pub(super) const SINGLE: Kind = Kind {
    name: "Redis",
    variables: &["AXUM_USERS_TEST_REDIS_URL"],
    start: |home| start_single(home, &install()?),
    replaceable: None,
};

pub(super) const TLS: Kind = Kind {
    name: "Redis over TLS",
    variables: &["AXUM_USERS_TEST_REDIS_TLS_URL", "AXUM_USERS_TEST_REDIS_CA"],
    start: start_tls,
    replaceable: None,
};

pub(super) const CLUSTER: Kind = Kind {
    name: "Redis cluster",
    variables: &["AXUM_USERS_TEST_REDIS_CLUSTER_URL"],
    start: start_cluster,
    replaceable: None,
};

pub(super) const SENTINEL: Kind = Kind {
    name: "Redis sentinel",
    variables: &["AXUM_USERS_TEST_REDIS_SENTINEL_URL"],
    start: start_sentinel,
    replaceable: None,
};

/// The name by which the sentinels know their master.
const MASTER: &str = "axum-users";

/// How long one question to a server that starts may take.
const QUESTION: Duration = Duration::from_secs(1);

/// One server, without a password.
pub(super) fn start_single(home: &Home, program: &Path) -> Result<Server> {
    let port = free_port()?;
    let process = serve(home, program, port, "", &[])?;
    Ok(Server { processes: vec![process], values: vec![format!("redis://127.0.0.1:{port}/0")] })
}

/// One server behind TLS, with a password.
fn start_tls(home: &Home) -> Result<Server> {
    let program = install()?;
    let authority = certificates::make(home)?;
    let [port, plain_port] = free_ports()?;
    let password = random_hex(16)?;
    let settings = format!(
        "requirepass {password}\n\
         tls-port {port}\n\
         tls-cert-file cert.pem\n\
         tls-key-file key.pem\n\
         tls-auth-clients no\n"
    );
    let process = serve(home, &program, plain_port, &settings, &[])?; // the plain port tells when it is ready
    let url = format!("rediss://:{password}@127.0.0.1:{port}/0");
    Ok(Server { processes: vec![process], values: vec![url, authority.to_string_lossy().into_owned()] })
}

/// Three masters that share the slots, with a password.
fn start_cluster(home: &Home) -> Result<Server> {
    let program = install()?;
    let redis_cli = find("redis-cli", &[]).context("redis-cli is not installed")?;
    let [a, b, c, bus_a, bus_b, bus_c] = free_ports()?;
    let password = random_hex(16)?;
    let mut processes = Vec::new();
    for (port, bus) in [(a, bus_a), (b, bus_b), (c, bus_c)] {
        let settings = format!(
            "requirepass {password}\n\
             masterauth {password}\n\
             cluster-enabled yes\n\
             cluster-config-file nodes-{port}.conf\n\
             cluster-node-timeout 2000\n\
             cluster-port {bus}\n"
        );
        processes.push(serve(home, &program, port, &settings, &[])?);
    }
    let nodes = [a, b, c].map(|port| format!("127.0.0.1:{port}"));
    let mut arguments: Vec<&OsStr> =
        ["-a", &password, "--no-auth-warning", "--cluster", "create"].map(OsStr::new).into();
    arguments.extend(nodes.iter().map(OsStr::new));
    arguments.push("--cluster-yes".as_ref());
    home.run(&redis_cli, &arguments)?;
    let login = format!("AUTH {password}\r\n");
    let is_whole = |port| ask(port, &format!("{login}CLUSTER INFO\r\n")).contains("cluster_state:ok");
    home.wait(&"the cluster", || Ok([a, b, c].into_iter().all(is_whole)))?;
    let url = format!("redis+cluster://:{password}@{}", nodes.join(","));
    Ok(Server { processes, values: vec![url] })
}

/// A master and its replica, with a password, and three sentinels, without one.
fn start_sentinel(home: &Home) -> Result<Server> {
    let program = install()?;
    let [master, replica, a, b, c] = free_ports()?;
    let password = random_hex(16)?;
    let login = format!("requirepass {password}\nmasterauth {password}\n");
    let mut processes = vec![
        serve(home, &program, master, &login, &[])?,
        serve(home, &program, replica, &format!("{login}replicaof 127.0.0.1 {master}\n"), &[])?,
    ];
    let in_sync =
        || ask(replica, &format!("AUTH {password}\r\nINFO replication\r\n")).contains("master_link_status:up");
    home.wait(&"the replica", || Ok(in_sync()))?;
    let watch = format!(
        "sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
         sentinel auth-pass {MASTER} {password}\n\
         sentinel down-after-milliseconds {MASTER} 1000\n\
         sentinel failover-timeout {MASTER} 5000\n"
    );
    for port in [a, b, c] {
        processes.push(serve(home, &program, port, &watch, &["--sentinel"])?);
    }
    let know_all = |port| {
        let answer = ask(port, "INFO sentinel\r\n");
        answer.contains("status=ok") && answer.contains("slaves=1,sentinels=3")
    };
    home.wait(&"the sentinels", || Ok([a, b, c].into_iter().all(know_all)))?;
    let url = format!("redis+sentinel://:{password}@127.0.0.1:{a},127.0.0.1:{b},127.0.0.1:{c}/{MASTER}/0");
    Ok(Server { processes, values: vec![url] })
}

/// Starts one process. Its settings are in a file: a password is nothing for the list of processes, and a sentinel writes
/// there what it finds out.
fn serve(home: &Home, program: &Path, port: u16, settings: &str, arguments: &[&str]) -> Result<Process> {
    let general = format!("port {port}\nbind 127.0.0.1\ndaemonize no\n");
    let storage =
        format!("save \"\"\nappendonly no\nshutdown-timeout 0\nrepl-diskless-sync-delay 0\ndbfilename {port}.rdb\n");
    let storage = if arguments.is_empty() { storage.as_str() } else { "" };
    let file = home.write(&format!("{port}.conf"), &format!("{general}{storage}{settings}"))?;
    let mut all: Vec<&OsStr> = vec![file.as_ref()];
    all.extend(arguments.iter().map(OsStr::new));
    home.serve(program, &all, Signal::TERM, || is_ready(port))
}

fn is_ready(port: u16) -> bool {
    let answer = ask(port, "PING\r\n");
    answer.starts_with("+PONG") || answer.starts_with("-NOAUTH")
}

/// What the server answers to these commands; nothing if it does not.
fn ask(port: u16, commands: &str) -> String {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut answer = Vec::new();
    let _ = TcpStream::connect_timeout(&address, QUESTION).and_then(|mut stream| {
        stream.set_read_timeout(Some(QUESTION))?;
        stream.write_all(format!("{commands}QUIT\r\n").as_bytes())?;
        stream.read_to_end(&mut answer)
    });
    String::from_utf8_lossy(&answer).into_owned()
}

/// The program, installed if it is missing. A sentinel is the same program.
pub(super) fn install() -> Result<PathBuf> {
    let present = || find("redis-server", &[]);
    if present().is_none() {
        apt::install("redis-server", || present().is_some())?;
    }
    present().context("redis-server is not installed")
}
