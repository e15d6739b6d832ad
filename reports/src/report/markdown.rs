//! The report as Markdown, for repositories and comments.

use std::fmt::Write as _;

use super::Report;
use crate::format::{escaped_markdown, joined};
use crate::{Format, Table};

impl Report {
    /// The same as the page, without the picture. Writing to a String cannot fail.
    pub fn markdown(&self) -> String {
        let mut text =
            format!("# {}, cut by secateur\n\n{}\n", escaped_markdown(&self.source), self.headline());
        if !self.checks.is_empty() {
            section(&mut text, "Budgets", &self.verdicts());
        }
        section(&mut text, "Before and after", &self.before_and_after());
        if let Some(quality) = self.quality() {
            section(&mut text, "What was lost", &quality);
        }
        if let Some(domains) = self.domains() {
            section(&mut text, "Text by text", &domains);
        }
        if let Some(passages) = self.passages() {
            section(&mut text, "Passage by passage", &passages);
        }
        if let Some(device) = self.on_device() {
            section(&mut text, &escaped_markdown(&device.title), &device.costs);
            let causes = Format::Markdown.render(&device.causes);
            let _ = write!(text, "\n{causes}\n{}\n", escaped_markdown(&device.remark));
        }
        if let Some(search) = &self.search {
            section(&mut text, "What was weighed against it", &search.table());
        }
        section(&mut text, "Where the bytes went", &self.roles());
        if let Some(loss) = &self.loss {
            let _ = write!(
                text,
                "\nMeasured on {} tokens that were not calibrated on; ± is the standard error between chunks of text.\n",
                loss.scored_tokens
            );
        }
        for remark in &self.remarks {
            let _ = write!(text, "\n- {}", escaped_markdown(remark));
        }
        if !self.samples.is_empty() {
            text.push_str("\n\n## How both go on\n");
        }
        for sample in &self.samples {
            let _ = write!(
                text,
                "\n- **{}**\n  - source: {}\n  - artifact: {}",
                escaped_markdown(&sample.prompt),
                escaped_markdown(&sample.source),
                escaped_markdown(&sample.artifact)
            );
        }
        text.push_str("\n\n## Where it came from\n");
        for (name, value) in &self.provenance {
            let _ = write!(text, "\n- {}: {}", escaped_markdown(name), escaped_markdown(value));
        }
        // indented, so that nothing in it can end the block
        let plan = joined(self.plan.lines().map(|line| format!("    {line}")));
        let _ = write!(text, "\n\n## Plan\n\n{plan}");
        text
    }
}

fn section(text: &mut String, title: &str, table: &Table) {
    let _ = write!(text, "\n## {title}\n\n{}", Format::Markdown.render(table));
}
