//! What `compress` did, or would do.

use schemars::JsonSchema;
use serde::Serialize;

use crate::search::SearchRecord;
use crate::{Cell, Column, Table, units};

/// The result of a run, planned or done.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Compression {
    /// The version of this record: 1.
    pub schema: u32,
    /// The model that was cut.
    pub source: String,
    /// What was asked for.
    pub asked: Vec<String>,
    /// False for `--dry-run`.
    pub written: bool,
    /// Where the artifact is.
    pub folder: Option<String>,
    /// The smaller vocabulary, if not all tokens stay.
    pub vocabulary: Option<SmallerVocabulary>,
    /// The smaller shape, if not all layers, heads and channels stay.
    pub shape: Option<SmallerShape>,
    /// What a search found, if the plan was searched.
    pub search: Option<SearchRecord>,
    /// Bytes of the source's tensors.
    pub source_bytes: u64,
    /// Exact bytes of model.gguf.
    pub gguf_bytes: u64,
    /// Numbers in all tensors.
    pub parameters: u64,
    /// One for each role and pair of types.
    pub changes: Vec<Change>,
    /// Tensors that got another type than was asked for, grouped.
    pub fallbacks: Vec<Fallback>,
    /// The type of the tensors in `hf/`, if there is such a folder.
    pub hf_type: Option<String>,
    /// Why there is no `hf/`.
    pub hf_left_out: Option<String>,
    /// What stock llama.cpp computes differently from the source, if anything.
    pub warning: Option<String>,
    /// How numbers became codes.
    pub rounding: String,
    /// What llama.cpp has to be told at its start, if keys and values are not to be in `f16`.
    pub cache_options: Option<String>,
    /// The divergence from the source, in nats per token, that the choice of types expects; an estimate.
    pub expected_divergence: Option<f64>,
    /// What was lost, measured on text that was not calibrated on.
    pub quality: Option<MeasuredQuality>,
    /// How far the written tensors are from their source: the largest relative squared error, and where.
    pub worst_tensor: Option<(String, f64)>,
    /// Wall time in seconds.
    pub seconds: Option<f64>,
    /// Most memory that the process held, in bytes.
    pub peak_memory: Option<u64>,
}

/// What a smaller vocabulary is worth.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SmallerVocabulary {
    /// Tokens of the source.
    pub tokens_before: usize,
    /// Tokens that stay, with those that were added.
    pub tokens_after: usize,
    /// Tokens that were added.
    pub tokens_added: usize,
    /// Share of embedding and output matrix in the parameters of the source.
    pub embedding_share_before: f64,
    /// The same afterwards.
    pub embedding_share_after: f64,
    /// Lines of text that were tokenized both ways.
    pub lines: usize,
    /// Those all of whose tokens stay: they are tokenized as before.
    pub lines_of_kept_tokens: usize,
    /// Text by text.
    pub texts: Vec<TextInTokens>,
}

/// A smaller shape; sizes are those of a layer, before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SmallerShape {
    /// Layers.
    pub layers: (usize, usize),
    /// Query heads.
    pub heads: (usize, usize),
    /// Feed-forward channels.
    pub ffn: (usize, usize),
    /// Feed-forward channels of each layer that stays, where layers differ.
    pub uneven_ffn: Vec<usize>,
    /// Hidden dimensions.
    pub hidden: (usize, usize),
    /// Numbers in all tensors.
    pub parameters: (u64, u64),
    /// Which layers went.
    pub layers_gone: Vec<usize>,
    /// How the worth of heads and channels was told.
    pub importance: String,
    /// How what stays takes over.
    pub repair: String,
}

/// A text in a smaller vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TextInTokens {
    /// Its name.
    pub name: String,
    /// Share of its tokens that stay.
    pub coverage: f64,
    /// Bytes per token before and after.
    pub bytes_per_token: Option<(f64, f64)>,
}

/// An artifact beside its source, measured by our forward pass on text that was not calibrated on.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct MeasuredQuality {
    /// Tokens that were scored.
    pub scored_tokens: usize,
    /// Mean divergence from the source, in nats per token.
    pub divergence: f64,
    /// Its standard error.
    pub divergence_error: Option<f64>,
    /// 99 of 100 tokens diverge no more.
    pub divergence_99: f64,
    /// Share of tokens for which both hold the same next token for the likeliest.
    pub same_top: f64,
    /// The source's perplexity.
    pub source_perplexity: f64,
    /// The artifact's.
    pub perplexity: f64,
}

/// Tensors of one role that go from one type to another.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// What they are for.
    pub role: String,
    /// How many.
    pub tensors: usize,
    /// Stored before as.
    pub from: String,
    /// Stored after as.
    pub to: String,
    /// Numbers in all of them.
    pub parameters: u64,
    /// Bytes afterwards.
    pub bytes: u64,
}

/// Tensors whose rows do not fill the blocks of the type that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Fallback {
    /// The type that was asked for.
    pub asked: String,
    /// What they get.
    pub given: String,
    /// Their row length.
    pub row_len: usize,
    /// Numbers per block of the type that was asked for.
    pub block_len: usize,
    /// Which ones.
    pub tensors: Vec<String>,
}

