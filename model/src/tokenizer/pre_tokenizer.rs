//! The pre-tokenizers of byte-level BPE: llama.cpp knows them by name, tokenizer.json by structure.
//!
//! llama.cpp's converter tells them apart by hashing the ids of a test string, so a changed vocabulary has no name. We
//! compare the structure instead.
//!
//! A pre-tokenizer has two spellings, since llama.cpp's regular expressions know no inline flags and fewer character
//! classes. They differ on rare characters only (`'ſ` is a contraction to one, not to the other).

use serde_json::{Value, json};

use super::TokenizerError;

/// A pre-tokenizer that llama.cpp has a name for.
pub(super) struct PreTokenizer {
    /// The name that is written.
    pub(super) name: &'static str,
    /// Names that llama.cpp splits the same way.
    aliases: &'static [&'static str],
    /// llama.cpp's regular expressions: each splits what the one before left, matches and the text between them alike.
    pub(super) splits: &'static [&'static str],
    /// The steps in tokenizer.json.
    steps: &'static [Step<'static>],
    /// A word that is a token is taken as it is, even where merges lead elsewhere.
    pub(super) ignore_merges: bool,
    /// Texts start with the begin-of-sequence token unless the file says otherwise.
    pub(super) add_bos: bool,
    /// The models that use it bring text into Unicode's composed form first; llama.cpp does not.
    pub(super) compose: bool,
}

