//! `secateur eval --pass-until`

use std::path::Path;

use secateur_compress::forward::{Forward, Residency};
use secateur_compress::pass_until::{PassRate, PassUntil, Task, pass_until, read_tasks};
use secateur_model::{CacheType, Checkpoint};
use secateur_reports::pass_rates::{PassRates, TaskRow};

use crate::arguments::EvalArguments;
use crate::commands::eval::tokenizer_of;
use crate::console::Console;

/// Characters of a prompt that name its task.
const NAME_CHARACTERS: usize = 32;

/// Samples every task of a file, and prints how often each passes.
pub fn run(
    arguments: &EvalArguments,
    file: &Path,
    seed: u64,
    checkpoint: &Checkpoint,
    console: &Console,
) -> anyhow::Result<()> {
    let tasks = read_tasks(file)?;
    let tokenizer = tokenizer_of(checkpoint)?;
    // every token reads every weight
    let cache = arguments.cache_type.map_or(CacheType::F32, CacheType::from);
    let forward = Forward::new(checkpoint, Residency::Keep)?.with_cache(cache)?;
    let settings = PassUntil {
        passes: arguments.passes,
        cap: arguments.cap,
        temperature: arguments.temperature,
        max_tokens: arguments.max_tokens,
        seed,
    };
    let rates = pass_until(&forward, tokenizer, &tasks, settings, &console.progress())?;
    let record = PassRates {
        schema: 1,
        model: arguments.model.clone(),
        tasks: tasks.iter().zip(&rates).map(|(task, rate)| row(task, rate, arguments.biased)).collect(),
        passes: settings.passes,
        cap: settings.cap,
        temperature: settings.temperature,
        max_tokens: settings.max_tokens,
        seed,
    };
    console.result(&record, &[record.table()])?;
    for note in record.notes() {
        console.note(&note);
    }
    Ok(())
}

fn row(task: &Task, rate: &PassRate, biased: bool) -> TaskRow {
    TaskRow {
        prompt: shortened(&task.prompt),
        passes: rate.passes,
        samples: rate.samples,
        cut_off: rate.cut_off,
        rate: rate.unbiased(),
        interval: rate.interval(),
        biased_rate: biased.then(|| rate.biased()),
    }
}

/// The end of a prompt on one line: the beginning is often the same for all.
fn shortened(prompt: &str) -> String {
    let line = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    let count = line.chars().count();
    if count <= NAME_CHARACTERS {
        return line;
    }
    format!("…{}", line.chars().skip(count - NAME_CHARACTERS + 1).collect::<String>())
}
