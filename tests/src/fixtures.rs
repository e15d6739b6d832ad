//! What the tests need and the repository does not carry: `./test` fetches it, the tests only find it.

use std::env;
use std::path::PathBuf;

/// SmolLM2-135M-Instruct, 30 layers of the Llama architecture, in `Q4_1`; it adds no BOS.
pub const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// Gemma 3 270M, 18 layers with a sliding window and 262,144 tokens, in `Q4_K_M`; it adds BOS.
pub const GEMMA: &str = "gemma-3-270m-q4_k_m.gguf";

/// The path of a fixture.
///
/// # Panics
/// When it is missing: a test that cannot be judged has failed.
pub fn fixture(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.exists(),
        "the fixture {} is missing: run ./test once, it fetches the fixtures",
        path.display()
    );
    path
}

/// `$SECATEUR_FIXTURES`, or its default.
fn folder() -> PathBuf {
    match env::var_os("SECATEUR_FIXTURES").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => env::home_dir().unwrap_or_default().join(".cache/secateur/fixtures"),
    }
}
