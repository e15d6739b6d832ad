//! `secateur search`

use secateur_plans::Subject;

use super::compress::{Calibration, Known, know, search_intent};
use crate::arguments::SearchArguments;
use crate::console::Console;
use crate::exit::Exit;
use crate::model_argument;
use crate::searching::{AskedOfPlan, Target};

/// Finds the best plan, and shows it beside the others.
pub fn run(arguments: &SearchArguments, seed: u64, console: &Console) -> anyhow::Result<Exit> {
    let whole = model_argument::open(&arguments.model, console)?;
    let asked = AskedOfPlan {
        profiles: &arguments.profiles,
        max_size: arguments.max_size,
        max_memory: arguments.max_memory,
        min_decode: arguments.min_decode,
        min_prefill: arguments.min_prefill,
        max_energy: arguments.max_energy,
        context: arguments.effort.context.min(whole.spec.context_length),
        rounding: arguments.effort.search.rounding(),
    };
    let target = Target::new(&asked, &arguments.effort, &arguments.texts, seed)?;
    let progress = console.progress();
    let tokens = arguments.tokens.unwrap_or_else(|| arguments.effort.usual_tokens());
    let channels = target.stages().channels(&whole.spec)?;
    let calibration = Calibration { texts: &arguments.texts, tokens, seed, channels };
    let (known, _) = know(&calibration, &whole, &progress)?;
    let intent = search_intent(&asked, &arguments.texts, &known);
    let Known { statistics, knowledge } = &known;
    let stages = target.stages();
    let subject = Subject { whole: &whole, statistics, knowledge, intent: &intent, stages };
    let plans = target.plans(subject, &progress)?;
    let found = target.search(&plans, &progress)?;
    drop(progress);
    console.result(&found.record, &[found.record.table()])?;
    for note in found.record.notes() {
        console.note(&note);
    }
    Ok(Exit::Done)
}
