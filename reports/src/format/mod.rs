//! One table, many renderings.

pub(crate) mod html;
mod latex;

use comfy_table::presets;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, TableStyle};
use serde_json::{Map, Value};

use crate::{Cell, Table};

/// How tables are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For a terminal; fits its width.
    #[default]
    Table,
    /// GitHub's Markdown.
    Markdown,
    /// Comma-separated, RFC 4180, whole numbers unscaled.
    Csv,
    /// A `<table>` for a page.
    Html,
    /// A `tabular` for a document, with no package needed.
    Latex,
    /// An object per row.
    Json,
}

impl Format {
    /// The table as text that ends with a newline.
    pub fn render(self, table: &Table) -> String {
        match self {
            Self::Table => terminal(table, None),
            Self::Markdown => markdown(table),
            Self::Csv => csv(table),
            Self::Html => html::table(table).into_string(),
            Self::Latex => latex::table(table),
            Self::Json => format!("{:#}\n", json(table)),
        }
    }
}

/// Several tables and what to know about them, as one document; `notes` is empty where they are told elsewhere.
pub fn document(format: Format, tables: &[Table], notes: &[String]) -> String {
    let rendered: Vec<String> = tables.iter().map(|table| format.render(table)).collect();
    match format {
        Format::Html => html::page_of_tables(tables, notes),
        Format::Latex => format!("{}{}", rendered.join("\n"), latex::notes(notes)),
        Format::Markdown => {
            let lines = joined(notes.iter().map(|note| format!("- {}", escaped_markdown(note))));
            let gap = if notes.is_empty() { "" } else { "\n" };
            format!("{}{gap}{lines}", rendered.join("\n"))
        }
        Format::Table => {
            format!("{}{}", rendered.join("\n"), joined(notes.iter().cloned()))
        }
        Format::Csv | Format::Json => rendered.join("\n"),
    }
}

