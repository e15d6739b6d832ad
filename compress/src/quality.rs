//! How far an artifact is from its source on text that it was not calibrated on.

use std::path::Path;

use schemars::JsonSchema;
use secateur_model::{CacheType, Checkpoint, Tokenizer};
use secateur_reports::checks::Check;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::CompressError;
use crate::checksum::hexadecimal;
use crate::forward::{Forward, Residency};
use crate::measure::{Chunks, Comparison, Estimate, MeasureError, Parent, divergence};
use crate::progress::Progress;
use crate::statistics::Sequence;

/// What is lost, measured by our forward pass: as llama-perplexity does, the second half of each chunk scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// SHA-256 of the text that was measured on, and of where it was cut: numbers of different texts are not to be compared.
    pub text: String,
    /// Tokens in the vocabulary of both.
    pub vocabulary: usize,
    /// Tokens that were scored.
    pub scored_tokens: usize,
    /// Mean divergence from the source, in nats per token.
    pub divergence: Estimate,
    /// 99 of 100 tokens diverge no more.
    pub divergence_99: Estimate,
    /// Share of tokens for which both hold the same next token for the likeliest.
    pub same_top: Estimate,
    /// The source's perplexity.
    pub source_perplexity: Estimate,
    /// The artifact's.
    pub perplexity: Estimate,
    /// The source's bits of loss for each byte of text.
    pub source_bits_per_byte: Estimate,
    /// The artifact's.
    pub bits_per_byte: Estimate,
    /// Mean divergence in each chunk of the text, for paired comparisons.
    pub divergence_of_chunk: Vec<f64>,
    /// How the scored part of each chunk begins, so that a reader sees what kind of text loses how much.
    #[serde(default)]
    pub passages: Vec<String>,
    /// The same for each of the texts that were named, where chunks are of more than one.
    #[serde(default)]
    pub domains: Vec<DomainQuality>,
}

/// What is lost on one of several texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DomainQuality {
    /// What the text is called.
    pub text: String,
    /// Tokens of it that were scored.
    pub scored_tokens: usize,
    /// Mean divergence from the source, in nats per token.
    pub divergence: Estimate,
    /// Share of tokens for which both hold the same next token for the likeliest.
    pub same_top: Estimate,
    /// The source's bits of loss for each byte of text.
    pub source_bits_per_byte: Estimate,
    /// The artifact's.
    pub bits_per_byte: Estimate,
}

/// Characters of the beginning of a passage.
const BEGINNING: usize = 80;

impl Quality {
    /// Whether the divergence is at most `allowed` nats per token.
    pub fn check(&self, allowed: f64) -> Check {
        let Estimate { value, error } = self.divergence;
        let error = error.map_or(String::new(), |error| format!(" ± {error:.4}"));
        Check {
            name: "max-kld".to_owned(),
            kept: value <= allowed,
            found: format!("{value:.4}"),
            allowed: format!("at most {allowed:.4}"),
            reason: format!("measured{error} on {} tokens", self.scored_tokens),
        }
    }
}

