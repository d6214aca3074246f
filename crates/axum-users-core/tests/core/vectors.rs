//! Recorded cases.

/// The cases of `tests/vectors/<name>.json`.
pub(crate) fn load(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The same, when they are a list.
pub(crate) fn list(name: &str) -> Vec<serde_json::Value> {
    load(name).as_array().expect("a list").clone()
}
