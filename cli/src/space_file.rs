//! What a search may choose from, as a file says it:
//!
//! ```yaml
//! layers: [28, 26]
//! ffn: []               # as wide as it is
//! vocabulary: [16384]
//! cache: [q8_0, q4_0]  # keys and values, beside f16
//! types:
//!   - tensors: token_embd
//!     types: [q5_0, q8_0]
//! ```

use std::path::{Path, PathBuf};

use secateur_plans::Offer;

use crate::arguments::{EffortArguments, StageArgument};
use crate::exit::Exit;

/// A space that cannot be searched.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no space, which is a YAML mapping of layers, heads, ffn, uneven, vocabulary, cache and types: {source}", path.display())]
    NotASpace { path: PathBuf, source: serde_saphyr::Error },
    #[error("`{}` offers `{key}`, and `--stages` leaves `{stage}` out; name that stage, or leave `{key}` out", path.display())]
    StageLeftOut { path: PathBuf, key: &'static str, stage: &'static str },
    #[error(
        "`{}` offers `vocabulary`; tokens are left out by what a text needs: name one with `--text`", path.display()
    )]
    NoText { path: PathBuf },
}

impl SpaceError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreadable { .. } => Exit::Unusable,
            _ => Exit::Usage,
        }
    }
}

/// What a file offers to choose from, held against what may be cut.
///
/// # Errors
/// If it cannot be read, is no space, or offers what may not be cut.
pub fn read_space(path: &Path, effort: &EffortArguments, texts: &[PathBuf]) -> Result<Offer, SpaceError> {
    let path = path.to_owned();
    let text = std::fs::read_to_string(&path)
        .map_err(|source| SpaceError::Unreadable { path: path.clone(), source })?;
    let offer: Offer = serde_saphyr::from_str(&text)
        .map_err(|source| SpaceError::NotASpace { path: path.clone(), source })?;
    let is_offered = |list: &Option<Vec<usize>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let lists = [("layers", &offer.layers), ("heads", &offer.heads), ("ffn", &offer.ffn)];
    let listed = lists.into_iter().find(|(_, list)| is_offered(list)).map(|(key, _)| key);
    if let Some(key) = listed.or((offer.uneven == Some(true)).then_some("uneven"))
        && !effort.may_cut(StageArgument::Shape)
    {
        return Err(SpaceError::StageLeftOut { path, key, stage: "shape" });
    }
    if is_offered(&offer.vocabulary) {
        if !effort.may_cut(StageArgument::Vocabulary) {
            return Err(SpaceError::StageLeftOut { path, key: "vocabulary", stage: "vocabulary" });
        }
        if texts.is_empty() {
            return Err(SpaceError::NoText { path });
        }
    }
    Ok(offer)
}
