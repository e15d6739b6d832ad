use std::fs;
use std::path::Path;

use super::*;
use crate::example::{Knapsack, Truth};
use crate::{Budgets, Limit, Preset, Settings, Silent, StudyError};

const CHUNKS: usize = 20;

fn search(knapsack: &Knapsack, share: f64, settings: Settings) -> Search<'_, Knapsack> {
    let budgets = Budgets::new(knapsack.quantities(), &knapsack.tight(share)).unwrap();
    Search::new(&knapsack.space, knapsack, budgets, settings).unwrap()
}

fn small(seed: u64) -> Settings {
    Settings { population: 8, generations: 3, epochs: 1, effort: 2000, ..Preset::Fast.settings(seed) }
}

#[test]
fn measurements_find_what_predictions_miss() {
    let knapsack = Knapsack::random(12, 4, 5);
    let truth = Truth::of(&knapsack, CHUNKS);
    let search = search(&knapsack, 0.4, Preset::Fast.settings(1)).limited(Limit::Evaluations(60));
    let outcome = search.run(&truth, &mut Study::in_memory(), &Silent).unwrap();
    let predicted = search.explore().unwrap().best.genome;
    assert!(truth.mean(&outcome.chosen.genome) < truth.mean(&predicted));
    assert!(outcome.evaluations <= 60.0);
    let measured = outcome.chosen.measured.unwrap();
    assert_eq!(measured.chunks, CHUNKS);
    assert!((measured.mean - truth.mean(&outcome.chosen.genome)).abs() < 1e-9);
    // what was learned makes expectations of the chosen plan better than predictions
    let off = |damage: f64| (damage / measured.mean).ln().abs();
    assert!(off(outcome.chosen.expected) < off(outcome.chosen.predicted) / 4.0);
    assert!(outcome.front.iter().all(|plan| search.budgets.fit(&plan.costs)));
    assert!(outcome.history.windows(2).all(|steps| steps[1].best.mean <= steps[0].best.mean));
}

#[test]
fn a_study_cut_at_every_byte_resumes_to_the_same_outcome() {
    let knapsack = Knapsack::random(3, 3, 7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.jsonl");
    let tiny = Settings { population: 4, generations: 1, contenders: 4, ..small(3) };
    let search = search(&knapsack, 0.5, tiny).limited(Limit::Evaluations(5));
    let whole_truth = Truth::of(&knapsack, 4);
    let mut study = Study::create(&path, "inputs", &knapsack.space).unwrap();
    let whole = without_times(search.run(&whole_truth, &mut study, &Silent).unwrap());
    drop(study);
    let bytes = fs::read(&path).unwrap();
    let header = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    let cut = folder.path().join("cut.jsonl");
    for length in 0..=bytes.len() {
        fs::write(&cut, &bytes[..length]).unwrap();
        if length < header {
            assert!(matches!(Study::open(&cut, "inputs", &knapsack.space), Err(StudyError::NoHeader { .. })));
            continue;
        }
        let mut study = Study::open(&cut, "inputs", &knapsack.space).unwrap();
        let in_a_line = length > header && bytes[length - 1] != b'\n' && bytes.get(length) != Some(&b'\n');
        assert_eq!(study.damaged().is_some(), in_a_line, "{length}");
        let outcome = search.run(&Truth::of(&knapsack, 4), &mut study, &Silent).unwrap();
        assert_eq!(without_times(outcome), whole, "{length}");
    }
    // the whole log is answered without a measurement
    let silent_truth = Truth::of(&knapsack, 4);
    let mut study = Study::open(&path, "inputs", &knapsack.space).unwrap();
    search.run(&silent_truth, &mut study, &Silent).unwrap();
    assert_eq!(silent_truth.measured.into_inner(), 0);
}

#[test]
fn plans_of_a_round_are_apart() {
    let knapsack = Knapsack::random(40, 4, 5);
    let search = search(&knapsack, 0.4, small(1));
    let truth = Truth::of(&knapsack, CHUNKS);
    let mut study = Study::in_memory();
    let session = Session::new(&truth, &Silent, &mut study, None);
    let correction = Correction::default();
    let problem = search.problem(&correction);
    let islands = Islands::settle(problem, &search.settings, &search.seeds(problem).unwrap());
    let champion = islands.fitting(problem)[0].0.clone();
    let mut generator = SmallRng::seed_from_u64(1);
    let mut plans = search.contenders(problem, &session, &islands, Some(&champion), &mut generator);
    assert!(plans.len() > 1);
    plans.push(champion);
    for (index, plan) in plans.iter().enumerate() {
        assert!(plans[..index].iter().all(|other| plan.distance(other) > 4));
    }
}

/// Times of a resumed run are those of its measurements.
fn without_times(mut outcome: Outcome) -> Outcome {
    outcome.history.iter_mut().for_each(|step| step.seconds = 0.0);
    outcome
}

#[test]
fn interrupted_searches_say_so_and_go_on() {
    let knapsack = Knapsack::random(8, 4, 9);
    let search = search(&knapsack, 0.4, small(2)).limited(Limit::Evaluations(20));
    let whole = search.run(&Truth::of(&knapsack, CHUNKS), &mut Study::in_memory(), &Silent).unwrap();
    let mut study = Study::in_memory();
    let stopping = Truth { patience: 150, ..Truth::of(&knapsack, CHUNKS) };
    let part = search.run(&stopping, &mut study, &stopping).unwrap();
    assert_eq!(part.stopped, Stopped::Interrupted);
    let rest = search.run(&Truth::of(&knapsack, CHUNKS), &mut study, &Silent).unwrap();
    assert_eq!(without_times(rest), without_times(whole));
}

#[test]
fn any_number_of_threads_gives_the_same_outcome() {
    let knapsack = Knapsack::random(10, 4, 11);
    let search = search(&knapsack, 0.4, Preset::Balanced.settings(4)).limited(Limit::Evaluations(20));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let truth = Truth::of(&knapsack, CHUNKS);
        without_times(pool.install(|| search.run(&truth, &mut Study::in_memory(), &Silent)).unwrap())
    };
    assert_eq!(with(1), with(2));
}

