//! Tables for LaTeX, with nothing but its own commands.

// writing to a String cannot fail
use std::fmt::Write as _;

use super::joined;
use crate::{Cell, Table};

/// A `tabular` with its title before it.
pub(super) fn table(table: &Table) -> String {
    let is_number = |index: usize| table.rows.iter().any(|row| row.get(index).is_some_and(Cell::is_number));
    let columns: String = (0..table.columns.len()).map(|at| if is_number(at) { 'r' } else { 'l' }).collect();
    let mut text = String::new();
    if !table.title.is_empty() {
        let _ = writeln!(text, "\\noindent {}\\par", escaped(&table.title));
    }
    let _ = write!(text, "\\begin{{tabular}}{{{columns}}}\n\\hline\n");
    let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
    text.push_str(&line(table.columns.iter().map(|column| escaped(&column.title)).collect()));
    text.push_str("\\hline\n");
    for row in &table.rows {
        text.push_str(&line(row.iter().map(cell).collect()));
    }
    text.push_str("\\hline\n\\end{tabular}\n");
    text
}

/// A paragraph for each note.
pub(super) fn notes(notes: &[String]) -> String {
    joined(notes.iter().map(|note| format!("\\par\\noindent\\footnotesize {}", escaped(note))))
}

fn cell(cell: &Cell) -> String {
    let shown = escaped(&cell.shown());
    if cell.is_best() { format!("\\textbf{{{shown}}}") } else { shown }
}

/// The text with nothing in it that LaTeX would obey, and nothing beyond ASCII of what we write ourselves.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', letter]),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '"' => escaped.push_str("\\textquotedbl{}"),
            // a row that begins with it would be an option of `\\`
            '[' => escaped.push_str("{[}"),
            ']' => escaped.push_str("{]}"),
            '±' => escaped.push_str("$\\pm$"),
            '×' => escaped.push_str("$\\times$"),
            '—' => escaped.push_str("---"),
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    #[test]
    fn commands_in_names_are_not_obeyed() {
        assert_eq!(
            escaped("\\input{x} 50%_a & [b] ~1 ± 2"),
            "\\textbackslash{}input\\{x\\} 50\\%\\_a \\& {[}b{]} \\textasciitilde{}1 $\\pm$ 2"
        );
    }

    #[test]
    fn numbers_stand_at_the_right_and_the_best_is_bold() {
        let best = Cell::Figure { value: 1.0, shown: "1.0".into(), best: true };
        let table = Table {
            title: "Sizes".into(),
            columns: vec![Column::new("model", "model"), Column::new("kld", "kld")],
            rows: vec![vec!["a".into(), best]],
        };
        let expected = "\\noindent Sizes\\par\n\\begin{tabular}{lr}\n\\hline\nmodel & kld \\\\\n\\hline\n\
                        a & \\textbf{1.0} \\\\\n\\hline\n\\end{tabular}\n";
        assert_eq!(super::table(&table), expected);
    }
}