/// Measures a written GGUF, its keys and values kept as `cache` says, against its source on sequences of tokens, all of one length.
///
/// # Errors
/// If the source has no tokenizer, a model cannot be read, or the user interrupts.
pub(crate) fn quality(
    source: &Checkpoint,
    (written, cache): (&Path, Option<CacheType>),
    sequences: &[Sequence],
    progress: &dyn Progress,
) -> Result<Option<Quality>, CompressError> {
    let (Some(tokenizer), Some(first)) = (&source.tokenizer, sequences.first()) else { return Ok(None) };
    let tokens: Vec<u32> = sequences.iter().flat_map(|sequence| &sequence.tokens).copied().collect();
    let chunks = Chunks::of_tokens(tokenizer, &tokens, first.tokens.len(), None)?;
    let written = Checkpoint::open(written)?;
    let forward = |checkpoint| Forward::new(checkpoint, Residency::Stream).map_err(MeasureError::from);
    let (parent, mut child) = (forward(source)?, forward(&written)?);
    if let Some(cache) = cache {
        child = child.with_cache(cache)?;
    }
    let compared = divergence(Parent::Model(&parent), &child, &chunks, None, progress)?;
    Ok(Some(Quality {
        text: fingerprint(tokenizer, sequences),
        vocabulary: tokenizer.tokens.len(),
        scored_tokens: chunks.scored_tokens(),
        divergence: compared.divergence.mean(),
        divergence_99: compared.divergence.quantile(0.99),
        same_top: compared.divergence.same_top(),
        source_perplexity: compared.parent.perplexity(),
        perplexity: compared.child.perplexity(),
        source_bits_per_byte: compared.parent.bits_per_byte(),
        bits_per_byte: compared.child.bits_per_byte(),
        divergence_of_chunk: compared.divergence.mean_of_chunk(),
        passages: sequences
            .iter()
            .map(|sequence| beginning(tokenizer, &sequence.tokens[sequence.tokens.len() / 2..]))
            .collect(),
        domains: domains(sequences, &compared),
    }))
}

/// Chunks of each text by themselves, in the order in which the texts begin; nothing if all are of one.
fn domains(sequences: &[Sequence], compared: &Comparison) -> Vec<DomainQuality> {
    let mut names: Vec<&str> = Vec::new();
    for sequence in sequences {
        if !names.contains(&sequence.text.as_str()) {
            names.push(&sequence.text);
        }
    }
    if names.len() < 2 {
        return Vec::new();
    }
    let domain = |text: &str| {
        let Comparison { divergence, parent, child } =
            compared.of_chunks(|chunk| sequences[chunk].text == text);
        DomainQuality {
            text: text.to_owned(),
            scored_tokens: divergence.count(),
            divergence: divergence.mean(),
            same_top: divergence.same_top(),
            source_bits_per_byte: parent.bits_per_byte(),
            bits_per_byte: child.bits_per_byte(),
        }
    };
    names.into_iter().map(domain).collect()
}

/// The first characters that tokens spell, on one line.
fn beginning(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let bytes: Vec<u8> =
        tokens.iter().take(4 * BEGINNING).flat_map(|&token| tokenizer.bytes_of(token)).collect();
    // a token may begin or end within a character
    let text = String::from_utf8_lossy(&bytes).replace(char::REPLACEMENT_CHARACTER, "");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(BEGINNING).collect()
}

/// SHA-256 of the bytes that sequences spell, with the length of each.
fn fingerprint(tokenizer: &Tokenizer, sequences: &[Sequence]) -> String {
    let mut hasher = Sha256::new();
    for sequence in sequences {
        let bytes: Vec<u8> = sequence.tokens.iter().flat_map(|&token| tokenizer.bytes_of(token)).collect();
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    hexadecimal(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use secateur_model::demo;
    use secateur_model::stored::FileBytes;
    use secateur_model::tokenizer::{EncodeOptions, Encoder};

    use super::*;

    #[test]
    fn a_passage_begins_on_one_line_with_whole_characters() {
        let demo = Checkpoint::from_gguf_bytes("demo", FileBytes::Static(demo::GGUF)).unwrap();
        let tokenizer = demo.tokenizer.as_ref().unwrap();
        let options = EncodeOptions { add_special: false, parse_special: false };
        let text = "\n  It is a truth\nuniversally \u{e9}\u{4e2d} acknowledged ".to_owned()
            + &"and so on ".repeat(40);
        let tokens = Encoder::new(tokenizer).unwrap().encode(&text, options).unwrap();
        let found = beginning(tokenizer, &tokens);
        assert!(
            found.starts_with("It is a truth universally \u{e9}\u{4e2d} acknowledged and so on"),
            "{found}"
        );
        assert_eq!(found.chars().count(), BEGINNING);
        let within =
            tokens.iter().position(|&token| tokenizer.bytes_of(token).first() == Some(&0xb8)).unwrap();
        assert!(beginning(tokenizer, &tokens[within..]).starts_with("acknowledged"));
    }
}
