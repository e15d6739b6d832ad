//! Parent beside child, position by position.

use rayon::prelude::*;

use super::base_file::{BaseRows, FLOOR};
use super::pass::Tile;
use super::rows::{Softmax, divergence, divergence_from_stored};
use super::scores::Compared;

/// The same positions of both; `targets` follow them.
pub(super) fn compare(parent: &Tile, child: &Tile, targets: &[u32]) -> Vec<Compared> {
    let compared = |(position, &target): (usize, &u32)| {
        let (of_parent, of_child) = (parent.softmaxes[position], child.softmaxes[position]);
        Compared {
            divergence: divergence(parent.row(position), of_parent, child.row(position), of_child),
            same_top: of_parent.likeliest == of_child.likeliest,
            parent_loss: parent.loss(position, target),
            child_loss: child.loss(position, target),
        }
    };
    targets.par_iter().enumerate().map(compared).collect()
}

/// As [`compare`], from what the parent said before.
pub(super) fn compare_with_stored(parent: &BaseRows, child: &Tile, targets: &[u32]) -> Vec<Compared> {
    let compared = |(position, &target): (usize, &u32)| {
        let stored = parent.log_probabilities(position);
        let of_child = child.softmaxes[position];
        Compared {
            divergence: divergence_from_stored(&stored, FLOOR, child.row(position), of_child),
            same_top: Softmax::of(&stored).likeliest == of_child.likeliest,
            parent_loss: -f64::from(stored[target as usize]),
            child_loss: child.loss(position, target),
        }
    };
    targets.par_iter().enumerate().map(compared).collect()
}
