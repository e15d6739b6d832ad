//! Where things are kept that can be made again.

use std::env;
use std::path::PathBuf;

/// The user's system names no folder for caches.
#[derive(Debug, thiserror::Error)]
#[error("there is no cache folder: set SECATEUR_CACHE, XDG_CACHE_HOME or HOME, or give --out")]
pub struct NoCacheFolder;

/// `$SECATEUR_CACHE`, else `$XDG_CACHE_HOME/secateur`, else `~/.cache/secateur`.
pub fn folder() -> Result<PathBuf, NoCacheFolder> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("SECATEUR_CACHE") {
        return Ok(folder);
    }
    let base = set("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")));
    base.map(|base| base.join("secateur")).ok_or(NoCacheFolder)
}
