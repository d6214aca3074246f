//! Reads settings one by one: each key is asked for once, with its type and its default, and what nobody asks for is unknown.

use std::{fmt::Write as _, net::SocketAddr};

use axum_users::{Secret, jwt::JwtAlgorithm};
use toml::Value;

use super::{
    ConfigError,
    layers::{Layers, Origin, Raw},
};

/// The settings that are being read, and what is wrong with them.
pub(crate) struct Keys {
    layers: Layers,
    entries: Vec<Entry>,
    problems: Vec<String>,
}

/// A setting in force, for `axum-users config`.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// As TOML; a secret is `"…"`.
    pub(crate) shown: String,
    pub(crate) origin: Origin,
}

/// A type of setting.
pub(crate) trait Setting: Sized {
    /// What it should be, in words: `a number`.
    const WHAT: &'static str;
    fn from_text(text: &str) -> Option<Self>;
    fn from_toml(value: &Value) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }
    /// As TOML.
    fn show(&self) -> String;
}

impl Keys {
    pub(crate) fn new(layers: Layers) -> Self {
        Self { layers, entries: Vec::new(), problems: Vec::new() }
    }

    /// The value of a key, or its default.
    pub(crate) fn get<T: Setting>(&mut self, key: &str, default: T) -> T {
        match self.find::<T>(key) {
            Some((value, origin)) => {
                self.shown(key, value.show(), origin);
                value
            }
            None => {
                self.shown(key, default.show(), Origin::Default);
                default
            }
        }
    }

    /// The value of a key that has no default.
    pub(crate) fn optional<T: Setting>(&mut self, key: &str) -> Option<T> {
        let (value, origin) = self.find::<T>(key)?;
        self.shown(key, value.show(), origin);
        Some(value)
    }

    /// A secret: shown as `…`, whoever looks.
    pub(crate) fn secret(&mut self, key: &str) -> Option<Secret> {
        let (value, origin) = self.find::<String>(key)?;
        self.shown(key, "\"…\"".into(), origin);
        Some(Secret::from(value))
    }

    /// Several secrets under one key.
    pub(crate) fn secrets(&mut self, key: &str) -> Vec<Secret> {
        let Some((values, origin)) = self.find::<Vec<String>>(key) else { return Vec::new() };
        self.shown(key, format!("[{}]", vec!["\"…\""; values.len()].join(", ")), origin);
        values.into_iter().map(Secret::from).collect()
    }

    /// A value that `show` makes fit to be seen.
    pub(crate) fn text_shown(&mut self, key: &str, default: &str, show: impl Fn(&str) -> String) -> String {
        let (value, origin) = self.find(key).unwrap_or_else(|| (default.to_owned(), Origin::Default));
        self.shown(key, quote(&show(&value)), origin);
        value
    }

    /// Refuses a key, or a whole table when it ends in `.`, that does nothing yet.
    pub(crate) fn later(&mut self, keys: &[&str]) {
        for key in keys {
            let matches: Vec<String> = self.layers.rest().map(|(it, _)| it.to_owned()).collect();
            let table = key.strip_suffix('.');
            for found in matches.iter().filter(|it| it == key || table.is_some_and(|t| *it == t || it.starts_with(key)))
            {
                if let Some(taken) = self.layers.take(found) {
                    self.problem(format!("{found}: not in this release; it comes in a later one ({})", taken.origin));
                }
            }
        }
    }

    pub(crate) fn names_below(&self, prefix: &str) -> Vec<String> {
        self.layers.names_below(prefix)
    }

    /// Takes a table that holds nothing; its name was what it says.
    pub(crate) fn empty_table(&mut self, key: &str) {
        if self.layers.take(key).is_some_and(|found| !found.is_empty_table()) {
            self.problem(format!("{key} should be a table"));
        }
    }

