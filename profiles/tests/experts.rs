//! Models with experts, on devices that were fitted to dense models alone, against the speeds that the makers of SmallThinker publish.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot go on has failed; its table stands in docs/profiles.md

use secateur_profiles::fit::{Experience, Row};
use secateur_profiles::measurement;

const PUBLISHED_SPEEDS: &str = include_str!("data/smallthinker.tsv");

#[test]
fn small_thinker_runs_as_published_on_devices_fitted_to_dense_models() {
    let table = measurement::read(measurement::PUBLISHED).unwrap();
    let rows: Vec<Row> = table.iter().filter_map(Row::new).collect();
    let dense: Vec<&Row> = rows.iter().filter(|row| row.workload.experts.is_none()).collect();
    let experience = Experience::of(&dense);
    let measured: Vec<Row> =
        measurement::read(PUBLISHED_SPEEDS).unwrap().iter().filter_map(Row::new).collect();
    assert_eq!(measured.len(), 11);
    println!("| device | model | measured/s | predicted/s | error | dense rows of the chip |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    let mut within = 0;
    for row in &measured {
        let predicted = 1.0 / experience.predict(row).seconds;
        let error = predicted * row.seconds - 1.0;
        let known =
            dense.iter().filter(|dense| dense.chip == row.chip && dense.platform.kind == row.platform.kind);
        println!(
            "| {} | {} | {:.2} | {predicted:.2} | {:+.0} % | {} |",
            row.device,
            row.model,
            1.0 / row.seconds,
            100.0 * error,
            known.count()
        );
        within += usize::from(error.abs() < 0.25);
    }
    assert!(within >= 9, "{within}");
}
