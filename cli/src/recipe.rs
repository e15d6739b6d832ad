//! Options from a file: with `--recipe FILE`, what stands in the file is as if it were typed.
//!
//! ```yaml
//! model: org/name
//! profile: raspberry-pi-5-8gb
//! max-size: 80MB
//! text: [wiki.txt, notes]
//! ```

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::exit::Exit;

/// Commands that take a recipe.
const COMMANDS: [&str; 2] = ["compress", "search"];

const OPTION: &str = "--recipe";

/// Why a recipe cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no recipe, which is a YAML mapping of options: {source}", path.display())]
    NotYaml { path: PathBuf, source: serde_saphyr::Error },
    #[error("`{}`: `{key}` is no option of `secateur {command}`; the nearest is `{nearest}`", path.display())]
    UnknownKey { path: PathBuf, key: String, command: String, nearest: String },
    #[error("`{}`: `{key}` is {found}, expected {expected}", path.display())]
    BadValue { path: PathBuf, key: String, found: String, expected: &'static str },
}

impl RecipeError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreadable { .. } => Exit::Unusable,
            _ => Exit::Usage,
        }
    }
}

/// The command line with the options of its recipe, if it names one. What is typed wins over what the recipe says.
///
/// # Errors
/// If the recipe cannot be read, or says what no option says.
pub fn expanded(typed: Vec<OsString>) -> Result<Vec<OsString>, RecipeError> {
    let is_command = |word: &OsString| COMMANDS.iter().any(|command| word.as_os_str() == *command);
    let Some(command) = typed.iter().position(is_command) else { return Ok(typed) };
    let (before, after) = typed.split_at(command + 1);
    let Some((path, rest)) = split_recipe(after) else { return Ok(typed) };
    let name = before[command].to_string_lossy().into_owned();
    let text = std::fs::read_to_string(&path)
        .map_err(|source| RecipeError::Unreadable { path: path.clone(), source })?;
    let recipe: Map<String, Value> = serde_saphyr::from_str(&text)
        .map_err(|source| RecipeError::NotYaml { path: path.clone(), source })?;
    let known = Known::of(&name);
    let mut said = Vec::new();
    for (key, value) in &recipe {
        let is_typed = [before, &rest].concat().iter().any(|word| is_option(word, key));
        let words = known.words(&path, key, value)?;
        if !is_typed {
            said.extend(words);
        }
    }
    Ok([before, &said, &rest].concat())
}

/// The path after `--recipe`, and all other words.
fn split_recipe(words: &[OsString]) -> Option<(PathBuf, Vec<OsString>)> {
    let at = words.iter().position(|word| is_option(word, &OPTION[2..]))?;
    let word = words[at].to_str()?;
    let (path, taken) = match word.split_once('=') {
        Some((_, path)) => (PathBuf::from(path), 1),
        None => (PathBuf::from(words.get(at + 1)?), 2),
    };
    Some((path, [&words[..at], &words[at + taken..]].concat()))
}

/// Whether a word is `--key` or `--key=…`.
fn is_option(word: &OsStr, key: &str) -> bool {
    let name = word.to_str().and_then(|word| word.strip_prefix("--"));
    name.is_some_and(|name| name.split('=').next() == Some(key))
}

/// What a command understands.
struct Known {
    command: String,
    options: Vec<Arg>,
}

impl Known {
    fn of(name: &str) -> Self {
        let all = Arguments::command();
        let own = all.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
        let options = own.chain(all.get_arguments()).filter(|option| option.get_long().is_some());
        Self { command: name.to_owned(), options: options.cloned().collect() }
    }

    /// A line of a recipe as it would be typed.
    fn words(&self, path: &Path, key: &str, value: &Value) -> Result<Vec<OsString>, RecipeError> {
        let bad = |expected| RecipeError::BadValue {
            path: path.to_owned(),
            key: key.to_owned(),
            found: value.to_string(),
            expected,
        };
        if key == "model" {
            return Ok(vec![scalar(value).ok_or_else(|| bad("a model"))?.into()]);
        }
        let option = self.options.iter().find(|option| option.get_long() == Some(key) && key != &OPTION[2..]);
        let option = option.ok_or_else(|| RecipeError::UnknownKey {
            path: path.to_owned(),
            key: key.to_owned(),
            command: self.command.clone(),
            nearest: self.nearest(key),
        })?;
        let word = |value: String| OsString::from(format!("--{key}={value}"));
        match (option.get_action(), value) {
            (ArgAction::SetTrue, Value::Bool(true)) => Ok(vec![format!("--{key}").into()]),
            (ArgAction::SetTrue, Value::Bool(false)) => Ok(Vec::new()),
            (ArgAction::SetTrue, _) => Err(bad("true or false")),
            (ArgAction::Append, Value::Array(values)) => {
                let words = values.iter().map(|value| scalar(value).map(word));
                words.collect::<Option<_>>().ok_or_else(|| bad("a list of texts and numbers"))
            }
            (_, value) => Ok(vec![word(scalar(value).ok_or_else(|| bad("a text or a number"))?)]),
        }
    }

    fn nearest(&self, key: &str) -> String {
        let names = self.options.iter().filter_map(Arg::get_long).filter(|name| *name != &OPTION[2..]);
        let nearest = names.chain(["model"]).min_by_key(|name| strsim::levenshtein(name, key));
        nearest.unwrap_or_default().to_owned()
    }
}

/// A text or a number as it would be typed.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(recipe: &str, typed: &[&str]) -> Result<Vec<String>, RecipeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.yaml");
        std::fs::write(&path, recipe).unwrap();
        let place = path.to_str().unwrap();
        let typed = typed.iter().map(|word| word.replace("FILE", place).into()).collect();
        Ok(expanded(typed)?.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn a_recipe_is_as_if_typed_and_what_is_typed_wins() {
        let recipe = "model: demo\nmax-size: 600kB\ntext: [a.txt, b]\nuneven: true\ndry-run: false\nseed: 7\ncontext: 512\n";
        let words = expand(
            recipe,
            &["secateur", "--quiet", "compress", "--recipe", "FILE", "--seed=8", "--out", "o"],
        );
        let expected = "secateur --quiet compress demo --max-size=600kB --text=a.txt --text=b --uneven --context=512 --seed=8 --out o";
        assert_eq!(words.unwrap().join(" "), expected);
        let words = expand("profile: [a, b]\n", &["secateur", "search", "demo", "--recipe=FILE"]);
        assert_eq!(words.unwrap(), ["secateur", "search", "--profile=a", "--profile=b", "demo"]);
    }

    #[test]
    fn a_command_line_without_a_recipe_stays() {
        for typed in
            [&["secateur", "inspect", "--recipe"][..], &["secateur", "compress", "demo"], &["secateur"]]
        {
            assert_eq!(expand("", typed).unwrap(), typed);
        }
    }

    #[test]
    fn what_is_no_option_is_told_with_the_nearest() {
        let error = |recipe: &str| {
            expand(recipe, &["secateur", "compress", "--recipe", "FILE"]).unwrap_err().to_string()
        };
        assert!(
            error("max-sise: 80MB\n")
                .contains("`max-sise` is no option of `secateur compress`; the nearest is `max-size`")
        );
        assert!(error("uneven: 3\n").contains("`uneven` is 3, expected true or false"));
        assert!(error("max-size: [1, 2]\n").contains("`max-size` is [1,2], expected a text or a number"));
        assert!(error("text: [{a: 1}]\n").contains("expected a list of texts and numbers"));
        assert!(error("recipe: other.yaml\n").contains("`recipe` is no option"));
        assert!(error("- max-size\n").contains("is no recipe"));
    }
}
