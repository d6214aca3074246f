//! Recorded cases.

/// The cases of `tests/vectors/<name>.json`.
#[expect(clippy::panic, reason = "without its cases a test has failed")]
pub(crate) fn load(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The same, when they are a list.
#[expect(clippy::panic, reason = "without its cases a test has failed")]
pub(crate) fn list(name: &str) -> Vec<serde_json::Value> {
    let serde_json::Value::Array(cases) = load(name) else { panic!("{name}: not a list") };
    cases
}
