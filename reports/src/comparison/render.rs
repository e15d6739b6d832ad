//! A comparison as tables, for people and for programs, and as charts.

// writing to a String cannot fail
use std::fmt::Write as _;

use super::{Basis, Compared, Comparison, Metric, Row};
use crate::chart::{Chart, Series};
use crate::{Cell, Column, Table};

impl Comparison {
    /// For people: errors, marks and differences stand in one cell with their value.
    pub fn table(&self) -> Table {
        let mut columns = vec![Column::new("model", "model")];
        columns.extend(self.columns.iter().map(|metric| {
            let name = metric.to_string();
            Column::named(name.clone(), name)
        }));
        let has_front = self.rows.iter().any(|row| row.pareto.is_some());
        if has_front {
            columns.push(Column::new("Pareto", "pareto"));
        }
        let row = |row: &Row| {
            let mut cells = vec![Cell::from(row.name.as_str())];
            cells.extend(self.columns.iter().map(|metric| self.cell(row, metric)));
            if has_front {
                cells.push(row.pareto.map_or(Cell::Empty, |front| (if front { "yes" } else { "no" }).into()));
            }
            cells
        };
        Table { title: String::new(), columns, rows: self.rows.iter().map(row).collect() }
    }

    fn cell(&self, row: &Row, metric: &Metric) -> Cell {
        let Some(compared) = row.figures.get(metric) else { return "—".into() };
        let figure = &compared.figure;
        let mut shown = metric.shown(figure.value);
        if figure.basis == Basis::Estimated {
            shown.insert(0, '~');
        }
        if let Some(error) = figure.error {
            let _ = write!(shown, " ± {}", metric.shown_error(error));
        }
        if let Some(baseline) = compared.baseline {
            let _ = write!(shown, " ({})", metric.shown_difference(figure.value, baseline));
        }
        if self.has_groups(metric) {
            let _ = write!(shown, " [{}]", compared.group + 1);
        }
        Cell::Figure { value: figure.value, shown, best: compared.best }
    }

    fn has_groups(&self, metric: &Metric) -> bool {
        self.rows.iter().filter_map(|row| row.figures.get(metric)).any(|compared| compared.group > 0)
    }

    /// For programs: each thing in a column of its own.
    pub fn program_table(&self) -> Table {
        let mut columns = vec![Column::new("model", "model")];
        for metric in &self.columns {
            let mut add = |suffix: &str| {
                let name = format!("{metric}{suffix}");
                columns.push(Column::named(name.clone(), name));
            };
            ["", "_error", "_basis", "_judged_on", "_best"].into_iter().for_each(&mut add);
        }
        columns.push(Column::new("pareto", "pareto"));
        let row = |row: &Row| {
            let mut cells = vec![Cell::from(row.name.as_str())];
            cells.extend(self.columns.iter().flat_map(|metric| program_cells(row.figures.get(metric))));
            cells.push(row.pareto.map_or(Cell::Empty, |front| front.to_string().into()));
            cells
        };
        Table { title: String::new(), columns, rows: self.rows.iter().map(row).collect() }
    }

    /// What people read below the table, a line each.
    pub fn legend(&self) -> Vec<String> {
        let figures = || {
            let shown = |row: &'_ Row| {
                self.columns.iter().filter_map(|metric| row.figures.get(metric).cloned()).collect::<Vec<_>>()
            };
            self.rows.iter().flat_map(shown)
        };
        let mut legend = self.notes.clone();
        let mut explain = |is_there: bool, text: &str| {
            if is_there {
                legend.push(text.to_owned());
            }
        };
        explain(figures().any(|figure| figure.best), "marked: the best of those judged alike");
        explain(figures().any(|figure| figure.figure.basis == Basis::Estimated), "~ is estimated");
        explain(figures().any(|figure| figure.figure.error.is_some()), "± is the standard error");
        if let Some(baseline) = &self.baseline {
            explain(true, &format!("in parentheses: the difference to {baseline}"));
        }
        explain(
            self.rows.iter().any(|row| row.pareto.is_some()),
            "Pareto: no row that was judged alike is as small and as near to its parent, and better in one of them",
        );
        legend
    }

    /// A metric over the size: a point for each row that has both. `None` if there are none.
    pub fn chart(&self, metric: &Metric) -> Option<Chart> {
        let point = |row: &Row| {
            let size = row.figures.get(&Metric::Size)?.figure.value;
            let value = row.figures.get(metric)?.figure.value;
            Some(Series { name: row.name.clone(), points: vec![(size / 1e6, value)] })
        };
        let series: Vec<_> = self.rows.iter().filter_map(point).collect();
        let least = series.iter().map(|series| series.points[0].0).fold(f64::INFINITY, f64::min);
        let y = match metric {
            Metric::Divergence => "divergence from the parent, nats per token".to_owned(),
            other => other.to_string(),
        };
        (!series.is_empty()).then(|| Chart {
            title: format!("{metric} over the size of the file"),
            x: "MB".into(),
            start: 0.8 * least,
            y,
            series,
            joined: false,
        })
    }
}

fn program_cells(compared: Option<&Compared>) -> [Cell; 5] {
    let Some(Compared { figure, best, .. }) = compared else { return [const { Cell::Empty }; 5] };
    let basis = match figure.basis {
        Basis::Exact => "exact",
        Basis::Measured => "measured",
        Basis::Estimated => "estimated",
    };
    let is_count = figure.value.fract() == 0.0 && figure.value >= 0.0 && figure.judged_on.is_none();
    [
        if is_count { Cell::Whole(figure.value as u64) } else { Cell::Number(figure.value, 4) },
        figure.error.map_or(Cell::Empty, |error| Cell::Number(error, 4)),
        basis.into(),
        figure.judged_on.as_deref().map_or(Cell::Empty, Into::into),
        best.to_string().into(),
    ]
}
