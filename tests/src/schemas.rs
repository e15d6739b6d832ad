//! Documents against their published schemas, by a validator that we did not write.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Where the schemas stand.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas")
}

/// A published schema.
///
/// # Panics
/// If there is none of that name.
pub fn published(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap()
}

/// Checks that a document is as its schema says.
///
/// # Panics
/// If it is not, or if the schema says nothing.
pub fn assert_valid(name: &str, document: &Value) {
    let validator = jsonschema::validator_for(&published(name)).unwrap();
    let wrong: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
    // every document has fields that it must have
    assert!(!validator.is_valid(&json!({})), "{name}");
}
