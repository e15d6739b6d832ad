//! What `MODEL` means on the Hub: `org/name`, `org/name@revision`, `org/name:file-or-quant`.

use std::fmt;
use std::str::FromStr;

/// The branch that is meant when none is named.
pub const DEFAULT_REVISION: &str = "main";

/// Longest name of an organization or a model that the Hub takes.
const MAX_NAME_BYTES: usize = 96;

/// A model on the Hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId {
    organization: String,
    name: String,
}

/// What a user wants of a model on the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    /// The model.
    pub repo: RepoId,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// A file, or a type as file names state it (`Q4_K_M`); without it, what transformers loads.
    pub file: Option<String>,
}

/// Why a text is no model on the Hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
pub enum IdError {
    #[error(
        "`{found}` is no model on the Hub; expected `org/name`, `org/name@revision` or `org/name:file-or-quant`"
    )]
    NotAnId { found: String },
    #[error("`{found}` cannot be a revision; expected a branch, a tag or a commit")]
    Revision { found: String },
}

impl RepoId {
    /// The folder's name in the cache.
    pub(crate) fn cache_name(&self) -> String {
        format!("models--{}--{}", self.organization, self.name)
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organization, self.name)
    }
}

impl FromStr for ModelId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let not_an_id = || IdError::NotAnId { found: text.to_owned() };
        let (organization, rest) = text.split_once('/').ok_or_else(not_an_id)?;
        // no branch of git has a colon in its name
        let (rest, file) = match rest.split_once(':') {
            Some((rest, file)) => (rest, Some(file)),
            None => (rest, None),
        };
        let (name, revision) = rest.split_once('@').unwrap_or((rest, DEFAULT_REVISION));
        if !is_name(organization) || !is_name(name) || file.is_some_and(str::is_empty) {
            return Err(not_an_id());
        }
        if !is_revision(revision) {
            return Err(IdError::Revision { found: revision.to_owned() });
        }
        Ok(Self {
            repo: RepoId { organization: organization.to_owned(), name: name.to_owned() },
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
        })
    }
}

/// True for what the Hub lets organizations and models be called; such a name is also safe as part of a folder's name.
fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(legal)
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
        && !name.contains("--")
        && !name.contains("..")
}

/// True for what git lets branches and tags be called, as far as that matters for a path in the cache.
fn is_revision(revision: &str) -> bool {
    let illegal = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
    !revision.is_empty()
        && !revision.contains(illegal)
        && !revision.starts_with('-')
        && revision.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.'))
        && !revision.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ModelId {
        text.parse().unwrap()
    }

    #[test]
    fn a_plain_name_means_the_main_branch() {
        let id = parse("HuggingFaceTB/SmolLM2-135M");
        assert_eq!(id.repo.to_string(), "HuggingFaceTB/SmolLM2-135M");
        assert_eq!((id.revision.as_str(), id.file), ("main", None));
    }

    #[test]
    fn revision_and_file_may_hold_slashes() {
        let id = parse("org/name@refs/pr/1:sub/model-Q4_K_M.gguf");
        assert_eq!(id.revision, "refs/pr/1");
        assert_eq!(id.file.as_deref(), Some("sub/model-Q4_K_M.gguf"));
        assert_eq!(parse("org/name:Q8_0").file.as_deref(), Some("Q8_0"));
        assert_eq!(parse("org/name:Q8_0").revision, "main");
    }

    #[test]
    fn paths_and_nonsense_are_no_ids() {
        let long = format!("org/{}", "n".repeat(97));
        for text in [
            "name",
            "/abs/path",
            "./a",
            "../a",
            "a/b/c",
            "a/",
            "/a",
            "org/..",
            "org/na me",
            "org/a--b",
            "-a/b",
            "org/name:",
            "~/x",
            "",
            &long,
        ] {
            assert!(text.parse::<ModelId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_revision_cannot_lead_out_of_the_cache() {
        for revision in ["", "..", "../x", "a/../b", "/abs", "a//b", "a\\b", "-x", ".hidden", "a/"] {
            let text = format!("org/name@{revision}");
            assert_eq!(text.parse::<ModelId>(), Err(IdError::Revision { found: revision.to_owned() }));
        }
    }
}
