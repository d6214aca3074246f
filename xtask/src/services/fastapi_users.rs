//! FastAPI Users itself, for tests that put it beside ours: a Python with the packages, no server.

use anyhow::Result;

use super::{Kind, Server, home::Home, python};

pub(super) const FASTAPI_USERS: Kind =
    Kind { name: "FastAPI Users", variables: &["AXUM_USERS_TEST_FASTAPI_USERS_PYTHON"], start, replaceable: None };

/// The packages, with the hashes of what is installed.
const REQUIREMENTS: &str = include_str!("fastapi-users-requirements.txt");

fn start(home: &Home) -> Result<Server> {
    let python = python::environment(home, REQUIREMENTS)?;
    Ok(Server { processes: Vec::new(), values: vec![python.to_string_lossy().into_owned()] })
}
