//! The built `secateur` binary, run as a user runs it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

/// The binary that cargo built beside the tests.
///
/// # Panics
/// When it is not there: the workspace was not built as a whole.
pub fn path() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    // tests lie in target/<profile>/deps, commands for developers beside the binary
    let folders = own.ancestors().skip(1).take(2);
    let mut binaries = folders.map(|folder| folder.join(format!("secateur{}", std::env::consts::EXE_SUFFIX)));
    binaries.find(|binary| binary.is_file()).unwrap_or_else(|| {
        panic!("no secateur near {}: test the whole workspace, as ./test does", own.display())
    })
}

/// Runs it.
///
/// # Panics
/// When it cannot be started or ends by a signal.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    run_with(arguments, &[])
}

/// Runs it with these environment variables, beside those of the test.
///
/// # Panics
/// As [`run`].
pub fn run_with<S: AsRef<OsStr>>(arguments: &[S], environment: &[(&str, &OsStr)]) -> Ran {
    let mut command = Command::new(path());
    let output =
        command.args(arguments).envs(environment.iter().copied()).output().expect("the binary starts");
    Ran {
        code: output.status.code().expect("the binary ends by itself"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Compresses with `--json` and gives the record.
///
/// # Panics
/// When the exit code is not 0.
pub fn compress(model: &Path, options: &[&str], out: &Path) -> Value {
    let mut arguments = vec!["compress".into(), model.as_os_str().to_owned(), "--json".into()];
    arguments.extend(options.iter().map(Into::into));
    arguments.extend(["--out".into(), out.as_os_str().to_owned()]);
    let ran = run(&arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).expect("--json prints JSON")
}
