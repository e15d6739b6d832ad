//! A checkpoint, opened: its spec, its tokenizer, what it says about itself, and its tensors one at a time.

mod held;
mod layers;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::family::RowOrder;
use crate::general::{general_from_folder, general_text};
use crate::gguf::{Gguf, Metadata, MetadataValue};
use crate::header_spec::{TensorFacts, spec_from_metadata};
use crate::hf::HfWeights;
use crate::hf::config::spec_from_config;
use crate::shape::ShapePlan;
use crate::sizes::{SpecError, rope_factors};
use crate::stored::{FileBytes, StoredTensor, TensorFiles};
use crate::tensor_rows::TensorRows;
use crate::tokenizer::Tokenizer;
use crate::{HubSource, ModelError, ModelSpec, Role, TensorId, TensorType};

pub use held::HeldTensor;
pub use layers::repaired_name;

/// Largest config.json that we read; real ones have a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// A model as files, opened: headers are read and checked, weights are not touched until asked for. A clone shares the files.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Its architecture.
    pub spec: ModelSpec,
    /// What it says about itself: the `general.*` keys of GGUF, or the same from a model card.
    pub general: Metadata,
    /// Its tokenizer; tiny test models may have none.
    pub tokenizer: Option<Tokenizer>,
    /// How it is laid out.
    pub origin: Origin,
    /// What the user named, for messages.
    pub source: PathBuf,
    /// Where on the Hub it came from, if it did.
    pub hub: Option<HubSource>,
    files: TensorFiles,
    /// How many of the files are the model's own; what is behind them takes the place of tensors.
    own_files: usize,
    /// Only headers are there: tensors have a type and a size, and no numbers.
    headers_only: bool,
    tensors: BTreeMap<TensorId, CheckpointTensor>,
    /// What the layers are of those in the files, if they are not the same.
    shaped: Option<Shaped>,
}

/// What became of a model's layers.
#[derive(Debug, Clone)]
struct Shaped {
    plan: ShapePlan,
    /// The model before, with the tokens that it had then.
    before: Arc<Checkpoint>,
}

/// How a checkpoint is laid out.
#[derive(Debug, Clone)]
pub enum Origin {
    /// One GGUF file, or its parts.
    Gguf {
        /// Its `general.file_type`.
        file_type: Option<u32>,
    },
    /// A Hugging Face folder, with its config.json.
    HuggingFace {
        /// The parsed config.json.
        config: Value,
    },
}

/// A tensor of a checkpoint and how its stored rows become ours.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointTensor {
    pub stored: StoredTensor,
    /// How the model's own files store it, whatever took its place.
    pub own_type: TensorType,
    pub order: RowOrder,
    /// Added to every number: what safetensors leave out of norm weights.
    pub offset: f32,
    /// Which of our rows the model has, if not all that are stored.
    pub rows: Option<Arc<[u32]>>,
    /// Which columns, likewise.
    pub columns: Option<Arc<[u32]>>,
    /// Rows in memory that are numbered after those that are stored, in the same type.
    pub more_rows: Arc<[u8]>,
}

impl CheckpointTensor {
    /// The same tensor of the model, kept elsewhere.
    fn in_place_of(before: Option<&Self>, stored: StoredTensor) -> Self {
        let own_type = before.map_or(stored.tensor_type, |before| before.own_type);
        Self { own_type, ..Self::new(stored, RowOrder::Plain, 0.0) }
    }

    /// All of a stored tensor.
    fn new(stored: StoredTensor, order: RowOrder, offset: f32) -> Self {
        let more_rows = Arc::default();
        Self { own_type: stored.tensor_type, stored, order, offset, rows: None, columns: None, more_rows }
    }

    /// Leaves out all rows but these, of those that there are.
    fn keep_rows(&mut self, kept: &[u32]) {
        self.rows = Some(chosen(self.rows.as_deref(), kept));
    }

    /// Puts `count` rows after the `before` that there are; false if these are not the bytes of so many.
    fn append_rows(&mut self, bytes: &Arc<[u8]>, count: usize, before: usize) -> bool {
        let stored = self.stored.shape[0];
        let row_bytes = self.stored.bytes as usize / stored;
        if bytes.len() != count * row_bytes {
            return false;
        }
        let first = stored + self.more_rows.len() / row_bytes;
        let new = (first..first + count).map(|row| row as u32);
        self.rows = Some(match &self.rows {
            Some(rows) => rows.iter().copied().chain(new).collect(),
            None => (0..before as u32).chain(new).collect(),
        });
        self.more_rows = self.more_rows.iter().chain(bytes.iter()).copied().collect();
        true
    }

