//! Models with experts, on devices that were fitted to dense models alone, against speeds that "SmallThinker" publishes.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use secateur_profiles::fit::{Experience, Row};
use secateur_profiles::measurement;

#[test]
fn small_thinker_runs_as_published_on_devices_fitted_to_dense_models() {
    let table = measurement::read(measurement::PUBLISHED).unwrap();
    let rows: Vec<Row> = table.iter().filter_map(Row::new).collect();
    let (experts, dense): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.workload.experts.is_some());
    let experience = Experience::of(&dense);
    let mut errors = Vec::new();
    for row in experts.iter().filter(|row| row.model.starts_with("SmallThinker")) {
        let predicted = 1.0 / experience.predict(row).seconds;
        let error = predicted * row.seconds - 1.0;
        println!(
            "{} {}: {:.2} measured, {predicted:.2} predicted, {:+.0} %",
            row.device,
            row.model,
            1.0 / row.seconds,
            100.0 * error
        );
        errors.push(error.abs());
    }
    assert_eq!(errors.len(), 5);
    errors.sort_unstable_by(f64::total_cmp);
    assert!(errors[2] < 0.25, "{errors:?}");
}
