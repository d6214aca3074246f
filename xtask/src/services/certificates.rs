//! A certificate for a server on this machine, and the authority that signed it.

use std::{ffi::OsStr, path::PathBuf};

use anyhow::{Context as _, Result};

use super::home::Home;
use crate::{apt, process::find};

/// A small authority and the certificate of the server in `cert.pem` and `key.pem`; gives the authority's certificate.
/// A certificate that signs itself would not do: rustls takes none that is an authority for a server's.
pub(super) fn make(home: &Home) -> Result<PathBuf> {
    if find("openssl", &[]).is_none() {
        apt::install("openssl", || find("openssl", &[]).is_some())?;
    }
    let openssl = find("openssl", &[]).context("openssl is not installed")?;
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30";
    for special in [
        "-keyout ca-key.pem -out ca.pem -subj /CN=axum-users-tests -addext keyUsage=critical,keyCertSign",
        "-keyout key.pem -out cert.pem -subj /CN=localhost -CA ca.pem -CAkey ca-key.pem \
         -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
    ] {
        let arguments: Vec<&OsStr> = new.split(' ').chain(special.split(' ')).map(OsStr::new).collect();
        home.run(&openssl, &arguments)?;
    }
    Ok(home.path("ca.pem"))
}
