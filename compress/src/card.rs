//! The model card that goes with an artifact, with the metadata that the Hub reads.

use std::fmt::Write as _;

use secateur_model::Checkpoint;
use secateur_model::general::general_text;
use secateur_model::gguf::MetadataValue;
use secateur_model::plan::{HfPlan, Plan};

/// README.md of the artifact.
pub(crate) fn model_card(checkpoint: &Checkpoint, plan: &Plan) -> String {
    let mut card = front_matter(checkpoint, plan);
    let name = checkpoint.name();
    let megabytes = plan.gguf_bytes as f64 / 1e6;
    let bits = plan.gguf_bytes as f64 * 8.0 / plan.elements().max(1) as f64;
    // writing to a String cannot fail, here and below
    let _ = write!(
        card,
        "# {name}, cut by secateur\n\n\
         `model.gguf` is {megabytes:.1} MB ({bits:.2} bits per weight), for llama.cpp and what is built on it:\n\n\
         ```sh\nllama-cli -m model.gguf\n```\n"
    );
    if let HfPlan::Write(tensor_type) = plan.hf {
        let _ = write!(card, "\n`hf/` holds the same model in {tensor_type} for transformers.\n");
    }
    let _ = write!(
        card,
        "\n## How it was made\n\n\
         By secateur {} from {name}: {}. What every tensor became is in `plan.yaml`, the hashes of the source's \
         files are in `run.json`.\n",
        env!("CARGO_PKG_VERSION"),
        plan.asked.iter().map(|asked| format!("`{asked}`")).collect::<Vec<_>>().join(", "),
    );
    let fallbacks = plan.fallbacks().count();
    if fallbacks > 0 {
        let _ = write!(
            card,
            "\n{fallbacks} tensors have another type than was asked for, because their rows do not fill its blocks; \
             `plan.yaml` names them.\n"
        );
    }
    card
}

fn front_matter(checkpoint: &Checkpoint, plan: &Plan) -> String {
    let general = &checkpoint.general;
    let mut lines = Vec::new();
    let mut text = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            // JSON strings are YAML strings, whatever they hold
            lines.push(format!("{key}: {}", serde_json::Value::from(value)));
        }
    };
    text("license", general_text(general, "license"));
    text("license_name", general_text(general, "license.name"));
    text("license_link", general_text(general, "license.link"));
    let url = general_text(general, "base_model.0.repo_url");
    let base = url.and_then(|url| url.strip_prefix("https://huggingface.co/"));
    text("base_model", base);
    text("base_model_relation", base.map(|_| "quantized"));
    text("library_name", Some(if matches!(plan.hf, HfPlan::Write(_)) { "transformers" } else { "gguf" }));
    text("pipeline_tag", Some("text-generation"));
    text("quantized_by", Some("secateur"));
    let languages = general.get("general.languages").and_then(MetadataValue::as_strings).unwrap_or_default();
    if !languages.is_empty() {
        lines.push(format!("language: {}", serde_json::Value::from(languages)));
    }
    lines.push("tags: [\"gguf\", \"secateur\"]".to_owned());
    format!("---\n{}\n---\n", lines.join("\n"))
}
