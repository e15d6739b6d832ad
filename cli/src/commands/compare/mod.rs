//! `secateur compare`

mod candidate;
pub mod quality;

use secateur_model::atomic_file::write_file;
use secateur_reports::comparison::{Candidate, Comparison, Metric};

use crate::arguments::{ChartArgument, CompareArguments};
use crate::commands::whatif::load_profiles;
use crate::console::Console;
use crate::exit::Exit;
use candidate::Devices;

/// Why models cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("`{found}` is not among the rows; --baseline takes one of: {known}")]
    NoSuchRow { found: String, known: String },
    #[error("no row has a size and `{column}`, so there is nothing to draw")]
    NothingToDraw { column: String },
}

/// Puts models beside each other.
pub fn run(arguments: &CompareArguments, console: &Console) -> anyhow::Result<Exit> {
    let baseline = baseline(arguments)?;
    let devices = devices(arguments)?;
    let (candidates, remarks) = candidate::all(arguments, &devices, console)?;
    let columns = if arguments.columns.is_empty() { known(&candidates) } else { arguments.columns.clone() };
    let mut comparison = Comparison::new(&candidates, columns, arguments.sort.as_ref(), baseline);
    comparison.notes.extend(remarks);
    for chart in &arguments.charts {
        draw(&comparison, chart)?;
    }
    let table = if console.is_for_programs() { comparison.program_table() } else { comparison.table() };
    console.result_with_notes(&comparison, &[table], &comparison.legend())?;
    Ok(Exit::Done)
}

fn baseline(arguments: &CompareArguments) -> Result<Option<usize>, CompareError> {
    let Some(name) = &arguments.baseline else { return Ok(None) };
    let place = arguments.runs.iter().position(|run| run == name);
    let known = arguments.runs.join(", ");
    place.map(Some).ok_or_else(|| CompareError::NoSuchRow { found: name.clone(), known })
}

/// The profiles that columns, order or charts name.
fn devices(arguments: &CompareArguments) -> anyhow::Result<Devices> {
    let charts = arguments.charts.iter().map(|chart| &chart.metric);
    let asked = arguments.columns.iter().chain(&arguments.sort).chain(charts);
    let mut names: Vec<String> = asked
        .filter_map(|metric| match metric {
            Metric::Cost(_, profile) => Some(profile.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let loaded = load_profiles(std::slice::from_ref(&name))?;
            Ok(loaded.into_iter().map(move |profile| (name.clone(), profile)))
        })
        .collect::<anyhow::Result<Vec<_>>>()
        .map(|devices| devices.into_iter().flatten().collect())
}

/// The columns that any row can fill.
fn known(candidates: &[Candidate]) -> Vec<Metric> {
    let usual = [
        Metric::Size,
        Metric::BitsPerWeight,
        Metric::Parameters,
        Metric::Divergence,
        Metric::SameTop,
        Metric::Perplexity,
        Metric::BitsPerByte,
    ];
    let is_known = |metric: &Metric| candidates.iter().any(|row| row.figures.contains_key(metric));
    usual.into_iter().filter(is_known).collect()
}

fn draw(comparison: &Comparison, chart: &ChartArgument) -> anyhow::Result<()> {
    let column = chart.metric.to_string();
    let drawn = comparison.chart(&chart.metric).ok_or(CompareError::NothingToDraw { column })?;
    Ok(write_file(&chart.file, drawn.svg().as_bytes())?)
}
