//! The values that codes without a minimum stand for, before they are scaled.

use super::lanes::Lanes;
use super::vector::Vector;

/// A set of values around zero.
pub trait Levels {
    /// The outermost value, below zero.
    const LOWEST: f32;
    /// The outermost value above zero.
    const HIGHEST: f32;

    /// The code, from 0 up, of the value nearest to each number, or of one that is hardly farther.
    fn code<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W>;

    /// The value of that code.
    fn nearest<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W>;
}

/// Whole numbers from `LOW` to `HIGH`.
pub struct Uniform<const LOW: i16, const HIGH: i16>;

impl<const LOW: i16, const HIGH: i16> Levels for Uniform<LOW, HIGH> {
    const LOWEST: f32 = LOW as f32;
    const HIGHEST: f32 = HIGH as f32;

    #[inline(always)]
    fn code<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W> {
        Self::nearest(scaled) - Lanes::splat(Self::LOWEST)
    }

    #[inline(always)]
    fn nearest<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W> {
        scaled.clamp(Self::LOWEST, Self::HIGHEST).round()
    }
}

/// The uneven values of IQ4_NL and IQ4_XS.
///
/// They follow a smooth curve, so two polynomials take the place of a table that vector instructions cannot read:
/// value to code by a least-squares fit of degree 5 through the midpoints between neighbours, off by at most 0.034
/// codes; code to value by one of degree 6 through the values, off by at most 0.36 before it is rounded, so exact after.
#[derive(Clone, Copy)]
pub struct Iq4;

impl Levels for Iq4 {
    const LOWEST: f32 = -127.0;
    const HIGHEST: f32 = 113.0;

    #[inline(always)]
    fn code<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W> {
        polynomial(scaled.clamp(Self::LOWEST, Self::HIGHEST), &CODE_OF_VALUE).clamp(0.0, 15.0).round()
    }

    #[inline(always)]
    fn nearest<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W> {
        polynomial(Self::code(scaled) - Lanes::splat(7.5), &VALUE_OF_CENTERED_CODE).round()
    }
}

/// Twice the values of the four-bit float E2M1, of either sign.
#[derive(Clone, Copy)]
pub struct E2m1;

impl E2m1 {
    /// The magnitude nearest to each magnitude, as an index and as a value. Steps between neighbours are 1 up to 4, then 2,
    /// then 4.
    #[inline(always)]
    fn magnitude<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> (Lanes<V, W>, Lanes<V, W>) {
        let magnitude = scaled.max(scaled.negated());
        let (mut index, mut value) = (Lanes::zero(), Lanes::zero());
        for (midpoint, step) in
            [(0.5, 1.0), (1.5, 1.0), (2.5, 1.0), (3.5, 1.0), (5.0, 2.0), (7.0, 2.0), (10.0, 4.0)]
        {
            let above = Lanes::splat(midpoint).if_less(magnitude, Lanes::splat(1.0), Lanes::zero());
            index = index + above;
            value = value + above * Lanes::splat(step);
        }
        (index, value)
    }
}

impl Levels for E2m1 {
    const LOWEST: f32 = -12.0;
    const HIGHEST: f32 = 12.0;

    #[inline(always)]
    fn code<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W> {
        // bit 3 is the sign
        let (index, _) = Self::magnitude(scaled);
        let negative = Lanes::zero().if_less(index, index + Lanes::splat(8.0), index);
        scaled.if_less(Lanes::zero(), negative, index)
    }

    #[inline(always)]
    fn nearest<V: Vector, const W: usize>(scaled: Lanes<V, W>) -> Lanes<V, W> {
        let (_, value) = Self::magnitude(scaled);
        scaled.if_less(Lanes::zero(), value.negated(), value)
    }
}

/// Where searches for scales of these values start: onto which values the number of largest magnitude falls.
pub const IQ4_STARTS: [f32; 20] = [
    -150.0, -144.0, -138.0, -132.0, -126.0, -120.0, -114.0, -108.0, -102.0, -96.0, -90.0, 84.0, 90.0, 96.0,
    102.0, 108.0, 114.0, 120.0, 126.0, 132.0,
];

const CODE_OF_VALUE: [f32; 6] =
    [7.88743957, 0.0852122575, -4.75783607e-06, -2.75523287e-06, 3.22745116e-11, 8.46852349e-11];
const VALUE_OF_CENTERED_CODE: [f32; 7] =
    [-4.4609375, 11.5086606, -0.0612449558, 0.0751245336, -0.00184435448, 8.43454791e-05, 3.78396973e-05];

/// By Horner's rule, coefficients from the constant up.
#[inline(always)]
fn polynomial<V: Vector, const W: usize, const TERMS: usize>(
    x: Lanes<V, W>,
    coefficients: &[f32; TERMS],
) -> Lanes<V, W> {
    let mut sum = Lanes::splat(coefficients[TERMS - 1]);
    for term in (0..TERMS - 1).rev() {
        sum = sum * x + Lanes::splat(coefficients[term]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Portable;
    use secateur_model::dequantize::IQ4_VALUES;

    fn lanes(value: f32) -> Lanes<Portable, 1> {
        Lanes::splat(value)
    }

    #[test]
    fn the_polynomials_give_the_values_of_the_codes() {
        for (code, value) in IQ4_VALUES.into_iter().enumerate() {
            let value = f32::from(value);
            assert_eq!(Iq4::code(lanes(value)).store(), [[code as f32; 8]]);
            assert_eq!(Iq4::nearest(lanes(value)).store(), [[value; 8]]);
        }
    }

    #[test]
    fn no_value_is_much_nearer_than_the_one_chosen() {
        // codes are off by at most 0.034 of the gap to the neighbour, 23 at the widest, on either side
        const SLACK: f32 = 2.0 * 0.034 * 23.0;
        for step in 0..=2400 {
            let scaled = -127.0 + step as f32 / 10.0;
            let distance = |value: f32| (value - scaled).abs();
            let chosen = distance(Iq4::nearest(lanes(scaled)).store()[0][0]);
            let nearest =
                IQ4_VALUES.into_iter().map(|value| distance(f32::from(value))).fold(f32::INFINITY, f32::min);
            assert!(chosen <= nearest + SLACK, "{scaled}: {chosen} instead of {nearest}");
        }
    }
}
