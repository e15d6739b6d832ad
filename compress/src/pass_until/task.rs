//! Task files: JSON lines, or a YAML list.

use std::path::{Path, PathBuf};

use secateur_model::tokenizer::TokenizerError;
use serde::Deserialize;

use super::{Check, CheckError};
use crate::forward::ForwardError;

/// Something that a model is asked, and how it is seen to be solved.
#[derive(Debug, Clone)]
pub struct Task {
    /// What the model continues.
    pub prompt: String,
    /// When a continuation passes.
    pub check: Check,
    /// Texts that end a continuation; they do not belong to it.
    pub stop: Vec<String>,
}

/// Why tasks cannot be read or sampled.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum TaskError {
    #[error("`{}` cannot be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` has no tasks", path.display())]
    Empty { path: PathBuf },
    #[error("`{}`, line {line}: {source}", path.display())]
    Json { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("`{}`: {reason}", path.display())]
    Yaml { path: PathBuf, reason: String },
    #[error("`{}`, task {task}: {source}", path.display())]
    Check { path: PathBuf, task: usize, source: CheckError },
    #[error(
        "`{}`, task {task}: say how it is checked, `\"check\": \"exact\"`, `\"regex\"` or `\"numeric\"`; only answers with `####` are numeric by themselves",
        path.display()
    )]
    NoCheck { path: PathBuf, task: usize },
    #[error("a prompt cannot be tokenized: {0}")]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Forward(#[from] ForwardError),
}

/// A task as written. `question` and `answer` are the names that GSM8K uses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(alias = "question")]
    prompt: String,
    answer: String,
    check: Option<Kind>,
    #[serde(default)]
    stop: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Exact,
    Regex,
    Numeric,
}

/// Reads a task file: a YAML list if its name ends so, else JSON lines.
///
/// # Errors
/// With the line or the task that is wrong.
pub fn read_tasks(path: &Path) -> Result<Vec<Task>, TaskError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| TaskError::Read { path: path.to_owned(), source })?;
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let written = if is_yaml {
        serde_saphyr::from_str::<Vec<Written>>(&text)
            .map_err(|error| TaskError::Yaml { path: path.to_owned(), reason: error.to_string() })?
    } else {
        json_lines(path, &text)?
    };
    if written.is_empty() {
        return Err(TaskError::Empty { path: path.to_owned() });
    }
    written.into_iter().enumerate().map(|(index, task)| task.understood(path, index + 1)).collect()
}

fn json_lines(path: &Path, text: &str) -> Result<Vec<Written>, TaskError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let wrong = |source| TaskError::Json { path: path.to_owned(), line: index + 1, source };
            serde_json::from_str(line).map_err(wrong)
        })
        .collect()
}

impl Written {
    fn understood(self, path: &Path, task: usize) -> Result<Task, TaskError> {
        let marked = self.answer.contains("####").then_some(Kind::Numeric);
        let check = match self.check.or(marked) {
            Some(Kind::Exact) => Ok(Check::exact(&self.answer)),
            Some(Kind::Regex) => Check::regex(&self.answer),
            Some(Kind::Numeric) => Check::numeric(&self.answer),
            None => return Err(TaskError::NoCheck { path: path.to_owned(), task }),
        };
        let check = check.map_err(|source| TaskError::Check { path: path.to_owned(), task, source })?;
        Ok(Task { prompt: self.prompt, check, stop: self.stop })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str) -> Result<Vec<Task>, TaskError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_tasks(&path)
    }

    #[test]
    fn gsm8ks_own_lines_are_tasks() {
        let line = r#"{"question": "How many?", "answer": "6 * 2 = <<6*2=12>>12\n#### 12"}"#;
        let tasks = read("gsm8k.jsonl", &format!("{line}\n\n{line}\n")).unwrap();
        assert_eq!(tasks.len(), 2);
        assert!(matches!(tasks[0].check, Check::Numeric(number) if number == 12.0));
    }

    #[test]
    fn yaml_lists_are_tasks() {
        let tasks = read("t.yaml", "- prompt: 'a'\n  answer: b+\n  check: regex\n  stop: ['x']\n").unwrap();
        assert!(tasks[0].check.passes("abb"));
        assert_eq!(tasks[0].stop, ["x"]);
    }

    #[test]
    fn errors_say_where() {
        let message = |name: &str, content: &str| read(name, content).unwrap_err().to_string();
        assert!(message("t.jsonl", "{\"prompt\": \"a\"}").contains("line 1: missing field `answer`"));
        assert!(message("t.jsonl", "{\"prompt\": \"a\", \"answer\": \"b\"}").contains("task 1: say how"));
        let no_number = "{\"prompt\": \"a\", \"answer\": \"b\", \"check\": \"numeric\"}";
        assert!(message("t.jsonl", no_number).contains("`b` has no number"));
        assert!(message("t.jsonl", "\n").contains("no tasks"));
        assert!(message("t.yml", "- promt: a\n").contains("promt"));
    }
}
