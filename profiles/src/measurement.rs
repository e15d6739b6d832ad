//! Published measurements: one row of a table of speeds, and what it asks of the cost formulas.

use std::sync::Arc;

use secateur_model::TensorType;

use crate::architecture::{ACTIVE_CHANNELS, Architecture, ExpertSizes, Experts};
use crate::catalog::Sizes;
use crate::cost::Workload;
use crate::label::labelled;

/// Why a table of measurements cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasurementError {
    /// The head lacks a column.
    #[error(
        "line 1 has no column `{column}`; a table of measurements has the columns {COLUMNS}, separated by tabs"
    )]
    NoColumn {
        /// Its name.
        column: &'static str,
    },
    /// A number is none.
    #[error("line {line}: `{column}` is `{found}`, expected a positive number")]
    NotANumber {
        /// From 1.
        line: usize,
        /// Which column.
        column: &'static str,
        /// What stands there.
        found: String,
    },
    /// Nothing below the head.
    #[error("the table has no rows")]
    Empty,
}

/// The columns, as the head of a table names them.
pub const COLUMNS: &str =
    "id device soc backend engine threads model params_b quant file_gib metric value unit source_url";

/// One row as it stands in the table.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the columns of the table
pub struct Measurement {
    pub id: String,
    pub device: String,
    pub soc: String,
    pub backend: String,
    pub engine: String,
    pub threads: Option<usize>,
    pub model: String,
    pub parameters: Option<f64>,
    pub quant: String,
    pub file_bytes: Option<f64>,
    pub metric: String,
    pub value: f64,
    pub unit: String,
    pub source_url: String,
}

/// What was timed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Task {
    /// One token after `context` others.
    Decode {
        /// Cached tokens, on average over the run.
        context: f64,
    },
    /// A prompt.
    Prefill {
        /// Its length.
        tokens: f64,
        /// Tokens that were cached before it.
        depth: f64,
    },
}

impl Task {
    /// True for decoding.
    pub fn is_decode(self) -> bool {
        matches!(self, Self::Decode { .. })
    }
}

const GIB: f64 = 1_073_741_824.0;

/// The published measurements that came with this program.
pub const PUBLISHED: &str = include_str!("../data/measurements.tsv");

/// Reads a table with a head.
///
/// # Errors
/// If a column is missing or a number is none.
pub fn read(text: &str) -> Result<Vec<Measurement>, MeasurementError> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |column: &'static str| {
        head.iter().position(|name| *name == column).ok_or(MeasurementError::NoColumn { column })
    };
    let [device, metric, value, unit] =
        [column("device")?, column("metric")?, column("value")?, column("unit")?];
    let [soc, backend, engine, threads] =
        [column("soc")?, column("backend")?, column("engine")?, column("threads")?];
    let [model, params, quant, file] =
        [column("model")?, column("params_b")?, column("quant")?, column("file_gib")?];
    let (id, source) = (column("id").ok(), column("source_url").ok());
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let text = |at: usize| fields.get(at).copied().unwrap_or_default().trim().to_owned();
        let number = |at: usize, column: &'static str| match text(at).as_str() {
            "" => Ok(None),
            found => match found.parse::<f64>() {
                Ok(number) if number.is_finite() && number > 0.0 => Ok(Some(number)),
                _ => Err(MeasurementError::NotANumber { line: index + 2, column, found: found.to_owned() }),
            },
        };
        let missing =
            || MeasurementError::NotANumber { line: index + 2, column: "value", found: String::new() };
        rows.push(Measurement {
            id: id.map_or_else(|| format!("line {}", index + 2), text),
            device: text(device),
            soc: text(soc),
            backend: text(backend),
            engine: text(engine),
            threads: number(threads, "threads")?.map(|threads| threads as usize),
            model: text(model),
            parameters: number(params, "params_b")?.map(|billions| billions * 1e9),
            quant: text(quant),
            file_bytes: number(file, "file_gib")?.map(|gib| gib * GIB),
            metric: text(metric),
            value: number(value, "value")?.ok_or_else(missing)?,
            unit: text(unit),
            source_url: source.map(text).unwrap_or_default(),
        });
    }
    if rows.is_empty() { Err(MeasurementError::Empty) } else { Ok(rows) }
}

