//! How often a model solves a task that it almost never solves: sample until it has passed `r` times, and estimate from how long that took.
//!
//! A fixed number of samples gives 0 for everything below its resolution; this gives every task the same relative precision.
//! Source: "Unlock Predictable Scaling from Emergent Abilities" (PassUntil).

mod check;
mod random;
mod rate;
mod sampling;
mod task;

use secateur_model::Tokenizer;

use crate::forward::{Forward, ForwardError};
use crate::progress::Progress;
use sampling::Sampler;

pub use check::{Check, CheckError};
pub use rate::PassRate;
pub use task::{Task, TaskError, read_tasks};

/// How samples are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassUntil {
    /// Passes after which a task is done, at least 2.
    pub passes: usize,
    /// Samples after which it is given up.
    pub cap: usize,
    /// What logits are divided by; above 0.
    pub temperature: f32,
    /// Tokens of a sample at most.
    pub max_tokens: usize,
    /// The same seed gives the same samples.
    pub seed: u64,
}

/// Samples each task until it has passed often enough, or too many were taken. `progress` counts samples.
///
/// # Errors
/// If a prompt cannot be tokenized, the model cannot be read or gives numbers that are not finite, or the user interrupts.
pub fn pass_until(
    forward: &Forward,
    tokenizer: &Tokenizer,
    tasks: &[Task],
    settings: PassUntil,
    progress: &dyn Progress,
) -> Result<Vec<PassRate>, TaskError> {
    progress.begin("sampling", (tasks.len() * settings.cap) as u64);
    let sampler = Sampler::new(forward, tokenizer, settings)?;
    tasks.iter().enumerate().map(|(index, task)| run(&sampler, index, task, settings, progress)).collect()
}

fn run(
    sampler: &Sampler,
    index: usize,
    task: &Task,
    settings: PassUntil,
    progress: &dyn Progress,
) -> Result<PassRate, TaskError> {
    let prompt = sampler.prompt(&task.prompt)?;
    let (mut passes, mut samples) = (0, 0);
    // samples are taken several at a time but counted one by one: those after the last pass were never taken
    while passes < settings.passes && samples < settings.cap {
        let wave = samples..(samples + sampling::WAVE).min(settings.cap);
        for text in sampler.sample(&prompt, index, wave, task, progress)? {
            samples += 1;
            passes += usize::from(task.check.passes(&text));
            if passes == settings.passes {
                break;
            }
        }
        if progress.is_interrupted() {
            return Err(ForwardError::Interrupted.into());
        }
    }
    progress.advance((settings.cap - samples) as u64);
    Ok(PassRate { passes, samples, cut_off: passes < settings.passes })
}
