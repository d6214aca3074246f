//! Where settings come from: command line, environment, file, secrets file. Each value keeps its origin.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::ConfigError;

/// The prefix of our environment variables; `__` also separates the names of a key.
const PREFIX: &str = "AXUM_USERS__";
/// The file that is read when it is there and no other is named.
pub(crate) const DEFAULT_FILE: &str = "axum-users.toml";
/// A file of settings is small; a larger one is a mistake, such as a device.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    /// A file that a variable names: `…_FILE`.
    EnvironmentFile(String),
    CommandLine(&'static str),
}

impl Origin {
    pub(crate) fn is_command_line(&self) -> bool {
        matches!(self, Self::CommandLine(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) | Self::EnvironmentFile(name) => f.write_str(name),
            Self::CommandLine(flag) => f.write_str(flag),
        }
    }
}

/// One value as its source gave it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

impl Found {
    pub(crate) fn is_empty_table(&self) -> bool {
        matches!(&self.raw, Raw::Toml(Value::Table(table)) if table.is_empty())
    }
}

/// A value before anybody asked what it should be. Text from outside a file is not guessed at: `00123` stays `00123`.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    Text(String),
    Toml(Value),
}

/// All values by key, the strongest source of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers(BTreeMap<String, Found>);

/// Where to look.
///
/// ```no_run
/// use axum_users_server::{Config, Sources};
///
/// let config = Config::load(&Sources::process().file("users.toml").listen("127.0.0.1:8000"))?;
/// # Ok::<(), axum_users_server::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sources {
    /// The folder that `axum-users.toml` and `axum-users.secrets.toml` stand in.
    pub(crate) folder: PathBuf,
    file: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    command_line: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// The working folder and the environment of this process.
    #[must_use]
    pub fn process() -> Self {
        Self { environment: std::env::vars_os().collect(), ..Self::folder(".") }
    }

    /// Files in this folder, and nothing of the environment.
    #[must_use]
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), file: None, environment: Vec::new(), command_line: Vec::new() }
    }

    /// Another file than `axum-users.toml`; it has to be there.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// A variable, as if the environment held it.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// `--listen`.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.command_line.push(("server.listen", "--listen", address.into()));
        self
    }

    /// `--database`.
    #[must_use]
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.command_line.push(("database.url", "--database", url.into()));
        self
    }

    /// Reads everything. `secrets_file` is below the environment and the file; `is_secret` says which keys also come from
    /// `…_FILE`.
    pub(crate) fn read(&self, secrets_file: &Path, is_secret: impl Fn(&str) -> bool) -> Result<Layers, ConfigError> {
        let mut layers = Layers::default();
        if let Some(text) = crate::secrets::read_file(secrets_file)? {
            layers.file(secrets_file, &text)?;
        }
        let path = self.file.clone().unwrap_or_else(|| self.folder.join(DEFAULT_FILE));
        match read_text(&path) {
            Ok(text) => layers.file(&path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.file.is_none() => {}
            Err(error) => return Err(ConfigError::one(format!("{} cannot be read: {error}", path.display()))),
        }
        layers.environment(&self.environment, is_secret)?;
        for (key, flag, value) in &self.command_line {
            layers.put((*key).into(), Raw::Text(value.clone()), Origin::CommandLine(flag));
        }
        Ok(layers)
    }
}

impl Layers {
    /// Takes a value out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Found> {
        self.0.remove(key)
    }

    /// The names that follow this prefix, once each, in order: the tables below `auth.backend.`.
    pub(crate) fn names_below(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for key in self.0.keys() {
            let Some(name) = key.strip_prefix(prefix).and_then(|rest| rest.split('.').next()) else { continue };
            if names.last().is_none_or(|last| last != name) && !names.iter().any(|it| it == name) {
                names.push(name.into());
            }
        }
        names
    }

    /// What nobody took.
    pub(crate) fn rest(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.0.iter().map(|(key, found)| (key.as_str(), &found.origin))
    }

    fn put(&mut self, key: String, raw: Raw, origin: Origin) {
        self.0.insert(key, Found { raw, origin });
    }

    fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        // The parser's own message shows the line, which may hold a secret.
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            ConfigError::one(format!("{} line {line}: this is not TOML: {}", path.display(), error.message()))
        })?;
        self.table("", table, &Origin::File(path.into()));
        Ok(())
    }

    fn table(&mut self, prefix: &str, table: Table, origin: &Origin) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(table) if !table.is_empty() => self.table(&key, table, origin),
                // An empty table says nothing, but its name counts: `[users.profile.nickname]`.
                value => self.put(key, Raw::Toml(value), origin.clone()),
            }
        }
    }

    fn environment(
        &mut self,
        variables: &[(OsString, OsString)],
        is_secret: impl Fn(&str) -> bool,
    ) -> Result<(), ConfigError> {
        let mut named: Vec<(String, String)> = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let Some(value) = value.to_str() else {
                return Err(ConfigError::one(format!("the variable {name} is not UTF-8")));
            };
            let key = name.strip_prefix(PREFIX).unwrap_or_default().to_ascii_lowercase().replace("__", ".");
            match key.strip_suffix("_file").filter(|key| is_secret(key)) {
                Some(key) => {
                    let text = read_text(Path::new(value)).map_err(|error| {
                        ConfigError::one(format!("the file that {name} names cannot be read: {error}"))
                    })?;
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    let text = text.strip_suffix('\r').unwrap_or(text);
                    self.put(key.into(), Raw::Text(text.into()), Origin::EnvironmentFile(name.into()));
                    named.push((key.into(), name.into()));
                }
                None => {
                    self.put(key.clone(), Raw::Text(value.into()), Origin::Environment(name.into()));
                    named.push((key, name.into()));
                }
            }
        }
        named.sort();
        match named.iter().zip(named.iter().skip(1)).find(|((key, _), (next, _))| key == next) {
            Some(((_, one), (_, other))) => Err(ConfigError::one(format!("{one} and {other} say the same: keep one"))),
            None => Ok(()),
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than a megabyte"));
    }
    Ok(text)
}
