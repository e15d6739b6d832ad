//! A model with fewer layers, heads, channels and hidden dimensions, as a view of its files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{CheckpointTensor, Shaped};
use crate::shape::{KeptLayer, ShapePlan};
use crate::spec::{FeedForward, LayerSpec, Mixer};
use crate::stored::StoredTensor;
use crate::{Checkpoint, ModelError, Role, TensorId};

impl Checkpoint {
    /// The same model in a smaller shape. Nothing is copied: layers, rows and columns are left out where they are read. `repaired` is a
    /// safetensors file of what takes the place of tensors, each under its [`repaired_name`]; biases that it brings become part of the model.
    ///
    /// # Errors
    /// If the shape is none of this model, or the file cannot be read or has tensors that the smaller model has not.
    pub fn with_shape(mut self, shape: &ShapePlan, repaired: Option<&Path>) -> Result<Self, ModelError> {
        let before = Arc::new(self.clone());
        let of_model = |source| ModelError::Shape { path: self.source.clone(), source };
        let mut spec = shape.apply(&self.spec).map_err(of_model)?;
        let mut tensors = BTreeMap::new();
        for (new, kept) in shape.layers.iter().enumerate() {
            let before = &self.spec.layers[kept.layer];
            let roles = self.spec.family.table().tensors.iter().map(|row| row.role);
            for role in roles.filter(|role| role.is_in_layer()) {
                if let Some(mut tensor) = self.tensors.remove(&TensorId::in_layer(kept.layer, role)) {
                    kept.cut(role, before, &mut tensor);
                    tensors.insert(TensorId::in_layer(new, role), tensor);
                }
            }
        }
        self.tensors.retain(|id, _| id.layer.is_none());
        self.tensors.append(&mut tensors);
        if let Some(hidden) = &shape.hidden {
            self.tensors.iter_mut().for_each(|(id, tensor)| cut_hidden(id.role, hidden.indices(), tensor));
        }
        if let Some(path) = repaired {
            let stored = self.files.open_safetensors(path)?;
            let by_name: BTreeMap<String, &StoredTensor> =
                stored.iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
            add_biases(&mut spec, |id| by_name.contains_key(&repaired_name(id)));
            self.replace(&spec, path, &by_name)?;
        }
        self.spec = spec;
        self.shaped = Some(Shaped { plan: shape.clone(), before });
        Ok(self)
    }

    /// What the model's layers are of those in its files, if they are not the same.
    pub fn shape(&self) -> Option<&ShapePlan> {
        self.shaped.as_ref().map(|shaped| &shaped.plan)
    }

    /// The model before it had its [`shape`](Self::shape), with the tokens that it had then.
    pub fn before_shape(&self) -> Option<&Self> {
        self.shaped.as_ref().map(|shaped| shaped.before.as_ref())
    }

    /// Puts the tensors of another file in their places.
    fn replace(
        &mut self,
        spec: &crate::ModelSpec,
        path: &Path,
        by_name: &BTreeMap<String, &StoredTensor>,
    ) -> Result<(), ModelError> {
        let mut placed = 0;
        for id in spec.tensor_ids() {
            let name = repaired_name(id);
            let expected = spec.shape(id).unwrap_or_default();
            match by_name.get(&name) {
                Some(&tensor) if tensor.shape == expected => {
                    let other = CheckpointTensor::in_place_of(self.tensors.get(&id), tensor.clone());
                    self.tensors.insert(id, other);
                    placed += 1;
                }
                Some(tensor) => {
                    let found = tensor.shape.clone();
                    return Err(ModelError::WrongShape { path: path.to_owned(), name, expected, found });
                }
                None if self.tensors.contains_key(&id) || id.role == Role::RopeFactors => {}
                None => return Err(ModelError::MissingTensor { path: path.to_owned(), name }),
            }
        }
        if placed == by_name.len() {
            return Ok(());
        }
        let known: Vec<String> = spec.tensor_ids().into_iter().map(repaired_name).collect();
        let surplus = by_name.keys().find(|name| !known.contains(name)).cloned().unwrap_or_default();
        Err(ModelError::SurplusTensor { path: path.to_owned(), name: surplus })
    }
}