impl Compression {
    /// Types before and after, by role.
    pub fn table(&self) -> Table {
        let row = |change: &Change| {
            vec![
                change.role.as_str().into(),
                Cell::Count(change.tensors as u64),
                change.from.as_str().into(),
                change.to.as_str().into(),
                Cell::Bytes(change.bytes),
                Cell::Number(change.bytes as f64 * 8.0 / change.parameters.max(1) as f64, 2),
            ]
        };
        Table {
            title: format!("{}: {}", self.source, self.asked.join(", ")),
            columns: vec![
                Column::new("role", "role"),
                Column::new("tensors", "tensors"),
                Column::new("from", "from"),
                Column::new("to", "to"),
                Column::new("bytes", "bytes"),
                Column::new("bits/weight", "bits_per_weight"),
            ],
            rows: self.changes.iter().map(row).collect(),
        }
    }

    /// What people read below the table, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.vocabulary.as_ref().map_or_else(Vec::new, SmallerVocabulary::notes);
        notes.extend(self.search.iter().flat_map(SearchRecord::notes));
        notes.extend(self.shape.as_ref().map(SmallerShape::note));
        for fallback in &self.fallbacks {
            notes.push(format!(
                "{} tensors get {} instead of {}: rows of {} do not fill blocks of {}",
                fallback.tensors.len(),
                fallback.given,
                fallback.asked,
                fallback.row_len,
                fallback.block_len
            ));
        }
        if let Some(warning) = &self.warning {
            notes.push(warning.clone());
        }
        if let Some(options) = &self.cache_options {
            notes.push(format!(
                "memory, speed and loss are those with smaller keys and values: start llama.cpp with {options}"
            ));
        }
        let bits = self.gguf_bytes as f64 * 8.0 / self.parameters.max(1) as f64;
        let share = self.gguf_bytes as f64 / self.source_bytes.max(1) as f64;
        let size = format!(
            "model.gguf {} ({} bytes), {bits:.2} bits per weight, {} of the source",
            units::bytes(self.gguf_bytes),
            self.gguf_bytes,
            units::percent(share)
        );
        notes.push(size);
        if let Some(tensor_type) = &self.hf_type {
            notes.push(format!("hf/ for transformers, in {tensor_type}"));
        }
        if let Some(reason) = &self.hf_left_out {
            notes.push(format!("no hf/ folder: {reason}"));
        }
        if let (Some(expected), false) = (self.expected_divergence, self.written) {
            notes.push(format!(
                "expected divergence from the source: {expected:.4} nats per token (estimated)"
            ));
        }
        if let Some(quality) = &self.quality {
            let kept = if self.vocabulary.is_some() { " with the tokens that stay" } else { "" };
            let error = quality.divergence_error.map_or(String::new(), |error| format!(" ± {error:.4}"));
            notes.push(format!(
                "divergence from the source{kept} {:.4}{error} nats per token, same likeliest token {}, perplexity {:.2} (source {:.2}); measured here on {} tokens that were not calibrated on",
                quality.divergence,
                units::percent(quality.same_top),
                quality.perplexity,
                quality.source_perplexity,
                quality.scored_tokens
            ));
        }
        if let Some((name, error)) = &self.worst_tensor {
            notes.push(format!(
                "read back and compared: the farthest from its source is {name}, relative squared error {error:.2e}"
            ));
        }
        if let (Some(folder), Some(seconds)) = (&self.folder, self.seconds) {
            notes.push(format!("wrote {folder} in {}", units::seconds(seconds)));
        }
        notes
    }
}

impl SmallerShape {
    fn note(&self) -> String {
        let mut words = Vec::new();
        for (what, (before, after)) in
            [("layers", self.layers), ("heads", self.heads), ("hidden dimensions", self.hidden)]
        {
            if before != after {
                words.push(format!("{after} of {before} {what}"));
            }
        }
        let (before, after) = self.ffn;
        if let (Some(least), Some(most)) = (self.uneven_ffn.iter().min(), self.uneven_ffn.iter().max()) {
            words.push(format!(
                "{least} to {most} of {before} channels (under another architecture in llama.cpp, not in transformers)"
            ));
        } else if before != after {
            words.push(format!("{after} of {before} channels"));
        }
        if !self.layers_gone.is_empty() {
            let gone: Vec<_> = self.layers_gone.iter().map(ToString::to_string).collect();
            words.push(format!("without layers {}", gone.join(" ")));
        }
        let (before, after) = self.parameters;
        format!(
            "shape: {}; {} of the parameters; importance {}, repair {}",
            words.join(", "),
            units::percent(after as f64 / before.max(1) as f64),
            self.importance,
            self.repair
        )
    }
}

impl SmallerVocabulary {
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            format!(
                "{} of {} tokens stay{}: embedding and output matrix have {} of the parameters (source {})",
                self.tokens_after - self.tokens_added,
                self.tokens_before,
                if self.tokens_added == 0 {
                    String::new()
                } else {
                    format!(", {} new ones", self.tokens_added)
                },
                units::percent(self.embedding_share_after),
                units::percent(self.embedding_share_before)
            ),
            format!(
                "{} of {} lines have kept tokens only and are tokenized as before{}",
                self.lines_of_kept_tokens,
                self.lines,
                if self.tokens_added == 0 { "" } else { ", but for new ones" }
            ),
        ];
        for text in &self.texts {
            let bytes = text.bytes_per_token.map_or_else(String::new, |(before, after)| {
                format!(", {after:.3} bytes per token (source {before:.3})")
            });
            notes.push(format!("{}: {} of its tokens stay{bytes}", text.name, units::percent(text.coverage)));
        }
        notes
    }
}