    /// Leaves out all columns but these, of those that there are.
    fn keep_columns(&mut self, kept: &[u32]) {
        self.columns = Some(chosen(self.columns.as_deref(), kept));
    }
}

/// What `kept` names among those that were chosen before.
fn chosen(before: Option<&[u32]>, kept: &[u32]) -> Arc<[u32]> {
    kept.iter().map(|&index| before.map_or(index, |before| before[index as usize])).collect()
}

impl Checkpoint {
    /// Opens a Hugging Face folder, a GGUF file (or one part of a split one), or a `.safetensors` file in such a folder.
    ///
    /// # Errors
    /// [`ModelError`], with the file and what is wrong in it.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let unreadable = |source| ModelError::Io { path: path.to_owned(), source };
        let kind = std::fs::metadata(path).map_err(unreadable)?;
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            _ if kind.is_dir() => Self::open_folder(path),
            "gguf" => Self::open_gguf(path),
            "safetensors" => match path.parent() {
                Some(folder) if folder.as_os_str().is_empty() => Self::open_folder(Path::new(".")),
                Some(folder) => Self::open_folder(folder),
                None => Err(ModelError::UnknownFormat { path: path.to_owned() }),
            },
            "bin" | "pt" | "pth" | "pkl" | "ckpt" => Err(ModelError::OnlyPickle {
                folder: path.parent().unwrap_or(Path::new(".")).to_owned(),
                files: path.file_name().map(|name| name.to_string_lossy().into_owned()).into_iter().collect(),
            }),
            _ => Err(ModelError::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// Opens what stands in for a checkpoint and has its headers only: it can tell everything but the numbers in its tensors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_headers(path: &Path) -> Result<Self, ModelError> {
        Ok(Self { headers_only: true, ..Self::open(path)? })
    }

