//! Clients of a [`HubServer`] with a home of their own: secateur, and Python's huggingface_hub.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{self, Ran};
use crate::fixtures::fixture;
use crate::hub_server::HubServer;

/// A server, and an empty cache for what it serves.
#[derive(Debug)]
pub struct Home {
    /// The server.
    pub server: HubServer,
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// Starts the server.
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn new() -> Self {
        let server = HubServer::start();
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let variables =
            [("HF_ENDPOINT", server.endpoint()), ("HF_HOME", folder.path().display().to_string())];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        Self { server, folder, variables }
    }

    /// Sets a variable for all clients from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Where the cache is.
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    /// The home folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The cache of one model.
    pub fn repo(&self, repo: &str) -> PathBuf {
        self.cache().join(format!("models--{}", repo.replace('/', "--")))
    }

    /// Every file below the home, sorted.
    ///
    /// # Panics
    /// When the home is gone.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(self.path(), self.path(), &mut files);
        files.sort();
        files
    }

    /// A command in this home.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("HF_") || name.starts_with("HUGGING") || name.starts_with("TRANSFORMERS_") {
                command.env_remove(name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // loopback is asked directly
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command
    }

    /// Runs secateur.
    ///
    /// # Panics
    /// When it cannot be started or ends by a signal.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(&self.command(&binary::path()).args(arguments).output().expect("the binary starts"))
    }

    /// Starts secateur.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&binary::path());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }

    /// `secateur pull --json`, which succeeds.
    ///
    /// # Panics
    /// When it does not.
    pub fn pull(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[&["pull", "--json"], arguments].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let record = serde_json::from_str(&ran.stdout).expect("--json prints JSON");
        crate::schemas::assert_valid("pull", &record);
        record
    }

    /// Asks Python's huggingface_hub; its answer, or why it has none.
    ///
    /// # Errors
    /// With the words of the library.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn python(&self, arguments: &[&str]) -> Result<Value, String> {
        let mut command = self.command(&fixture("venv/bin/python"));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/judge/hub.py")).args(arguments);
        let output = command.output().expect("Python starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: Value = serde_json::from_str(text.trim())
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer),
        }
    }
}

/// What a finished process left behind.
///
/// # Panics
/// When it ended by a signal.
pub fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().expect("the binary ends by itself"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            collect(root, &entry.path(), files);
        } else {
            files.push(entry.path().strip_prefix(root).unwrap().display().to_string());
        }
    }
}
