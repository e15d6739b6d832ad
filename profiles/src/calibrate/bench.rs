//! What `llama-bench -o json` reports, as measurements.

use serde::Deserialize;

use crate::measurement::Measurement;

/// Why a report cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Not JSON, or not what llama-bench writes.
    #[error("this is no report of `llama-bench -o json`: {0}")]
    NotAReport(#[from] serde_json::Error),
    /// No entry is of a kind that the formulas know.
    #[error("the report has no entry that times a prompt or generation alone")]
    Empty,
}

/// One entry, as far as we need it.
#[derive(Debug, Deserialize)]
struct Entry {
    build_number: Option<u32>,
    model_filename: String,
    model_type: String,
    model_size: f64,
    model_n_params: f64,
    n_threads: usize,
    n_prompt: usize,
    n_gen: usize,
    #[serde(default)]
    n_depth: usize,
    avg_ts: f64,
}

const GIB: f64 = 1_073_741_824.0;

/// Reads a report.
///
/// # Errors
/// If it is none, or has nothing to fit.
pub fn read_bench(text: &str) -> Result<Vec<Measurement>, BenchError> {
    let entries: Vec<Entry> = serde_json::from_str(text)?;
    let rows: Vec<Measurement> = entries.iter().filter_map(measurement).collect();
    if rows.is_empty() { Err(BenchError::Empty) } else { Ok(rows) }
}

fn measurement(entry: &Entry) -> Option<Measurement> {
    let metric = match (entry.n_prompt, entry.n_gen) {
        (0, 1..) => format!("tg{}@d{}", entry.n_gen, entry.n_depth),
        (1.., 0) => format!("pp{}@d{}", entry.n_prompt, entry.n_depth),
        _ => return None,
    };
    let model = entry.model_filename.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let build = entry.build_number.map_or_else(String::new, |build| format!(" b{build}"));
    (entry.avg_ts > 0.0).then(|| Measurement {
        id: format!("{model} {metric}"),
        device: "this machine".to_owned(),
        soc: String::new(),
        backend: "CPU".to_owned(),
        engine: format!("llama.cpp{build} [CPU]"),
        threads: Some(entry.n_threads),
        quant: label(&entry.model_type),
        model,
        parameters: Some(entry.model_n_params),
        file_bytes: Some(entry.model_size.min(4096.0 * GIB)),
        metric,
        value: entry.avg_ts,
        unit: "tok/s".to_owned(),
        source_url: "llama-bench on this machine".to_owned(),
    })
}

/// `Q4_K_M` from `llama 1B Q4_K - Medium`.
fn label(model_type: &str) -> String {
    let (name, size) = match model_type.rsplit_once(" - ") {
        Some((name, size)) => {
            (name, size.chars().next().map_or_else(String::new, |letter| format!("_{letter}")))
        }
        None => (model_type, String::new()),
    };
    format!("{}{size}", name.rsplit(' ').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_called_what_files_are_called() {
        assert_eq!(label("llama 1B Q4_K - Medium"), "Q4_K_M");
        assert_eq!(label("gemma3 270M Q8_0"), "Q8_0");
    }

    #[test]
    fn an_entry_becomes_a_row() {
        let text = r#"[{"build_number": 6000, "model_filename": "a/SmolLM2-135M.gguf", "model_type": "llama 135M Q4_0",
            "model_size": 90000000, "model_n_params": 134515008, "n_threads": 2, "n_prompt": 0, "n_gen": 32, "avg_ts": 50.5, "n_depth": 0}]"#;
        let rows = read_bench(text).unwrap();
        assert_eq!(
            (rows[0].metric.as_str(), rows[0].quant.as_str(), rows[0].value),
            ("tg32@d0", "Q4_0", 50.5)
        );
        assert!(matches!(read_bench("{}"), Err(BenchError::NotAReport(_))));
        assert!(matches!(read_bench("[]"), Err(BenchError::Empty)));
    }
}
