//! The report as one page that needs nothing but itself.

use maud::{Markup, html};

use super::front::front;
use super::{Report, Sample};
use crate::format::html::{page, table};

impl Report {
    /// A page for a browser: light and dark, narrow and wide, on paper.
    pub fn html(&self) -> String {
        let body = html! {
            header {
                h1 { (self.source) ", cut by secateur" }
                p class="soft" { (self.headline()) }
            }
            (self.cards())
            @if !self.checks.is_empty() { h2 { "Budgets" } (table(&self.verdicts())) }
            h2 { "Before and after" }
            (table(&self.before_and_after()))
            (self.loss_section())
            @if let Some(device) = self.on_device() {
                h2 { (device.title) }
                (table(&device.costs))
                (table(&device.causes))
                p class="soft" { (device.remark) }
            }
            @if let Some(search) = &self.search {
                h2 { "What was weighed against it" }
                (front(search))
            }
            h2 { "Where the bytes went" }
            (table(&self.roles()))
            h2 { "What every matrix became" }
            p class="soft" { "Darker has more bits for each weight. Point at a cell for its size and its distance from the source." }
            (self.heat_map())
            @if !self.samples.is_empty() {
                h2 { "How both go on" }
                p class="soft" { "The likeliest token each time; a few words prove nothing, but show a model that is broken." }
                @for sample in &self.samples { (continued(sample)) }
            }
            h2 { "Plan" }
            details { summary { "plan.yaml" } pre tabindex="0" { (self.plan) } }
            h2 { "Where it came from" }
            dl { @for (name, value) in &self.provenance { dt { (name) } dd { code { (value) } } } }
        };
        page(&format!("{}, cut by secateur", self.source), &body)
    }

    fn cards(&self) -> Markup {
        let missed = self.checks.iter().filter(|check| !check.kept).count();
        html! {
            ul class="cards" {
                li { span class="figure" { (crate::units::bytes(self.after.bytes)) } "model.gguf" }
                li { span class="figure" { (format!("{:.2}", self.after.bits_per_weight())) } "bits per weight" }
                @if let Some(loss) = &self.loss {
                    li { span class="figure" { (format!("{:.4}", loss.divergence.0)) } "nats per token from the source (measured)" }
                } @else if let Some(expected) = self.expected_divergence {
                    li { span class="figure" { (format!("~{expected:.4}")) } "nats per token from the source (estimated)" }
                }
                @if !self.checks.is_empty() {
                    @if missed == 0 {
                        li { span class="figure kept" { "✓ kept" } "every budget" }
                    } @else {
                        li { span class="figure missed" { "✗ missed" } (missed) " of " (self.checks.len()) " budgets" }
                    }
                }
            }
        }
    }

    fn loss_section(&self) -> Markup {
        html! {
            h2 { "What was lost" }
            @match (&self.loss, self.quality()) {
                (Some(loss), Some(quality)) => {
                    (table(&quality))
                    p class="soft" {
                        "On " (loss.scored_tokens) " tokens that were not calibrated on. ± is the standard error between chunks of text."
                    }
                    @if let Some(domains) = self.domains() { (table(&domains)) }
                    @if let Some(passages) = self.passages() {
                        details { summary { "Passage by passage" } (table(&passages)) }
                    }
                }
                _ => p { "Not measured: nothing was calibrated on. Budgets (--max-size) and --rounding full measure; `secateur eval` does at any time." }
            }
            @if !self.remarks.is_empty() { ul class="notes" { @for remark in &self.remarks { li { (remark) } } } }
        }
    }
}

fn continued(sample: &Sample) -> Markup {
    html! {
        details open {
            summary { "“" (sample.prompt) " …”" }
            dl {
                dt { "source" } dd { pre { (sample.source) } }
                dt { "artifact" } dd { @if sample.artifact == sample.source { "the same" } @else { pre { (sample.artifact) } } }
            }
        }
    }
}
