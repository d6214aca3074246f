//! `cargo xtask release-check`: what has to hold before a release, and its bill of materials.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::process::{Interrupt, cargo, repository, run as run_process, say};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// What every crate of ours brings along.
const FILES: [&str; 4] = ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// The crate whose program is handed out.
const PRODUCT: &str = "axum-users-server";

/// Checks the lockfile, the crates, licences and advisories, and writes the bill of materials.
///
/// # Errors
/// The first thing that does not hold.
pub(crate) fn run(interrupt: &Interrupt) -> Result<()> {
    let lock = Lock::parse(&fs::read_to_string(repository().join("Cargo.lock"))?);
    lock.comes_from_crates_io()?;
    say(format_args!("Cargo.lock: {} packages, all from crates.io, each with its hash", lock.0.len()));

    let host = output(Command::new("rustc").arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let metadata = output(cargo().args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--all-features",
        "--filter-platform",
        host,
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    for package in published(&metadata) {
        described(package)?;
        let name = text(package, "name");
        let list = output(cargo().args(["package", "--list", "--allow-dirty", "--locked", "-p", name]))?;
        complete(name, &list)?;
        say(format_args!("{name}: described, and packaged with its licences"));
    }

    if output(cargo().args(["deny", "--version"]).stderr(Stdio::null())).is_ok() {
        let mut check = cargo();
        check.args(["deny", "--workspace", "--all-features", "--locked", "check"]);
        ensure!(run_process(&mut check, interrupt)?.success(), "cargo deny check failed");
    } else {
        say(format_args!(
            "NOT CHECKED: licences and advisories, for cargo-deny is missing: cargo xtask audit --install"
        ));
    }

    let folder = text(&metadata, "target_directory");
    let file = format!("{folder}/{PRODUCT}.cdx.json");
    fs::write(&file, format!("{:#}\n", bill_of_materials(&metadata, &lock)?))?;
    say(format_args!("bill of materials (CycloneDX 1.5, {host}): {file}"));
    Ok(())
}

/// `Cargo.lock`: name and version, source and hash.
struct Lock(BTreeMap<(String, String), (Option<String>, Option<String>)>);

impl Lock {
    fn parse(text: &str) -> Self {
        let packages = text.split("[[package]]").skip(1).map(|block| {
            let field = |name: &str| {
                let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
                value.and_then(|value| value.strip_suffix('"')).map(str::to_owned)
            };
            let key = (field("name").unwrap_or_default(), field("version").unwrap_or_default());
            (key, (field("source"), field("checksum")))
        });
        Self(packages.collect())
    }

    /// A package without a source is of this repository.
    fn comes_from_crates_io(&self) -> Result<()> {
        ensure!(!self.0.is_empty(), "Cargo.lock names no package");
        for ((name, version), (source, checksum)) in &self.0 {
            let Some(source) = source else { continue };
            ensure!(source == CRATES_IO, "{name} {version} comes from {source}");
            ensure!(checksum.is_some(), "{name} {version} has no hash");
        }
        Ok(())
    }

    fn hash(&self, name: &str, version: &str) -> Option<&str> {
        self.0.get(&(name.to_owned(), version.to_owned()))?.1.as_deref()
    }
}

/// The crates of this repository that are published.
fn published(metadata: &Value) -> impl Iterator<Item = &Value> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter(|package| package["source"].is_null() && package["publish"].is_null())
}

/// Has what its page on crates.io shows.
fn described(package: &Value) -> Result<()> {
    let name = text(package, "name");
    for field in ["description", "license", "readme", "rust_version"] {
        ensure!(!text(package, field).is_empty(), "{name} has no {field}");
    }
    ensure!(text(package, "license") == "MIT OR Apache-2.0", "{name} has another licence");
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let (to, requirement) = (text(dependency, "name"), text(dependency, "req"));
        ensure!(requirement != "*" || dependency["kind"] == "dev", "{name} takes any version of {to}");
    }
    Ok(())
}

/// `list`: what `cargo package --list` prints.
fn complete(name: &str, list: &str) -> Result<()> {
    let files: BTreeSet<&str> = list.lines().collect();
    for file in FILES {
        ensure!(files.contains(file), "the package of {name} lacks {file}");
    }
    Ok(())
}

