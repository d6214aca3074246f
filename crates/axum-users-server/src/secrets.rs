//! The secrets: configured, or made once and kept in a file that nobody else may read.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use axum_users::{Secret, jwt::check_secret, random};

use crate::config::{ConfigError, Origin, keys::Keys};

/// The file, in the working folder.
pub(crate) const FILE: &str = "axum-users.secrets.toml";

/// `[secrets]`.
#[derive(Debug)]
pub(crate) struct SecretSettings {
    /// Where they are kept when they are not configured.
    pub(crate) file: PathBuf,
    /// Whether `secrets.jwt` comes from elsewhere.
    pub(crate) is_configured: bool,
    /// `None`: neither configured nor made yet.
    pub(crate) jwt: Option<Secret>,
    /// Tokens that these signed are still accepted.
    pub(crate) previous_jwt: Vec<Secret>,
}

impl SecretSettings {
    /// Reads and judges them. Nothing is made here.
    pub(crate) fn read(keys: &mut Keys, file: PathBuf, warnings: &mut Vec<String>) -> Self {
        let danger_accept_legacy = keys.get("secrets.danger_accept_legacy", false);
        let jwt = keys.secret("secrets.jwt");
        let previous_jwt = keys.secrets("secrets.previous.jwt");
        // Made and accepted already, so that the releases that use them find them.
        let later = ["reset_password", "verification", "oauth_state"].map(|name| {
            let key = format!("secrets.{name}");
            let secret = keys.secret(&key);
            (key, secret)
        });

        if let Origin::File(path) = keys.origin("secrets.jwt")
            && path != file
            && is_readable_by_all(&path)
        {
            warnings
                .push(format!("every user of this machine can read the secrets in {}: chmod 600 it", path.display()));
        }
        let is_configured = jwt.is_some() && keys.origin("secrets.jwt") != Origin::File(file.clone());
        let mut named: Vec<(String, &Secret)> = Vec::new();
        named.extend(jwt.iter().map(|secret| ("secrets.jwt".into(), secret)));
        named.extend(previous_jwt.iter().map(|secret| ("secrets.previous.jwt".into(), secret)));
        named.extend(later.iter().filter_map(|(key, secret)| Some((key.clone(), secret.as_ref()?))));
        for (key, what) in weaknesses(&named) {
            if danger_accept_legacy && what.is_bearable {
                warnings.push(format!("{key}: {}; accepted because of secrets.danger_accept_legacy", what.text));
            } else {
                keys.wrong(&key, what.text);
            }
        }
        Self { file, is_configured, jwt, previous_jwt }
    }

    /// The secret that signs; made now, with all others, if there is none.
    ///
    /// # Errors
    /// When the file can be neither made nor read.
    pub(crate) fn jwt_or_make(&self) -> Result<Secret, ConfigError> {
        if let Some(secret) = &self.jwt {
            return Ok(secret.clone());
        }
        make(&self.file).map_err(|error| {
            ConfigError::one(format!(
                "{}: the secrets cannot be kept here: {error}. Make the folder writable, or set secrets.jwt",
                self.file.display()
            ))
        })?;
        // Another process may have been first: what stands in the file counts.
        let text = read_file(&self.file)?.unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        let secret = table.get("secrets").and_then(|secrets| secrets.get("jwt")).and_then(toml::Value::as_str);
        secret.map(Secret::from).ok_or_else(|| {
            ConfigError::one(format!(
                "{}: there is no secrets.jwt in this file; set it, or remove the file",
                self.file.display()
            ))
        })
    }
}

/// The text of the secrets file; `None` if there is none. A file that others may read is refused.
pub(crate) fn read_file(path: &Path) -> Result<Option<String>, ConfigError> {
    let problem = |what: String| ConfigError::one(format!("{}: {what}", path.display()));
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(format!("cannot be read: {error}"))),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(|error| problem(format!("cannot be read: {error}")))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(problem(format!(
                "others may read or change these secrets (mode {:03o}): chmod 600 {}",
                mode & 0o777,
                path.display()
            )));
        }
    }
    let mut text = String::new();
    io::Read::read_to_string(&mut file, &mut text).map_err(|error| problem(format!("cannot be read: {error}")))?;
    Ok(Some(text))
}

fn is_readable_by_all(path: &Path) -> bool {
    #[cfg(unix)]
    return fs::metadata(path)
        .is_ok_and(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o007 != 0);
    #[cfg(not(unix))]
    return false;
}

/// Makes the file with a new secret for each purpose, unless it is there. It appears whole or not at all.
fn make(path: &Path) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", random::uuid_v4()));
    let made = write_new(&temporary).and_then(|()| match fs::hard_link(&temporary, path) {
        // A link is never put over a file that is there: the first process wins.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&temporary);
    made.and(removed)
}

fn write_new(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(
        file,
        "# Made by axum-users. Whoever reads this file can log in as anyone: keep it to yourself,\n[secrets]"
    )?;
    writeln!(file, "# and keep it at all: without it every token that was issued is void.")?;
    for name in ["jwt", "reset_password", "verification", "oauth_state"] {
        writeln!(file, "{name} = \"{}\"", random::token().expose())?;
    }
    file.sync_all()
}

/// What is wrong with a secret.
struct Weakness {
    text: String,
    /// Whether a system that is taken over may live with it.
    is_bearable: bool,
}

fn weaknesses(secrets: &[(String, &Secret)]) -> Vec<(String, Weakness)> {
    let mut found = Vec::new();
    for (index, (key, secret)) in secrets.iter().enumerate() {
        if let Err(weak) = check_secret(secret.expose().as_bytes()) {
            found.push((key.clone(), Weakness { is_bearable: !weak.is_unusable(), text: weak.to_string() }));
        }
        if let Some((other, _)) = secrets.iter().take(index).find(|(_, other)| other.ct_eq(secret.expose())) {
            let text = format!("this is the same secret as {other}; each purpose has its own");
            found.push((key.clone(), Weakness { text, is_bearable: true }));
        }
    }
    found
}