#[test]
fn another_budget_is_answered_from_the_log() {
    let knapsack = Knapsack::random(10, 4, 13);
    let truth = Truth::of(&knapsack, CHUNKS);
    let mut study = Study::in_memory();
    let wide = search(&knapsack, 0.5, small(5)).limited(Limit::Evaluations(20));
    wide.run(&truth, &mut study, &Silent).unwrap();
    let asked = truth.measured.load(std::sync::atomic::Ordering::Relaxed);
    let narrow = search(&knapsack, 0.3, small(5));
    let answered = narrow.answer(&study).unwrap();
    assert!(narrow.budgets.fit(&answered.predicted.best.costs));
    assert!(answered.measured.is_none_or(|plan| narrow.budgets.fit(&plan.costs)));
    let outcome = narrow.answer(&study).unwrap().outcome(1.0);
    assert!(narrow.budgets.fit(&outcome.chosen.costs));
    let loses = outcome.chosen.measured.map_or(outcome.chosen.expected, |measured| measured.mean);
    assert!(loses <= answered.predicted.best.expected);
    let same = wide.answer(&study).unwrap();
    assert_eq!(same.measured.unwrap().measured.unwrap().chunks, CHUNKS);
    assert_eq!(truth.measured.into_inner(), asked);
}

#[test]
fn time_that_others_took_is_not_ours() {
    let knapsack = Knapsack::random(8, 4, 9);
    let mut study = Study::in_memory();
    let beyond = knapsack.space.genome(vec![3; 8]).unwrap();
    study.record(&beyond, 0, &[1.0], 3600.0).unwrap();
    let minute = Limit::Time(std::time::Duration::from_secs(60));
    let search = search(&knapsack, 0.3, small(2)).limited(minute);
    let outcome = search.run(&Truth::of(&knapsack, CHUNKS), &mut study, &Silent).unwrap();
    assert_eq!(outcome.stopped, Stopped::Settled);
    // asked again, the study's answers take the time that they took
    let again = search.run(&Truth::of(&knapsack, CHUNKS), &mut study, &Silent).unwrap();
    assert_eq!(again, outcome);
}

#[test]
fn studies_of_other_inputs_or_spaces_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.jsonl");
    let (one, other) = (Knapsack::random(3, 3, 1), Knapsack::random(4, 3, 1));
    let open = |path: &Path, of: &str, space| Study::open(path, of, space).unwrap_err().to_string();
    drop(Study::create(&path, "model a", &one.space).unwrap());
    assert!(matches!(Study::create(&path, "model a", &one.space), Err(StudyError::Io { .. })));
    assert!(
        open(&path, "model b", &one.space).contains("is of inputs model a, and these inputs are model b")
    );
    assert!(
        open(&path, "model a", &other.space).contains("it has 3 units, and this space has unit 3 `unit 3`")
    );
    let first = Study::open(&path, "model a", &one.space).unwrap();
    assert!(matches!(Study::open(&path, "model a", &one.space), Err(StudyError::InUse { .. })));
    drop(first);
}

#[test]
fn the_nearest_plan_and_the_binding_budget_are_told_when_nothing_fits() {
    let knapsack = Knapsack::random(6, 4, 15);
    let least = knapsack.tight(0.0);
    let limits = [least[0].map(|bytes| bytes * 0.9), None];
    let budgets = Budgets::new(knapsack.quantities(), &limits).unwrap();
    let search = Search::new(&knapsack.space, &knapsack, budgets, small(0)).unwrap();
    let Err(SearchError::NothingFits { nearest, binding, limit, needed }) = search.explore() else {
        panic!("something fits");
    };
    assert!(nearest.levels().iter().all(|&level| level == 0));
    assert_eq!((binding.as_str(), Some(limit), Some(needed)), ("bytes", limits[0], least[0]));
}
