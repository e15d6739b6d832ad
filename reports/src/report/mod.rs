//! The report that every artifact carries: one record, as a page and as Markdown.

mod device;
mod front;
mod heat_map;
mod markdown;
mod page;
mod tables;

use crate::checks::Check;
use crate::search::SearchRecord;

/// What a run did, with everything that the report tells. It holds no times, so that the same run leaves the same report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The model that was cut, as it names itself.
    pub source: String,
    /// This program's version.
    pub version: String,
    /// What was asked for.
    pub asked: Vec<String>,
    /// Budgets that were set, and whether they are kept.
    pub checks: Vec<Check>,
    /// The source.
    pub before: Totals,
    /// The artifact.
    pub after: Totals,
    /// What was lost, if it was measured.
    pub loss: Option<Loss>,
    /// What it costs on a device, if one was named.
    pub device: Option<Device>,
    /// The divergence that the choice of types expects; an estimate.
    pub expected_divergence: Option<f64>,
    /// What was searched through, if the plan was searched.
    pub search: Option<SearchRecord>,
    /// Every tensor, in the order of the file.
    pub tensors: Vec<TensorFate>,
    /// Prompts that both have continued.
    pub samples: Vec<Sample>,
    /// What to know about the numbers.
    pub remarks: Vec<String>,
    /// The plan as YAML.
    pub plan: String,
    /// Where it came from: names and values.
    pub provenance: Vec<(String, String)>,
}

/// A model as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the file.
    pub bytes: u64,
    /// Numbers in all tensors.
    pub parameters: u64,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Layers.
    pub layers: usize,
}

/// A value with its standard error.
pub type WithError = (f64, Option<f64>);

/// What was lost, on text that was not calibrated on.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Tokens that were scored.
    pub scored_tokens: usize,
    /// Mean divergence from the source, in nats per token.
    pub divergence: WithError,
    /// 99 of 100 tokens diverge no more.
    pub divergence_99: WithError,
    /// Share of tokens for which both hold the same next token for the likeliest.
    pub same_top: WithError,
    /// Perplexity of source and artifact.
    pub perplexity: (WithError, WithError),
    /// Bits for each byte of text, of source and artifact.
    pub bits_per_byte: (WithError, WithError),
    /// How each passage of the text begins, and its mean divergence.
    pub passages: Vec<(String, f64)>,
    /// The same for each of the texts, if there are several.
    pub domains: Vec<Domain>,
}

/// What was lost on one of several texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    /// What it is called.
    pub text: String,
    /// Tokens of it that were scored.
    pub scored_tokens: usize,
    /// Mean divergence from the source, in nats per token.
    pub divergence: WithError,
    /// Share of tokens for which both hold the same next token for the likeliest.
    pub same_top: WithError,
    /// Bits for each byte of text, of source and artifact.
    pub bits_per_byte: (WithError, WithError),
}

/// What source and artifact cost on a device; all of it is estimated.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// What people call it.
    pub name: String,
    /// Its profile.
    pub profile: String,
    /// The runtime on it.
    pub runtime: String,
    /// Longest context, in tokens.
    pub context: usize,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Bytes of memory that an app may use.
    pub usable_memory: u64,
    /// Median error of decoding speeds, as a part.
    pub decode_error: f64,
    /// Median error of prefill speeds, as a part.
    pub prefill_error: f64,
    /// Seconds that a decoded token of the artifact waits, by cause.
    pub causes: Vec<(String, f64)>,
    /// What would make decoding faster, and the tokens per second that it gives.
    pub advice: Option<(String, f64)>,
    /// The source.
    pub before: Costs,
    /// The artifact.
    pub after: Costs,
}

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Bytes at the peak.
    pub memory: u64,
    /// Decoded tokens per second.
    pub decode: f64,
    /// Prompt tokens per second.
    pub prefill: f64,
    /// Seconds to the first token.
    pub first_token: f64,
}

