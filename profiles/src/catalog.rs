//! Sizes of models that have no files here: well-known ones by name, any other from its number of parameters.

use secateur_model::spec::{
    Activation, AttentionSpec, FeedForward, GatedSpec, LayerSpec, Mixer, RopeScaling, RopeSpec,
};
use secateur_model::{Family, ModelSpec};

const MODELS: &str = include_str!("../data/models.tsv");

/// The sizes that decide a dense decoder's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Channels of the feed-forward part.
    pub ffn_width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements per head.
    pub head_size: usize,
    /// Rows of the token embedding.
    pub vocabulary_size: usize,
    /// The output projection is the token embedding.
    pub tied: bool,
}

impl Sizes {
    /// The sizes of a model by its name, spelled in any of the usual ways; the longest known name inside it counts.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = plain(name);
        let rows = MODELS.lines().skip(1).filter_map(|line| line.split_once('\t'));
        let known = rows.filter(|(known, _)| name.contains(&plain(known)));
        let (_, numbers) = known.max_by_key(|(known, _)| plain(known).len())?;
        let mut fields = numbers.split('\t');
        let mut next = || fields.next()?.parse::<usize>().ok();
        let (hidden_size, layers, ffn_width) = (next()?, next()?, next()?);
        let (heads, kv_heads, head_size, vocabulary_size) = (next()?, next()?, next()?, next()?);
        let tied = fields.next()? == "tied";
        Some(Self { hidden_size, layers, ffn_width, heads, kv_heads, head_size, vocabulary_size, tied })
    }

    /// A decoder of the usual proportions with about this many parameters: feed-forward 8/3 to 7/2 as wide as the stream, four queries to a
    /// key, layers and width growing together as in the Llama, Qwen and SmolLM families.
    pub fn of_parameters(parameters: f64) -> Self {
        let vocabulary_size = if parameters < 0.4e9 { 49_152 } else { 128_256 };
        let tied = parameters < 4e9;
        let sizes = |hidden_size: usize| {
            let layers = ((hidden_size as f64 / 128.0).clamp(2.0, 32.0) + hidden_size as f64 / 1024.0).round()
                as usize;
            let heads = (hidden_size / 128).max(1);
            Self {
                hidden_size,
                layers,
                ffn_width: (hidden_size * 7 / 2).next_multiple_of(256),
                heads,
                kv_heads: heads.div_ceil(4),
                head_size: 128.min(hidden_size),
                vocabulary_size,
                tied,
            }
        };
        let widths = (1..=256).map(|step| sizes(step * 128));
        let distance = |sizes: &Self| (sizes.parameters() as f64 / parameters).ln().abs();
        let nearest = widths.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or_else(|| sizes(128));
        nearest.with_parameters(parameters)
    }

    /// The feed-forward part takes up what the steps of the width leave.
    fn with_parameters(self, parameters: f64) -> Self {
        let without = Self { ffn_width: 0, ..self }.parameters() as f64;
        let per_channel = (3 * self.hidden_size * self.layers) as f64;
        let channels = ((parameters - without) / per_channel).max(32.0);
        Self { ffn_width: ((channels / 32.0).round() as usize) * 32, ..self }
    }

    /// Weights of all matrices.
    pub fn parameters(&self) -> u64 {
        let attention = 2 * self.hidden_size * (self.heads + self.kv_heads) * self.head_size;
        let layer = attention + 3 * self.hidden_size * self.ffn_width;
        let embeddings = self.vocabulary_size * self.hidden_size * if self.tied { 1 } else { 2 };
        (self.layers * layer + embeddings) as u64
    }

    /// A spec with these sizes and the habits of Llama.
    pub fn spec(&self) -> ModelSpec {
        let attention = AttentionSpec {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_size: self.head_size,
            qkv_bias: false,
            output_bias: false,
            query_key_norm: false,
            scale: 1.0 / (self.head_size as f32).sqrt(),
            logit_softcap: None,
            window: None,
            rope: RopeSpec { theta: 10_000.0, scaling: RopeScaling::None },
        };
        let gated = GatedSpec { width: self.ffn_width, activation: Activation::Silu, bias: false };
        let layer = LayerSpec {
            mixer: Mixer::Attention(attention),
            feed_forward: FeedForward::Gated(gated),
            post_norms: false,
        };
        ModelSpec {
            family: Family::Llama,
            hidden_size: self.hidden_size,
            vocabulary_size: self.vocabulary_size,
            context_length: 131_072,
            norm_epsilon: 1e-5,
            tied_embeddings: self.tied,
            embedding_scale: 1.0,
            final_logit_softcap: None,
            layers: vec![layer; self.layers],
        }
    }
}

/// Letters, digits and points only, in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelled() {
        for name in ["Qwen2.5-0.5B", "Qwen 2.5 0.5B", "qwen2.5-0.5b-instruct"] {
            assert_eq!(Sizes::of_name(name).map(|sizes| sizes.hidden_size), Some(896), "{name}");
        }
        assert_eq!(Sizes::of_name("DeepSeek-R1-Distill-Qwen-1.5B").map(|sizes| sizes.tied), Some(false));
        assert_eq!(Sizes::of_name("no such model"), None);
    }

    #[test]
    fn known_sizes_give_the_published_numbers_of_parameters() {
        for (name, billions) in [
            ("TinyLlama-1.1B", 1.1),
            ("Llama-2-7B", 6.74),
            ("Llama-3-8B", 8.03),
            ("Llama-3.2-1B", 1.236),
            ("Llama-3.2-3B", 3.21),
            ("Qwen2.5-0.5B", 0.494),
            ("Qwen2.5-1.5B", 1.544),
            ("Qwen2.5-7B", 7.616),
            ("SmolLM2-135M", 0.1345),
            ("SmolLM2-360M", 0.3618),
            ("gemma-3-270m", 0.268),
            ("Gemma-2B", 2.51),
            ("Qwen3-0.6B", 0.6),
            ("Mistral-7B", 7.25),
            ("Phi-3.5-mini", 3.82),
        ] {
            let sizes = Sizes::of_name(name).unwrap();
            let ratio = sizes.parameters() as f64 / (billions * 1e9);
            assert!((ratio - 1.0).abs() < 0.012, "{name}: {ratio}");
        }
    }

    #[test]
    fn any_number_of_parameters_has_sizes() {
        for parameters in [30e6, 135e6, 1e9, 7e9, 70e9] {
            let ratio = Sizes::of_parameters(parameters).parameters() as f64 / parameters;
            assert!((ratio - 1.0).abs() < 0.06, "{parameters}: {ratio}");
        }
    }
}
