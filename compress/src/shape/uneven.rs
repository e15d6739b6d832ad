//! How many channels each layer keeps when only their sum is given.

/// The least channels that go together: what small quantized blocks fill.
pub const STEP: usize = 32;

/// What each layer would lose, by how many channels go from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Channels that the layer has.
    pub width: usize,
    /// The loss once a step, two steps … of channels are gone.
    pub losses: Vec<f64>,
}

/// Channels that each layer keeps, so that at least `gone` of all go in steps of `step`, and the sum of losses is least.
///
/// Steps go by their price. Where a step costs less than the one before it in its layer, the two are one step with their mean price: the
/// best choice for every sum that ends between steps of this hull (Everett, "Generalized Lagrange Multiplier Method").
pub fn widths(curves: &[Curve], gone: usize, step: usize) -> Vec<usize> {
    let mut steps: Vec<(f64, usize, usize)> = Vec::new();
    for (layer, curve) in curves.iter().enumerate() {
        steps.extend(hull(&curve.losses).into_iter().map(|(price, count)| (price, layer, count)));
    }
    // within a layer prices ascend, so its steps stay in order
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut widths: Vec<usize> = curves.iter().map(|curve| curve.width).collect();
    let mut left = gone.div_ceil(step);
    for (_, layer, count) in steps {
        // the last of the steps may be more than is wanted
        let taken = count.min(left);
        widths[layer] -= taken * step;
        left -= taken;
    }
    widths
}

/// Price of a step, and how many steps it stands for, prices ascending.
fn hull(losses: &[f64]) -> Vec<(f64, usize)> {
    let mut hull: Vec<(f64, usize)> = Vec::new();
    let mut before = 0.0;
    for &loss in losses {
        let (mut price, mut count) = (loss - before, 1);
        before = loss;
        while let Some(&(last_price, last_count)) = hull.last()
            && last_price >= price
        {
            hull.pop();
            let both = last_count + count;
            price = (last_price * last_count as f64 + price * count as f64) / both as f64;
            count = both;
        }
        hull.push((price, count));
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(losses: &[f64]) -> Curve {
        Curve { width: 256, losses: losses.to_vec() }
    }

    #[test]
    fn channels_go_where_they_cost_least() {
        let curves = [curve(&[1.0, 3.0, 6.0]), curve(&[10.0, 20.0, 30.0]), curve(&[0.5, 1.0, 9.0])];
        assert_eq!(widths(&curves, 4 * STEP, STEP), [192, 256, 192]);
        assert_eq!(widths(&curves, 4 * STEP + 1, STEP), [160, 256, 192]);
        assert_eq!(widths(&curves, 0, STEP), [256, 256, 256]);
    }

    #[test]
    fn no_other_choice_loses_less_where_curves_are_convex() {
        let curves =
            [curve(&[1.0, 2.5, 5.0, 9.0]), curve(&[0.2, 2.2, 4.5, 8.0]), curve(&[2.0, 4.0, 6.1, 8.5])];
        let loss = |gone: [usize; 3]| -> f64 {
            gone.iter()
                .zip(&curves)
                .map(|(&steps, curve)| if steps == 0 { 0.0 } else { curve.losses[steps - 1] })
                .sum()
        };
        for total in 0..=12 {
            let found = widths(&curves, total * STEP, STEP);
            let found = loss([0, 1, 2].map(|layer| (256 - found[layer]) / STEP));
            for choice in 0..125 {
                let gone = [choice % 5, choice / 5 % 5, choice / 25];
                if gone.iter().sum::<usize>() == total {
                    assert!(found <= loss(gone) + 1e-12, "{total} {gone:?}");
                }
            }
        }
    }

    #[test]
    fn a_step_that_costs_less_than_the_one_before_goes_with_it() {
        assert_eq!(hull(&[4.0, 5.0, 9.0]), [(2.5, 2), (4.0, 1)]);
        let curves = [curve(&[4.0, 5.0, 9.0]), curve(&[3.0, 6.0, 9.0])];
        assert_eq!(widths(&curves, 2 * STEP, STEP), [192, 256]);
    }
}
