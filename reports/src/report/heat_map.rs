//! Types of all matrices: a row for each layer, a column for each role. Darker is more bits, and the type stands in the cell.

use maud::{Markup, html};

use super::{Report, TensorFate};
use crate::units;

const WIDTH: usize = 64;
const HEIGHT: usize = 20;
const LEFT: usize = 44;
const TOP: usize = 34;

impl Report {
    /// The matrices of the layers, and those of the whole model above them.
    pub(super) fn heat_map(&self) -> Markup {
        let matrices: Vec<_> = self.tensors.iter().filter(|tensor| tensor.is_matrix).collect();
        let mut roles: Vec<&str> = Vec::new();
        let mut layers: Vec<Option<usize>> = Vec::new();
        for tensor in &matrices {
            if tensor.layer.is_some() && !roles.contains(&tensor.role.as_str()) {
                roles.push(&tensor.role);
            }
            if tensor.layer.is_some() && !layers.contains(&tensor.layer) {
                layers.push(tensor.layer);
            }
        }
        layers.sort_unstable();
        let width = LEFT + WIDTH * roles.len();
        let height = TOP + HEIGHT * layers.len();
        let places = matrices.iter().filter_map(|tensor| {
            let column = roles.iter().position(|role| *role == tensor.role)?;
            let row = layers.iter().position(|layer| *layer == tensor.layer)?;
            Some((LEFT + WIDTH * column, TOP + HEIGHT * row, *tensor))
        });
        html! {
            ul class="cards" {
                @for tensor in matrices.iter().filter(|tensor| tensor.layer.is_none()) {
                    li { svg width=(WIDTH) height=(HEIGHT) role="img" aria-label=(told(tensor)) { (cell(0, 0, tensor)) }
                        (tensor.role) ", " (units::bytes(tensor.to.1)) }
                }
            }
            div class="scroll" tabindex="0" {
                svg viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) style="max-width:none" role="img"
                    aria-label="Type of every matrix, by layer and role" {
                    @for (index, role) in roles.iter().enumerate() {
                        @for (line, words) in two_lines(role).iter().enumerate() {
                            text x=(LEFT + WIDTH * index + WIDTH / 2) y=(12 + 13 * line) text-anchor="middle" { (words) }
                        }
                    }
                    @for (index, layer) in layers.iter().flatten().enumerate() {
                        text x=(LEFT - 6) y=(TOP + HEIGHT * index + 14) text-anchor="end" { (layer) }
                    }
                    @for (x, y, tensor) in places { (cell(x, y, tensor)) }
                }
            }
        }
    }
}

/// `attention_query` as two lines.
fn two_lines(role: &str) -> [&str; 2] {
    role.split_once('_').map_or([role, ""], |(first, second)| [first, second])
}

fn cell(x: usize, y: usize, tensor: &TensorFate) -> Markup {
    let lightness = lightness(tensor.bits_per_weight());
    let ink = if lightness < 55.0 { "on-dark" } else { "on-light" };
    html! {
        g class="cell" {
            title { (told(tensor)) }
            rect x=(x + 1) y=(y + 1) width=(WIDTH - 2) height=(HEIGHT - 2) rx="2" fill=(format!("hsl(205 60% {lightness:.0}%)")) {}
            text class=(ink) x=(x + WIDTH / 2) y=(y + 14) text-anchor="middle" { (tensor.to.0) }
        }
    }
}

fn told(tensor: &TensorFate) -> String {
    format!(
        "{}: {} → {}, {}, {:.2} bits per weight, relative squared error {:.1e}",
        tensor.name,
        tensor.from.0,
        tensor.to.0,
        units::bytes(tensor.to.1),
        tensor.bits_per_weight(),
        tensor.relative_squared_error
    )
}

/// From 88 % at two bits to 28 % at sixteen, in steps of doublings.
fn lightness(bits: f64) -> f64 {
    let doublings = bits.max(1.0).log2().clamp(1.0, 4.0) - 1.0;
    88.0 - 20.0 * doublings
}
