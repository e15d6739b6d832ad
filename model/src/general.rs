//! What a model says about itself: the `general.*` keys, gathered from a Hugging Face folder.

use std::path::Path;

use serde::Deserialize;

use crate::gguf::{Metadata, MetadataValue};
use crate::{ModelError, ModelSpec};

/// Largest model card that we read.
const MAX_CARD_BYTES: u64 = 4 << 20;

/// The part of a model card's front matter that GGUF has keys for.
#[derive(Debug, Default, Deserialize)]
struct FrontMatter {
    license: Option<String>,
    license_name: Option<String>,
    license_link: Option<String>,
    #[serde(default)]
    tags: OneOrMany,
    #[serde(default)]
    language: OneOrMany,
}

/// YAML authors write `language: en` as often as `language: [en]`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// Gathers the `general.*` keys that llama.cpp's converter would write for this folder.
///
/// # Errors
/// If the model card cannot be read; a card without (valid) front matter is no error.
pub(crate) fn general_from_folder(folder: &Path, spec: &ModelSpec) -> Result<Metadata, ModelError> {
    let identity = Identity::of(folder);
    let card = front_matter(&folder.join("README.md"))?;
    let mut general = Metadata::new();
    general.set("general.type", "model".to_owned());
    general.set("general.name", identity.title());
    if let Some(organization) = &identity.organization {
        general.set("general.organization", organization.clone());
    }
    general.set("general.size_label", size_label(spec.parameter_count()));
    let texts = [
        ("general.license", card.license),
        ("general.license.name", card.license_name),
        ("general.license.link", card.license_link),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            general.set(key, value);
        }
    }
    general.set("general.base_model.count", 1_u32);
    general.set("general.base_model.0.name", identity.title());
    if let Some(organization) = &identity.organization {
        general.set("general.base_model.0.organization", organization.clone());
        let url = format!("https://huggingface.co/{organization}/{}", identity.name);
        general.set("general.base_model.0.repo_url", url);
    }
    for (key, values) in [("general.tags", card.tags), ("general.languages", card.language)] {
        let values = values.into_vec();
        if !values.is_empty() {
            general.set(key, values);
        }
    }
    Ok(general)
}

/// Who the model is, from where its folder stands.
struct Identity {
    organization: Option<String>,
    name: String,
}

impl Identity {
    /// In the Hub's cache a snapshot is `models--org--name/snapshots/<commit>`; else the folder has the model's name.
    fn of(folder: &Path) -> Self {
        let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let in_cache = absolute.ancestors().find_map(|ancestor| {
            let rest = ancestor.file_name()?.to_str()?.strip_prefix("models--")?;
            rest.split_once("--").map(|(organization, name)| (organization.to_owned(), name.to_owned()))
        });
        if let Some((organization, name)) = in_cache {
            return Self { organization: Some(organization), name };
        }
        let name = absolute.file_name().and_then(|name| name.to_str()).unwrap_or("model");
        Self { organization: None, name: name.to_owned() }
    }

    /// `smollm2-135M` as `Smollm2 135M`.
    fn title(&self) -> String {
        let word = |word: &str| {
            let lower = word.chars().all(|letter| !letter.is_uppercase());
            match word.chars().next() {
                Some(first) if lower => first.to_uppercase().chain(word.chars().skip(1)).collect(),
                _ => word.to_owned(),
            }
        };
        self.name
            .split(['-', '_', ' '])
            .filter(|part| !part.is_empty())
            .map(word)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// `135M`, `1.2B`: parameters as model names give them.
pub fn size_label(parameters: u64) -> String {
    let millions = parameters as f64 / 1e6;
    match parameters {
        0..1_000_000 => format!("{:.0}K", parameters as f64 / 1e3),
        1_000_000..10_000_000 => format!("{millions:.1}M"),
        10_000_000..1_000_000_000 => format!("{millions:.0}M"),
        1_000_000_000..10_000_000_000 => format!("{:.1}B", millions / 1e3),
        _ => format!("{:.0}B", millions / 1e3),
    }
}

fn front_matter(card: &Path) -> Result<FrontMatter, ModelError> {
    let unreadable = |source| ModelError::Io { path: card.to_owned(), source };
    match std::fs::metadata(card) {
        Ok(metadata) if metadata.len() <= MAX_CARD_BYTES => {}
        _ => return Ok(FrontMatter::default()),
    }
    let text = std::fs::read(card).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&text);
    let yaml = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")).map(|(yaml, _)| yaml);
    // a card is prose for people: what is not understood there is left out, not refused
    Ok(yaml.and_then(|yaml| serde_saphyr::from_str(yaml).ok()).unwrap_or_default())
}

/// A text from the `general.*` keys.
pub fn general_text<'a>(general: &'a Metadata, key: &str) -> Option<&'a str> {
    general.get(&format!("general.{key}")).and_then(MetadataValue::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_model_names() {
        assert_eq!(size_label(134_515_008), "135M");
        assert_eq!(size_label(1_235_814_400), "1.2B");
        assert_eq!(size_label(867_000), "867K");
    }

    #[test]
    fn a_hub_snapshot_knows_its_organization() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = folder.path().join("models--HuggingFaceTB--SmolLM2-135M/snapshots/12fd25f");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::write(snapshot.join("README.md"), "---\nlicense: apache-2.0\nlanguage: en\n---\n# Hello\n")
            .unwrap();
        let identity = Identity::of(&snapshot);
        assert_eq!(identity.organization.as_deref(), Some("HuggingFaceTB"));
        assert_eq!(identity.title(), "SmolLM2 135M");
        let card = front_matter(&snapshot.join("README.md")).unwrap();
        assert_eq!(card.license.as_deref(), Some("apache-2.0"));
        assert_eq!(card.language.into_vec(), ["en"]);
    }
}
