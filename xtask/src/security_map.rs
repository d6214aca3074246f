//! `cargo xtask security-map`: which tests prove which requirement, in `docs/security-map.toml`.
//!
//! A test that proves a requirement begins with its id, `pw_02_…`, or with several, `in_03_in_07_…`. Others are written into
//! the map by hand, and stay there as long as they exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::Path,
};

/// Where it stands.
pub(crate) const FILE: &str = "docs/security-map.toml";
const HEAD: &str = "\
# The requirements that axum-users is built to, and the tests that prove them. No test: not in this release, or proved
# by the compiler or by review. `cargo xtask security-map` brings the lists up to date; a test of xtask sees that they are.
";

/// Requirements by their ids.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Map(BTreeMap<String, Row>);

#[derive(Debug, PartialEq, Eq)]
struct Row {
    requirement: String,
    tests: BTreeSet<String>,
}

impl Map {
    /// Reads the file of this repository.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(root.join(FILE))?)
    }

    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let wrong = |row: &str| io::Error::other(format!("{FILE}: {row} has no requirement and tests"));
        let table: toml::Table = text.parse().map_err(io::Error::other)?;
        let row = |(id, row): (String, toml::Value)| {
            let requirement = row.get("requirement").and_then(toml::Value::as_str);
            let tests = row.get("tests").and_then(toml::Value::as_array);
            let (Some(requirement), Some(tests)) = (requirement, tests) else { return Err(wrong(&id)) };
            let tests = tests.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(|| wrong(&id)));
            let row = Row { requirement: requirement.to_owned(), tests: tests.collect::<Result<_, _>>()? };
            Ok((id, row))
        };
        table.into_iter().map(row).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn print(&self) -> String {
        let mut text = HEAD.to_owned();
        for (id, Row { requirement, tests }) in &self.0 {
            let _ = write!(text, "\n[{id}]\nrequirement = {requirement:?}\ntests = [");
            for test in tests {
                let _ = write!(text, "\n    {test:?},");
            }
            text.push_str(if tests.is_empty() { "]\n" } else { "\n]\n" });
        }
        text
    }

    /// What the map should be, given the functions of the sources.
    ///
    /// # Errors
    /// The tests whose names begin with an id that no requirement has.
    pub(crate) fn updated(&self, functions: &BTreeSet<String>) -> Result<Self, BTreeSet<String>> {
        let mut proofs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for function in functions {
            for id in ids_of(function) {
                proofs.entry(id).or_default().insert(function.clone());
            }
        }
        let strangers = proofs.iter().filter(|(id, _)| !self.0.contains_key(*id));
        let strangers: BTreeSet<String> = strangers.flat_map(|(_, tests)| tests.clone()).collect();
        if !strangers.is_empty() {
            return Err(strangers);
        }
        let rows = self.0.iter().map(|(id, row)| {
            let by_hand = row.tests.iter().filter(|test| ids_of(test).is_empty() && functions.contains(*test));
            let tests = by_hand.cloned().chain(proofs.remove(id).unwrap_or_default()).collect();
            (id.clone(), Row { requirement: row.requirement.clone(), tests })
        });
        Ok(Self(rows.collect()))
    }
}

/// `in_03_in_07_nothing_breaks` proves IN-03 and IN-07.
fn ids_of(function: &str) -> Vec<String> {
    let words: Vec<&str> = function.split('_').collect();
    let pairs = words.chunks_exact(2).map_while(|pair| match pair {
        [area, number]
            if area.len() == 2
                && number.len() == 2
                && area.bytes().all(|byte| byte.is_ascii_lowercase())
                && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(format!("{}-{number}", area.to_uppercase()))
        }
        _ => None,
    });
    pairs.collect()
}

/// The name of every function in the sources and tests of this repository.
pub(crate) fn functions(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for folder in ["bench", "crates", "examples", "parity", "races", "xtask"] {
        collect(&root.join(folder), &mut found)?;
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            for line in fs::read_to_string(&path)?.lines() {
                found.extend(name_in(line).map(str::to_owned));
            }
        }
    }
    Ok(())
}

/// The name in a line that begins a function.
fn name_in(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line.strip_prefix("fn ").or_else(|| line.split_once(" fn ").map(|(_, rest)| rest))?;
    let is_comment = line.starts_with("//");
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    rest.get(..end).filter(|name| !is_comment && !name.is_empty())
}
