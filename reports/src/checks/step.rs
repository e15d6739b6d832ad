//! Checks for GitHub Actions: annotations of a step, and its summary.

use super::{Check, Checks};
use crate::format::escaped_markdown;
use crate::{Format, document};

impl Checks {
    /// A workflow command for each missed check, a line each; GitHub reads them on stdout.
    pub fn annotations(&self) -> String {
        let annotation = |check: &Check| {
            let message =
                format!("{}: {}: found {}, allowed is {}", self.run, check.name, check.found, check.allowed);
            format!("::error title=secateur check::{}\n", data(&message))
        };
        self.missed().map(annotation).collect()
    }

    /// Markdown for the summary of a step.
    pub fn summary(&self) -> String {
        let verdict = match self.missed().count() {
            0 => "every budget is kept".to_owned(),
            missed => format!("{missed} of {} checks missed", self.checks.len()),
        };
        let mut table = self.table();
        table.title.clear();
        let run = escaped_markdown(&self.run);
        format!(
            "### secateur check: {verdict}\n\n{run}\n\n{}\n",
            document(Format::Markdown, &[table], &self.notes)
        )
    }
}

/// The message of a workflow command, which must stay one line and start no other command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use crate::checks::example;

    #[test]
    fn a_name_with_a_line_break_starts_no_other_command() {
        let annotations = example().annotations();
        assert_eq!(annotations.lines().count(), 1, "{annotations}");
        assert!(
            annotations.starts_with("::error title=secateur check::out/<a>%0A::error::b"),
            "{annotations}"
        );
        assert!(annotations.contains("max-size: found 600 kB, allowed is at most 500 kB"), "{annotations}");
    }

    #[test]
    fn the_summary_names_what_is_missed() {
        let summary = example().summary();
        assert!(
            summary.contains("1 of 2 checks missed") && summary.contains("| max-size | MISSED |"),
            "{summary}"
        );
    }
}
