//! Keys and values as llama.cpp keeps them.

use secateur_model::{CacheType, ModelSpec, dequantize_row};
use secateur_quantize::quantize_rows;

use super::{Forward, ForwardError};

/// Numbers that are rotated together: llama.cpp rotates heads whose size is a multiple of it (`llama-kv-cache.cpp`, `attn_rot_k`).
const ROTATED: usize = 64;

/// How the numbers of each head are kept: rotated first where that is done, so that none stands out of its block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    cache: CacheType,
    rotated: Option<usize>,
}

impl Kept {
    /// Keys, `[tokens, head]`.
    pub fn keys(cache: CacheType, head_size: usize) -> Self {
        // the largest power of two in it
        let rotated = 1 << head_size.trailing_zeros();
        Self { cache, rotated: is_rotated(cache, head_size).then_some(rotated) }
    }

    /// Queries, `[tokens, head]`, which llama.cpp turns into what its kernels multiply keys by (`vec_dot_type`).
    pub fn queries(cache: CacheType, head_size: usize) -> Self {
        let multiplied = match cache {
            CacheType::F32 | CacheType::F16 => cache,
            CacheType::Q8_0 | CacheType::Q4_0 => CacheType::Q8_0,
        };
        Self { cache: multiplied, ..Self::keys(cache, head_size) }
    }

    /// Values, `[tokens, head]`.
    pub fn values(cache: CacheType, head_size: usize) -> Self {
        Self { cache, rotated: is_rotated(cache, head_size).then_some(ROTATED) }
    }

    /// Makes of numbers what comes back. What is not finite stays as it is: the end of the layer finds it.
    pub fn apply(self, values: &mut [f32]) {
        if self.cache == CacheType::F32 {
            return;
        }
        self.rotate(values);
        let tensor_type = self.cache.tensor_type();
        let mut bytes = vec![0; tensor_type.row_bytes(values.len()).unwrap_or_default()];
        if quantize_rows(tensor_type, values, values.len(), None, &mut bytes).is_ok() {
            // the bytes are those that these values take: this cannot fail, and changes nothing where it does
            let _ = dequantize_row(tensor_type, &bytes, values);
        }
        // turned back, which changes no product of what was turned alike
        self.rotate(values);
    }

    fn rotate(self, values: &mut [f32]) {
        if let Some(size) = self.rotated {
            values.chunks_exact_mut(size).for_each(rotate);
        }
    }
}

fn is_rotated(cache: CacheType, head_size: usize) -> bool {
    let is_quantized = !cache.tensor_type().is_float();
    is_quantized && head_size.is_multiple_of(ROTATED)
}

/// By Sylvester's matrix of a power of two, which is its own inverse.
fn rotate(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (values.len() as f32).sqrt();
    values.iter_mut().for_each(|value| *value *= scale);
}

/// The first layer with heads that do not fill blocks of the cache's type: its number, and the size of a head.
pub fn cannot_cache(spec: &ModelSpec, cache: CacheType) -> Option<(usize, usize)> {
    let attention = spec.layers.iter().map(|layer| layer.attention()).enumerate();
    let mut sizes = attention.filter_map(|(layer, attention)| Some((layer, attention?.head_size)));
    sizes.find(|&(_, head_size)| !cache.tensor_type().is_legal_for(head_size))
}

impl Forward<'_> {
    /// The same, with keys and values as llama.cpp keeps them that was told to use this type; `f32` loses nothing and is what a model has without this.
    ///
    /// # Errors
    /// If the heads of a layer do not fill blocks of the type.
    pub fn with_cache(self, cache: CacheType) -> Result<Self, ForwardError> {
        match cannot_cache(self.spec(), cache) {
            Some((layer, head_size)) => Err(ForwardError::Cache { layer, head_size, cache }),
            None => Ok(Self { cache, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a head of 64 with one number that stands out.
    fn head() -> Vec<f32> {
        (0..64).map(|index| if index == 5 { 30.0 } else { (index as f32 * 0.7).sin() }).collect()
    }

    fn squared_error(kept: Kept) -> f32 {
        let mut values = head();
        kept.apply(&mut values);
        values.iter().zip(head()).map(|(kept, value)| (kept - value).powi(2)).sum()
    }

    #[test]
    fn turning_twice_changes_nothing() {
        let mut values = head();
        rotate(&mut values);
        let energy = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>();
        assert!((energy(&values) - energy(&head())).abs() < 1e-3);
        rotate(&mut values);
        assert!(values.iter().zip(head()).all(|(turned, value)| (turned - value).abs() < 1e-5));
    }

    #[test]
    fn heads_that_are_turned_lose_less_where_a_number_stands_out() {
        for cache in [CacheType::Q4_0, CacheType::Q8_0] {
            let bare = squared_error(Kept { cache, rotated: None });
            assert!(squared_error(Kept::values(cache, 64)) < 0.3 * bare, "{cache}");
        }
        assert_eq!(squared_error(Kept::keys(CacheType::F32, 64)), 0.0);
    }

    #[test]
    fn only_quantized_heads_of_whole_multiples_are_turned() {
        assert_eq!(Kept::keys(CacheType::Q8_0, 192).rotated, Some(64));
        assert_eq!(Kept::keys(CacheType::Q8_0, 256).rotated, Some(256));
        assert_eq!(Kept::values(CacheType::Q8_0, 256).rotated, Some(64));
        assert_eq!(Kept::keys(CacheType::Q8_0, 96).rotated, None);
        assert_eq!(Kept::keys(CacheType::F16, 64).rotated, None);
    }
}
