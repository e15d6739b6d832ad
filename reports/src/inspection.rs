//! What `inspect` found.

use schemars::JsonSchema;
use secateur_model::HubSource;
use serde::Serialize;

use crate::{Cell, Column, Table};

/// A model as its headers tell it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Inspection {
    /// The version of this record: 1.
    pub schema: u32,
    /// Its name for itself.
    pub name: String,
    /// Where on the Hub it is, if it is there.
    pub origin: Option<HubSource>,
    /// `gguf` or `huggingface`.
    pub layout: &'static str,
    /// Its family, for example `llama`.
    pub family: String,
    /// As the model states it.
    pub license: Option<String>,
    /// Numbers in all tensors.
    pub parameters: u64,
    /// Bytes of all tensors as stored.
    pub tensor_bytes: u64,
    /// Tokens in the vocabulary.
    pub vocabulary_size: usize,
    /// The tokenizer's kind, if the model has one.
    pub tokenizer: Option<String>,
    /// The output projection is the token embedding.
    pub tied_embeddings: bool,
    /// Parameters of embedding and output projection, as a part of all.
    pub embedding_share: f64,
    /// Longest context, in tokens.
    pub context_length: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads, key and value heads, elements per head; per layer, runs of equal layers as one.
    pub attention: Vec<LayerRun>,
    /// One for each role that the model has.
    pub roles: Vec<RoleRow>,
    /// One for each storage type that the model has.
    pub types: Vec<TypeRow>,
    /// What stock llama.cpp would compute differently from this model, if anything.
    pub lost_in_gguf: Option<String>,
}

/// Neighbouring layers of the same shape.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LayerRun {
    /// First and last layer, from 0.
    pub layers: (usize, usize),
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements per head.
    pub head_size: usize,
    /// Positions seen; none if all.
    pub window: Option<usize>,
    /// Feed-forward channels.
    pub ffn_width: usize,
}

/// The tensors of one role.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RoleRow {
    /// What they are for.
    pub role: String,
    /// How many there are.
    pub tensors: usize,
    /// The shape of each, outermost first; the first one's where they differ.
    pub shape: Vec<usize>,
    /// Numbers in all of them.
    pub parameters: u64,
    /// Bytes of all of them, as stored.
    pub bytes: u64,
    /// How they are stored, most first.
    pub types: Vec<String>,
    /// Types that their rows could be stored in; empty for vectors, which stay as they are.
    pub legal_types: Vec<String>,
}

/// The tensors of one storage type.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TypeRow {
    /// Its name.
    pub tensor_type: String,
    /// How many there are.
    pub tensors: usize,
    /// Numbers in all of them.
    pub parameters: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Inspection {
    /// The tables that people read, from the general to the particular.
    pub fn tables(&self) -> Vec<Table> {
        vec![self.summary(), self.layer_table(), self.role_table(), self.type_table()]
    }

    fn summary(&self) -> Table {
        let mut rows: Vec<(&str, Cell)> = vec![
            ("family", self.family.as_str().into()),
            ("layout", self.layout.into()),
            ("licence", self.license.clone().unwrap_or_else(|| "not stated".into()).into()),
            ("parameters", Cell::Count(self.parameters)),
            ("tensors", Cell::Bytes(self.tensor_bytes)),
            ("bits per weight", Cell::Number(self.bits_per_weight(), 2)),
            ("vocabulary", Cell::Text(self.vocabulary_size.to_string())),
            ("tokenizer", self.tokenizer.clone().unwrap_or_else(|| "none".into()).into()),
            ("embeddings", (if self.tied_embeddings { "tied" } else { "untied" }).into()),
            ("embeddings' share", Cell::Share(self.embedding_share)),
            ("hidden size", Cell::Text(self.hidden_size.to_string())),
            ("context", Cell::Text(self.context_length.to_string())),
        ];
        if let Some(origin) = &self.origin {
            rows.insert(0, ("commit", origin.commit.as_str().into()));
        }
        if let Some(lost) = &self.lost_in_gguf {
            rows.push(("lost in GGUF", lost.as_str().into()));
        }
        Table {
            title: self.name.clone(),
            columns: vec![Column::new("", "property"), Column::new("", "value")],
            rows: rows.into_iter().map(|(name, cell)| vec![name.into(), cell.shown().into()]).collect(),
        }
    }

    fn bits_per_weight(&self) -> f64 {
        self.tensor_bytes as f64 * 8.0 / self.parameters.max(1) as f64
    }

    fn layer_table(&self) -> Table {
        let row = |run: &LayerRun| {
            let (first, last) = run.layers;
            let layers = if first == last { first.to_string() } else { format!("{first}-{last}") };
            let window = run.window.map_or_else(|| "all".to_owned(), |window| window.to_string());
            vec![
                layers.into(),
                Cell::Count(run.heads as u64),
                Cell::Count(run.kv_heads as u64),
                Cell::Count(run.head_size as u64),
                window.into(),
                Cell::Text(run.ffn_width.to_string()),
            ]
        };
        Table {
            title: format!("{} layers", self.layers),
            columns: vec![
                Column::new("layer", "layer"),
                Column::new("heads", "heads"),
                Column::new("kv heads", "kv_heads"),
                Column::new("head size", "head_size"),
                Column::new("window", "window"),
                Column::new("ffn width", "ffn_width"),
            ],
            rows: self.attention.iter().map(row).collect(),
        }
    }

    fn role_table(&self) -> Table {
        let row = |role: &RoleRow| {
            let shape = role.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            vec![
                role.role.as_str().into(),
                Cell::Count(role.tensors as u64),
                shape.into(),
                Cell::Count(role.parameters),
                Cell::Bytes(role.bytes),
                role.types.join(" ").into(),
                role.legal_types.join(" ").into(),
            ]
        };
        Table {
            title: "By role".into(),
            columns: vec![
                Column::new("role", "role"),
                Column::new("tensors", "tensors"),
                Column::new("shape", "shape"),
                Column::new("parameters", "parameters"),
                Column::new("bytes", "bytes"),
                Column::new("stored as", "types"),
                Column::new("legal block types", "legal_types"),
            ],
            rows: self.roles.iter().map(row).collect(),
        }
    }

    fn type_table(&self) -> Table {
        let row = |types: &TypeRow| {
            let bits = types.bytes as f64 * 8.0 / types.parameters.max(1) as f64;
            vec![
                types.tensor_type.as_str().into(),
                Cell::Count(types.tensors as u64),
                Cell::Count(types.parameters),
                Cell::Bytes(types.bytes),
                Cell::Number(bits, 2),
                Cell::Share(types.bytes as f64 / self.tensor_bytes.max(1) as f64),
            ]
        };
        Table {
            title: "By type".into(),
            columns: vec![
                Column::new("type", "type"),
                Column::new("tensors", "tensors"),
                Column::new("parameters", "parameters"),
                Column::new("bytes", "bytes"),
                Column::new("bits/weight", "bits_per_weight"),
                Column::new("share", "share"),
            ],
            rows: self.types.iter().map(row).collect(),
        }
    }
}
