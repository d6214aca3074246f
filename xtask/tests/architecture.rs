//! The invariants of `ARCHITECTURE.md`, read from `cargo metadata` and the source tree.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails is a test that fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Each crate with its floor. An arrow points to a lower floor, never to the same or a higher one.
const FLOORS: [(&str, u8); 11] = [
    ("axum-users-macros", 0),
    ("axum-users-core", 0),
    ("axum-users-sql", 1),
    ("axum-users-mongodb", 1),
    ("axum-users-redis", 1),
    ("axum-users-mail", 1),
    ("axum-users-oauth", 1),
    ("axum-users-testing", 1),
    ("axum-users", 2),
    ("axum-users-server", 3),
    ("xtask", 3),
];

#[test]
fn arrows_point_down_only() {
    for package in packages() {
        let Some(from) = floor(package["name"].as_str().unwrap()) else { continue };
        for dependency in package["dependencies"].as_array().unwrap().iter().filter(|it| it["kind"].is_null()) {
            let name = dependency["name"].as_str().unwrap();
            if let Some(to) = floor(name) {
                assert!(to < from, "{} must not depend on {name}", package["name"]);
            }
        }
    }
}

#[test]
fn every_crate_has_a_floor() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let beside =
            ["axum-users-bench", "axum-users-examples", "axum-users-parity", "axum-users-races"].contains(&name);
        assert!(beside || floor(name).is_some(), "{name} has no floor: say where it belongs");
    }
}

#[test]
fn core_names_neither_a_web_framework_nor_a_driver() {
    let core = packages().into_iter().find(|package| package["name"] == "axum-users-core").unwrap();
    for dependency in core["dependencies"].as_array().unwrap() {
        let name = dependency["name"].as_str().unwrap();
        for banned in ["axum", "hyper", "tower", "sqlx", "mongodb", "redis", "lettre"] {
            assert!(name != banned && !name.starts_with(&format!("{banned}-")), "core depends on {name}");
        }
    }
}

#[test]
fn wire_codes_stand_in_one_file() {
    let error = root().join("crates/axum-users/src/error.rs");
    let text = fs::read_to_string(&error).unwrap();
    let codes: Vec<&str> = text.lines().filter_map(|line| line.split_once(" = \"")?.1.strip_suffix("\",")).collect();
    assert!(codes.contains(&"LOGIN_BAD_CREDENTIALS"), "the codes are read wrongly: {codes:?}");
    for file in sources() {
        // OpenAPI shows the codes as examples, as they are on the wire.
        if file == error || file.components().any(|part| part.as_os_str() == "openapi") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for code in &codes {
            assert!(!text.contains(&format!("\"{code}\"")), "{} spells {code}", file.display());
        }
    }
}

#[test]
fn clock_and_randomness_have_one_file_each() {
    for (call, home) in [
        ("OffsetDateTime::now_utc(", "crates/axum-users-core/src/clock.rs"),
        ("SystemTime::now(", "crates/axum-users-core/src/clock.rs"),
        ("getrandom::", "crates/axum-users-core/src/random.rs"),
        ("Uuid::new_v4(", "crates/axum-users-core/src/random.rs"),
    ] {
        for file in sources().into_iter().filter(|file| *file != root().join(home)) {
            assert!(!fs::read_to_string(&file).unwrap().contains(call), "{} calls {call}", file.display());
        }
    }
}

#[test]
fn routes_hold_no_status_codes_of_their_own_rules() {
    let manager = root().join("crates/axum-users-core/src/manager");
    for file in sources().into_iter().filter(|file| file.starts_with(&manager)) {
        assert!(!fs::read_to_string(&file).unwrap().contains("StatusCode"), "{} names a status", file.display());
    }
}

/// Values travel as parameters; whoever builds text does it where a reader looks for it (ASVS 1.2.4).
#[test]
fn in_05_sql_is_built_in_three_places() {
    let sql = root().join("crates/axum-users-sql/src");
    let homes = [sql.join("statements.rs"), sql.join("statements"), sql.join("schema.rs"), sql.join("engine")];
    let words = [
        "SELECT ",
        "INSERT ",
        "UPDATE ",
        "DELETE ",
        "CREATE TABLE",
        "CREATE UNIQUE",
        "CREATE INDEX",
        "ALTER TABLE",
        "DROP TABLE",
        " FROM {",
        " WHERE ",
        " VALUES (",
        "ORDER BY ",
    ];
    // Odd values for stores are no SQL of ours.
    let samples = root().join("crates/axum-users-testing");
    let mut built = 0;
    for file in sources().into_iter().filter(|file| !file.starts_with(&samples)) {
        let is_home = homes.iter().any(|home| file.starts_with(home));
        for line in code_of(&file) {
            // The one constant: does the database answer?
            let speaks = words.iter().any(|word| line.contains(word)) && !line.contains("\"SELECT 1\".into()");
            assert!(is_home || !speaks, "{} builds SQL: {line}", file.display());
            built += usize::from(speaks);
        }
    }
    assert!(built > 30, "the sources are read wrongly: {built}");
}

#[test]
fn in_05_text_becomes_sql_in_one_file() {
    let engine = root().join("crates/axum-users-sql/src/engine");
    let mut safe = Vec::new();
    for file in sources() {
        for line in code_of(&file) {
            assert!(!line.contains("raw_sql"), "{}: {line}", file.display());
            let asks = ["sqlx::query", "QueryBuilder", "query!("].iter().any(|word| line.contains(word));
            assert!(!asks || file.starts_with(&engine), "{}: {line}", file.display());
            if line.contains("AssertSqlSafe") {
                safe.push(file.clone());
            }
        }
    }
    safe.dedup();
    assert_eq!(safe, [engine.join("mod.rs")]);
}

/// The lines of a file that are no comments.
fn code_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(str::trim).filter(|line| !line.starts_with("//")).map(str::to_owned).collect()
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(it, _)| *it == name).map(|(_, floor)| *floor)
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The library's and the server's sources, without tests.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        collect(&entry.unwrap().path().join("src"), &mut found);
    }
    assert!(found.len() > 40, "the tree is read wrongly");
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
