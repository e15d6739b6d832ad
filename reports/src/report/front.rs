//! The plans that a search weighed against each other: size to the right, loss upwards, the chosen one marked.

use maud::{Markup, html};

use crate::search::{PlanRow, SearchRecord};
use crate::units;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 44.0;

/// The part of the picture inside the axes.
const PLOT_WIDTH: f64 = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT: f64 = HEIGHT - TOP - BOTTOM;

/// Lines across.
const STEPS: usize = 4;

/// From a line of text to the next.
const LINE: f64 = 15.0;

/// A picture of the front, and what it shows. Every plan tells its shape, types and costs when it is pointed at, tapped or reached by keyboard; no script is
/// needed for that.
pub(super) fn front(search: &SearchRecord) -> Markup {
    let axes = Axes::of(search);
    let parts = (0..=STEPS).map(|step| step as f64 / STEPS as f64);
    html! {
        p class="soft" {
            "Plans of which no other is better in everything, by what they are expected to lose; the chosen plan is filled. Point at one, or tap it, for its shape, types and costs."
        }
        div class="scroll" tabindex="0" {
            svg class="front" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) role="img"
                aria-label=(format!("{} plans by size and expected loss", search.front.len())) {
                @for part in parts {
                    @let (x, y) = (LEFT + part * PLOT_WIDTH, TOP + (1.0 - part) * PLOT_HEIGHT);
                    path d=(format!("M{LEFT} {y:.1}H{:.1}", WIDTH - RIGHT)) stroke="var(--line)" {}
                    text x=(LEFT - 6.0) y=(format!("{:.1}", y + 4.0)) text-anchor="end" { (format!("{:.4}", axes.loss(part))) }
                    text x=(format!("{x:.1}")) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (units::bytes(axes.bytes(part) as u64)) }
                }
                text x="4" y="14" { "nats per token" }
                text x=(format!("{:.1}", LEFT + PLOT_WIDTH / 2.0)) y=(HEIGHT - 8.0) text-anchor="middle" { "size of model.gguf" }
                @for plan in &search.front { (dot(&axes, search, plan, false)) }
                (dot(&axes, search, &search.chosen, true))
            }
        }
    }
}

fn dot(axes: &Axes, search: &SearchRecord, plan: &PlanRow, is_chosen: bool) -> Markup {
    let (x, y) = axes.place(plan);
    let (radius, fill) = if is_chosen { (7, "var(--accent)") } else { (5, "var(--paper)") };
    html! {
        @let told = told(search, plan);
        g class="plan" tabindex="0" role="img" aria-label=(told.join("; ")) {
            circle cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r=(radius) fill=(fill) stroke="var(--accent)" stroke-width="1.5" {}
            @if is_chosen {
                // on the side where there is room
                @let (anchor, shift) = if x > WIDTH / 2.0 { ("end", -11.0) } else { ("start", 11.0) };
                text x=(format!("{:.1}", x + shift)) y=(format!("{:.1}", y - 8.0)) text-anchor=(anchor) { "chosen" }
            }
            // where a front is empty: what is large and loses much is on none
            g class="told" aria-hidden="true" {
                @for (line, words) in told.iter().enumerate() {
                    text x=(WIDTH - RIGHT - 4.0) y=(TOP + 12.0 + LINE * line as f64) text-anchor="end" { (words) }
                }
            }
        }
    }
}

/// What a plan is, line by line.
fn told(search: &SearchRecord, plan: &PlanRow) -> Vec<String> {
    let mut told = vec![plan.shape.clone(), plan.types.clone()];
    let measured = plan.measured.map_or_else(String::new, |measured| {
        format!(", measured {measured:.4} on {} passages of {}", plan.passages, search.passages)
    });
    told.push(format!("expected to lose {:.4} nats per token{measured}", plan.expected));
    told.extend(search.quantities.iter().zip(&plan.costs).map(|(quantity, &cost)| {
        if quantity.starts_with("microseconds") {
            format!("{:.1} {quantity}", 1e6 / cost).replace("microseconds per token", "tokens per second")
        } else {
            format!("{}: {}", quantity, units::bytes(cost as u64))
        }
    }));
    told
}

/// What the picture reaches over; loss begins at 0.
struct Axes {
    least_bytes: f64,
    most_bytes: f64,
    most_loss: f64,
}

impl Axes {
    fn of(search: &SearchRecord) -> Self {
        let plans = || search.front.iter().chain([&search.chosen]);
        let bytes = || plans().filter_map(|plan| plan.costs.first().copied());
        Self {
            least_bytes: bytes().fold(f64::INFINITY, f64::min),
            most_bytes: bytes().fold(f64::NEG_INFINITY, f64::max),
            most_loss: plans().map(|plan| plan.expected).fold(f64::MIN_POSITIVE, f64::max),
        }
    }

    fn bytes(&self, part: f64) -> f64 {
        self.least_bytes + part * (self.most_bytes - self.least_bytes)
    }

    fn loss(&self, part: f64) -> f64 {
        part * self.most_loss
    }

    fn place(&self, plan: &PlanRow) -> (f64, f64) {
        let bytes = plan.costs.first().copied().unwrap_or(self.least_bytes);
        let along = (bytes - self.least_bytes) / (self.most_bytes - self.least_bytes).max(1.0);
        (LEFT + along * PLOT_WIDTH, TOP + (1.0 - plan.expected / self.most_loss) * PLOT_HEIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(shape: &str, bytes: f64, expected: f64) -> PlanRow {
        PlanRow {
            shape: shape.into(),
            types: "q4_k 100 %".into(),
            predicted: expected,
            expected,
            measured: None,
            measured_error: None,
            passages: 0,
            costs: vec![bytes, 50_000.0],
        }
    }

    fn search() -> SearchRecord {
        let front = vec![plan("all <layers>", 90e6, 0.01), plan("29 layers", 70e6, 0.04)];
        SearchRecord {
            schema: 1,
            source: "model".into(),
            asked: Vec::new(),
            quantities: vec!["bytes of the file".into(), "microseconds per token on a-board".into()],
            chosen: plan("28 layers", 80e6, 0.02),
            finalists: Vec::new(),
            alone: Vec::new(),
            front,
            history: Vec::new(),
            passages: 10,
            evaluations: 1.0,
            gguf_bytes: 80_000_000,
            stopped: "the limit was reached".into(),
        }
    }

    #[test]
    fn every_plan_is_a_dot_that_tells_itself_and_one_is_chosen() {
        let picture = front(&search()).into_string();
        assert_eq!(picture.matches("<circle").count(), 3);
        assert_eq!(picture.matches(">chosen<").count(), 1);
        assert!(picture.contains(">all &lt;layers&gt;</text>"), "{picture}");
        assert!(picture.contains("20.0 tokens per second on a-board"), "{picture}");
    }

    #[test]
    fn the_smallest_stands_left_and_the_worst_on_top() {
        let search = search();
        let axes = Axes::of(&search);
        assert_eq!(axes.place(&search.front[1]), (LEFT, TOP));
        let (x, y) = axes.place(&search.front[0]);
        assert!((x - (WIDTH - RIGHT)).abs() < 1e-9 && y > TOP);
    }

    #[test]
    fn a_front_of_one_plan_is_a_picture_too() {
        let mut search = search();
        search.front = vec![search.chosen.clone()];
        let (x, y) = Axes::of(&search).place(&search.chosen);
        assert!(x.is_finite() && y.is_finite());
    }
}
