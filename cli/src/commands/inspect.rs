//! `secateur inspect`

use std::collections::BTreeMap;

use secateur_model::general::general_text;
use secateur_model::header_spec::lost_in_gguf;
use secateur_model::spec::LayerSpec;
use secateur_model::tokenizer::{Tokenizer, TokenizerKind};
use secateur_model::{Checkpoint, Origin, Role, TensorId, TensorType};
use secateur_reports::inspection::{Inspection, LayerRun, RoleRow, TypeRow};

use crate::arguments::InspectArguments;
use crate::console::Console;
use crate::exit::Exit;
use crate::model_argument;

/// Shows what a model is.
pub fn run(arguments: &InspectArguments, console: &Console) -> anyhow::Result<Exit> {
    let headers = model_argument::open_headers(&arguments.model, console)?;
    let inspection = inspect(&headers.checkpoint);
    console.result(&inspection, &inspection.tables())?;
    Ok(Exit::Done)
}

fn inspect(checkpoint: &Checkpoint) -> Inspection {
    let spec = &checkpoint.spec;
    let tensors = stored_tensors(checkpoint);
    let parameters = spec.parameter_count();
    let embeddings = [Role::TokenEmbedding, Role::Output].map(TensorId::global);
    let embedding_parameters: u64 =
        embeddings.into_iter().filter_map(|id| spec.shape(id)).map(|shape| elements(&shape)).sum();
    Inspection {
        schema: 1,
        name: checkpoint.name(),
        origin: checkpoint.hub.clone(),
        layout: match checkpoint.origin {
            Origin::Gguf { .. } => "gguf",
            Origin::HuggingFace { .. } => "huggingface",
        },
        family: format!("{:?}", spec.family).to_lowercase(),
        license: general_text(&checkpoint.general, "license").map(str::to_owned),
        parameters,
        tensor_bytes: checkpoint.tensor_bytes(),
        vocabulary_size: spec.vocabulary_size,
        tokenizer: checkpoint.tokenizer.as_ref().map(tokenizer_name),
        tied_embeddings: spec.tied_embeddings,
        embedding_share: embedding_parameters as f64 / parameters.max(1) as f64,
        context_length: spec.context_length,
        hidden_size: spec.hidden_size,
        layers: spec.layers.len(),
        attention: layer_runs(&spec.layers),
        roles: role_rows(&tensors),
        types: type_rows(&tensors),
        lost_in_gguf: lost_in_gguf(spec),
    }
}

struct Stored {
    role: Role,
    shape: Vec<usize>,
    tensor_type: TensorType,
    bytes: u64,
}

fn stored_tensors(checkpoint: &Checkpoint) -> Vec<Stored> {
    let stored = |id: TensorId| {
        let tensor_type = checkpoint.stored_type(id)?;
        let shape = checkpoint.spec.shape(id)?;
        let row_len = *shape.last()?;
        let rows = elements(&shape) / row_len as u64;
        let bytes = rows * tensor_type.row_bytes(row_len)? as u64;
        Some(Stored { role: id.role, shape, tensor_type, bytes })
    };
    checkpoint.spec.tensor_ids().into_iter().filter_map(stored).collect()
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|&size| size as u64).product()
}

fn tokenizer_name(tokenizer: &Tokenizer) -> String {
    match &tokenizer.kind {
        TokenizerKind::BytePair { pre_tokenizer, .. } => format!("byte-level BPE ({pre_tokenizer})"),
        TokenizerKind::SentencePiece => "SentencePiece".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn layer_runs(layers: &[LayerSpec]) -> Vec<LayerRun> {
    let mut runs: Vec<LayerRun> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let attention = layer.attention();
        let run = LayerRun {
            layers: (index, index),
            heads: attention.map_or(0, |attention| attention.heads),
            kv_heads: attention.map_or(0, |attention| attention.kv_heads),
            head_size: attention.map_or(0, |attention| attention.head_size),
            window: attention.and_then(|attention| attention.window),
            ffn_width: layer.gated().map_or(0, |gated| gated.width),
        };
        match runs.last_mut() {
            Some(last) if (LayerRun { layers: last.layers, ..run.clone() }) == *last => last.layers.1 = index,
            _ => runs.push(run),
        }
    }
    runs
}

fn role_rows(tensors: &[Stored]) -> Vec<RoleRow> {
    let mut by_role: BTreeMap<Role, Vec<&Stored>> = BTreeMap::new();
    for tensor in tensors {
        by_role.entry(tensor.role).or_default().push(tensor);
    }
    by_role.into_iter().map(|(role, tensors)| role_row(role, &tensors)).collect()
}

fn role_row(role: Role, tensors: &[&Stored]) -> RoleRow {
    let mut types: BTreeMap<TensorType, usize> = BTreeMap::new();
    for tensor in tensors {
        *types.entry(tensor.tensor_type).or_default() += 1;
    }
    let mut types: Vec<_> = types.into_iter().collect();
    types.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let row_lengths: Vec<usize> = tensors.iter().filter_map(|tensor| tensor.shape.last().copied()).collect();
    let is_legal = |candidate: &TensorType| {
        !candidate.is_float() && row_lengths.iter().all(|&row_len| candidate.is_legal_for(row_len))
    };
    RoleRow {
        role: role.to_string(),
        tensors: tensors.len(),
        shape: tensors[0].shape.clone(),
        parameters: tensors.iter().map(|tensor| elements(&tensor.shape)).sum(),
        bytes: tensors.iter().map(|tensor| tensor.bytes).sum(),
        types: types.into_iter().map(|(tensor_type, _)| tensor_type.to_string()).collect(),
        legal_types: if role.is_matrix() {
            TensorType::all().filter(is_legal).map(|tensor_type| tensor_type.to_string()).collect()
        } else {
            Vec::new()
        },
    }
}

fn type_rows(tensors: &[Stored]) -> Vec<TypeRow> {
    let mut by_type: BTreeMap<TensorType, TypeRow> = BTreeMap::new();
    for tensor in tensors {
        let row = by_type.entry(tensor.tensor_type).or_insert_with(|| TypeRow {
            tensor_type: tensor.tensor_type.to_string(),
            tensors: 0,
            parameters: 0,
            bytes: 0,
        });
        row.tensors += 1;
        row.parameters += elements(&tensor.shape);
        row.bytes += tensor.bytes;
    }
    by_type.into_values().collect()
}
