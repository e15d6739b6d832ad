//! Models beside each other: what is best, what differs from a baseline, and what must not be compared.

mod candidate;
mod metric;
mod render;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

pub use candidate::{Basis, Candidate, Figure};
use metric::Better;
pub use metric::{Cost, Metric, MetricError};

/// Models beside each other.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// The version of this record: 1.
    pub schema: u32,
    /// From left to right.
    pub columns: Vec<Metric>,
    /// The row that others are compared with.
    pub baseline: Option<String>,
    /// In the order of the table.
    pub rows: Vec<Row>,
    /// What to know about the numbers.
    pub notes: Vec<String>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// What the table calls it.
    pub name: String,
    /// No other row that was judged alike is as small and nearer to the parent; unknown without a divergence.
    pub pareto: Option<bool>,
    /// By column; what is not known is not there.
    pub figures: BTreeMap<Metric, Compared>,
}

/// A figure among those of its column.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Compared {
    /// The figure itself.
    #[serde(flatten)]
    pub figure: Figure,
    /// Which rows of this column were judged alike: those with the same number.
    #[serde(skip)]
    group: usize,
    /// No comparable row has a better one, and there is another comparable row.
    pub best: bool,
    /// The baseline's figure, if it is comparable and of another row.
    pub baseline: Option<f64>,
}

impl Comparison {
    /// Compares models; `baseline` is the place of one of them.
    pub fn new(
        candidates: &[Candidate],
        columns: Vec<Metric>,
        sort: Option<&Metric>,
        baseline: Option<usize>,
    ) -> Self {
        let mut rows: Vec<Row> = candidates
            .iter()
            .map(|candidate| Row { name: candidate.name.clone(), pareto: None, figures: BTreeMap::new() })
            .collect();
        let mut notes = Vec::new();
        let known = candidates.iter().flat_map(|candidate| candidate.figures.keys());
        let all: BTreeSet<&Metric> = known.chain(&columns).collect();
        let mut unknown: Vec<(String, Vec<String>)> = Vec::new();
        for column in all {
            let remark = add_column(&mut rows, candidates, column, baseline);
            // what rows are ordered by need not be shown
            if !columns.contains(column) && sort != Some(column) {
                continue;
            }
            notes.extend(remark);
            let rows = without(candidates, column);
            match unknown.iter_mut().find(|(others, _)| *others == rows) {
                Some((_, columns)) => columns.push(column.to_string()),
                None => unknown.push((rows, vec![column.to_string()])),
            }
        }
        let told = unknown.iter().filter(|(rows, _)| !rows.is_empty());
        notes.extend(told.map(|(rows, columns)| format!("not known of {rows}: {}", columns.join(", "))));
        for (row, pareto) in rows.iter_mut().zip(pareto(candidates)) {
            row.pareto = pareto;
        }
        if let Some(sort) = sort {
            rows.sort_by(|left, right| order(sort, left, right));
        }
        for candidate in candidates {
            notes.extend(candidate.remarks.iter().map(|remark| format!("{}: {remark}", candidate.name)));
        }
        let baseline = baseline.map(|index| candidates[index].name.clone());
        Self { schema: 1, columns, baseline, rows, notes }
    }
}

/// Fills a column in and tells what is not to be compared in it.
fn add_column(
    rows: &mut [Row],
    candidates: &[Candidate],
    column: &Metric,
    baseline: Option<usize>,
) -> Option<String> {
    let groups = groups(candidates, column);
    let figure = |index: usize| candidates[index].figures.get(column);
    let reference = baseline.and_then(|index| Some((index, figure(index)?)));
    for (index, row) in rows.iter_mut().enumerate() {
        let Some(figure) = figure(index) else { continue };
        let group = group_of(&groups, figure);
        let alike = candidates
            .iter()
            .filter_map(|other| other.figures.get(column))
            .filter(|other| other.judged_on == figure.judged_on);
        let best = alike.clone().count() > 1
            && column.better() != Better::Neither
            && alike.clone().all(|other| !is_better(column, other.value, figure.value))
            && alike.clone().any(|other| is_better(column, figure.value, other.value));
        let comparable = reference.filter(|(at, reference)| {
            *at != index && reference.judged_on == figure.judged_on && column.better() != Better::Neither
        });
        let baseline = comparable.map(|(_, reference)| reference.value);
        row.figures.insert(column.clone(), Compared { figure: figure.clone(), group, best, baseline });
    }
    (groups.len() > 1).then(|| {
        let labels = groups.iter().enumerate().map(|(index, label)| format!("[{}] {label}", index + 1));
        let labels: Vec<_> = labels.collect();
        format!(
            "{column}: not all rows were judged alike; only rows of one mark are compared: {}",
            labels.join("; ")
        )
    })
}

