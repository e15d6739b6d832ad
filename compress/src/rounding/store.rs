//! Rounded matrices on disk, a file for each layer: written once, so that a run that was stopped goes on, and read when the
//! artifact is written.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use secateur_model::atomic_file::AtomicFile;
use secateur_model::{Checkpoint, HeldTensor, TensorId, TensorType};
use sha2::{Digest, Sha256};

use crate::CompressError;
use crate::checksum::hexadecimal;

/// Matrices as they will be stored, rows in our order.
pub type RoundedMatrices = BTreeMap<TensorId, Vec<u8>>;

/// A folder of rounded matrices that belong to one plan, one set of statistics and one version.
/// Runs with the same plan share it.
#[derive(Debug)]
pub struct RoundedStore {
    folder: PathBuf,
    /// Locked, and shared with other runs, as long as this one needs the folder.
    lock: File,
}

/// In the folder, locked by every run that needs it.
const LOCK_NAME: &str = "lock";

/// A part of a model that is rounded at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The token embedding, and the output matrix if there is one.
    Vocabulary,
    /// A layer.
    Layer(usize),
}

impl Part {
    /// The part that a matrix belongs to.
    pub fn of(id: TensorId) -> Self {
        id.layer.map_or(Self::Vocabulary, Self::Layer)
    }

    fn file_name(self) -> String {
        match self {
            Self::Vocabulary => "vocabulary.safetensors".to_owned(),
            Self::Layer(layer) => format!("layer-{layer:03}.safetensors"),
        }
    }
}

/// What is rounded toward; matrices of another goal are in another folder.
const GOAL: &str = "before-shape-as-given";

impl RoundedStore {
    /// In `cache`, the folder that belongs to `subject`: a text that differs when anything differs that the bytes depend on.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn begin(cache: &Path, subject: &str) -> Result<Self, CompressError> {
        let version = env!("CARGO_PKG_VERSION");
        let digest = hexadecimal(&Sha256::digest(format!("rounded {GOAL} {version} {subject}").as_bytes()));
        let folder = cache.join("rounded").join(&digest[..32]);
        let unwritable = |source| CompressError::Write { path: folder.clone(), source };
        loop {
            fs::create_dir_all(&folder).map_err(unwritable)?;
            let path = folder.join(LOCK_NAME);
            let lock = match File::create(&path) {
                Ok(lock) => lock,
                // the run that was the last has just removed the folder
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unwritable(error)),
            };
            // where locks are not supported there is nobody to wait for that we could see
            let _ = lock.lock_shared();
            if path.is_file() {
                return Ok(Self { folder, lock });
            }
        }
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a part: whole, or not at all.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn keep(&self, part: Part, matrices: &RoundedMatrices) -> Result<(), CompressError> {
        let path = self.folder.join(part.file_name());
        let unwritable = |source| CompressError::Write { path: path.clone(), source };
        let views: Vec<(String, safetensors::tensor::TensorView)> = matrices
            .iter()
            .map(|(id, bytes)| {
                let view =
                    safetensors::tensor::TensorView::new(safetensors::Dtype::U8, vec![bytes.len()], bytes);
                view.map(|view| (key(*id), view))
            })
            .collect::<Result<_, _>>()
            .map_err(|error| unwritable(io::Error::other(error)))?;
        let digest = digest(matrices);
        let metadata = [("sha256".to_owned(), digest)].into();
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| unwritable(io::Error::other(error)))?;
        let mut file = AtomicFile::create(&path)?;
        io::Write::write_all(&mut file, &bytes).map_err(unwritable)?;
        Ok(file.commit()?)
    }

    /// The matrices of a part, if it is there as it was written; `wanted` names them.
    pub fn part(&self, part: Part, wanted: &[TensorId]) -> Option<RoundedMatrices> {
        let bytes = fs::read(self.folder.join(part.file_name())).ok()?;
        let (_, header) = SafeTensors::read_metadata(&bytes).ok()?;
        let file = SafeTensors::deserialize(&bytes).ok()?;
        let matrices: RoundedMatrices = wanted
            .iter()
            .map(|&id| Some((id, file.tensor(&key(id)).ok()?.data().to_vec())))
            .collect::<Option<_>>()?;
        let expected = header.metadata().as_ref()?.get("sha256")?;
        (digest(&matrices) == *expected).then_some(matrices)
    }

    /// A model with all of its matrices as they are here, in these types.
    ///
    /// # Errors
    /// If a part is not here as it was written, or of another model.
    pub fn applied(&self, checkpoint: &Checkpoint, types: &Types) -> Result<Checkpoint, CompressError> {
        let layers = (0..checkpoint.spec.layers.len()).map(Part::Layer);
        let mut held = Vec::new();
        for part in std::iter::once(Part::Vocabulary).chain(layers) {
            let wanted = matrices_of(checkpoint, part);
            let matrices = self.part(part, &wanted).ok_or(CompressError::RoundedGone)?;
            for (id, bytes) in matrices {
                let tensor_type = *types.get(&id).ok_or(CompressError::RoundedGone)?;
                held.push(HeldTensor { id, tensor_type, bytes: bytes.into() });
            }
        }
        Ok(checkpoint.clone().with_held(held)?)
    }

    /// Removes everything, since the artifact holds it now; the last of several runs does.
    pub fn remove(self) {
        let _ = self.lock.unlock();
        if !matches!(self.lock.try_lock(), Err(TryLockError::WouldBlock)) {
            // what stays behind is only a cache
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn key(id: TensorId) -> String {
    format!("{:?}", id.role)
}

fn digest(matrices: &RoundedMatrices) -> String {
    let mut hasher = Sha256::new();
    matrices.values().for_each(|bytes| hasher.update(bytes));
    hexadecimal(&hasher.finalize())
}

/// The matrices of a part that are rounded.
pub fn matrices_of(checkpoint: &Checkpoint, part: Part) -> Vec<TensorId> {
    let ids = checkpoint.spec.tensor_ids().into_iter();
    ids.filter(|id| id.role.is_matrix() && Part::of(*id) == part).collect()
}

/// What a matrix will be stored as.
pub type Types = BTreeMap<TensorId, TensorType>;

#[cfg(test)]
mod tests {
    use secateur_model::Role;

    use super::*;

    #[test]
    fn parts_come_back_whole_or_not_at_all() {
        let cache = tempfile::tempdir().unwrap();
        let store = RoundedStore::begin(cache.path(), "one").unwrap();
        let ids = [TensorId::in_layer(3, Role::FfnUp), TensorId::in_layer(3, Role::FfnDown)];
        let matrices: RoundedMatrices = [(ids[0], vec![1, 2, 3]), (ids[1], vec![4])].into();
        assert_eq!(store.part(Part::Layer(3), &ids), None);
        store.keep(Part::Layer(3), &matrices).unwrap();
        assert_eq!(store.part(Part::Layer(3), &ids), Some(matrices));

        let path = store.folder.join("layer-003.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(store.part(Part::Layer(3), &ids), None);

        let other = RoundedStore::begin(cache.path(), "another").unwrap();
        assert_ne!(other.folder, store.folder);
        // another run with the same plan is not done yet
        let beside = RoundedStore::begin(cache.path(), "one").unwrap();
        store.remove();
        assert!(path.exists());
        beside.remove();
        assert!(!path.exists());
    }
}
