//! The model card that goes with an artifact, with the metadata that the Hub reads.

use std::fmt::Write as _;

use secateur_model::Checkpoint;
use secateur_model::general::general_text;
use secateur_model::gguf::MetadataValue;
use secateur_model::plan::{HfPlan, Plan};
use serde_json::{Value, json};

use crate::measure::Estimate;
use crate::quality::Quality;

/// README.md of the artifact.
pub(crate) fn model_card(checkpoint: &Checkpoint, plan: &Plan, quality: Option<&Quality>) -> String {
    let mut card = front_matter(checkpoint, plan, quality);
    let name = checkpoint.name();
    let megabytes = plan.gguf_bytes as f64 / 1e6;
    let bits = plan.gguf_bytes as f64 * 8.0 / plan.elements().max(1) as f64;
    let options = plan.cache.map_or_else(String::new, |cache| format!(" {}", cache.llama_options()));
    // writing to a String cannot fail, here and below
    let _ = write!(
        card,
        "# {name}, cut by secateur\n\n\
         `model.gguf` is {megabytes:.1} MB ({bits:.2} bits per weight), for llama.cpp and what is built on it:\n\n\
         ```sh\nllama-cli -m model.gguf{options}\n```\n"
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
    if let Some(quality) = quality {
        let shown = |estimate: Estimate, decimals: usize| {
            let error = estimate.error.map_or(String::new(), |error| format!(" ± {error:.decimals$}"));
            format!("{:.decimals$}{error}", estimate.value)
        };
        let _ = write!(
            card,
            "\n## What was lost\n\n\
             Measured on {} tokens that were not calibrated on, ± the standard error:\n\n\
             | | source | model.gguf |\n|---|---:|---:|\n\
             | divergence from the source, nats per token | | {} |\n\
             | same likeliest token | | {:.1} % |\n\
             | perplexity | {} | {} |\n\
             | bits per byte | {} | {} |\n",
            quality.scored_tokens,
            shown(quality.divergence, 4),
            quality.same_top.value * 100.0,
            shown(quality.source_perplexity, 2),
            shown(quality.perplexity, 2),
            shown(quality.source_bits_per_byte, 4),
            shown(quality.bits_per_byte, 4),
        );
    }
    let _ =
        write!(card, "\n`report.html` tells what every matrix became; `report.md` is the same as text.\n");
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

fn front_matter(checkpoint: &Checkpoint, plan: &Plan, quality: Option<&Quality>) -> String {
    let general = &checkpoint.general;
    let mut lines = Vec::new();
    let mut text = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            // JSON strings are YAML strings, whatever they hold
            lines.push(format!("{key}: {}", Value::from(value)));
        }
    };
    text("license", general_text(general, "license"));
    text("license_name", general_text(general, "license.name"));
    text("license_link", general_text(general, "license.link"));
    let url = general_text(general, "base_model.0.repo_url");
    let stated = url.and_then(|url| url.strip_prefix("https://huggingface.co/"));
    // where it was fetched from is surer than what it says of itself
    let base = checkpoint.hub.as_ref().map(|hub| hub.repo.as_str()).or(stated);
    text("base_model", base);
    // the Hub knows no word for a model that was cut; it is new weights that come from old ones
    let is_cut = plan.shape.is_some() || plan.vocabulary.is_some();
    text("base_model_relation", base.map(|_| if is_cut { "finetune" } else { "quantized" }));
    text("library_name", Some(if matches!(plan.hf, HfPlan::Write(_)) { "transformers" } else { "gguf" }));
    text("pipeline_tag", Some("text-generation"));
    text("quantized_by", Some("secateur"));
    let languages = general.get("general.languages").and_then(MetadataValue::as_strings).unwrap_or_default();
    if !languages.is_empty() {
        lines.push(format!("language: {}", Value::from(languages)));
    }
    lines.push(format!("tags: {}", Value::from(tags(checkpoint))));
    if let Some(quality) = quality {
        lines.push(format!("model-index: {}", results(checkpoint, quality)));
    }
    format!("---\n{}\n---\n", lines.join("\n"))
}

/// The source's own tags and ours, each once.
fn tags(checkpoint: &Checkpoint) -> Vec<String> {
    let own = checkpoint.general.get("general.tags").and_then(MetadataValue::as_strings).unwrap_or_default();
    let mut tags: Vec<String> = Vec::new();
    for tag in own.iter().map(ToString::to_string).chain(["gguf", "quantized", "secateur"].map(str::to_owned))
    {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// Evaluation results as the Hub reads them; JSON is YAML.
fn results(checkpoint: &Checkpoint, quality: &Quality) -> Value {
    let metric = |kind: &str, name: &str, estimate: Estimate| json!({"type": kind, "name": name, "value": estimate.value});
    json!([{
        "name": format!("{}, cut by secateur", checkpoint.name()),
        "results": [{
            "task": {"type": "text-generation"},
            "dataset": {"type": "text", "name": "held out of the calibration text", "revision": quality.text},
            "metrics": [
                metric("kl_divergence", "mean divergence from the base model, nats per token", quality.divergence),
                metric("top1_agreement", "same likeliest token as the base model", quality.same_top),
                metric("perplexity", "perplexity", quality.perplexity),
                metric("bits_per_byte", "bits per byte", quality.bits_per_byte),
            ],
        }],
    }])
}

#[cfg(test)]
mod tests {
    use secateur_model::shape::{KeptLayer, Repair, ShapePlan};
    use secateur_model::stored::FileBytes;
    use secateur_model::types::TypeRequest;
    use secateur_model::{HubSource, demo};

    use super::*;
    use crate::plan;

    #[test]
    fn a_card_tells_what_the_model_is_to_its_base() {
        let mut whole = Checkpoint::from_gguf_bytes("demo", FileBytes::Static(demo::GGUF)).unwrap();
        let [repo, revision, commit] = ["org/model", "main", "c"].map(str::to_owned);
        whole.hub = Some(HubSource { repo, revision, commit });
        let layers = [0, 1, 3].map(KeptLayer::whole).to_vec();
        let shape = ShapePlan { of: 4, layers, hidden: None, repair: Repair::None };
        let shorter = whole.clone().with_shape(&shape, None).unwrap();
        for (model, relation) in [(whole, "quantized"), (shorter, "finetune")] {
            let request = TypeRequest { base: "q8_0".parse().unwrap(), overrides: Vec::new() };
            let card = model_card(&model, &plan(&model, &request).unwrap(), None);
            assert!(card.contains(&format!("base_model_relation: \"{relation}\"")), "{card}");
        }
    }
}
