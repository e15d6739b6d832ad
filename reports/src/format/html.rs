//! Tables for a browser.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{Cell, Table};

/// Light and dark, narrow and wide, on paper; nothing is told by colour alone.
const STYLE: &str = include_str!("style.css");

/// A page that needs nothing but itself.
pub(crate) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    format!("{}\n", page.into_string())
}

/// A page of tables with what to know about them.
pub(super) fn page_of_tables(tables: &[Table], notes: &[String]) -> String {
    let titles = tables.iter().map(|table| table.title.as_str()).find(|title| !title.is_empty());
    let body = html! {
        @for one in tables { (table(one)) }
        @if !notes.is_empty() {
            ul class="notes" { @for note in notes { li { (note) } } }
        }
    };
    page(titles.unwrap_or("secateur"), &body)
}

/// A table that scrolls by itself where the page is narrower.
pub(crate) fn table(table: &Table) -> Markup {
    let is_number = |index: usize| table.rows.iter().any(|row| row.get(index).is_some_and(Cell::is_number));
    let class = |index: usize| if is_number(index) { "number" } else { "text" };
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=[(!table.title.is_empty()).then_some(&table.title)] {
            table {
                @if !table.title.is_empty() { caption { (table.title) } }
                thead { tr {
                    @for (index, column) in table.columns.iter().enumerate() {
                        th scope="col" class=(class(index)) { (column.title) }
                    }
                } }
                tbody {
                    @for row in &table.rows { tr {
                        @for (index, cell) in row.iter().enumerate() { td class=(class(index)) {
                            @if cell.is_best() { strong { (cell.shown()) } } @else { (cell.shown()) }
                        } }
                    } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    #[test]
    fn what_others_named_is_text_and_no_markup() {
        let name = "<script>alert(1)</script>&\"'";
        let table = Table {
            title: name.into(),
            columns: vec![Column::named(name.into(), name.into())],
            rows: vec![vec![name.into()]],
        };
        let page = page_of_tables(&[table], &[name.to_owned()]);
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;&amp;").count(), 6, "{page}");
        assert!(!page.contains("://"), "nothing is fetched");
    }
}
