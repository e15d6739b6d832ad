//! llama.cpp's presets, tensor by tensor: the same choice as `llama-quantize` makes without an importance matrix.
//!
//! Source: the rules of `llama-quant.cpp` in llama.cpp v0.5.0, checked against its output in the tests.

use crate::{ModelSpec, Role, TensorId, TensorType, spec::LayerSpec};

/// A preset of llama.cpp that gives different tensors different types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, missing_docs)] // llama.cpp's own names
pub enum Mix {
    Q3_K_S,
    Q3_K_M,
    Q3_K_L,
    Q4_K_S,
    Q4_K_M,
    Q5_K_S,
    Q5_K_M,
}

impl Mix {
    /// Every mix, from the fewest bits to the most.
    pub const ALL: [Self; 7] =
        [Self::Q3_K_S, Self::Q3_K_M, Self::Q3_K_L, Self::Q4_K_S, Self::Q4_K_M, Self::Q5_K_S, Self::Q5_K_M];

    /// Lower-case name, for example `q4_k_m`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q3_K_S => "q3_k_s",
            Self::Q3_K_M => "q3_k_m",
            Self::Q3_K_L => "q3_k_l",
            Self::Q4_K_S => "q4_k_s",
            Self::Q4_K_M => "q4_k_m",
            Self::Q5_K_S => "q5_k_s",
            Self::Q5_K_M => "q5_k_m",
        }
    }

    /// The mix with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mix| mix.name().eq_ignore_ascii_case(name))
    }

    /// `general.file_type` in GGUF (`enum llama_ftype`).
    pub fn file_type(self) -> u32 {
        match self {
            Self::Q3_K_S => 11,
            Self::Q3_K_M => 12,
            Self::Q3_K_L => 13,
            Self::Q4_K_S => 14,
            Self::Q4_K_M => 15,
            Self::Q5_K_S => 16,
            Self::Q5_K_M => 17,
        }
    }

    fn base(self) -> TensorType {
        match self {
            Self::Q3_K_S | Self::Q3_K_M | Self::Q3_K_L => TensorType::Q3_K,
            Self::Q4_K_S | Self::Q4_K_M => TensorType::Q4_K,
            Self::Q5_K_S | Self::Q5_K_M => TensorType::Q5_K,
        }
    }

    /// The type for one matrix, before any fallback for its width.
    pub fn tensor_type(self, spec: &ModelSpec, id: TensorId) -> TensorType {
        let layers = spec.layers.len();
        let is_one_with_values = |role: Role| {
            spec.family.table().habits.joined_qkv && matches!(role, Role::AttentionQuery | Role::AttentionKey)
        };
        match (id.role, id.layer) {
            (Role::Output, _) => self.output_type(spec),
            (Role::TokenEmbedding, _) if spec.tied_embeddings => self.output_type(spec),
            (role, Some(layer)) if role == Role::AttentionValue || is_one_with_values(role) => {
                let with_attention =
                    |layers: &[LayerSpec]| layers.iter().filter(|layer| layer.attention().is_some()).count();
                let position = with_attention(&spec.layers[..layer]);
                self.value_type(spec, position, with_attention(&spec.layers))
            }
            (Role::FfnDown, Some(layer)) => self.down_type(layer, layers),
            (Role::AttentionOutput, _) => match self {
                Self::Q3_K_M => TensorType::Q4_K,
                Self::Q3_K_L => TensorType::Q5_K,
                _ => self.base(),
            },
            _ => self.base(),
        }
    }

    fn output_type(self, spec: &ModelSpec) -> TensorType {
        if self.base().is_legal_for(spec.hidden_size) { TensorType::Q6_K } else { TensorType::Q8_0 }
    }

    fn value_type(self, spec: &ModelSpec, position: usize, count: usize) -> TensorType {
        let chosen = match self {
            Self::Q3_K_M if position < 2 => TensorType::Q5_K,
            Self::Q3_K_M => TensorType::Q4_K,
            Self::Q3_K_L => TensorType::Q5_K,
            Self::Q4_K_M | Self::Q5_K_M if gets_more_bits(position, count) => TensorType::Q6_K,
            Self::Q4_K_S if position < 4 => TensorType::Q5_K,
            _ => self.base(),
        };
        // llama.cpp gives its 70B models, where eight heads share a value projection, more bits there
        let shared = |layer: &LayerSpec| {
            layer.attention().is_some_and(|attention| attention.heads != attention.kv_heads)
        };
        let is_70b = spec.family.table().gguf_architecture == "llama"
            && spec.layers.len() == 80
            && spec.layers.iter().all(shared);
        if is_70b && matches!(chosen, TensorType::Q3_K | TensorType::Q4_K) {
            TensorType::Q5_K
        } else {
            chosen
        }
    }

    fn down_type(self, layer: usize, layers: usize) -> TensorType {
        match self {
            Self::Q3_K_M if layer < layers / 16 => TensorType::Q5_K,
            Self::Q3_K_M => TensorType::Q4_K,
            Self::Q3_K_L => TensorType::Q5_K,
            Self::Q4_K_M | Self::Q5_K_M if gets_more_bits(layer, layers) => TensorType::Q6_K,
            Self::Q4_K_S if layer < layers / 8 => TensorType::Q5_K,
            _ => self.base(),
        }
    }
}

/// The first and last eighth of the layers, and every third between.
fn gets_more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}
