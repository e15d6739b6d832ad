//! What a linear layer reads, on the average.

/// Averages over tokens of `x xᵀ` and `x`, for the inputs `x` of a linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct InputMoments {
    tokens: u64,
    /// The upper triangle row after row: `[width (width + 1) / 2]`
    triangle: Vec<f32>,
    /// `[width]`
    mean: Vec<f32>,
}

impl InputMoments {
    /// `triangle` is the upper triangle of `E[x xᵀ]` row after row, `[width (width + 1) / 2]`; `mean` is `[width]`.
    ///
    /// # Panics
    /// If the two are not of the same width.
    pub fn new(tokens: u64, triangle: Vec<f32>, mean: Vec<f32>) -> Self {
        assert_eq!(triangle.len(), mean.len() * (mean.len() + 1) / 2, "a triangle and a vector of one width");
        Self { tokens, triangle, mean }
    }

    /// Features of an input.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Inputs in the averages.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The upper triangle of `E[x xᵀ]` row after row, `[width (width + 1) / 2]`.
    pub fn triangle(&self) -> &[f32] {
        &self.triangle
    }

    /// `E[x xᵀ]`, `[width, width]`, symmetric.
    pub fn second(&self) -> Vec<f32> {
        let width = self.width();
        let mut second = vec![0.0; width * width];
        for (row, values) in self.rows().enumerate() {
            for (column, &value) in (row..).zip(values) {
                second[row * width + column] = value;
                second[column * width + row] = value;
            }
        }
        second
    }

    /// `E[x²]` of each feature, `[width]`.
    pub fn diagonal(&self) -> Vec<f32> {
        self.rows().map(|row| row[0]).collect()
    }

    /// `E[x]`, `[width]`.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The rows of the triangle, each from its diagonal on.
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = self.triangle.as_slice();
        (1..=self.width()).rev().map(move |length| {
            let (row, after) = rest.split_at(length);
            rest = after;
            row
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triangle_is_a_symmetric_matrix() {
        let moments = InputMoments::new(9, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![0.0; 3]);
        assert_eq!(moments.second(), [1.0, 2.0, 3.0, 2.0, 4.0, 5.0, 3.0, 5.0, 6.0]);
        assert_eq!(moments.diagonal(), [1.0, 4.0, 6.0]);
    }
}