    /// As [`open`](Self::open), and of a GGUF file leaves the tokenizer unread: for questions about tensors alone, which a vocabulary of a
    /// quarter million tokens would make wait.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_tensors(path: &Path) -> Result<Self, ModelError> {
        let is_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if is_gguf && path.is_file() {
            return Self::from_gguf(path, Gguf::open_wanted(path, |key| !key.starts_with("tokenizer."))?);
        }
        Self::open(path)
    }

    /// Opens a GGUF file that is in memory already.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_gguf_bytes(name: &str, bytes: FileBytes) -> Result<Self, ModelError> {
        Self::from_gguf(Path::new(name), Gguf::from_memory(name, bytes)?)
    }

    fn open_gguf(path: &Path) -> Result<Self, ModelError> {
        Self::from_gguf(path, Gguf::open(path)?)
    }

    fn from_gguf(path: &Path, gguf: Gguf) -> Result<Self, ModelError> {
        let Gguf { metadata, tensors, files, .. } = gguf;
        let described = |source: SpecError| ModelError::Spec { path: path.to_owned(), source };
        let by_name: HashMap<&str, &StoredTensor> =
            tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let facts = TensorFacts {
            names: by_name.keys().copied().collect(),
            vocabulary_size: by_name
                .get("token_embd.weight")
                .and_then(|tensor| tensor.shape.first().copied()),
            rope_factors: match by_name.get("rope_freqs.weight") {
                Some(tensor) => Some(read_vector(&files, tensor)?),
                None => None,
            },
        };
        let spec = spec_from_metadata(&metadata, &facts).map_err(described)?;
        let table = spec.family.table();
        let matched =
            match_tensors(path, &spec, tensors, |id| table.gguf_name(id), |id| table.joined(id), |_| false)?;
        let tensors = matched
            .into_iter()
            .map(|(id, stored)| {
                let attention = id.layer.and_then(|layer| spec.layers[layer].attention());
                let order = table.gguf_row_order(id.role, attention);
                (id, CheckpointTensor::new(stored, order, 0.0))
            })
            .collect();
        let tokenizer = match metadata.get("tokenizer.ggml.model").and_then(MetadataValue::as_str) {
            None | Some("none" | "no_vocab") => None,
            Some(_) => Some(
                Tokenizer::from_gguf(&metadata)
                    .map_err(|source| ModelError::Tokenizer { path: path.to_owned(), source })?,
            ),
        };
        let checkpoint = Self {
            general: general_keys(&metadata),
            tokenizer,
            origin: Origin::Gguf {
                file_type: metadata.get("general.file_type").and_then(MetadataValue::as_u32),
            },
            source: path.to_owned(),
            hub: None,
            own_files: files.len(),
            files,
            headers_only: false,
            tensors,
            spec,
            shaped: None,
        };
        checkpoint.check_vocabulary()
    }

    fn open_folder(folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join("config.json");
        if !config_path.is_file() {
            return match only_gguf(folder) {
                Some(path) => Self::open_gguf(&path),
                None => Err(ModelError::NoConfig { folder: folder.to_owned() }),
            };
        }
        let config = read_json(&config_path)?;
        let described = |source: SpecError| ModelError::Spec { path: config_path.clone(), source };
        let spec = spec_from_config(&config).map_err(described)?;
        let table = spec.family.table();
        let HfWeights { tensors, files } = HfWeights::open(folder)?;
        let tied = spec.tied_embeddings;
        // buffers that old checkpoints carry, and the second copy of a tied matrix
        let ignorable =
            |name: &str| name.ends_with(".rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
        let matched =
            match_tensors(folder, &spec, tensors, |id| table.hf_name(id), |id| vec![id], ignorable)?;
        let tensors = matched
            .into_iter()
            .map(|(id, stored)| {
                let offset = if id.role.is_norm() { table.habits.norm_offset } else { 0.0 };
                (id, CheckpointTensor::new(stored, RowOrder::Plain, offset))
            })
            .collect();
        let has_tokenizer =
            ["tokenizer.json", "tokenizer.model"].into_iter().any(|name| folder.join(name).exists());
        let tokenizer = has_tokenizer
            .then(|| Tokenizer::from_hf_folder(folder, spec.vocabulary_size))
            .transpose()
            .map_err(|source| ModelError::Tokenizer { path: folder.to_owned(), source })?;
        let checkpoint = Self {
            general: general_from_folder(folder, &spec)?,
            tokenizer,
            origin: Origin::HuggingFace { config },
            source: folder.to_owned(),
            hub: None,
            own_files: files.len(),
            files,
            headers_only: false,
            tensors,
            spec,
            shaped: None,
        };
        checkpoint.check_vocabulary()
    }

    fn check_vocabulary(self) -> Result<Self, ModelError> {
        let Some(tokenizer) = &self.tokenizer else { return Ok(self) };
        if tokenizer.tokens.len() == self.spec.vocabulary_size {
            return Ok(self);
        }
        Err(ModelError::VocabularySize {
            path: self.source,
            embedding_rows: self.spec.vocabulary_size,
            tokens: tokenizer.tokens.len(),
        })
    }

    /// The model's name: its own, or that of what the user named.
    pub fn name(&self) -> String {
        match general_text(&self.general, "name") {
            Some(name) => name.to_owned(),
            None => self
                .source
                .file_stem()
                .map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned()),
        }
    }

    /// The parsed config.json of a Hugging Face folder.
    pub fn config(&self) -> Option<&Value> {
        match &self.origin {
            Origin::Gguf { .. } => None,
            Origin::HuggingFace { config } => Some(config),
        }
    }

    /// The paths of the files that hold the weights.
    pub fn weight_files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.paths().take(self.own_files)
    }

    /// The files of a Hugging Face folder that say what the model is, beside its weights.
    pub fn description_files(&self) -> Vec<PathBuf> {
        const NAMES: [&str; 6] = [
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ];
        match self.origin {
            Origin::Gguf { .. } => Vec::new(),
            Origin::HuggingFace { .. } => {
                NAMES.into_iter().map(|name| self.source.join(name)).filter(|path| path.is_file()).collect()
            }
        }
    }

    /// How the model's files store a tensor, even if other numbers took its place since; `None` if they do not have it.
    pub fn stored_type(&self, id: TensorId) -> Option<TensorType> {
        self.tensors.get(&id).map(|tensor| tensor.own_type)
    }

    /// Bytes of all tensors as they are stored.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.stored.bytes).sum()
    }

    /// Maps a tensor; its rows come in our order, norms as what they multiply by.
    ///
    /// # Errors
    /// If the file changed since it was opened, the model has no such tensor, or only headers are there.
    pub fn tensor(&self, id: TensorId) -> Result<TensorRows, ModelError> {
        if self.headers_only {
            return Err(ModelError::HeadersOnly { path: self.source.clone() });
        }
        if let Some(tensor) = self.tensors.get(&id) {
            return Ok(TensorRows::stored(self.files.map(&tensor.stored)?, tensor));
        }
        self.computed_rope_factors(id).map(TensorRows::computed).ok_or_else(|| ModelError::MissingTensor {
            path: self.source.clone(),
            name: format!("{:?}", id.role),
        })
    }

    /// Rotary divisors that Hugging Face models state as parameters only.
    fn computed_rope_factors(&self, id: TensorId) -> Option<Vec<f32>> {
        if id != TensorId::global(Role::RopeFactors) {
            return None;
        }
        let mut attentions = self.spec.layers.iter().filter_map(|layer| layer.attention());
        attentions.find_map(|attention| rope_factors(&attention.rope, attention.head_size))
    }
}

