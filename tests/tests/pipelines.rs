//! The GitHub action and the GitLab job of docs/ci.md: their own lines, run as the runners run them, with a release that is made here.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use secateur_tests::binary;
use serde_json::Value;
use tempfile::TempDir;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A machine that ran nothing yet, and a release of the program on it, with the layout of `.ci/release`.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("secateur-{VERSION}-{}-unknown-linux-musl", std::env::consts::ARCH);
        let machine = Self { folder };
        let release = machine.path("releases").join(format!("v{VERSION}"));
        fs::create_dir_all(release.join(&name)).unwrap();
        fs::copy(binary::path(), release.join(&name).join("secateur")).unwrap();
        let packed = "tar --create --gzip --file $0.tar.gz $0 && sha256sum $0.tar.gz > $0.tar.gz.sha256";
        let ran = Command::new("sh").args(["-c", packed, &name]).current_dir(&release).status().unwrap();
        assert!(ran.success());
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn releases(&self) -> String {
        format!("file://{}", self.path("releases").display())
    }

    /// As GitHub's `shell: bash`, and GitLab's scripts but for its trace.
    fn bash(&self, script: &str, variables: &[(String, String)]) -> Output {
        Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .envs(variables.iter().cloned())
            .env("HOME", self.folder.path())
            .env("SECATEUR_CACHE", self.path("cache"))
            .env("GITHUB_OUTPUT", self.path("output"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary"))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// The steps of action.yml that are scripts, until one fails; the last one's output.
    fn act(&self, inputs: &[(&str, &str)]) -> Output {
        let action = fs::read_to_string(repository().join("action.yml")).unwrap();
        let action: Value = serde_saphyr::from_str(&action).unwrap();
        let value = |expression: &str| match expression.strip_prefix("inputs.") {
            Some(input) => {
                let given = inputs.iter().find(|(name, _)| *name == input).map(|(_, value)| *value);
                let declared = &action["inputs"][input];
                assert!(declared.is_object(), "{input} is no input");
                given.or(declared["default"].as_str()).expect("the input has no default").to_owned()
            }
            None if expression == "github.action_path" => repository().display().to_string(),
            None => panic!("{expression} is not known"),
        };
        let mut last = None;
        for step in action["runs"]["steps"].as_array().unwrap() {
            let Some(script) = step["run"].as_str() else { continue };
            assert_eq!(step["shell"], "bash");
            if let Some(condition) = step["if"].as_str() {
                let input = condition.strip_suffix(" != ''").expect("a condition of another form");
                if value(input).is_empty() {
                    continue;
                }
            }
            let variables: Vec<(String, String)> = step["env"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, text)| {
                    let text = text.as_str().unwrap();
                    let expression = text.strip_prefix("${{ ").and_then(|text| text.strip_suffix(" }}"));
                    (name.clone(), expression.map_or_else(|| text.to_owned(), value))
                })
                .collect();
            assert!(!script.contains("${{"), "a script that reads inputs as commands");
            let output = self.bash(script, &variables);
            let failed = !output.status.success();
            last = Some(output);
            if failed {
                break;
            }
        }
        last.unwrap()
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_action_compresses_and_checks() {
    let machine = Machine::new();
    let releases = machine.releases();
    let with = |check: &str| {
        machine.act(&[
            ("model", "demo"),
            ("compress", "--type q4_0"),
            ("check", check),
            ("out", "small"),
            ("releases", &releases),
        ])
    };
    let kept = with("--max-size 700kB");
    assert!(kept.status.success(), "{}", words(&kept));
    assert_eq!(machine.read("output"), "folder=small\njunit=small.junit.xml\n");
    assert!(machine.path("small/model.gguf").is_file());
    assert!(machine.read("small.junit.xml").contains("failures=\"0\""));
    assert!(machine.read("summary").contains("max-size"), "{}", machine.read("summary"));

    fs::remove_dir_all(machine.path("small")).unwrap();
    let missed = with("--max-size 100kB");
    assert_eq!(missed.status.code(), Some(1), "{}", words(&missed));
    assert!(words(&missed).contains("::error"), "{}", words(&missed));
    assert!(machine.read("small.junit.xml").contains("failures=\"1\""));
}

#[test]
fn the_action_takes_nothing_but_what_was_released() {
    let machine = Machine::new();
    let elsewhere = format!("file://{}", machine.path("elsewhere").display());
    let missing = machine.act(&[("model", "demo"), ("compress", "--type q4_0"), ("releases", &elsewhere)]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(words(&missing).contains("::error::there is no secateur-"), "{}", words(&missing));

    let release = machine.path("releases").join(format!("v{VERSION}"));
    let archive = fs::read_dir(release).unwrap().map(|entry| entry.unwrap().path());
    let archive = archive.into_iter().find(|path| path.extension().is_some_and(|end| end == "gz")).unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&archive, bytes).unwrap();
    let releases = machine.releases();
    let damaged = machine.act(&[("model", "demo"), ("compress", "--type q4_0"), ("releases", &releases)]);
    assert!(!damaged.status.success());
    assert!(words(&damaged).contains("FAILED"), "{}", words(&damaged));
    assert!(!machine.path("secateur-out").exists() && !machine.path(".secateur/secateur").exists());
}

#[test]
fn the_gitlab_job_compresses_and_checks() {
    let page = fs::read_to_string(repository().join("docs/ci.md")).unwrap();
    let job = page.split("```yaml\n").find(|block| block.starts_with("compress:\n")).unwrap();
    let job: Value = serde_saphyr::from_str(job.split("```").next().unwrap()).unwrap();
    let job = &job["compress"];
    let machine = Machine::new();
    let arch = std::env::consts::ARCH;
    let mut variables = vec![("CI_PROJECT_DIR".to_owned(), machine.folder.path().display().to_string())];
    for (name, value) in job["variables"].as_object().unwrap() {
        let value = value
            .as_str()
            .unwrap()
            .replace("$CI_PROJECT_DIR", &machine.folder.path().display().to_string())
            .replace("https://github.com/secateur/secateur/releases/download", &machine.releases())
            .replace("x86_64", arch);
        assert!(!value.contains("github.com"), "a release of another place: {value}");
        variables.push((name.clone(), value));
    }
    let lines = ["before_script", "script"].iter().flat_map(|part| job[part].as_array().unwrap());
    let script: Vec<&str> =
        lines.map(|line| line.as_str().expect("a line of the script is no text")).collect();
    // the model of the Hub is the only thing that is not here
    let script = script.join("\n").replace(
        "HuggingFaceTB/SmolLM2-135M-Instruct --max-size 92MB",
        "demo --max-size 600kB --tokens 2048",
    );
    assert!(script.contains(" demo "), "the job compresses another model");
    let ran = machine.bash(&script, &variables);
    assert!(ran.status.success(), "{}", words(&ran));
    assert!(machine.path("out/model.gguf").is_file());
    assert!(machine.read("checks.xml").contains("failures=\"0\""));
}
