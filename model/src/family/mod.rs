//! One table per family: what Hugging Face and GGUF call its tensors and its sizes, and its habits.
//!
//! Adding a dense family is adding a table here, not code elsewhere.

mod deci;
mod gemma3;
mod llama;
mod mistral;
mod openelm;
mod qwen2;
mod qwen3;

use crate::role::{Role, TensorId};
use crate::spec::{Activation, AttentionSpec, Family, LayerSpec, ModelSpec};

/// Everything that sets a family apart.
#[derive(Debug)]
pub struct FamilyTable {
    /// Which family this is.
    pub family: Family,
    /// `general.architecture` in GGUF, and the prefix of its keys.
    pub gguf_architecture: &'static str,
    /// `model_type` values in config.json; the first is what we write.
    pub model_types: &'static [&'static str],
    /// `architectures[0]` in config.json.
    pub hf_architecture: &'static str,
    /// Names of the tensors; `{}` stands for the layer.
    pub tensors: &'static [TensorRow],
    /// Names of the sizes, in the order in which llama.cpp's converter writes them.
    pub keys: &'static [KeyRow],
    /// What else it does in its own way.
    pub habits: Habits,
    /// The family under whose name llama.cpp loads such a model when its layers differ in size, if it [can](ModelSpec::uneven_family).
    uneven: Option<Family>,
}

/// One tensor's names.
#[derive(Debug)]
pub struct TensorRow {
    /// What it is.
    pub role: Role,
    /// Its name in safetensors.
    pub hf: &'static str,
    /// Its name in GGUF.
    pub gguf: &'static str,
}

/// One size's names.
#[derive(Debug, Clone, Copy)]
pub struct KeyRow {
    /// What it counts or sets.
    pub field: Field,
    /// Its key in config.json.
    pub hf: &'static str,
    /// Its key in GGUF, after the architecture's prefix.
    pub gguf: &'static str,
    /// When llama.cpp's converter writes it.
    pub written: Written,
}

/// When llama.cpp's converter writes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// For every model.
    Always,
    /// If the config has it, or if the value is not what a reader would assume without it.
    IfNeeded,
    /// Not at all: llama.cpp has no such key for this family.
    Never,
}

/// The numbers that a config and a GGUF header have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // as in `ModelSpec`
pub enum Field {
    LayerCount,
    ContextLength,
    HiddenSize,
    FfnWidth,
    Heads,
    KvHeads,
    RopeTheta,
    NormEpsilon,
    KeySize,
    ValueSize,
    VocabularySize,
    RopeDimensions,
    Window,
    FinalLogitSoftcap,
    AttentionLogitSoftcap,
    LocalRopeTheta,
    AttentionScaleBase,
}

/// What a family does in its own way.
#[derive(Debug)]
pub struct Habits {
    /// Nonlinearity of the feed-forward gate.
    pub activation: Activation,
    /// The config's key and word for it.
    pub activation_key: (&'static str, &'static str),
    /// Whether query, key and value projections have biases.
    pub qkv_bias: BiasRule,
    /// Whether the attention's output projection has a bias.
    pub output_bias: BiasRule,
    /// Whether the feed-forward projections have biases.
    pub ffn_bias: BiasRule,
    /// RMS norms on queries and keys, per head.
    pub query_key_norm: bool,
    /// Norms on the outputs of attention and feed-forward.
    pub post_norms: bool,
    /// Embedded tokens are multiplied by the square root of the hidden size.
    pub scaled_embedding: bool,
    /// What safetensors leave out of every norm weight: the norm multiplies by `weight + norm_offset`.
    pub norm_offset: f32,
    /// GGUF keeps query and key rows with the two halves of each head interleaved
    /// (llama.cpp rotates neighbouring pairs in this family, Hugging Face rotates halves).
    pub interleaved_rope: bool,
    /// Every n-th layer sees everything, the others a window; 0: the window, if any, is in every layer.
    pub global_every: usize,
    /// Rotary base of the windowed layers, where it is not that of the global ones.
    pub local_rope_theta: Option<f32>,
    /// What `tie_word_embeddings` means when config.json does not say.
    pub tied_by_default: bool,
    /// llama.cpp masks the window in this family; else it attends to everything.
    pub llama_cpp_uses_window: bool,
    /// GGUF has query, key and value as one matrix, their rows one after the other, in one type.
    pub joined_qkv: bool,
    /// llama.cpp knows no output matrix beside the embedding in this family.
    pub always_tied: bool,
}

