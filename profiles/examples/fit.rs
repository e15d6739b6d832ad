//! Fits the published measurements and scores the fit.
use secateur_profiles::fit::{Experiment, Row, score, summarise};
use secateur_profiles::measurement;

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Row> = measurement::read(&text).unwrap().iter().filter_map(Row::new).collect();
    println!("{} rows", rows.len());
    let start = std::time::Instant::now();
    let (_, score) = score(&rows);
    println!("{:?}", start.elapsed());
    for experiment in [Experiment::Own, Experiment::ModelLeftOut, Experiment::DeviceLeftOut] {
        for decode in [true, false] {
            let errors = score.errors.iter().filter(|e| e.experiment == experiment && e.is_decode == decode);
            println!("{experiment:?} decode={decode} {:?}", summarise(errors));
        }
    }
    let mut worst: Vec<_> = score.errors.iter().collect();
    worst.sort_by(|a, b| b.relative().abs().total_cmp(&a.relative().abs()));
    let out: String = worst
        .iter()
        .map(|e| {
            format!(
                "{:?}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{:.2}\t{:.2}\t{:.1}\n",
                e.experiment,
                e.id,
                e.device,
                e.model,
                e.quant,
                e.runtime,
                e.threads,
                e.is_decode,
                e.measured,
                e.predicted,
                100.0 * e.relative()
            )
        })
        .collect();
    std::fs::write("/tmp/fit_errors.tsv", out).unwrap();
}