/// The rows of which a column is not known.
fn without(candidates: &[Candidate], column: &Metric) -> String {
    let unknown = candidates.iter().filter(|candidate| !candidate.figures.contains_key(column));
    unknown.map(|candidate| candidate.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The different ways in which figures of a column were judged, in the order of the rows.
fn groups<'a>(candidates: &'a [Candidate], column: &Metric) -> Vec<&'a str> {
    let mut groups: Vec<&str> = Vec::new();
    for figure in candidates.iter().filter_map(|candidate| candidate.figures.get(column)) {
        if let Some(label) = figure.judged_on.as_deref()
            && !groups.contains(&label)
        {
            groups.push(label);
        }
    }
    groups
}

fn group_of(groups: &[&str], figure: &Figure) -> usize {
    groups.iter().position(|label| Some(*label) == figure.judged_on.as_deref()).unwrap_or_default()
}

fn is_better(column: &Metric, left: f64, right: f64) -> bool {
    if column.better() == Better::Higher { left > right } else { left < right }
}

/// The best first; what is not known last; what was judged in different ways not among each other.
fn order(column: &Metric, left: &Row, right: &Row) -> Ordering {
    match (left.figures.get(column), right.figures.get(column)) {
        (Some(left), Some(right)) => left.group.cmp(&right.group).then_with(|| {
            let order = left.figure.value.total_cmp(&right.figure.value);
            if column.better() == Better::Higher { order.reverse() } else { order }
        }),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// Which models no comparable one dominates in size and divergence.
fn pareto(candidates: &[Candidate]) -> Vec<Option<bool>> {
    let place = |candidate: &Candidate| {
        let size = candidate.figures.get(&Metric::Size)?.value;
        let divergence = candidate.figures.get(&Metric::Divergence)?;
        Some((size, divergence.value, divergence.judged_on.clone()))
    };
    let places: Vec<_> = candidates.iter().map(place).collect();
    let is_on_front = |(size, divergence, judged_on): &(f64, f64, Option<String>)| {
        !places.iter().flatten().any(|other| {
            other.2 == *judged_on
                && other.0 <= *size
                && other.1 <= *divergence
                && (other.0 < *size || other.1 < *divergence)
        })
    };
    places.iter().map(|place| place.as_ref().map(is_on_front)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, size: f64, divergence: Option<(f64, &str)>) -> Candidate {
        let mut figures = BTreeMap::from([(Metric::Size, Figure::exact(size))]);
        if let Some((value, text)) = divergence {
            figures.insert(Metric::Divergence, Figure::measured(value, Some(0.001), text.to_owned()));
        }
        Candidate { name: name.to_owned(), figures, remarks: Vec::new() }
    }

    fn compare(candidates: &[Candidate], sort: Option<&Metric>, baseline: Option<usize>) -> Comparison {
        Comparison::new(candidates, vec![Metric::Size, Metric::Divergence], sort, baseline)
    }

    #[test]
    fn what_is_larger_and_farther_than_another_is_not_on_the_front() {
        let candidates = [
            candidate("small", 1.0, Some((0.3, "a"))),
            candidate("good", 2.0, Some((0.1, "a"))),
            candidate("bad", 3.0, Some((0.2, "a"))),
            candidate("unknown", 0.5, None),
        ];
        let rows = compare(&candidates, None, None).rows;
        let flags: Vec<_> = rows.iter().map(|row| row.pareto).collect();
        assert_eq!(flags, [Some(true), Some(true), Some(false), None]);
        let best: Vec<_> = rows
            .iter()
            .filter(|row| row.figures.get(&Metric::Divergence).is_some_and(|figure| figure.best))
            .collect();
        assert_eq!((best.len(), best[0].name.as_str()), (1, "good"));
    }

    #[test]
    fn rows_judged_on_other_texts_are_neither_compared_nor_mixed() {
        let candidates = [
            candidate("one", 1.0, Some((0.3, "a"))),
            candidate("other", 2.0, Some((0.1, "b"))),
            candidate("two", 3.0, Some((0.2, "a"))),
        ];
        let comparison = compare(&candidates, Some(&Metric::Divergence), Some(0));
        let names: Vec<_> = comparison.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["two", "one", "other"]);
        let of = |name: &str| {
            let row = comparison.rows.iter().find(|row| row.name == name).unwrap();
            &row.figures[&Metric::Divergence]
        };
        assert!(of("two").best && !of("one").best && !of("other").best);
        assert_eq!((of("two").baseline, of("other").baseline), (Some(0.3), None));
        // alone among its like, on its own front
        assert_eq!(comparison.rows[2].pareto, Some(true));
        assert!(comparison.notes[0].contains("[1] a; [2] b"), "{:?}", comparison.notes);
    }

    #[test]
    fn equal_rows_have_no_best_one() {
        let candidates = [candidate("one", 1.0, None), candidate("other", 1.0, None)];
        let rows = compare(&candidates, None, None).rows;
        assert!(rows.iter().all(|row| !row.figures[&Metric::Size].best));
    }
}
