//! From what a run knows to the record that its report is made of.

use secateur_model::plan::{Plan, TensorPlan};
use secateur_model::{Checkpoint, Role};
use secateur_reports::checks::Check;
use secateur_reports::report::{Device, Domain, Loss, Report, Sample, TensorFate, Totals};
use secateur_reports::search::SearchRecord;

use crate::artifact::SourceFile;
use crate::measure::Estimate;
use crate::quality::{DomainQuality, Quality};
use crate::verify::TensorDistance;

/// All that is told of a run.
pub(crate) struct Told<'a> {
    pub checkpoint: &'a Checkpoint,
    /// Before its shape was cut.
    pub parent: &'a Checkpoint,
    pub plan: &'a Plan,
    /// The plan as it stands in its file.
    pub plan_text: &'a str,
    pub seed: u64,
    pub checks: &'a [Check],
    pub device: Option<&'a Device>,
    pub search: Option<&'a SearchRecord>,
    pub sources: &'a [SourceFile],
    pub quality: Option<&'a Quality>,
    pub distances: &'a [TensorDistance],
    pub samples: Vec<Sample>,
}

impl Told<'_> {
    /// The record.
    pub fn report(self) -> Report {
        Report {
            source: self.plan.source.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            asked: self.plan.asked.clone(),
            checks: self.checks.to_vec(),
            before: self.before(),
            after: self.after(),
            loss: self.quality.map(loss),
            device: self.device.cloned(),
            // a search knows what the shape and the vocabulary lose, a plan's matrices do not
            expected_divergence: self
                .search
                .map_or_else(|| self.plan.damage(), |search| Some(search.chosen.expected)),
            search: self.search.cloned(),
            tensors: self.tensors(),
            remarks: self.remarks(),
            provenance: self.provenance(),
            plan: self.plan_text.to_owned(),
            samples: self.samples,
        }
    }

    fn before(&self) -> Totals {
        let spec = &self.parent.spec;
        let files = self.parent.weight_files().filter_map(|path| std::fs::metadata(path).ok());
        let on_disk: u64 = files.map(|file| file.len()).sum();
        let tokens = self.plan.vocabulary.as_ref().map_or(spec.vocabulary_size, |vocabulary| vocabulary.of);
        // embedding and output matrix had another number of rows
        let rows = [Role::TokenEmbedding, Role::Output].map(|role| self.elements_of(role));
        let embedding = rows.iter().sum::<u64>() / spec.vocabulary_size.max(1) as u64;
        Totals {
            // the demo model is in no file
            bytes: on_disk.max(self.parent.tensor_bytes()),
            parameters: spec.parameter_count() - embedding * spec.vocabulary_size as u64
                + embedding * tokens as u64,
            vocabulary: tokens,
            layers: spec.layers.len(),
        }
    }

    fn after(&self) -> Totals {
        let spec = &self.checkpoint.spec;
        Totals {
            bytes: self.plan.gguf_bytes,
            parameters: self.plan.elements(),
            vocabulary: spec.vocabulary_size,
            layers: spec.layers.len(),
        }
    }

    fn elements_of(&self, role: Role) -> u64 {
        let tensors = self.plan.tensors.iter().filter(|tensor| tensor.id.role == role);
        tensors.map(TensorPlan::elements).sum()
    }

    fn tensors(&self) -> Vec<TensorFate> {
        let fate = |(tensor, distance): (&TensorPlan, &TensorDistance)| TensorFate {
            name: tensor.name.clone(),
            role: tensor.id.role.to_string(),
            layer: tensor.id.layer,
            is_matrix: tensor.id.role.is_matrix(),
            elements: tensor.elements(),
            from: (tensor.from.to_string(), stored_bytes(tensor)),
            to: (tensor.to.to_string(), tensor.bytes),
            relative_squared_error: distance.relative_squared_error,
        };
        self.plan.tensors.iter().zip(self.distances).map(fate).collect()
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let fallbacks = self.plan.fallbacks().count();
        if fallbacks > 0 {
            remarks.push(format!(
                "{fallbacks} tensors have another type than was asked for, because their rows do not fill its blocks; the plan names them"
            ));
        }
        if let Some(cache) = self.plan.cache {
            remarks.push(format!(
                "memory, speed and loss are those with keys and values in {cache}: start llama.cpp with {}",
                cache.llama_options()
            ));
        }
        if let Some(vocabulary) = &self.plan.vocabulary {
            remarks.push(format!(
                "{} of {} tokens stay{}; both sides were measured with those",
                vocabulary.kept.indices().len(),
                vocabulary.of,
                match vocabulary.added.len() {
                    0 => String::new(),
                    new => format!(", {new} new ones"),
                }
            ));
        }
        remarks
    }

    fn provenance(&self) -> Vec<(String, String)> {
        let mut facts = vec![("secateur".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        let mut add = |name: &str, value: String| facts.push((name.to_owned(), value));
        if let Some(hub) = &self.checkpoint.hub {
            add("model of the Hub", format!("{} at {}", hub.repo, hub.commit));
        }
        add("asked for", self.plan.asked.join(", "));
        add("rounding", self.plan.rounding.to_string());
        add("seed", self.seed.to_string());
        if let Some(calibration) = &self.plan.calibration {
            add("calibration statistics", format!("SHA-256 {calibration}"));
        }
        if let Some(quality) = self.quality {
            add("text measured on", format!("SHA-256 {}", quality.text));
        }
        for file in self.sources {
            add(&file.name, format!("{} bytes, SHA-256 {}", file.bytes, file.sha256));
        }
        facts
    }
}

/// Bytes of a tensor as the source stores it.
fn stored_bytes(tensor: &TensorPlan) -> u64 {
    let row_len = tensor.shape.last().copied().unwrap_or(1).max(1);
    // what is stored has a legal type
    tensor.elements() / row_len as u64 * tensor.from.row_bytes(row_len).unwrap_or_default() as u64
}

fn loss(quality: &Quality) -> Loss {
    let with_error = |estimate: Estimate| (estimate.value, estimate.error);
    Loss {
        scored_tokens: quality.scored_tokens,
        divergence: with_error(quality.divergence),
        divergence_99: with_error(quality.divergence_99),
        same_top: with_error(quality.same_top),
        perplexity: (with_error(quality.source_perplexity), with_error(quality.perplexity)),
        bits_per_byte: (with_error(quality.source_bits_per_byte), with_error(quality.bits_per_byte)),
        passages: quality.passages.iter().cloned().zip(quality.divergence_of_chunk.iter().copied()).collect(),
        domains: quality.domains.iter().map(domain).collect(),
    }
}

fn domain(of: &DomainQuality) -> Domain {
    let with_error = |estimate: Estimate| (estimate.value, estimate.error);
    Domain {
        text: of.text.clone(),
        scored_tokens: of.scored_tokens,
        divergence: with_error(of.divergence),
        same_top: with_error(of.same_top),
        bits_per_byte: (with_error(of.source_bits_per_byte), with_error(of.bits_per_byte)),
    }
}
