//! `secateur search`

use secateur_profiles::ByteSize;

use super::compress::{Known, know, search_intent};
use super::whatif::{load_profiles, runtime_of};
use crate::arguments::{SearchArguments, TargetArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::model_argument;
use crate::plans::{Device, Effort, Limits, search};

/// Finds the best plan, and shows it beside the others.
pub fn run(arguments: &SearchArguments, seed: u64, console: &Console) -> anyhow::Result<Exit> {
    let checkpoint = model_argument::open(&arguments.model, console)?;
    let (limits, devices, effort) = target(&arguments.target, arguments.max_size, seed)?;
    let progress = console.progress();
    let (known, _) = know(&arguments.texts, arguments.tokens, &checkpoint, seed, &progress)?;
    let Known { statistics, knowledge } = &known;
    let intent = search_intent(arguments.max_size, &arguments.target, &arguments.texts, &known);
    let searched =
        search(&checkpoint, (statistics, knowledge), &intent, (&limits, &devices), &effort, &progress)?;
    drop(progress);
    console.result(&searched.record, &[searched.record.table()])?;
    for note in searched.record.notes() {
        console.note(&note);
    }
    Ok(Exit::Done)
}

/// What the options mean.
pub fn target(
    arguments: &TargetArguments,
    max_size: Option<ByteSize>,
    seed: u64,
) -> anyhow::Result<(Limits, Vec<Device>, Effort)> {
    let bytes = |size: Option<ByteSize>| size.map(|ByteSize(bytes)| bytes);
    let limits =
        Limits { size: bytes(max_size), memory: bytes(arguments.max_memory), decode: arguments.min_decode };
    let devices = load_profiles(&arguments.profiles)?
        .iter()
        .map(|profile| Ok(Device::new(profile, runtime_of(profile, None)?, arguments.context)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let effort = Effort {
        preset: arguments.search.preset(),
        limit: arguments.limit(),
        seed,
        study: arguments.study.clone(),
    };
    Ok((limits, devices, effort))
}
