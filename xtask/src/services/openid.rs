//! An OpenID provider: `openid.mjs`, on the certified package oidc-provider.

use std::{fs::File, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::json;

use super::{
    Kind, Server,
    home::{Home, answers_http, free_ports, random_hex},
};
use crate::{apt, process::find};

pub(super) const OPENID: Kind =
    Kind { name: "OpenID", variables: &["AXUM_USERS_TEST_OPENID_URL"], start, replaceable: None };

const PROGRAM: &str = include_str!("openid.mjs");
/// What the program needs, with the hashes of what is installed.
const PACKAGE: &str = include_str!("openid-package.json");
const LOCK: &str = include_str!("openid-package-lock.json");

fn start(home: &Home) -> Result<Server> {
    let node = install(home)?;
    let [port] = free_ports()?;
    let settings = home.write("openid.json", &json!({ "port": port, "secret": random_hex(32)? }).to_string())?;
    let program = home.write("openid.mjs", PROGRAM)?;
    let ready = || answers_http(port, "/_ctl/ready");
    let process = home.serve(&node, &[program.as_ref(), settings.as_ref()], Signal::TERM, ready)?;
    Ok(Server { processes: vec![process], values: vec![format!("http://127.0.0.1:{port}")] })
}

/// The packages beside the program; the system's stay as they are.
fn install(home: &Home) -> Result<PathBuf> {
    let has_npm = || find("node", &[]).is_some() && find("npm", &[]).is_some();
    if !has_npm() {
        apt::install("npm", has_npm)?;
    }
    home.write("package.json", PACKAGE)?;
    home.write("package-lock.json", LOCK)?;
    // As ourselves, with our environment: it says where packages come from. The server only reads them.
    let log = File::options().create(true).append(true).open(home.path("log"))?;
    let npm = find("npm", &[]).context("npm is not installed")?;
    let mut command = Command::new(npm);
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(home.path(""));
    let status = command.stdout(log.try_clone()?).stderr(log).status().context("cannot run npm")?;
    if !status.success() {
        bail!("npm failed; it and the network are needed\n{}", home.log_tail());
    }
    find("node", &[]).context("node is not installed")
}
