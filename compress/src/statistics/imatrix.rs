//! llama.cpp's importance matrices: `E[x²]` of what each matrix reads, under the matrix's GGUF name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use secateur_model::atomic_file::AtomicFile;
use secateur_model::gguf::{Gguf, GgufLayout, Metadata, MetadataValue};
use secateur_model::stored::NewTensor;
use secateur_model::{Checkpoint, ModelError, Role, TensorId, TensorType};
use sha2::{Digest, Sha256};

use super::imatrix_legacy::parse_legacy;
use super::{Statistics, StatisticsError};
use crate::checksum::hexadecimal;
use crate::forward::Site;

const GGUF_MAGIC: [u8; 4] = *b"GGUF";
const TYPE_KEY: &str = "general.type";
const DATASETS_KEY: &str = "imatrix.datasets";
const CHUNK_COUNT_KEY: &str = "imatrix.chunk_count";
const CHUNK_SIZE_KEY: &str = "imatrix.chunk_size";
const SUMS_SUFFIX: &str = ".in_sum2";
const COUNTS_SUFFIX: &str = ".counts";

/// An importance matrix, as llama-imatrix writes it and llama-quantize reads it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imatrix {
    /// By the GGUF name of the matrix, for example `blk.0.attn_q.weight`.
    pub entries: BTreeMap<String, ImatrixEntry>,
    /// Names of the texts.
    pub datasets: Vec<String>,
    /// How many sequences passed.
    pub chunk_count: u32,
    /// Tokens of a sequence; 0 if the file does not say.
    pub chunk_size: u32,
}

/// What one matrix reads.
#[derive(Debug, Clone, PartialEq)]
pub struct ImatrixEntry {
    /// `E[x²]` of each feature, `[in_features]`; of a stack of experts one after the other.
    pub mean_squares: Vec<f32>,
    /// Inputs in the average; files of the old format count sequences.
    pub count: u64,
}

impl Imatrix {
    /// The diagonals of statistics. As in llama-imatrix, a tied token embedding has no entry: it is looked up as well as
    /// multiplied, and the diagonal speaks of one use alone.
    ///
    /// # Errors
    /// If the statistics cannot be read.
    pub fn of(
        statistics: &Statistics,
        checkpoint: &Checkpoint,
        datasets: Vec<String>,
    ) -> Result<Self, StatisticsError> {
        let table = checkpoint.spec.family.table();
        let mut entries = BTreeMap::new();
        let mut add = |id: TensorId, mean_squares: Vec<f32>, count| {
            if let Some(name) = table.gguf_name(id) {
                entries.insert(name, ImatrixEntry { mean_squares, count });
            }
        };
        let ids = checkpoint.spec.tensor_ids();
        for index in 0..checkpoint.spec.layers.len() {
            let layer = statistics.layer(index)?;
            for &id in ids.iter().filter(|id| id.layer == Some(index)) {
                if let Some(moments) = Site::of(id.role).and_then(|site| layer.site(site)) {
                    add(id, moments.diagonal(), moments.tokens());
                }
            }
        }
        if let Some(&id) = ids.iter().find(|id| id.role == Role::Output) {
            let moments = statistics.output()?;
            add(id, moments.diagonal(), moments.tokens());
        }
        let sequences = statistics.sequences();
        Ok(Self {
            entries,
            datasets,
            chunk_count: sequences.len() as u32,
            chunk_size: sequences.first().map_or(0, Vec::len) as u32,
        })
    }

    /// Writes llama.cpp's GGUF format: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), StatisticsError> {
        let mut metadata = Metadata::new();
        metadata.set(TYPE_KEY, "imatrix");
        metadata.set(DATASETS_KEY, self.datasets.clone());
        metadata.set(CHUNK_COUNT_KEY, self.chunk_count);
        metadata.set(CHUNK_SIZE_KEY, self.chunk_size);
        let tensor = |name: &str, suffix, length| NewTensor {
            name: format!("{name}{suffix}"),
            shape: vec![length],
            tensor_type: TensorType::F32,
        };
        let tensors: Vec<_> = self
            .entries
            .iter()
            .flat_map(|(name, entry)| {
                [tensor(name, SUMS_SUFFIX, entry.mean_squares.len()), tensor(name, COUNTS_SUFFIX, 1)]
            })
            .collect();
        let layout = GgufLayout::new(&metadata, &tensors)
            .map_err(|source| ModelError::Gguf { path: path.to_owned(), source })?;
        let unwritable = |source| StatisticsError::Write { path: path.to_owned(), source };
        let in_file = |source| ModelError::TensorWrite { path: path.to_owned(), source };
        let mut writer = layout.start(AtomicFile::create(path)?).map_err(unwritable)?;
        for (name, entry) in &self.entries {
            let count = entry.count as f32;
            let sums: Vec<f32> = entry.mean_squares.iter().map(|mean| mean * count).collect();
            writer.begin(&format!("{name}{SUMS_SUFFIX}")).map_err(in_file)?;
            writer.write_all(bytemuck::cast_slice(&sums)).map_err(in_file)?;
            writer.begin(&format!("{name}{COUNTS_SUFFIX}")).map_err(in_file)?;
            writer.write_all(&count.to_le_bytes()).map_err(in_file)?;
        }
        Ok(writer.finish().map_err(in_file)?.commit()?)
    }

    /// SHA-256 of the names and the numbers.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, entry) in &self.entries {
            hasher.update(name);
            hasher.update([0]);
            hasher.update(bytemuck::cast_slice::<f32, u8>(&entry.mean_squares));
        }
        hexadecimal(&hasher.finalize())
    }

    /// Reads a file of llama-imatrix: GGUF, or the format before it.
    ///
    /// # Errors
    /// If it is neither, or its numbers are no mean squares.
    pub fn read(path: &Path) -> Result<Self, StatisticsError> {
        let bytes =
            fs::read(path).map_err(|source| StatisticsError::Unreadable { path: path.to_owned(), source })?;
        let refuse = |reason| StatisticsError::Imatrix { path: path.to_owned(), reason };
        let imatrix = if bytes.starts_with(&GGUF_MAGIC) {
            from_gguf(&Gguf::open(path)?, path)?
        } else {
            parse_legacy(&bytes).map_err(refuse)?
        };
        if imatrix.entries.is_empty() {
            return Err(refuse("it has no entries".to_owned()));
        }
        for (name, entry) in &imatrix.entries {
            if let Some(value) =
                entry.mean_squares.iter().find(|value| !(value.is_finite() && **value >= 0.0))
            {
                return Err(refuse(format!("`{name}` has {value}, which is no mean square")));
            }
        }
        Ok(imatrix)
    }
}