/// One step of a pre-tokenizer in tokenizer.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    /// Split into matches and the text between them.
    Regex(&'a str),
    /// Split off each digit.
    EachDigit,
    /// Spell in the byte alphabet; first split as GPT-2 does, or not.
    ByteLevel { split: bool },
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3_JSON: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2_JSON: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35_JSON: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN_JSON: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O_JSON: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const NUMBERS: &str = r"\p{N}+";
const THREE_DIGITS: &str = r"[0-9][0-9][0-9]";

/// Sources: the tokenizer.json files of the models and `llm_tokenizer_bpe` in llama.cpp's `llama-vocab.cpp`.
static KNOWN: &[PreTokenizer] = &[
    PreTokenizer {
        name: "gpt-2",
        aliases: &[
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
            "mellum",
            "a.x-4.0",
            "gigachat",
        ],
        splits: &[GPT2],
        steps: &[Step::ByteLevel { split: true }],
        ignore_merges: false,
        add_bos: false,
        compose: false,
    },
    PreTokenizer {
        name: "smollm",
        aliases: &["starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        splits: &[r"\p{N}", GPT2],
        steps: &[Step::EachDigit, Step::ByteLevel { split: true }],
        ignore_merges: false,
        add_bos: false,
        compose: false,
    },
    PreTokenizer {
        name: "llama-bpe",
        aliases: &["llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        splits: &[LLAMA3],
        steps: &[Step::Regex(LLAMA3_JSON), Step::ByteLevel { split: false }],
        ignore_merges: true,
        add_bos: true,
        compose: false,
    },
    PreTokenizer {
        name: "dbrx",
        aliases: &["smaug-bpe"],
        splits: &[LLAMA3],
        steps: &[Step::Regex(LLAMA3_JSON), Step::ByteLevel { split: false }],
        ignore_merges: false,
        add_bos: false,
        compose: false,
    },
    PreTokenizer {
        name: "qwen2",
        aliases: &[
            "stablelm2",
            "megrez",
            "deepseek-r1-qwen",
            "hunyuan",
            "kormo",
            "f2llmv2",
            "solar-open",
            "grok-2",
        ],
        splits: &[QWEN2],
        steps: &[Step::Regex(QWEN2_JSON), Step::ByteLevel { split: false }],
        ignore_merges: false,
        add_bos: false,
        compose: true,
    },
    PreTokenizer {
        name: "qwen35",
        aliases: &[],
        splits: &[QWEN35],
        steps: &[Step::Regex(QWEN35_JSON), Step::ByteLevel { split: false }],
        ignore_merges: false,
        add_bos: false,
        compose: true,
    },
    PreTokenizer {
        name: "tekken",
        aliases: &[],
        splits: &[TEKKEN],
        steps: &[Step::Regex(TEKKEN_JSON), Step::ByteLevel { split: false }],
        ignore_merges: true,
        add_bos: true,
        compose: false,
    },
    PreTokenizer {
        name: "gpt-4o",
        aliases: &["llama4", "kanana2"],
        splits: &[GPT4O],
        steps: &[Step::Regex(GPT4O_JSON), Step::ByteLevel { split: false }],
        ignore_merges: false,
        add_bos: false,
        compose: false,
    },
    PreTokenizer {
        name: "default",
        aliases: &[],
        splits: &[PUNCTUATION, GPT2, NUMBERS, THREE_DIGITS],
        steps: &[
            Step::Regex(PUNCTUATION),
            Step::Regex(GPT2),
            Step::Regex(NUMBERS),
            Step::Regex(THREE_DIGITS),
            Step::ByteLevel { split: false },
        ],
        ignore_merges: false,
        add_bos: false,
        compose: false,
    },
];

/// The pre-tokenizer with this name or alias.
pub(super) fn named(name: &str) -> Option<&'static PreTokenizer> {
    KNOWN.iter().find(|known| known.name == name || known.aliases.contains(&name))
}

/// As [`named`], with an error that lists the names.
pub(super) fn require(name: &str) -> Result<&'static PreTokenizer, TokenizerError> {
    named(name).ok_or_else(|| TokenizerError::UnknownPreTokenizerName {
        found: name.to_owned(),
        known: KNOWN
            .iter()
            .flat_map(|known| [&[known.name], known.aliases].concat())
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// The pre-tokenizer with the structure of this `pre_tokenizer` from tokenizer.json, and this `model.ignore_merges`.
pub(super) fn recognize(json: &Value, ignore_merges: bool) -> Result<&'static PreTokenizer, TokenizerError> {
    steps(json)
        .and_then(|steps| {
            KNOWN.iter().find(|known| known.steps == steps && known.ignore_merges == ignore_merges)
        })
        .ok_or_else(|| TokenizerError::UnknownPreTokenizer {
            found: format!("{json} (ignore_merges: {ignore_merges})"),
        })
}

impl PreTokenizer {
    /// The `pre_tokenizer` for tokenizer.json.
    pub(super) fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| match step {
                Step::Regex(pattern) => {
                    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
                }
                Step::EachDigit => json!({"type": "Digits", "individual_digits": true}),
                Step::ByteLevel { split } => {
                    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": split})
                }
            })
            .collect();
        match <[Value; 1]>::try_from(steps) {
            Ok([only]) => only,
            Err(steps) => json!({"type": "Sequence", "pretokenizers": steps}),
        }
    }
}

/// The steps of a `pre_tokenizer`; `None` if one of them is nothing that [`Step`] has.
fn steps(json: &Value) -> Option<Vec<Step<'_>>> {
    match json["type"].as_str()? {
        "Sequence" => {
            let inner: Option<Vec<_>> = json["pretokenizers"].as_array()?.iter().map(steps).collect();
            Some(inner?.concat())
        }
        "Split" => {
            // what is between matches is removed: nothing, as these patterns match everything
            let isolated = json["behavior"] == "Isolated" && json["invert"] == false;
            let removed_between = json["behavior"] == "Removed" && json["invert"] == true;
            let pattern = json["pattern"]["Regex"].as_str()?;
            (isolated || removed_between).then(|| vec![Step::Regex(pattern)])
        }
        "Digits" => (json["individual_digits"] == true).then(|| vec![Step::EachDigit]),
        // older files leave out `use_regex`, which was always on
        "ByteLevel" => (json["add_prefix_space"] == false)
            .then(|| vec![Step::ByteLevel { split: json["use_regex"].as_bool().unwrap_or(true) }]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_recognized() {
        for known in KNOWN {
            assert_eq!(recognize(&known.to_json(), known.ignore_merges).unwrap().name, known.name);
        }
    }

    #[test]
    fn names_lead_to_one_pre_tokenizer_each() {
        let names: Vec<_> = KNOWN.iter().flat_map(|known| [&[known.name], known.aliases].concat()).collect();
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(named("llama3").unwrap().name, "llama-bpe");
    }

    #[test]
    fn an_unknown_structure_is_named() {
        let json = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "x+"}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]});
        let error = recognize(&json, false).map(|known| known.name).unwrap_err();
        assert!(error.to_string().contains("x+"), "{error}");
        let with_space = json!({"type": "ByteLevel", "add_prefix_space": true, "use_regex": true});
        assert!(recognize(&with_space, false).is_err());
        assert!(recognize(&Value::Null, false).is_err());
        let error = require("kimi-k2").map(|known| known.name).unwrap_err();
        assert!(error.to_string().contains("`kimi-k2`") && error.to_string().contains("smollm"), "{error}");
    }

    #[test]
    fn the_same_pattern_is_known_with_and_without_merges_ignored() {
        let json = named("llama-bpe").unwrap().to_json();
        assert_eq!(recognize(&json, true).unwrap().name, "llama-bpe");
        assert_eq!(recognize(&json, false).unwrap().name, "dbrx");
    }
}