/// Whether a projection has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BiasRule {
    /// In no model of the family.
    Never,
    /// In every model of the family.
    Always,
    /// Where this config key is true.
    Config(&'static str),
}

const fn tensor(role: Role, hf: &'static str, gguf: &'static str) -> TensorRow {
    TensorRow { role, hf, gguf }
}

const fn key(field: Field, hf: &'static str, gguf: &'static str, written: Written) -> KeyRow {
    KeyRow { field, hf, gguf, written }
}

/// Keys with the sizes of heads always written: where layers differ, llama.cpp would take them from the first layer's number of heads.
const fn with_head_sizes<const N: usize>(mut keys: [KeyRow; N]) -> [KeyRow; N] {
    // constants are made without iterators
    let mut index = 0;
    while index < N {
        if matches!(keys[index].field, Field::KeySize | Field::ValueSize) {
            keys[index].written = Written::Always;
        }
        index += 1;
    }
    keys
}

static TABLES: [&FamilyTable; 7] = [
    &llama::TABLE,
    &mistral::TABLE,
    &qwen2::TABLE,
    &qwen3::TABLE,
    &gemma3::TABLE,
    &deci::TABLE,
    &openelm::TABLE,
];

impl Family {
    /// This family's table.
    pub fn table(self) -> &'static FamilyTable {
        match self {
            Family::Llama => &llama::TABLE,
            Family::Mistral => &mistral::TABLE,
            Family::Qwen2 => &qwen2::TABLE,
            Family::Qwen3 => &qwen3::TABLE,
            Family::Gemma3 => &gemma3::TABLE,
            Family::Deci => &deci::TABLE,
            Family::OpenElm => &openelm::TABLE,
        }
    }
}

impl FamilyTable {
    /// The family whose GGUF files say this architecture.
    pub fn for_gguf(architecture: &str) -> Option<&'static Self> {
        TABLES.into_iter().find(|table| table.gguf_architecture == architecture)
    }

    /// The family whose config.json says this `model_type`.
    pub fn for_model_type(model_type: &str) -> Option<&'static Self> {
        TABLES.into_iter().find(|table| table.model_types.contains(&model_type))
    }

    /// Every architecture that GGUF files may name, for error messages.
    pub fn known_gguf_architectures() -> String {
        let mut names: Vec<_> = TABLES.iter().map(|table| table.gguf_architecture).collect();
        names.dedup();
        names.join(", ")
    }

    /// Every `model_type` that config.json may name, for error messages.
    pub fn known_model_types() -> String {
        TABLES.iter().flat_map(|table| table.model_types).copied().collect::<Vec<_>>().join(", ")
    }

    /// The tensor's name in safetensors; `None` if it lives in GGUF only.
    pub fn hf_name(&self, id: TensorId) -> Option<String> {
        let row = self.tensors.iter().find(|row| row.role == id.role)?;
        (!row.hf.is_empty()).then(|| with_layer(row.hf, id.layer))
    }

    /// The tensor's name in GGUF, which is the same for tensors that are [joined](Self::joined) there; `None` if the family has no such tensor.
    pub fn gguf_name(&self, id: TensorId) -> Option<String> {
        let row = self.tensors.iter().find(|row| row.role == id.role)?;
        Some(with_layer(row.gguf, id.layer))
    }

    /// The tensors whose rows GGUF has in one matrix with those of this one, in their order there; this one alone if it is a matrix of its own.
    pub fn joined(&self, id: TensorId) -> Vec<TensorId> {
        const QKV: [Role; 3] = [Role::AttentionQuery, Role::AttentionKey, Role::AttentionValue];
        match id.layer {
            Some(layer) if self.habits.joined_qkv && QKV.contains(&id.role) => {
                QKV.map(|role| TensorId::in_layer(layer, role)).to_vec()
            }
            _ => vec![id],
        }
    }

    /// True if a model of the family may have a bias on its output projections where it had none.
    pub fn has_place_for_biases(&self) -> bool {
        let may = |rule| matches!(rule, BiasRule::Config(_));
        may(self.habits.output_bias) && may(self.habits.ffn_bias)
    }

    /// How this tensor's rows are ordered in GGUF, for an attention of these sizes.
    pub fn gguf_row_order(&self, role: Role, attention: Option<&AttentionSpec>) -> RowOrder {
        let Some(attention) = attention.filter(|_| self.habits.interleaved_rope) else {
            return RowOrder::Plain;
        };
        match role {
            Role::AttentionQuery | Role::AttentionQueryBias | Role::AttentionKey | Role::AttentionKeyBias => {
                RowOrder::InterleavedHalves { head_size: attention.head_size }
            }
            _ => RowOrder::Plain,
        }
    }
}