/// Each with a newline behind it.
pub(crate) fn joined(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// What GitHub would read as markup, taken literally.
pub(crate) fn escaped_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' | '<' | '[' | ']' | '*' | '`' | '\\' => escaped.extend(['\\', letter]),
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

fn titled(title: &str, prefix: &str, body: &str) -> String {
    if title.is_empty() { format!("{body}\n") } else { format!("{prefix}{title}\n{body}\n") }
}

/// One line, below the head.
const STYLE: TableStyle = presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'));

/// In so many columns, or as many as the terminal has.
fn terminal(table: &Table, width: Option<u16>) -> String {
    let mut drawn = comfy_table::Table::new();
    drawn.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        drawn.set_width(width);
    }
    drawn.set_header(table.columns.iter().map(|column| column.title.as_ref()));
    for row in &table.rows {
        drawn.add_row(row.iter().map(marked));
    }
    for index in 0..table.columns.len() {
        let is_number = table.rows.iter().any(|row| row.get(index).is_some_and(Cell::is_number));
        if let Some(column) = drawn.column_mut(index).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    titled(&table.title, "", &drawn.trim_fmt())
}

/// A star stays visible without colour.
fn marked(cell: &Cell) -> String {
    if cell.is_best() { format!("{} *", cell.shown()) } else { cell.shown() }
}

fn markdown(table: &Table) -> String {
    let bold = |cell: &Cell| {
        let shown = escaped_markdown(&cell.shown());
        if cell.is_best() { format!("**{shown}**") } else { shown }
    };
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(table.columns.iter().map(|column| escaped_markdown(&column.title)).collect())];
    let ruler = (0..table.columns.len()).map(|index| {
        let is_number = table.rows.iter().any(|row| row.get(index).is_some_and(Cell::is_number));
        (if is_number { "---:" } else { "---" }).to_owned()
    });
    lines.push(line(ruler.collect()));
    lines.extend(table.rows.iter().map(|row| line(row.iter().map(bold).collect())));
    titled(&escaped_markdown(&table.title), "### ", &lines.join("\n"))
}

fn csv(table: &Table) -> String {
    let field = |text: String| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    let plain = |cell: &Cell| match cell.value() {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut out =
        table.columns.iter().map(|column| field(column.key.to_string())).collect::<Vec<_>>().join(",");
    out.push('\n');
    for row in &table.rows {
        out.push_str(&row.iter().map(|cell| field(plain(cell))).collect::<Vec<_>>().join(","));
        out.push('\n');
    }
    out
}

fn json(table: &Table) -> Value {
    let object = |row: &Vec<Cell>| {
        let entries =
            table.columns.iter().zip(row).map(|(column, cell)| (column.key.to_string(), cell.value()));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    table.rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    fn table() -> Table {
        Table {
            title: "Sizes".into(),
            columns: vec![Column::new("role", "role"), Column::new("bytes", "bytes")],
            rows: vec![
                vec![Cell::Text("a|b, \"c\"".into()), Cell::Bytes(98_362_432)],
                vec![Cell::Text("plain".into()), Cell::Empty],
            ],
        }
    }

    #[test]
    fn markdown_escapes_what_would_break_a_row() {
        let expected =
            "### Sizes\n| role | bytes |\n| --- | ---: |\n| a\\|b, \"c\" | 98.4 MB |\n| plain |  |\n";
        assert_eq!(Format::Markdown.render(&table()), expected);
    }

    #[test]
    fn csv_has_whole_numbers_and_quotes_what_needs_it() {
        assert_eq!(Format::Csv.render(&table()), "role,bytes\n\"a|b, \"\"c\"\"\",98362432\nplain,\n");
    }

    #[test]
    fn json_has_an_object_per_row() {
        let value: Value = serde_json::from_str(&Format::Json.render(&table())).unwrap();
        assert_eq!(value[0]["bytes"], 98_362_432);
        assert_eq!(value[1]["bytes"], Value::Null);
    }

    /// A table with long names and many numbers.
    fn wide() -> Table {
        let names =
            ["model", "size", "bpw", "params", "kld", "same_top", "decode@raspberry-pi-5-8gb", "Pareto"];
        let figure = |shown: &str, best| Cell::Figure { value: 1.0, shown: shown.into(), best };
        let row = |name: &str| {
            vec![
                name.into(),
                figure("98.4 MB (-12.3 %)", true),
                Cell::Number(5.85, 2),
                Cell::Count(134_515_008),
                figure("0.0109 ± 0.0004 (+0.0010) [2]", true),
                Cell::Share(0.9512),
                figure("~41.2 (+3.1 %)", false),
                "yes".into(),
            ]
        };
        Table {
            title: "Äpfel & 人工智能".into(),
            columns: names.map(|name| Column::new(name, name)).to_vec(),
            rows: vec![row("out/a"), row("HuggingFaceTB/SmolLM2-135M-Instruct@main:q4_k_m"), row("人工智能")],
        }
    }

    #[test]
    fn tables_fit_terminals_of_60_to_200_columns() {
        for width in 60..=200 {
            let text = terminal(&wide(), Some(width));
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= usize::from(width), "{longest} of {width}:\n{text}");
            // nothing is lost on the way
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            assert_eq!(letters(&text), letters(&terminal(&wide(), Some(1000))), "{width}:\n{text}");
        }
    }

    #[test]
    fn every_format_is_as_it_was() {
        let notes = ["kld: [1] <a> & b".to_owned()];
        for (name, format, golden) in [
            ("table.txt", Format::Table, include_str!("golden/table.txt")),
            ("table.md", Format::Markdown, include_str!("golden/table.md")),
            ("table.csv", Format::Csv, include_str!("golden/table.csv")),
            ("table.json", Format::Json, include_str!("golden/table.json")),
            ("table.html", Format::Html, include_str!("golden/table.html")),
            ("table.tex", Format::Latex, include_str!("golden/table.tex")),
        ] {
            let document = document(format, &[wide()], &notes);
            // the style has a file of its own
            let document = document.replace(include_str!("style.css"), "");
            assert_eq!(document, golden, "{name}");
        }
    }

    #[test]
    fn terminals_get_numbers_at_the_right() {
        let text = Format::Table.render(&table());
        assert!(text.starts_with("Sizes\n"), "{text}");
        assert!(text.lines().any(|line| line.ends_with("98.4 MB")), "{text}");
    }
}
