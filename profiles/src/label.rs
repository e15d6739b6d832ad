//! What is inside a file that is called `Q4_K_M`: the storage type of every tensor, from the label and the model's sizes.

use secateur_model::plan::TensorPlan;
use secateur_model::types::{Mix, TypeChoice, TypeRequest, plan_tensors};
use secateur_model::{ModelSpec, TensorType};

use crate::WeightFormat;
use crate::cost::Workload;

/// The workload of a model quantized to a label, `None` if the label says nothing that we understand.
///
/// Labels of llama.cpp become the mix that llama-quantize makes, fallbacks included; labels of other runtimes become the plain type of as many bits.
pub fn labelled(spec: &ModelSpec, label: &str) -> Option<Workload> {
    let label = label.split([' ', '(', ',']).next().unwrap_or_default().to_ascii_lowercase();
    let label = label.strip_prefix("ud-").unwrap_or(&label);
    if let Some(codebook) = codebook(label) {
        return Some(with_codebook(spec, codebook));
    }
    let (base, overrides): (TypeChoice, &[&str]) = match label {
        "q4_0" | "q4_1" | "q5_0" | "q5_1" | "iq4_nl" | "q4_0_4_4" | "q4_0_8_8" => {
            (uniform(label.trim_end_matches("_4_4").trim_end_matches("_8_8"))?, &[])
        }
        "q2_k" => (TypeChoice::Uniform(TensorType::Q2_K), &["attn_v|attn_output|ffn_down=q3_k"]),
        "q2_k_s" => (TypeChoice::Uniform(TensorType::Q2_K), &["attn_v=q4_k"]),
        "q4_k" => (TypeChoice::Mix(Mix::Q4_K_M), &[]),
        "mxfp4" | "fp4" | "q4" | "int4" | "w4" | "w4a16" | "w4a16_g128" | "w4a16_g32" | "q4f32" | "q4f16"
        | "4-bit" | "litert" | "cq4" => (uniform("q4_0")?, &[]),
        "q8" | "int8" | "w8a8" | "w8a8_g128" | "q8f32" | "dynamic_int8" => (uniform("q8_0")?, &[]),
        "w2" => (uniform("q2_k")?, &[]),
        "fp32" => (uniform("f32")?, &[]),
        "fp16" => (uniform("f16")?, &[]),
        other => (other.parse().ok()?, &[]),
    };
    let mut overrides: Vec<_> = overrides.iter().filter_map(|rule| rule.parse().ok()).collect();
    if let Some(rule) = output_rule(spec, base) {
        overrides.push(rule.parse().ok()?);
    }
    let tensors = plan_tensors(spec, &TypeRequest { base, overrides }, |_| None).ok()?;
    let bytes = tensors.iter().map(|tensor| tensor.bytes).sum();
    Some(Workload::new(spec, &tensors, bytes))
}

fn uniform(name: &str) -> Option<TypeChoice> {
    name.parse().ok()
}

/// llama-quantize keeps the output projection at six bits or more, whatever the label.
fn output_rule(spec: &ModelSpec, base: TypeChoice) -> Option<String> {
    let TypeChoice::Uniform(base) = base else { return None };
    if base.is_float() || base == TensorType::Q8_0 {
        return None;
    }
    let tensor = if spec.tied_embeddings { "token_embd" } else { "^output\\.weight" };
    let output = if TensorType::Q6_K.is_legal_for(spec.hidden_size) { "q6_k" } else { "q8_0" };
    Some(format!("{tensor}={output}"))
}

/// The types that we do not write.
fn codebook(label: &str) -> Option<WeightFormat> {
    Some(match label {
        "iq4_xs" => WeightFormat::IQ4_XS,
        "iq3_s" | "iq3_m" => WeightFormat::IQ3_S,
        "iq3_xxs" | "iq3_xs" => WeightFormat::IQ3_XXS,
        "iq2_m" | "iq2_s" => WeightFormat::IQ2_S,
        "iq2_xs" => WeightFormat::IQ2_XS,
        "iq2_xxs" => WeightFormat::IQ2_XXS,
        _ => return None,
    })
}

/// All matrices of the layers in one codebook type, embeddings as in Q4_K_S. Where blocks of 256 do not fit, llama.cpp takes IQ4_NL.
fn with_codebook(spec: &ModelSpec, format: WeightFormat) -> Workload {
    let request = TypeRequest { base: TypeChoice::Mix(Mix::Q4_K_S), overrides: Vec::new() };
    let tensors = plan_tensors(spec, &request, |_| None).unwrap_or_default();
    let other: u64 = tensors.iter().filter(|tensor| !is_in_layers(tensor)).map(|tensor| tensor.bytes).sum();
    let mut workload = Workload::new(spec, &tensors, other);
    for part in &mut workload.layers {
        let fits = !matches!(
            part.format,
            WeightFormat::Q5_0 | WeightFormat::Q5_1 | WeightFormat::Q8_0 | WeightFormat::F16
        );
        part.format = if fits { format } else { WeightFormat::IQ4_NL };
        part.bytes = part.weights * part.format.bits_per_weight() / 8.0;
        part.stored_bytes = part.bytes;
        workload.file_bytes += part.bytes;
    }
    workload
}

fn is_in_layers(tensor: &TensorPlan) -> bool {
    tensor.id.layer.is_some() && tensor.id.role.is_matrix()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Sizes;

    /// Sizes of files that llama-quantize made, in GiB, as published with the measurements.
    #[test]
    fn labels_weigh_what_published_files_weigh() {
        for (model, label, gib) in [
            ("Llama-2-7B", "Q4_0", 3.56),
            ("Llama-2-7B", "Q8_0", 6.67),
            ("Llama-2-7B", "F16", 12.55),
            ("Llama-3-8B", "Q4_0", 4.33),
            ("Llama-3-8B", "Q4_K_S", 4.36),
            ("Llama-3-8B", "Q6_K", 6.14),
            ("Qwen2.5-0.5B", "Q8_0", 0.4936),
            ("Llama-3.2-1B", "Q4_K_M", 0.7512),
            ("Llama-2-7B", "IQ2_XXS", 1.73),
            ("Llama-2-7B", "IQ3_S", 2.75),
        ] {
            let spec = Sizes::of_name(model).unwrap().spec();
            let bytes = labelled(&spec, label).unwrap().file_bytes;
            let ratio = bytes / (gib * 1_073_741_824.0);
            let tolerance = if label.starts_with("IQ") { 0.08 } else { 0.02 };
            assert!((ratio - 1.0).abs() < tolerance, "{model} {label}: {ratio}");
        }
    }
}
