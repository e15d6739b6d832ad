//! In which order tokens are dropped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use secateur_model::tokenizer::Making;

/// All tokens that can be dropped, the least wanted first, each before those that it is made of.
///
/// A token is dropped when it is the least wanted of those that nothing left is made of; among equals the one with the
/// higher id goes first. So what is left is closed at any point: whatever its tokens are made of is there.
///
/// `making` and `pinned` go by id; pinned tokens, and what they are made of, are not dropped.
pub(super) fn drop_order<W: Ord + Copy>(
    making: &[Making],
    pinned: &[bool],
    wanted: impl Fn(u32) -> W,
) -> Vec<u32> {
    let mut users = vec![0_u32; making.len()];
    for part in making.iter().flat_map(|making| making.parts()) {
        users[part as usize] += 1;
    }
    let is_leaf = |id: u32, users: &[u32]| users[id as usize] == 0 && !pinned[id as usize];
    let entry = |id: u32| Reverse((wanted(id), Reverse(id)));
    let mut leaves: BinaryHeap<_> =
        (0..making.len() as u32).filter(|&id| is_leaf(id, &users)).map(entry).collect();
    let mut order = Vec::new();
    while let Some(Reverse((_, Reverse(id)))) = leaves.pop() {
        order.push(id);
        for part in making[id as usize].parts() {
            users[part as usize] -= 1;
            if is_leaf(part, &users) {
                leaves.push(entry(part));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(left: u32, right: u32) -> Making {
        Making::Merge { left: Some(left), right: Some(right) }
    }

    #[test]
    fn parts_are_dropped_after_what_is_made_of_them() {
        // a b ab bb abab
        let making = [Making::Symbol, Making::Symbol, merge(0, 1), merge(1, 1), merge(2, 2)];
        let wanted = [9, 9, 0, 1, 5];
        let order = drop_order(&making, &[true, false, false, false, false], |id| wanted[id as usize]);
        assert_eq!(order, [3, 4, 2, 1]);
        let order = drop_order(&making, &[false, false, false, false, true], |id| wanted[id as usize]);
        assert_eq!(order, [3]);
    }

    #[test]
    fn among_equals_the_higher_id_goes_first() {
        assert_eq!(drop_order(&[Making::Symbol; 4], &[false; 4], |_| 1), [3, 2, 1, 0]);
    }
}