fn with_layer(pattern: &str, layer: Option<usize>) -> String {
    match layer {
        Some(layer) => pattern.replace("{}", &layer.to_string()),
        None => pattern.to_owned(),
    }
}

/// How the rows of a stored matrix stand to ours.
///
/// Ours is Hugging Face's order: within a head, first the first elements of all rotated pairs, then the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// The same.
    Plain,
    /// Within each head, row `2 i + j` of the file is our row `j * head_size / 2 + i`.
    InterleavedHalves {
        /// Rows per head.
        head_size: usize,
    },
}

impl RowOrder {
    /// The row of the file that holds our row `ours`.
    pub fn stored_row(self, ours: usize) -> usize {
        match self {
            Self::Plain => ours,
            Self::InterleavedHalves { head_size } => {
                let (head, within) = (ours / head_size, ours % head_size);
                let half = head_size / 2;
                head * head_size + 2 * (within % half) + within / half
            }
        }
    }

    /// Our row that row `stored` of the file holds.
    pub fn our_row(self, stored: usize) -> usize {
        match self {
            Self::Plain => stored,
            Self::InterleavedHalves { head_size } => {
                let (head, within) = (stored / head_size, stored % head_size);
                head * head_size + (within % 2) * (head_size / 2) + within / 2
            }
        }
    }
}

impl ModelSpec {
    /// Every tensor that a model of this spec has, in the order in which we write them.
    pub fn tensor_ids(&self) -> Vec<TensorId> {
        let mut ids = vec![TensorId::global(Role::TokenEmbedding)];
        if self.has_rope_factors() {
            ids.push(TensorId::global(Role::RopeFactors));
        }
        for layer in 0..self.layers.len() {
            let rows = self.family.table().tensors.iter();
            ids.extend(
                rows.filter(|row| row.role.is_in_layer())
                    .map(|row| TensorId::in_layer(layer, row.role))
                    .filter(|id| self.shape(*id).is_some()),
            );
        }
        ids.push(TensorId::global(Role::OutputNorm));
        if !self.tied_embeddings {
            ids.push(TensorId::global(Role::Output));
        }
        ids
    }

