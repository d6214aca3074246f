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
    jwt: Purpose,
    verification: Purpose,
    reset_password: Purpose,
    oauth_state: Purpose,
    oauth_tokens: Purpose,
}

/// Which features need secrets of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uses {
    pub(crate) mail: bool,
    pub(crate) providers: bool,
}

/// The secret of one purpose.
#[derive(Debug)]
struct Purpose {
    name: &'static str,
    /// `None`: neither configured nor made yet.
    secret: Option<Secret>,
    /// Whether it comes from elsewhere than our file.
    is_configured: bool,
    /// Tokens that these signed are still accepted.
    previous: Vec<Secret>,
}

/// What signs now, and what did before.
#[derive(Debug)]
pub(crate) struct SigningSecret {
    pub(crate) secret: Secret,
    pub(crate) previous: Vec<Secret>,
}

/// The secrets of a server.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) jwt: SigningSecret,
    /// Where mail is sent.
    pub(crate) mailed: Option<MailedSecrets>,
    /// Where people log in by providers.
    pub(crate) oauth: Option<OAuthSecrets>,
}

/// The secrets of logins by providers.
#[derive(Debug)]
pub(crate) struct OAuthSecrets {
    pub(crate) state: SigningSecret,
    /// What seals the tokens of providers, if not the one that signs states; the first one seals.
    pub(crate) tokens: Vec<Secret>,
}

/// The secrets of tokens that are mailed.
#[derive(Debug)]
pub(crate) struct MailedSecrets {
    pub(crate) verification: SigningSecret,
    pub(crate) reset_password: SigningSecret,
}

impl SecretSettings {
    /// Reads and judges them. Nothing is made here.
    pub(crate) fn read(keys: &mut Keys, file: PathBuf, warnings: &mut Vec<String>) -> Self {
        let danger_accept_legacy = keys.get("secrets.danger_accept_legacy", false);
        let mut read = |name| Purpose::read(keys, name, &file);
        let purposes = ["jwt", "reset_password", "verification", "oauth_state", "oauth_tokens"].map(&mut read);

        let mut shared: Vec<PathBuf> = Vec::new();
        for purpose in &purposes {
            if let Origin::File(path) = keys.origin(&purpose.key())
                && path != file
                && !shared.contains(&path)
                && is_readable_by_all(&path)
            {
                let path_shown = path.display();
                warnings.push(format!("every user of this machine can read the secrets in {path_shown}: chmod 600 it"));
                shared.push(path);
            }
        }
        let mut named: Vec<(String, &Secret)> = Vec::new();
        for purpose in &purposes {
            named.extend(purpose.secret.iter().map(|secret| (purpose.key(), secret)));
            named.extend(purpose.previous.iter().map(|secret| (format!("secrets.previous.{}", purpose.name), secret)));
        }
        for (key, what) in weaknesses(&named) {
            if danger_accept_legacy && what.is_bearable {
                warnings.push(format!("{key}: {}; accepted because of secrets.danger_accept_legacy", what.text));
            } else {
                keys.wrong(&key, what.text);
            }
        }
        let [jwt, reset_password, verification, oauth_state, oauth_tokens] = purposes;
        Self { file, jwt, verification, reset_password, oauth_state, oauth_tokens }
    }

    /// Several servers over one database need the same secrets. Who configured one of them wants to know of those that are made.
    pub(crate) fn check_shared(&self, uses: Uses, warnings: &mut Vec<String>) {
        if !self.jwt.is_configured {
            return;
        }
        for purpose in self.needed(uses).into_iter().filter(|it| !it.is_configured) {
            warnings.push(format!(
                "{} is not configured: it is kept in {}, and a server elsewhere does not know it",
                purpose.key(),
                self.file.display()
            ));
        }
    }

    /// Whether the file is of no use.
    pub(crate) fn is_configured(&self, uses: Uses) -> bool {
        self.needed(uses).iter().all(|purpose| purpose.is_configured)
    }

    /// Whether one is missing.
    pub(crate) fn is_to_be_made(&self, uses: Uses) -> bool {
        self.needed(uses).iter().any(|purpose| purpose.secret.is_none())
    }

    fn needed(&self, uses: Uses) -> Vec<&Purpose> {
        let mut needed = vec![&self.jwt];
        if uses.mail {
            needed.extend([&self.verification, &self.reset_password]);
        }
        if uses.providers {
            needed.push(&self.oauth_state);
        }
        needed
    }

    /// The secrets that sign; made now, all of them, if one that is needed is missing.
    ///
    /// # Errors
    /// When the file can be neither made nor read.
    pub(crate) fn or_make(&self, uses: Uses) -> Result<Secrets, ConfigError> {
        let mut made = toml::Table::new();
        if self.is_to_be_made(uses) {
            make(&self.file).map_err(|error| {
                let keys = self.needed(uses).into_iter().map(Purpose::key).collect::<Vec<_>>().join(", ");
                let file = self.file.display();
                ConfigError::one(format!(
                    "{file}: the secrets cannot be kept here: {error}. Make the folder writable, or set {keys}"
                ))
            })?;
            // Another process may have been first: what stands in the file counts.
            made = read_file(&self.file)?.unwrap_or_default().parse().unwrap_or_default();
        }
        let signing = |purpose: &Purpose| {
            let found = || made.get("secrets")?.get(purpose.name)?.as_str().map(Secret::from);
            let secret = purpose.secret.clone().or_else(found).ok_or_else(|| {
                let (file, key) = (self.file.display(), purpose.key());
                ConfigError::one(format!("{file}: there is no {key} in this file; set it, or remove the file"))
            })?;
            Ok(SigningSecret { secret, previous: purpose.previous.clone() })
        };
        let mailed = || {
            let verification = signing(&self.verification)?;
            Ok(MailedSecrets { verification, reset_password: signing(&self.reset_password)? })
        };
        let oauth = || {
            let tokens = self.oauth_tokens.secret.iter().chain(&self.oauth_tokens.previous).cloned().collect();
            Ok(OAuthSecrets { state: signing(&self.oauth_state)?, tokens })
        };
        Ok(Secrets {
            jwt: signing(&self.jwt)?,
            mailed: uses.mail.then(mailed).transpose()?,
            oauth: uses.providers.then(oauth).transpose()?,
        })
    }
}

impl Purpose {
    fn read(keys: &mut Keys, name: &'static str, file: &Path) -> Self {
        let key = format!("secrets.{name}");
        let secret = keys.secret(&key);
        let is_configured = secret.is_some() && keys.origin(&key) != Origin::File(file.to_owned());
        Self { name, secret, is_configured, previous: keys.secrets(&format!("secrets.previous.{name}")) }
    }

    fn key(&self) -> String {
        format!("secrets.{}", self.name)
    }
}

impl Secrets {
    /// For a document that says nothing of them.
    pub(crate) fn unused() -> Self {
        let signing = || SigningSecret { secret: random::token(), previous: Vec::new() };
        let mailed = MailedSecrets { verification: signing(), reset_password: signing() };
        let oauth = OAuthSecrets { state: signing(), tokens: Vec::new() };
        Self { jwt: signing(), mailed: Some(mailed), oauth: Some(oauth) }
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
