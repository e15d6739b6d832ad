//! `secateur search`

use secateur_profiles::ByteSize;

use super::compress::{Known, know, search_intent};
use super::whatif::{load_profiles, runtime_of};
use crate::arguments::{EffortArguments, SearchArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::model_argument;
use crate::plans::{Device, Effort, Limits, search};

/// Finds the best plan, and shows it beside the others.
pub fn run(arguments: &SearchArguments, seed: u64, console: &Console) -> anyhow::Result<Exit> {
    let checkpoint = model_argument::open(&arguments.model, console)?;
    let asked = AskedOfPlan {
        profiles: &arguments.profiles,
        max_size: arguments.max_size,
        max_memory: arguments.max_memory,
        min_decode: arguments.min_decode,
        context: arguments.effort.context,
    };
    let (limits, devices) = asked.resolved()?;
    let effort = effort(&arguments.effort, seed);
    let progress = console.progress();
    let (known, _) = know(&arguments.texts, arguments.tokens, &checkpoint, seed, &progress)?;
    let Known { statistics, knowledge } = &known;
    let intent = search_intent(&asked, &arguments.texts, &known);
    let searched =
        search(&checkpoint, (statistics, knowledge), &intent, (&limits, &devices), &effort, &progress)?;
    drop(progress);
    console.result(&searched.record, &[searched.record.table()])?;
    for note in searched.record.notes() {
        console.note(&note);
    }
    Ok(Exit::Done)
}

/// What a plan is asked for.
#[derive(Debug, Clone, Copy)]
pub struct AskedOfPlan<'a> {
    pub profiles: &'a [String],
    pub max_size: Option<ByteSize>,
    pub max_memory: Option<ByteSize>,
    pub min_decode: Option<f64>,
    pub context: usize,
}

impl AskedOfPlan<'_> {
    /// The limits as numbers, and the devices.
    pub fn resolved(&self) -> anyhow::Result<(Limits, Vec<Device>)> {
        let bytes = |size: Option<ByteSize>| size.map(|ByteSize(bytes)| bytes);
        let limits =
            Limits { size: bytes(self.max_size), memory: bytes(self.max_memory), decode: self.min_decode };
        let devices = load_profiles(self.profiles)?
            .iter()
            .map(|profile| Ok(Device::new(profile, runtime_of(profile, None)?, self.context)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok((limits, devices))
    }
}

/// How hard to search.
pub fn effort(arguments: &EffortArguments, seed: u64) -> Effort {
    Effort {
        preset: arguments.search.preset(),
        limit: arguments.limit(),
        seed,
        study: arguments.study.clone(),
    }
}
