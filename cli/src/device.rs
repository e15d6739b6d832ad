//! One model on one device, asked the same question by `compare`, `check` and `compress`.

use secateur_model::CacheType;
use secateur_profiles::cost::{Bound, Workload};
use secateur_profiles::estimate::{advice, estimate, machine};
use secateur_profiles::profile::{Profile, Runtime};
use secateur_profiles::{Budget, Estimate, Usage, Verdict};
use secateur_reports::checks::Check;
use secateur_reports::report::{Costs, Device};
use secateur_reports::units;

use crate::commands::whatif::{USUAL_CONTEXT, USUAL_PROMPT, WhatIfError, bound_name, runtime_of};

/// A device with its usual runtime, and how models are used on it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    profile: &'a Profile,
    runtime: &'a Runtime,
    pub usage: Usage,
}

impl<'a> Asked<'a> {
    /// For models that were trained for contexts of so many tokens at least.
    pub fn new(profile: &'a Profile, context_length: usize) -> Result<Self, WhatIfError> {
        let context = USUAL_CONTEXT.min(context_length);
        let usage = Usage {
            context,
            prompt: USUAL_PROMPT.min(context),
            cache: CacheType::F16,
            threads: None,
            loaded: false,
        };
        Ok(Self { profile, runtime: runtime_of(profile, None)?, usage })
    }

    /// Keys and values kept otherwise than in `f16`, if it says so.
    pub fn with_cache(mut self, cache: Option<CacheType>) -> Self {
        self.usage.cache = cache.unwrap_or_default();
        self
    }

    /// What a model costs there.
    pub fn estimate(&self, workload: &Workload) -> Estimate {
        estimate(self.profile, self.runtime, workload, &self.usage)
    }

    /// For what use numbers are estimated, and how far they are off.
    pub fn precision(&self) -> String {
        format!(
            "estimated for {}, contexts of {} tokens, prompts of {}; half of its decoding speeds are off by more than {} %, of its prefill \
             speeds by more than {} %",
            self.runtime.name,
            self.usage.context,
            self.usage.prompt,
            self.runtime.decode_error.value,
            self.runtime.prefill_error.value
        )
    }

    /// Verdicts on memory and speeds.
    pub fn checks(&self, budget: &Budget, workload: &Workload) -> Vec<Check> {
        let reason = format!("estimated for {}, contexts of {} tokens", self.profile.id, self.usage.context);
        let verdicts = budget.judge_estimate(&self.estimate(workload));
        verdicts.iter().map(|verdict| check(verdict, &reason)).collect()
    }

    /// For the report: the artifact beside its source.
    pub fn report(&self, source: &Workload, artifact: &Workload) -> Device {
        // nobody said that the source's keys and values are kept otherwise than usual
        let (before, after) = (self.with_cache(None).estimate(source), self.estimate(artifact));
        let machine = machine(&self.profile.hardware, self.runtime, self.usage.threads);
        let advice =
            (after.bound != Bound::Storage).then(|| advice(&machine, artifact, &self.usage, after.decode));
        let time = &after.decode_time;
        let causes = [
            (Bound::Memory, time.memory),
            (Bound::Compute, time.compute),
            (Bound::Layers, time.layers),
            (Bound::Context, time.context),
            (Bound::Storage, time.storage),
        ];
        Device {
            name: self.profile.name.clone(),
            profile: self.profile.id.clone(),
            runtime: self.runtime.name.clone(),
            context: self.usage.context,
            prompt: self.usage.prompt,
            usable_memory: after.usable_memory,
            decode_error: after.decode_error,
            prefill_error: after.prefill_error,
            causes: causes.map(|(bound, seconds)| (bound_name(bound).to_owned(), seconds)).to_vec(),
            advice,
            before: costs(&before),
            after: costs(&after),
        }
    }
}

fn costs(estimate: &Estimate) -> Costs {
    Costs {
        memory: estimate.memory.total() as u64,
        decode: estimate.decode,
        prefill: estimate.prefill,
        first_token: estimate.first_token,
    }
}

/// A verdict as people read it.
pub fn check(verdict: &Verdict, reason: &str) -> Check {
    let shown = |value: f64| match verdict.limit {
        "max-size" | "max-memory" => units::bytes(value as u64),
        "max-ttft" => units::seconds(value),
        "max-energy" => format!("{value:.3} J per token"),
        _ => format!("{value:.1} tokens/s"),
    };
    let side = if verdict.limit.starts_with("min") { "at least" } else { "at most" };
    Check {
        name: verdict.limit.to_owned(),
        kept: verdict.is_kept(),
        found: shown(verdict.found),
        allowed: format!("{side} {}", shown(verdict.allowed)),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use secateur_model::stored::FileBytes;
    use secateur_model::{Checkpoint, demo};
    use secateur_profiles::library;

    use super::*;

    #[test]
    fn a_source_keeps_keys_and_values_as_usual_beside_a_smaller_cache() {
        let demo = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
        let workload = Workload::new(&demo.spec, &[], 1_000_000);
        let profile = library::find("raspberry-pi-5-8gb").unwrap();
        let usual = Asked::new(&profile, demo.spec.context_length).unwrap();
        let told = usual.with_cache(Some(CacheType::Q4_0)).report(&workload, &workload);
        assert_eq!(told.before.memory, usual.estimate(&workload).memory.total() as u64);
        assert!(told.after.memory < told.before.memory);
    }
}
