//! A server that speaks the protocol of MongoDB: SecantusDB, as no distribution has MongoDB itself. `MONGODB_URL` names another one,
//! a real one for instance, whose databases of tests are left to it.

use std::{
    env,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Result;
use rustix::process::Signal;

use super::{
    Kind, Server,
    home::{Home, free_ports},
    python,
};

pub(super) const MONGODB: Kind =
    Kind { name: "MongoDB", variables: &["AXUM_USERS_TEST_MONGODB_URL"], start, replaceable: None };

/// What the program needs, with the hashes of what is installed.
const REQUIREMENTS: &str = include_str!("mongodb-requirements.txt");
const PROGRAM: &str = include_str!("mongodb.py");

fn start(home: &Home) -> Result<Server> {
    if let Ok(url) = env::var("MONGODB_URL")
        && !url.is_empty()
    {
        return Ok(Server { processes: Vec::new(), values: vec![url] });
    }
    let python = python::environment(home, REQUIREMENTS)?;
    let [port] = free_ports()?;
    let program = home.write("mongodb.py", PROGRAM)?;
    let (number, data) = (port.to_string(), home.path("data"));
    let arguments = [program.as_ref(), number.as_ref(), data.as_ref()];
    let process = home.serve(&python, &arguments, Signal::TERM, || answers_ping(port))?;
    Ok(Server { processes: vec![process], values: vec![format!("mongodb://127.0.0.1:{port}/")] })
}

/// Whether `{ping: 1}` is answered with `ok: 1`.
pub(super) fn answers_ping(port: u16) -> bool {
    const PING: &[u8] =
        b"\x33\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1e\0\0\0\x10ping\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
    const OK: &[u8] = b"ok\0\0\0\0\0\0\0\xf0\x3f";
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut answer = vec![0; 512];
    let asked = TcpStream::connect_timeout(&address, Duration::from_secs(1)).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(PING)?;
        stream.read(&mut answer)
    });
    asked.is_ok() && answer.windows(OK.len()).any(|window| window == OK)
}