/// What became of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorFate {
    /// Its name in the GGUF.
    pub name: String,
    /// What it is for.
    pub role: String,
    /// Its layer; `None` for those of the whole model.
    pub layer: Option<usize>,
    /// A matrix, or one of the small ones that keep their precision.
    pub is_matrix: bool,
    /// Numbers in it.
    pub elements: u64,
    /// How the source stores it, and in how many bytes.
    pub from: (String, u64),
    /// How it is stored now, and in how many bytes.
    pub to: (String, u64),
    /// Sum of squared differences over the sum of squares of the source.
    pub relative_squared_error: f64,
}

/// A prompt and its likeliest continuations, token by token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What both were given.
    pub prompt: String,
    /// How the source goes on.
    pub source: String,
    /// How the artifact goes on.
    pub artifact: String,
}

impl Totals {
    fn bits_per_weight(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.parameters.max(1) as f64
    }
}

impl TensorFate {
    fn bits_per_weight(&self) -> f64 {
        self.to.1 as f64 * 8.0 / self.elements.max(1) as f64
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn tensor(role: &str, layer: Option<usize>, to: &str, bits: u64) -> TensorFate {
        TensorFate {
            name: layer.map_or(role.to_owned(), |layer| format!("blk.{layer}.{role}")),
            role: role.to_owned(),
            layer,
            is_matrix: true,
            elements: 64_000,
            from: ("f16".into(), 128_000),
            to: (to.to_owned(), 8000 * bits),
            relative_squared_error: 1e-3,
        }
    }

    /// A report of so many layers, by a user who names things badly.
    pub fn example(layers: usize) -> Report {
        let mut tensors = vec![tensor("token_embedding", None, "q6_k", 6)];
        for layer in 0..layers {
            tensors.push(tensor("attention_query", Some(layer), "q4_k", 4));
            tensors.push(tensor("ffn_down", Some(layer), "f16", 16));
        }
        Report {
            source: "<img src=x onerror=alert(1)> | model".into(),
            version: "0.0.0".into(),
            asked: vec!["max-size=600000".into()],
            checks: Vec::new(),
            before: Totals { bytes: 1_930_880, parameters: 964_000, vocabulary: 1024, layers },
            after: Totals { bytes: 599_680, parameters: 964_000, vocabulary: 1024, layers },
            loss: None,
            device: None,
            expected_divergence: Some(0.01),
            search: None,
            tensors,
            samples: vec![Sample {
                prompt: "Once".into(),
                source: " upon\n</script>".into(),
                artifact: " upon".into(),
            }],
            remarks: vec!["a remark".into()],
            plan: "schema: 1\n".into(),
            provenance: vec![("seed".into(), "0".into())],
        }
    }

    #[test]
    fn a_page_needs_nothing_but_itself_and_obeys_no_name() {
        let page = example(4).html();
        for forbidden in ["<script", "<img", "<link", "://", "url(", "@import", " src="] {
            let found = page.replace("&lt;img src=x", "");
            assert!(!found.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
        let mut open = 0_i32;
        for tag in page.split('<').skip(1) {
            let is_void = ["meta", "!DOCTYPE"].iter().any(|name| tag.starts_with(name));
            open += if tag.starts_with('/') { -1 } else { i32::from(!is_void) };
            assert!(open >= 0);
        }
        assert_eq!(open, 0, "what is opened is closed");
    }

    #[test]
    fn every_matrix_has_a_cell_that_names_its_type_without_colour() {
        let page = example(200).html();
        assert_eq!(page.matches("class=\"cell\"").count(), 401);
        assert_eq!(page.matches(">q4_k</text>").count(), 200);
        assert!(page.contains("<title>blk.7.ffn_down: f16 → f16, 128 kB, 16.00 bits per weight"), "{page}");
    }

    #[test]
    fn markdown_tells_the_same_and_keeps_its_tables_whole() {
        let text = example(2).markdown();
        assert!(text.starts_with("# \\<img src=x onerror=alert(1)> \\| model, cut by secateur\n"), "{text}");
        assert!(text.contains("| size | 1.93 MB | 600 kB |"), "{text}");
        let tables = text.lines().filter(|line| line.starts_with('|'));
        assert!(tables.clone().count() > 8);
        assert!(text.contains("    schema: 1") || text.contains("```yaml\nschema: 1"), "{text}");
    }
}