    /// The shape that this tensor must have, outermost dimension first; `None` if the model has no such tensor.
    pub fn shape(&self, id: TensorId) -> Option<Vec<usize>> {
        let hidden = self.hidden_size;
        let Some(layer) = id.layer else {
            return match id.role {
                Role::TokenEmbedding => Some(vec![self.vocabulary_size, hidden]),
                Role::Output => (!self.tied_embeddings).then(|| vec![self.vocabulary_size, hidden]),
                Role::OutputNorm => Some(vec![hidden]),
                Role::RopeFactors => {
                    let attention = self.layers.iter().find_map(|layer| layer.attention())?;
                    self.has_rope_factors().then(|| vec![attention.head_size / 2])
                }
                _ => None,
            };
        };
        let layer = self.layers.get(layer)?;
        if let Some(attention) = layer.attention() {
            let queries = attention.heads * attention.head_size;
            let keys = attention.kv_heads * attention.head_size;
            let biased = |rows: usize| attention.qkv_bias.then(|| vec![rows]);
            match id.role {
                Role::AttentionNorm => return Some(vec![hidden]),
                Role::AttentionQuery => return Some(vec![queries, hidden]),
                Role::AttentionKey | Role::AttentionValue => return Some(vec![keys, hidden]),
                Role::AttentionQueryBias => return biased(queries),
                Role::AttentionKeyBias | Role::AttentionValueBias => return biased(keys),
                Role::AttentionOutput => return Some(vec![hidden, queries]),
                Role::AttentionOutputBias => return attention.output_bias.then(|| vec![hidden]),
                Role::AttentionQueryNorm | Role::AttentionKeyNorm => {
                    return attention.query_key_norm.then(|| vec![attention.head_size]);
                }
                Role::AttentionPostNorm => return layer.post_norms.then(|| vec![hidden]),
                _ => {}
            }
        }
        let gated = layer.gated()?;
        match id.role {
            Role::FfnNorm => Some(vec![hidden]),
            Role::FfnGate | Role::FfnUp => Some(vec![gated.width, hidden]),
            Role::FfnDown => Some(vec![hidden, gated.width]),
            Role::FfnGateBias | Role::FfnUpBias => gated.bias.then(|| vec![gated.width]),
            Role::FfnDownBias => gated.bias.then(|| vec![hidden]),
            Role::FfnPostNorm => layer.post_norms.then(|| vec![hidden]),
            _ => None,
        }
    }

    /// The family under whose name llama.cpp loads this model when its layers differ in size; `None` if there is none.
    pub fn uneven_family(&self) -> Option<Family> {
        let family = self.family.table().uneven?;
        (self.tied_embeddings || !family.table().habits.always_tied).then_some(family)
    }

    /// The first layer whose heads or channels are not as many as those of layer 0.
    pub fn uneven_layer(&self) -> Option<usize> {
        let sizes = |layer: &LayerSpec| {
            let attention = layer.attention().map(|attention| (attention.heads, attention.kv_heads));
            (attention, layer.gated().map(|gated| gated.width))
        };
        let first = sizes(self.layers.first()?);
        self.layers.iter().position(|layer| sizes(layer) != first)
    }

    /// Share of the parameters that the embedding, and an output matrix of its own, have. Below a fifth is good for small models
    /// ("Rethinking Optimization and Architecture for Tiny Language Models").
    pub fn vocabulary_share(&self) -> f64 {
        let matrices = if self.tied_embeddings { 1 } else { 2 };
        (matrices * self.vocabulary_size * self.hidden_size) as f64 / self.parameter_count() as f64
    }

    /// Numbers in all tensors of the model, those that exist in GGUF only left out.
    pub fn parameter_count(&self) -> u64 {
        self.tensor_ids()
            .into_iter()
            .filter(|id| id.role != Role::RopeFactors)
            .filter_map(|id| self.shape(id))
            .map(|shape| shape.iter().map(|&n| n as u64).product::<u64>())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaving_is_the_permutation_of_llama_cpps_converter() {
        // reshape(heads, 2, head / 2).swapaxes(1, 2) on row numbers 0..12, two heads of six, by numpy
        let permuted = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
        let order = RowOrder::InterleavedHalves { head_size: 6 };
        for (stored, ours) in permuted.into_iter().enumerate() {
            assert_eq!(order.our_row(stored), ours);
            assert_eq!(order.stored_row(ours), stored);
        }
    }

    #[test]
    fn every_family_names_each_tensor_once() {
        for table in TABLES {
            for names in [|row: &TensorRow| row.hf, |row: &TensorRow| row.gguf] {
                let is_first = |row: &&TensorRow| {
                    let joined =
                        table.joined(TensorId { layer: row.role.is_in_layer().then_some(0), role: row.role });
                    joined[0].role == row.role
                };
                let first = table.tensors.iter().filter(is_first);
                let mut seen: Vec<_> = first.map(names).filter(|name| !name.is_empty()).collect();
                seen.sort_unstable();
                let before = seen.len();
                seen.dedup();
                assert_eq!(seen.len(), before, "{:?}", table.family);
            }
        }
    }
}