/// CycloneDX 1.5: everything that is compiled into the program, or at work while it is compiled. The same input gives the
/// same text, so there is neither a time nor a serial number in it.
fn bill_of_materials(metadata: &Value, lock: &Lock) -> Result<Value> {
    let packages: BTreeMap<&str, &Value> =
        metadata["packages"].as_array().into_iter().flatten().map(|it| (text(it, "id"), it)).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in metadata.pointer("/resolve/nodes").and_then(Value::as_array).into_iter().flatten() {
        let needed = node["deps"].as_array().into_iter().flatten().filter(|dependency| {
            dependency["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"] != "dev")
        });
        edges.insert(text(node, "id"), needed.map(|dependency| text(dependency, "pkg")).collect());
    }
    let root = published(metadata).find(|package| package["name"] == PRODUCT).context("there is no server")?;
    let mut found = BTreeSet::new();
    let mut open = vec![text(root, "id")];
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(edges.get(id).into_iter().flatten());
        }
    }
    let package = |id: &str| packages.get(id).copied().with_context(|| format!("cargo does not describe {id}"));
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for id in &found {
        let needs = edges.get(id).into_iter().flatten().map(|id| Ok(purl(package(id)?)));
        dependencies.push(json!({ "ref": purl(package(id)?), "dependsOn": needs.collect::<Result<BTreeSet<_>>>()? }));
        if *id != text(root, "id") {
            components.push(component("library", package(id)?, lock)?);
        }
    }
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component("application", root, lock)? },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn component(kind: &str, package: &Value, lock: &Lock) -> Result<Value> {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let licence = text(package, "license");
    ensure!(!licence.is_empty(), "{name} {version} names no licence");
    // A crate of this repository has none.
    let hashes = if package["source"].is_null() {
        json!([])
    } else {
        let hash = lock.hash(name, version).with_context(|| format!("{name} {version} is not in Cargo.lock"))?;
        json!([{ "alg": "SHA-256", "content": hash }])
    };
    Ok(json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": name,
        "version": version,
        "purl": purl(package),
        "licenses": [{ "expression": expression(licence) }],
        "hashes": hashes,
    }))
}

/// Cargo lets an old way to write "or" pass, SPDX does not.
fn expression(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// <https://github.com/package-url/purl-spec>; a `+` of a version is escaped.
fn purl(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(package, "name"), text(package, "version").replace('+', "%2B"))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"axum-users-server\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n]\n\n\
        [[package]]\nname = \"a\"\nversion = \"1.0.0+x\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
        checksum = \"abc\"\n";

    fn metadata() -> Value {
        let package = |id: &str, name: &str, version: &str, source: Value| {
            json!({ "id": id, "name": name, "version": version, "source": source, "publish": null, "license": "MIT/Apache-2.0",
                    "description": "d", "readme": "README.md", "rust_version": "1.94", "dependencies": [] })
        };
        let edge = |id: &str, kind: Value| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        json!({
            "packages": [
                package("s", PRODUCT, "0.1.0", Value::Null),
                package("a", "a", "1.0.0+x", json!(CRATES_IO)),
                package("t", "only-for-tests", "1.0.0", json!(CRATES_IO)),
            ],
            "resolve": { "nodes": [
                { "id": "s", "deps": [edge("a", Value::Null), edge("t", json!("dev"))] },
                { "id": "a", "deps": [] },
                { "id": "t", "deps": [] },
            ] },
        })
    }

    #[test]
    fn sc_03_another_source_and_a_missing_hash_are_refused() {
        Lock::parse(LOCK).comes_from_crates_io().unwrap();
        let git = LOCK.replace(CRATES_IO, "git+https://example.com/a");
        assert!(Lock::parse(&git).comes_from_crates_io().unwrap_err().to_string().contains("git+https"));
        let bare = LOCK.replace("checksum = \"abc\"\n", "");
        assert!(Lock::parse(&bare).comes_from_crates_io().unwrap_err().to_string().contains("no hash"));
        assert!(Lock::parse("").comes_from_crates_io().is_err());
    }

    #[test]
    fn sc_03_the_bill_of_materials_names_what_is_compiled() {
        let bill = bill_of_materials(&metadata(), &Lock::parse(LOCK)).unwrap();
        let expected = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "component": {
                "type": "application", "bom-ref": "pkg:cargo/axum-users-server@0.1.0", "name": "axum-users-server",
                "version": "0.1.0", "purl": "pkg:cargo/axum-users-server@0.1.0",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }], "hashes": [],
            } },
            "components": [{
                "type": "library", "bom-ref": "pkg:cargo/a@1.0.0%2Bx", "name": "a", "version": "1.0.0+x",
                "purl": "pkg:cargo/a@1.0.0%2Bx", "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "hashes": [{ "alg": "SHA-256", "content": "abc" }],
            }],
            "dependencies": [
                { "ref": "pkg:cargo/a@1.0.0%2Bx", "dependsOn": [] },
                { "ref": "pkg:cargo/axum-users-server@0.1.0", "dependsOn": ["pkg:cargo/a@1.0.0%2Bx"] },
            ],
        });
        assert_eq!(bill, expected);
        let other = Lock::parse(&LOCK.replace("1.0.0+x", "1.0.1"));
        assert!(bill_of_materials(&metadata(), &other).is_err(), "what is not locked has no hash");
    }

    #[test]
    fn sc_03_a_crate_is_described_and_brings_its_licences() {
        let mut package = metadata()["packages"][0].take();
        package["license"] = json!("MIT OR Apache-2.0");
        described(&package).unwrap();
        for field in ["description", "license", "readme", "rust_version"] {
            let mut bare = package.clone();
            bare[field] = Value::Null;
            assert!(described(&bare).is_err(), "{field}");
        }
        package["dependencies"] = json!([{ "name": "a", "req": "*", "kind": null }]);
        assert!(described(&package).is_err());
        complete("a", "Cargo.toml\nREADME.md\nLICENSE-MIT\nLICENSE-APACHE\nsrc/lib.rs\n").unwrap();
        assert!(complete("a", "Cargo.toml\nREADME.md\nLICENSE-MIT\nsrc/lib.rs\n").is_err());
    }
}