fn from_gguf(gguf: &Gguf, path: &Path) -> Result<Imatrix, StatisticsError> {
    let refuse = |reason: String| StatisticsError::Imatrix { path: path.to_owned(), reason };
    if gguf.metadata.get(TYPE_KEY).and_then(MetadataValue::as_str) != Some("imatrix") {
        return Err(refuse("its general.type is not `imatrix`".to_owned()));
    }
    let mut numbers = BTreeMap::new();
    for tensor in &gguf.tensors {
        if tensor.tensor_type != TensorType::F32 {
            return Err(refuse(format!("`{}` is stored as {}, not f32", tensor.name, tensor.tensor_type)));
        }
        let bytes = gguf.files.map(tensor)?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect();
        numbers.insert(tensor.name.as_str(), values);
    }
    let mut entries = BTreeMap::new();
    for (name, sums) in &numbers {
        let Some(name) = name.strip_suffix(SUMS_SUFFIX) else { continue };
        let counts = numbers.get(format!("{name}{COUNTS_SUFFIX}").as_str());
        let counts = counts.filter(|counts| !counts.is_empty() && sums.len().is_multiple_of(counts.len()));
        let counts = counts.ok_or_else(|| refuse(format!("`{name}` has no counts that fit its sums")))?;
        let count = counts.iter().copied().fold(0.0, f32::max) as u64;
        entries.insert(name.to_owned(), ImatrixEntry { mean_squares: averages(sums, counts), count });
    }
    let number = |key| gguf.metadata.get(key).and_then(MetadataValue::as_u32).unwrap_or(0);
    let datasets = gguf.metadata.get(DATASETS_KEY).and_then(MetadataValue::as_strings);
    Ok(Imatrix {
        entries,
        datasets: datasets.unwrap_or_default().to_vec(),
        chunk_count: number(CHUNK_COUNT_KEY),
        chunk_size: number(CHUNK_SIZE_KEY),
    })
}

/// Sums by counts, of each expert by its own; one that never ran gets ones, as in llama-quantize.
fn averages(sums: &[f32], counts: &[f32]) -> Vec<f32> {
    let experts = sums.chunks_exact(sums.len() / counts.len()).zip(counts);
    let average = |(sums, &count): (&[f32], &f32)| {
        sums.iter().map(move |sum| if count > 0.0 { sum / count } else { 1.0 }).collect::<Vec<_>>()
    };
    experts.flat_map(average).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imatrix() -> Imatrix {
        let entry = |mean_squares: &[f32]| ImatrixEntry { mean_squares: mean_squares.to_vec(), count: 1024 };
        Imatrix {
            entries: [
                ("blk.0.attn_q.weight".to_owned(), entry(&[0.5, 2.0, 0.0])),
                ("output.weight".to_owned(), entry(&[1.0])),
            ]
            .into(),
            datasets: vec!["built-in".to_owned()],
            chunk_count: 2,
            chunk_size: 512,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imatrix.gguf");
        imatrix().write(&path).unwrap();
        assert_eq!(Imatrix::read(&path).unwrap(), imatrix());
    }

    #[test]
    fn experts_are_averaged_each_by_its_own_count() {
        assert_eq!(
            averages(&[2.0, 4.0, 9.0, 3.0, 5.0, 6.0], &[2.0, 3.0, 0.0]),
            [1.0, 2.0, 3.0, 1.0, 1.0, 1.0]
        );
    }

    #[test]
    fn what_is_no_importance_matrix_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imatrix.gguf");
        let refused = |words: &str| {
            let error = Imatrix::read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        let mut negative = imatrix();
        negative.entries.get_mut("output.weight").unwrap().mean_squares[0] = -1.0;
        negative.write(&path).unwrap();
        refused("no mean square");
        Imatrix::default().write(&path).unwrap();
        refused("no entries");
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/demo/demo.gguf"), &path).unwrap();
        refused("general.type");
    }
}