impl Measurement {
    /// What was timed, `None` if this is no speed.
    pub fn task(&self) -> Option<Task> {
        let (name, depth) = match self.metric.split_once("@d") {
            Some((name, depth)) => (name, depth.parse().ok()?),
            None => (self.metric.as_str(), 0.0),
        };
        let tokens = |prefix: &str| name.strip_prefix(prefix)?.parse::<f64>().ok();
        if name == "tg1 (pp1)" {
            return Some(Task::Decode { context: depth });
        }
        if let Some(tokens) = tokens("tg") {
            return Some(Task::Decode { context: depth + tokens / 2.0 });
        }
        if let Some(tokens) = tokens("pp") {
            return Some(Task::Prefill { tokens, depth });
        }
        match name {
            "decode" | "decode_ms_per_tok" => Some(Task::Decode { context: depth + 64.0 }),
            "prefill" | "prefill_ms_per_tok" => Some(Task::Prefill { tokens: 256.0, depth }),
            _ => None,
        }
    }

    /// Measured seconds per token.
    pub fn seconds(&self) -> Option<f64> {
        match self.unit.as_str() {
            "tok/s" => Some(1.0 / self.value),
            "ms/token" => Some(self.value / 1000.0),
            _ => None,
        }
    }

    /// The model as the formulas see it, `None` if the row does not say enough.
    pub fn workload(&self) -> Option<Arc<Workload>> {
        if let Some(model) =
            experts_by_name(&self.model, &self.engine).or_else(|| hybrid_by_name(&self.model))
        {
            return Some(Arc::new(model.workload(uniform_type(&self.quant)?)));
        }
        let parameters = self.parameters.or_else(|| parameters_in(&self.model));
        let active = active_parameters(&self.model, parameters);
        let sizes = match (active, Sizes::of_name(&self.model), parameters) {
            (Some(active), _, _) => Sizes::of_parameters(active),
            (None, Some(sizes), _) => sizes,
            (None, None, Some(parameters)) => Sizes::of_parameters(parameters),
            (None, None, None) => return None,
        };
        let label =
            if self.quant.is_empty() && self.engine.contains("Ollama") { "Q4_K_M" } else { &self.quant };
        Some(Arc::new(match self.file_bytes.filter(|_| active.is_none()) {
            Some(bytes) => weighed(sizes, label, bytes)?,
            None => labelled(&sizes.spec(), label)?,
        }))
    }

    /// True if the row was measured under a limit that its device does not have.
    pub fn is_limited(&self) -> bool {
        self.engine.contains("limited memory") || self.engine.contains("reduced")
    }
}

impl Measurement {
    /// True if a file of so many bytes fills the memory that the device's name states, so that speeds are those of its storage.
    pub fn exceeds_memory(&self, file_bytes: f64) -> bool {
        let stated = |word: &str| match (word.strip_suffix("GB"), word.strip_suffix("MB")) {
            (Some(number), _) => number.parse::<f64>().ok().map(|number| number * GIB),
            (None, Some(number)) => number.parse::<f64>().ok().map(|number| number * GIB / 1024.0),
            (None, None) => None,
        };
        let memory = self.device.split([' ', '(', ')']).find_map(stated);
        memory.is_some_and(|memory| self.file_bytes.unwrap_or(file_bytes) > 0.9 * memory)
    }
}

/// A model in a file of so many bytes: the label's tensors, made to weigh that.
///
/// Some files hold the output projection beside the token embedding although the model ties them (those of Qwen2.5 by its makers do): the
/// embedding is then looked up and not read for every token. The size tells.
fn weighed(sizes: Sizes, label: &str, bytes: f64) -> Option<Workload> {
    let candidates = [sizes, Sizes { tied: false, ..sizes }].map(|sizes| labelled(&sizes.spec(), label));
    let distance = |workload: &Workload| (bytes / workload.file_bytes).ln().abs();
    let nearest = candidates.into_iter().flatten().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let ratio = bytes / nearest.file_bytes;
    // the rest is the tokenizer, which no token reads; and a file of quite another size holds more than what a token passes through:
    // experts, embeddings per layer
    let is_of_other_types = !(1.0 - LABEL_ERROR..1.0 + LABEL_ERROR).contains(&ratio);
    Some(if is_of_other_types && (0.8..1.25).contains(&ratio) { nearest.scaled_to(bytes) } else { nearest })
}

/// How far the size of a file is from what its label says, as a part, when the label is right: a tokenizer more, or none of it counted.
const LABEL_ERROR: f64 = 0.03;