    /// Where the value of a key came from that was read before.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Whether a source says anything about a key that was read before.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.origin(key) != Origin::Default
    }

    /// Something is wrong.
    pub(crate) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Something is wrong with a key that was read.
    pub(crate) fn wrong(&mut self, key: &str, what: impl std::fmt::Display) {
        let origin = self.origin(key);
        self.problem(format!("{key}: {what} ({origin})"));
    }

    /// All settings, if all is well.
    pub(crate) fn finish(mut self) -> Result<Vec<Entry>, ConfigError> {
        let unknown: Vec<(String, Origin)> =
            self.layers.rest().map(|(key, origin)| (key.to_owned(), origin.clone())).collect();
        for (key, origin) in unknown {
            if TABLES.contains(&key.as_str()) && self.layers.take(&key).is_some_and(|found| found.is_empty_table()) {
                continue;
            }
            let mut problem = format!("{key}: no such setting ({origin})");
            let known = self.siblings(&key);
            if !known.is_empty() {
                let _ = write!(problem, "; there are {known}");
            }
            self.problem(problem);
        }
        if self.problems.is_empty() { Ok(self.entries) } else { Err(ConfigError::of(self.problems)) }
    }

    /// The settings beside one that is unknown.
    fn siblings(&self, key: &str) -> String {
        let parent = key.rsplit_once('.').map_or(String::new(), |(parent, _)| format!("{parent}."));
        let names = self.entries.iter().filter_map(|entry| entry.key.strip_prefix(parent.as_str()));
        let mut names: Vec<&str> = names.filter_map(|rest| rest.split('.').next()).collect();
        names.dedup();
        names.join(", ")
    }

    fn find<T: Setting>(&mut self, key: &str) -> Option<(T, Origin)> {
        let found = self.layers.take(key)?;
        let value = match &found.raw {
            Raw::Text(text) => T::from_text(text),
            Raw::Toml(value) => T::from_toml(value),
        };
        if value.is_none() {
            // Never the value: it may be a secret in the wrong place.
            self.problem(format!("{key} should be {} ({})", T::WHAT, found.origin));
        }
        Some((value?, found.origin))
    }

    fn shown(&mut self, key: &str, shown: String, origin: Origin) {
        self.entries.push(Entry { key: key.into(), shown, origin });
    }
}

/// Tables that may stand in a file with nothing in them.
const TABLES: &[&str] = &[
    "server",
    "database",
    "database.columns",
    "secrets",
    "secrets.previous",
    "auth",
    "auth.backend",
    "redis",
    "mail",
    "pages",
    "verification",
    "reset_password",
    "password",
    "password.argon2",
    "password.breached",
    "throttle",
    "registration",
    "users",
    "users.profile",
    "hashing",
];

/// As a string of TOML.
pub(crate) fn quote(text: &str) -> String {
    // JSON's escapes are TOML's too, but for `\/`, which is not written.
    serde_json::to_string(text).unwrap_or_default()
}

impl Setting for bool {
    const WHAT: &'static str = "true or false";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_bool()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            const WHAT: &'static str = "a whole number, not negative";
            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn from_toml(value: &Value) -> Option<Self> {
                value.as_integer()?.try_into().ok()
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
numbers!(u32, u64, usize);

impl Setting for String {
    const WHAT: &'static str = "text";
    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
    fn show(&self) -> String {
        quote(self)
    }
}

impl Setting for SocketAddr {
    const WHAT: &'static str = "an address with a port, such as \"127.0.0.1:8000\"";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        quote(&self.to_string())
    }
}

impl Setting for JwtAlgorithm {
    const WHAT: &'static str = "an algorithm such as \"HS256\", \"RS256\", \"ES256\" or \"EdDSA\"";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        quote(self.as_str())
    }
}

/// Outside a file: separated by commas, or as in the file, `["a", "b"]`.
impl Setting for Vec<String> {
    const WHAT: &'static str = "a list of texts";
    fn from_text(text: &str) -> Option<Self> {
        if text.trim_start().starts_with('[') {
            let mut table: toml::Table = format!("list = {text}").parse().ok()?;
            return Self::from_toml(&table.remove("list")?);
        }
        Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", "))
    }
}

/// A setting that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $crate::config::keys::Setting for $name {
            const WHAT: &'static str = concat!("one of" $(, " \"", $word, "\"")+);
            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
            fn show(&self) -> String {
                $crate::config::keys::quote(match self { $(Self::$variant => $word,)+ })
            }
        }
    };
}
pub(crate) use words;
