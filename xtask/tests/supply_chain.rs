//! What the repository promises about its own make-up. The rest needs tools of its own: `cargo xtask audit`.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn sc_01_the_compiler_forbids_unsafe_code_in_every_crate() {
    assert!(read("Cargo.toml").contains("\nunsafe_code = \"forbid\"\n"));
    for manifest in manifests() {
        let text = fs::read_to_string(&manifest).unwrap();
        let forbids = ["\n[lints]\nworkspace = true\n", "\n[lints.rust]\nunsafe_code = \"forbid\"\n"];
        assert!(forbids.iter().any(|it| text.contains(it)), "{} does not forbid unsafe code", manifest.display());
    }
}

#[test]
fn sc_03_every_dependency_comes_from_crates_io() {
    let lock = read("Cargo.lock");
    let sources: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert!(!sources.is_empty());
    for source in sources {
        assert_eq!(source, "\"registry+https://github.com/rust-lang/crates.io-index\"");
    }
}

#[test]
fn sc_03_every_crate_brings_its_licences() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), read(name), "{}", folder.display());
        }
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.starts_with("# axum-users"), "{}", folder.display());
    }
}

#[test]
fn sc_04_no_banned_crate_is_compiled() {
    let policy = read("deny.toml");
    let banned: Vec<&str> =
        policy.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next()).collect();
    assert!(banned.contains(&"rsa") && banned.contains(&"ring"), "the list is read wrongly: {banned:?}");

    let compiled = tree("{p}");
    let compiled: Vec<&str> = compiled.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(compiled.contains(&"aws-lc-rs"), "the tree is read wrongly");
    for name in banned {
        assert!(!compiled.contains(&name), "{name} is compiled: `cargo tree --workspace --all-features -i {name}`");
    }
}

#[test]
fn sc_04_jsonwebtoken_has_one_provider() {
    let features = tree("{p} {f}");
    let jsonwebtoken = features.lines().find(|line| line.starts_with("jsonwebtoken ")).unwrap();
    assert!(jsonwebtoken.contains("aws_lc_rs"), "{jsonwebtoken}");
    assert!(!jsonwebtoken.contains("rust_crypto"), "{jsonwebtoken}");
}

#[test]
fn sc_05_the_security_policy_names_its_terms() {
    let policy = read("SECURITY.md");
    assert!(policy.contains("72 hours") && policy.contains("90 days"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// Every package that is compiled for this machine with all features, a line each.
fn tree(format: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--all-features", "--locked", "--prefix=none", "--format", format])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn manifests() -> Vec<PathBuf> {
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let others = ["examples", "parity", "xtask"].map(|folder| root().join(folder));
    crates.chain(others).map(|folder| folder.join("Cargo.toml")).filter(|manifest| manifest.exists()).collect()
}