/// Well-known models with experts: width, layers, heads, experts, experts per token, channels, vocabulary, from their published configs.
fn experts_by_name(model: &str, engine: &str) -> Option<Architecture> {
    let name = model.to_ascii_lowercase();
    let (hidden_size, layers, (heads, kv_heads, head_size), (count, used, width), vocabulary_size) =
        match name.as_str() {
            name if name.contains("smallthinker-4b") => (1536, 32, (12, 2, 128), (32, 4, 768), 151_936),
            name if name.contains("smallthinker-21b") => (2560, 52, (28, 4, 128), (64, 6, 768), 151_936),
            name if name.contains("qwen3-30b-a3b") => (2048, 48, (32, 4, 128), (128, 8, 768), 151_936),
            name if name.contains("gpt-oss-20b") => (2880, 24, (64, 8, 64), (32, 4, 2880), 201_088),
            name if name.contains("olmoe-1b-7b") => (2048, 16, (16, 16, 128), (64, 8, 1024), 50_304),
            _ => return None,
        };
    let routed_early = name.contains("smallthinker");
    let active_channels = if engine.contains("SmallThinker fork") { ACTIVE_CHANNELS } else { 1.0 };
    let experts = Experts { count, used, routed_early, active_channels };
    Some(Architecture::of_experts(&ExpertSizes {
        hidden_size,
        layers,
        heads,
        kv_heads,
        head_size,
        experts,
        width,
        vocabulary_size,
        tied: false,
    }))
}

/// Models with state-space mixers, from their published configs.
fn hybrid_by_name(model: &str) -> Option<Architecture> {
    model.to_ascii_lowercase().contains("falcon-h1-0.5b").then(Architecture::falcon_h1_half_billion)?
}

/// The type that most of a file with this label has.
fn uniform_type(label: &str) -> Option<TensorType> {
    let label = label.split(' ').next()?.to_ascii_lowercase();
    let plain = label
        .trim_start_matches("ud-")
        .trim_end_matches("_m")
        .trim_end_matches("_s")
        .trim_end_matches("_4_4");
    TensorType::from_name(plain)
}

/// Parameters that a token passes through, for the mixtures of experts whose names tell.
fn active_parameters(model: &str, parameters: Option<f64>) -> Option<f64> {
    let name = model.to_ascii_lowercase();
    for (known, active) in
        [("gpt-oss-20b", 3.6e9), ("deepseek-v2-lite", 2.7e9), ("olmoe", 1.28e9), ("mixtral-47b", 12.9e9)]
    {
        if name.contains(known) {
            return Some(active);
        }
    }
    let after = name.split(['-', '(', ' ']).find_map(|word| {
        let number = word.strip_prefix('a')?.trim_end_matches(')');
        scaled(number)
    })?;
    (parameters.is_none_or(|all| after < 0.8 * all)).then_some(after)
}

/// `7B` or `350M` in a name.
fn parameters_in(model: &str) -> Option<f64> {
    let name = model.to_ascii_lowercase();
    name.split(['-', ' ', '_', '(', '/'])
        .find_map(|word| scaled(word.trim_start_matches('e').trim_end_matches(')')))
}

fn scaled(text: &str) -> Option<f64> {
    let (digits, scale) = match (text.strip_suffix('b'), text.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1e9),
        (None, Some(digits)) => (digits, 1e6),
        (None, None) => return None,
    };
    digits.parse::<f64>().ok().filter(|number| *number > 0.0).map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(metric: &str, model: &str) -> Measurement {
        let text = format!(
            "{}\nX1\tboard\tBCM2712\tCPU\tllama.cpp\t4\t{model}\t\tQ4_0\t\t{metric}\t10\ttok/s\thttp",
            COLUMNS.replace(' ', "\t")
        );
        read(&text).unwrap().remove(0)
    }

    #[test]
    fn metrics_say_what_was_timed() {
        assert_eq!(row("tg128", "x").task(), Some(Task::Decode { context: 64.0 }));
        assert_eq!(row("tg128@d2048", "x").task(), Some(Task::Decode { context: 2112.0 }));
        assert_eq!(row("pp512", "x").task(), Some(Task::Prefill { tokens: 512.0, depth: 0.0 }));
        assert_eq!(row("peak_rss_gib", "x").task(), None);
    }

    #[test]
    fn experts_count_as_far_as_a_token_passes_through_them() {
        assert_eq!(active_parameters("Qwen3-30B-A3B (MoE)", Some(30.5e9)), Some(3e9));
        assert_eq!(active_parameters("SmallThinker-4B-A0.6B (MoE)", Some(4e9)), Some(0.6e9));
        assert_eq!(active_parameters("DeepSeekOCR 3B(A570M)", Some(3e9)), Some(0.57e9));
        assert_eq!(active_parameters("Llama-2-7B", Some(7e9)), None);
    }

    #[test]
    fn a_wrong_number_is_refused_with_its_line() {
        let text = format!(
            "{}\nX1\tboard\t\tCPU\te\t4\tm\t7\tQ4_0\t\ttg128\t-3\ttok/s\t",
            COLUMNS.replace(' ', "\t")
        );
        assert_eq!(
            read(&text).unwrap_err().to_string(),
            "line 2: `value` is `-3`, expected a positive number"
        );
    }
}