/// The name of a tensor of the smaller model in a file of repaired tensors: `3.ffn_down`.
pub fn repaired_name(id: TensorId) -> String {
    let role = serde_json::to_value(id.role).unwrap_or_default();
    let role = role.as_str().unwrap_or_default();
    id.layer.map_or_else(|| role.to_owned(), |layer| format!("{layer}.{role}"))
}

/// Gives the layers the biases that `has` names.
fn add_biases(spec: &mut crate::ModelSpec, has: impl Fn(TensorId) -> bool) {
    for (index, layer) in spec.layers.iter_mut().enumerate() {
        let has = |role| has(TensorId::in_layer(index, role));
        if let Mixer::Attention(attention) = &mut layer.mixer {
            attention.qkv_bias |= has(Role::AttentionQueryBias);
            attention.output_bias |= has(Role::AttentionOutputBias);
        }
        if let FeedForward::Gated(gated) = &mut layer.feed_forward {
            gated.bias |= has(Role::FfnDownBias);
        }
    }
}

impl KeptLayer {
    /// Leaves out what does not stay of a tensor; `layer` is how the layer was before.
    fn cut(&self, role: Role, layer: &LayerSpec, tensor: &mut CheckpointTensor) {
        if let (Some(kept), Some(attention)) = (&self.kv_heads, layer.attention()) {
            let of_key = || spread(kept.indices(), attention.head_size);
            let of_query =
                || spread(kept.indices(), attention.heads / attention.kv_heads * attention.head_size);
            match role {
                Role::AttentionQuery | Role::AttentionQueryBias => tensor.keep_rows(&of_query()),
                Role::AttentionKey
                | Role::AttentionKeyBias
                | Role::AttentionValue
                | Role::AttentionValueBias => tensor.keep_rows(&of_key()),
                Role::AttentionOutput => tensor.keep_columns(&of_query()),
                _ => {}
            }
        }
        if let Some(kept) = &self.ffn {
            match role {
                Role::FfnGate | Role::FfnUp | Role::FfnGateBias | Role::FfnUpBias => {
                    tensor.keep_rows(kept.indices());
                }
                Role::FfnDown => tensor.keep_columns(kept.indices()),
                _ => {}
            }
        }
    }
}

/// Leaves out the hidden dimensions that do not stay: columns of what reads them, rows of what gives them.
fn cut_hidden(role: Role, kept: &[u32], tensor: &mut CheckpointTensor) {
    match role {
        Role::TokenEmbedding
        | Role::Output
        | Role::AttentionQuery
        | Role::AttentionKey
        | Role::AttentionValue
        | Role::FfnGate
        | Role::FfnUp => tensor.keep_columns(kept),
        Role::OutputNorm
        | Role::AttentionNorm
        | Role::AttentionPostNorm
        | Role::FfnNorm
        | Role::FfnPostNorm
        | Role::AttentionOutput
        | Role::AttentionOutputBias
        | Role::FfnDown
        | Role::FfnDownBias => tensor.keep_rows(kept),
        // of heads and channels
        Role::RopeFactors
        | Role::AttentionQueryBias
        | Role::AttentionKeyBias
        | Role::AttentionValueBias
        | Role::AttentionQueryNorm
        | Role::AttentionKeyNorm
        | Role::FfnGateBias
        | Role::FfnUpBias => {}
    }
}

/// The numbers of all that belong to these groups of `size`.
fn spread(groups: &[u32], size: usize) -> Vec<u32> {
    let size = size as u32;
    groups.iter().flat_map(|group| group * size..(group + 1) * size).collect()
}