/// The `general.*` keys that describe the model, not this file of it.
fn general_keys(metadata: &Metadata) -> Metadata {
    const OF_THE_FILE: [&str; 5] = [
        "general.architecture",
        "general.alignment",
        "general.file_type",
        "general.quantization_version",
        "general.quantized_by",
    ];
    let mut general = Metadata::new();
    for (key, value) in metadata.iter() {
        if key.starts_with("general.") && !OF_THE_FILE.contains(&key) {
            general.set(key, value.clone());
        }
    }
    general
}

/// Gives every tensor of the spec its stored one, by name, and checks shapes; those that are joined in the file, their rows of it.
fn match_tensors(
    path: &Path,
    spec: &ModelSpec,
    stored: Vec<StoredTensor>,
    name_of: impl Fn(TensorId) -> Option<String>,
    joined: impl Fn(TensorId) -> Vec<TensorId>,
    ignorable: impl Fn(&str) -> bool,
) -> Result<BTreeMap<TensorId, StoredTensor>, ModelError> {
    let mut by_name: HashMap<String, StoredTensor> =
        stored.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let mut matched = BTreeMap::new();
    for id in spec.tensor_ids() {
        let Some(name) = name_of(id) else { continue };
        if matched.contains_key(&id) {
            continue;
        }
        let Some(tensor) = by_name.remove(&name) else {
            return Err(ModelError::MissingTensor { path: path.to_owned(), name });
        };
        let parts: Vec<(TensorId, Vec<usize>)> =
            joined(id).into_iter().map(|id| (id, spec.shape(id).unwrap_or_default())).collect();
        let expected = stacked(&parts);
        if tensor.shape != expected {
            let found = tensor.shape;
            return Err(ModelError::WrongShape { path: path.to_owned(), name, expected, found });
        }
        let mut first = 0;
        for (id, shape) in parts {
            let rows = first..first + shape.first().copied().unwrap_or_default();
            first = rows.end;
            matched.insert(id, tensor.rows(rows));
        }
    }
    by_name.retain(|name, _| !ignorable(name));
    match by_name.into_keys().min() {
        Some(name) => Err(ModelError::SurplusTensor { path: path.to_owned(), name }),
        None => Ok(matched),
    }
}

/// The shape of tensors one after the other.
fn stacked(parts: &[(TensorId, Vec<usize>)]) -> Vec<usize> {
    let rows = parts.iter().filter_map(|(_, shape)| shape.first()).sum();
    let inner = parts.first().map_or(&[][..], |(_, shape)| shape.get(1..).unwrap_or_default());
    std::iter::once(rows).chain(inner.iter().copied()).collect()
}

fn read_vector(files: &TensorFiles, tensor: &StoredTensor) -> Result<Vec<f32>, ModelError> {
    let plain = CheckpointTensor::new(tensor.clone(), RowOrder::Plain, 0.0);
    TensorRows::stored(files.map(tensor)?, &plain).read_all()
}

/// The folder's GGUF file, if it is the only one.
fn only_gguf(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut files = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")));
    let first = files.next()?;
    files.next().is_none().then_some(first)
}

fn read_json(path: &Path) -> Result<Value, ModelError> {
    let unreadable = |source| ModelError::Io { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_CONFIG_BYTES {
        return Err(ModelError::TooLarge { path: path.to_owned(), bytes, limit: MAX_CONFIG_BYTES });
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(|source| ModelError::Json { path: path.to_owned(), source })
}
