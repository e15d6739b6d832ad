//! `secateur pull`

use std::time::Instant;

use secateur_hub::{ModelId, Plan, Selection};
use secateur_reports::pull::{Pull, PulledFile};

use crate::arguments::PullArguments;
use crate::console::Console;
use crate::exit::Exit;
use crate::model_argument::with_hub;

/// Plans, and unless this is a dry run, fetches.
pub fn run(arguments: &PullArguments, console: &Console) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let id: ModelId = arguments.model.parse()?;
    let selection = Selection { include: arguments.include.clone(), exclude: arguments.exclude.clone() };
    let record = with_hub(console, |hub| {
        let plan = hub.plan(&id, &selection, &console.transfer())?;
        let mut record = planned(&plan);
        if !arguments.dry_run {
            let folder = hub.fetch(&plan, &console.transfer())?;
            record.folder = Some(folder.display().to_string());
            record.seconds = Some(started.elapsed().as_secs_f64());
        }
        Ok(record)
    })?;
    console.result(&record, &[record.table()])?;
    for note in record.notes() {
        console.note(&note);
    }
    Ok(Exit::Done)
}

fn planned(plan: &Plan) -> Pull {
    let file = |file: &secateur_hub::PlannedFile| PulledFile {
        path: file.path.clone(),
        bytes: file.size,
        present: file.present,
    };
    Pull {
        schema: 1,
        source: plan.source.clone(),
        files: plan.files.iter().map(file).collect(),
        bytes: plan.total_bytes(),
        missing_bytes: plan.missing_bytes(),
        pickles: plan.pickles.clone(),
        unreachable: plan.unreachable.clone(),
        folder: None,
        seconds: None,
    }
}
