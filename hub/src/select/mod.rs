//! Which files of a model are wanted: what transformers loads, one GGUF model, or what the user's patterns say. Never pickles.

mod gguf;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use gguf::{gguf_named, only_gguf};

use crate::HubError;

pub use glob::Pattern;

const SINGLE_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";

/// What says what a model is, beside its weights.
const DESCRIPTIONS: [&str; 12] = [
    "README.md",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
];

/// Which files the user wants.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// If there are any: these and no others.
    pub include: Vec<Pattern>,
    /// Not these.
    pub exclude: Vec<Pattern>,
}

/// Which files that is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Selected {
    pub paths: Vec<String>,
    /// The GGUF file to open, if that is what was chosen; else it is the folder.
    pub gguf: Option<String>,
    /// Pickles that the patterns would have had.
    pub pickles: Vec<String>,
}

/// Chooses among the files of a model; `read` gives the content of one.
pub(crate) fn select(
    repo: &str,
    paths: &[String],
    file: Option<&str>,
    selection: &Selection,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, HubError>,
) -> Result<Selected, HubError> {
    let mut selected = if let Some(file) = file {
        gguf_named(repo, paths, file)?
    } else if selection.include.is_empty() {
        default_files(repo, paths, read)?
    } else {
        included(paths, &selection.include)
    };
    let is_excluded = |path: &String| selection.exclude.iter().any(|pattern| pattern.matches(path));
    selected.paths.retain(|path| !is_excluded(path));
    selected.pickles.retain(|path| !is_excluded(path));
    if let Some(name) = selected.paths.iter().find(|path| !is_safe(path)) {
        return Err(HubError::UnsafeName { repo: repo.to_owned(), name: name.clone() });
    }
    match (selected.paths.is_empty(), selected.pickles.is_empty()) {
        (true, false) => Err(only_pickle(repo, &selected.pickles)),
        (true, true) => Err(HubError::NothingSelected { repo: repo.to_owned() }),
        _ => Ok(selected),
    }
}

fn included(paths: &[String], include: &[Pattern]) -> Selected {
    let wanted = paths.iter().filter(|path| include.iter().any(|pattern| pattern.matches(path)));
    let (pickles, paths) = wanted.cloned().partition(|path| is_pickle(path));
    Selected { paths, gguf: None, pickles }
}

/// Configuration, tokenizer, card, and the weights that transformers would load; or the only GGUF model.
fn default_files(
    repo: &str,
    paths: &[String],
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, HubError>,
) -> Result<Selected, HubError> {
    let has = |name: &str| paths.iter().any(|path| path == name);
    let mut weights: BTreeSet<String> = BTreeSet::new();
    if has(SINGLE_FILE) {
        weights.insert(SINGLE_FILE.to_owned());
    } else if has(INDEX_FILE) {
        weights.extend(shards(repo, &read(INDEX_FILE)?)?);
        if let Some(file) = weights.iter().find(|shard| !has(shard)) {
            return Err(HubError::MissingShard { repo: repo.to_owned(), file: file.clone() });
        }
        weights.insert(INDEX_FILE.to_owned());
    } else {
        return only_gguf(repo, paths);
    }
    let is_wanted = |path: &&String| {
        DESCRIPTIONS.contains(&path.as_str()) || is_chat_template(path) || weights.contains(*path)
    };
    Ok(Selected { paths: paths.iter().filter(is_wanted).cloned().collect(), ..Selected::default() })
}

fn is_chat_template(path: &str) -> bool {
    let name = path.strip_prefix("additional_chat_templates/");
    name.and_then(|name| name.strip_suffix(".jinja")).is_some_and(|name| !name.contains('/'))
}

/// The files that an index names.
fn shards(repo: &str, index: &[u8]) -> Result<BTreeSet<String>, HubError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(index)
        .map_err(|error| HubError::BadIndex { repo: repo.to_owned(), reason: error.to_string() })?;
    Ok(index.weight_map.into_values().collect())
}

/// True for names under which pickled objects are stored: loading one can run any program.
fn is_pickle(path: &str) -> bool {
    has_extension(path, &["bin", "pt", "pth", "pkl", "pickle", "ckpt"])
}

/// True for files that hold weights and not words about them.
pub(crate) fn is_weights(path: &str) -> bool {
    has_extension(path, &["safetensors", "gguf"])
}

