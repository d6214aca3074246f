//! Chromium, spoken to by WebDriver, and what looks for barriers in its pages: axe-core.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::{
    Kind, Server,
    home::{Home, free_port},
};
use crate::{apt, process::find};

pub(super) const BROWSER: Kind = Kind {
    name: "Chromium",
    variables: &["AXUM_USERS_TEST_WEBDRIVER_URL", "AXUM_USERS_TEST_AXE_FILE"],
    start,
    replaceable: None,
};

/// The one package, with the hash of what is installed.
const LOCK: &str = include_str!("axe-lock.json");
const PACKAGE: &str = r#"{"name": "axum-users-test-browser", "private": true, "dependencies": {"axe-core": "4.14.0"}}"#;

/// How long one question to a driver that starts may take.
const QUESTION: Duration = Duration::from_secs(1);

/// The driver starts a browser for each session that a test asks for.
fn start(home: &Home) -> Result<Server> {
    let axe = install_axe(home)?;
    let driver = program()?;
    let port = free_port()?;
    let argument = format!("--port={port}");
    let process = home.serve(&driver, &[argument.as_ref()], Signal::TERM, || is_ready(port))?;
    let values = vec![format!("http://127.0.0.1:{port}"), axe.to_string_lossy().into_owned()];
    Ok(Server { processes: vec![process], values })
}

fn program() -> Result<PathBuf> {
    let present = || find("chromedriver", &[]).is_some() && find("chromium", &[]).is_some() && has_fonts();
    if !present() {
        // The driver brings the browser of its own release.
        for package in ["chromium-driver", "fonts-dejavu-core"] {
            apt::install(package, present)?;
        }
    }
    find("chromedriver", &[]).context("the packages hold no chromedriver")
}

/// Without a font there is no text to look at.
fn has_fonts() -> bool {
    Path::new("/usr/share/fonts/truetype").is_dir()
}

fn install_axe(home: &Home) -> Result<PathBuf> {
    let npm = find("npm", &[]).context("npm is not installed: axe-core comes by it")?;
    let folder = home.path("axe");
    fs::create_dir(&folder)?;
    fs::write(folder.join("package.json"), PACKAGE)?;
    fs::write(folder.join("package-lock.json"), LOCK)?;
    // As ourselves, with our environment: it says where packages come from.
    let log = File::options().create(true).append(true).open(home.path("log"))?;
    let mut command = Command::new(npm);
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
    let status = command.stdout(log.try_clone()?).stderr(log).status().context("cannot run npm")?;
    if !status.success() {
        bail!("npm failed; a package index that it reaches is needed\n{}", home.log_tail());
    }
    Ok(folder.join("node_modules/axe-core/axe.min.js"))
}

fn is_ready(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut answer = [0; 512];
    let asked = TcpStream::connect_timeout(&address, QUESTION).and_then(|mut stream| {
        stream.set_read_timeout(Some(QUESTION))?;
        write!(stream, "GET /status HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n")?;
        stream.read(&mut answer)
    });
    asked.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
}
