//! Valkey, the other heir of Redis 7.2.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Kind, home::Home, redis};
use crate::{apt, process::find};

pub(super) const VALKEY: Kind = Kind {
    name: "Valkey",
    variables: &["AXUM_USERS_TEST_VALKEY_URL"],
    start: |home| redis::start_single(home, &program(home)?),
    replaceable: None,
};

/// Where Debian 12 has it.
const SUITE: &str = "bookworm-backports";

/// The installed program, or one that is unpacked in the folder of this run: backports are not for the system.
fn program(home: &Home) -> Result<PathBuf> {
    if let Some(program) = find("valkey-server", &[]) {
        return Ok(program);
    }
    redis::install()?; // for the libraries, which are the same
    let root = apt::unpack(SUITE, &["valkey-server", "valkey-tools"], &home.path("packages"))?;
    find("valkey-server", &[root.join("usr/bin")]).context("the packages hold no valkey-server")
}