pub(crate) fn has_extension(path: &str, extensions: &[&str]) -> bool {
    let found = Path::new(path).extension().and_then(|found| found.to_str());
    found.is_some_and(|found| extensions.iter().any(|extension| found.eq_ignore_ascii_case(extension)))
}

/// True if a name of the server's stays inside the folder that it is joined to, on any system.
fn is_safe(path: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.split('/').all(is_plain) && !path.contains(['\\', ':']) && !path.contains(char::is_control)
}

fn only_pickle(repo: &str, pickles: &[String]) -> HubError {
    let names: Vec<&str> = pickles.iter().map(String::as_str).collect();
    HubError::OnlyPickle { repo: repo.to_owned(), files: listed(&names) }
}

/// A few names and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{text} and {} more", names.len() - SHOWN) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn choose(
        paths: &[&str],
        file: Option<&str>,
        selection: &Selection,
    ) -> Result<Selected, HubError> {
        let mut paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        paths.sort();
        let index = br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
        select("org/name", &paths, file, selection, &mut |_| Ok(index.to_vec()))
    }

    fn patterns(patterns: &[&str]) -> Vec<Pattern> {
        patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect()
    }

    #[test]
    fn what_transformers_loads_and_nothing_else() {
        let selected = choose(
            &[
                ".gitattributes",
                "README.md",
                "config.json",
                "model.safetensors",
                "consolidated.safetensors",
                "pytorch_model.bin",
                "tokenizer.json",
                "additional_chat_templates/tool.jinja",
                "onnx/model.onnx",
                "model-q8_0.gguf",
            ],
            None,
            &Selection::default(),
        );
        let expected = [
            "README.md",
            "additional_chat_templates/tool.jinja",
            "config.json",
            "model.safetensors",
            "tokenizer.json",
        ];
        assert_eq!(selected.unwrap().paths, expected);
    }

    #[test]
    fn the_index_says_which_shards() {
        let all = [
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model-00003-of-00003.safetensors",
        ];
        let selected = choose(&all, None, &Selection::default()).unwrap();
        assert_eq!(selected.paths.len(), 4);
        assert!(!selected.paths.contains(&all[4].to_owned()));
        let missing = choose(&all[..3], None, &Selection::default());
        assert!(matches!(missing, Err(HubError::MissingShard { file, .. }) if file == all[3]));
    }

    #[test]
    fn pickles_are_never_fetched() {
        let only = choose(&["config.json", "pytorch_model.bin"], None, &Selection::default());
        assert!(matches!(only, Err(HubError::OnlyPickle { .. })));
        let all = Selection { include: patterns(&["*"]), exclude: Vec::new() };
        let selected = choose(&["a/training_args.bin", "config.json", "x.PT"], None, &all).unwrap();
        assert_eq!(selected.paths, ["config.json"]);
        assert_eq!(selected.pickles, ["a/training_args.bin", "x.PT"]);
        let asked = Selection { include: patterns(&["*.bin"]), exclude: Vec::new() };
        assert!(matches!(choose(&["a.bin", "b.txt"], None, &asked), Err(HubError::OnlyPickle { .. })));
    }

    #[test]
    fn patterns_match_across_folders_like_those_of_huggingface_hub() {
        let selection =
            Selection { include: patterns(&["*.json", "onnx/*"]), exclude: patterns(&["*/b.json"]) };
        let paths = ["a.json", "x/y/a.json", "x/b.json", "onnx/deep/model.onnx", "c.txt"];
        let selected = choose(&paths, None, &selection).unwrap();
        assert_eq!(selected.paths, ["a.json", "onnx/deep/model.onnx", "x/y/a.json"]);
        let nothing = Selection { include: patterns(&["*.nope"]), exclude: Vec::new() };
        assert!(matches!(choose(&paths, None, &nothing), Err(HubError::NothingSelected { .. })));
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        let all = Selection { include: patterns(&["*"]), exclude: Vec::new() };
        for name in ["../x", "a/../../x", "/etc/x", "a//x", "./x", "a\\..\\x", "C:x", "a\nx", "a/.", ""] {
            let error = choose(&["config.json", name], None, &all).unwrap_err();
            assert!(matches!(error, HubError::UnsafeName { .. }), "{name}");
        }
    }
}
