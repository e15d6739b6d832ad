//! Files of a checkpoint folder that may be links, as in the cache of the Hugging Face Hub, but not to anywhere.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::ModelError;

/// True if this is the name of a file in the folder itself: no path, no `..`, nothing absolute.
pub(super) fn is_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    // a backslash separates on Windows only, but no file of a checkpoint needs one
    matches!(components.next(), Some(Component::Normal(only)) if only == OsStr::new(name))
        && components.next().is_none()
        && !name.contains('\\')
}

/// The path of a file in a checkpoint folder, `None` if there is no such file.
///
/// A snapshot in the Hub's cache links to `../../blobs`; such links are followed as long as they stay in the folder or in the same
/// `models--*` folder of a cache. A downloaded folder must not make us read other files of the user.
///
/// # Errors
/// When a link leads elsewhere or nowhere, when the name belongs to a folder or a device.
pub fn find_file(folder: &Path, name: &str) -> Result<Option<PathBuf>, ModelError> {
    let path = folder.join(name);
    let unreadable = |source| ModelError::Io { path: path.clone(), source };
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(unreadable)?,
    };
    let target = fs::canonicalize(&path).map_err(unreadable)?;
    let home = fs::canonicalize(folder).map_err(unreadable)?;
    if !target.starts_with(cache_folder(&home).unwrap_or(&home)) {
        return Err(ModelError::LinkLeadsOut { path, target });
    }
    if !target.is_file() {
        return Err(ModelError::NotAFile { path });
    }
    Ok(Some(path))
}

/// The `models--*` folder around a snapshot, if it is one of a Hub cache.
fn cache_folder(snapshot: &Path) -> Option<&Path> {
    snapshot.ancestors().find(|folder| {
        folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"models--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_file_names() {
        for name in ["model-00001-of-00002.safetensors", "a b", "..a"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in ["", ".", "..", "../a", "a/b", "/a", "a/", "./a", "a\\b", "a/.."] {
            assert!(!is_file_name(name), "{name}");
        }
    }

    #[cfg(unix)]
    mod links {
        use std::os::unix::fs::symlink;

        use super::super::*;

        /// `models--org--name/snapshots/1` inside a folder that has a file `secret`.
        fn cache() -> (tempfile::TempDir, PathBuf) {
            let root = tempfile::tempdir().unwrap();
            let model = root.path().join("models--org--name");
            fs::create_dir_all(model.join("snapshots/1")).unwrap();
            fs::create_dir_all(model.join("blobs")).unwrap();
            fs::write(model.join("blobs/abc"), "weights").unwrap();
            fs::write(root.path().join("secret"), "secret").unwrap();
            let snapshot = model.join("snapshots/1");
            (root, snapshot)
        }

        #[test]
        fn a_link_to_the_blobs_of_the_same_model_is_followed() {
            let (_root, snapshot) = cache();
            symlink("../../blobs/abc", snapshot.join("model.safetensors")).unwrap();
            let path = find_file(&snapshot, "model.safetensors").unwrap().unwrap();
            assert_eq!(fs::read(path).unwrap(), b"weights");
        }

        #[test]
        fn a_link_out_of_the_cache_folder_is_refused() {
            let (root, snapshot) = cache();
            symlink("../../../secret", snapshot.join("model.safetensors")).unwrap();
            let error = find_file(&snapshot, "model.safetensors").unwrap_err();
            let secret = fs::canonicalize(root.path().join("secret")).unwrap();
            assert!(matches!(error, ModelError::LinkLeadsOut { target, .. } if target == secret));
        }

        #[test]
        fn a_link_out_of_a_plain_folder_is_refused() {
            let (root, _snapshot) = cache();
            let folder = root.path().join("plain");
            fs::create_dir(&folder).unwrap();
            symlink("../secret", folder.join("model.safetensors")).unwrap();
            assert!(matches!(find_file(&folder, "model.safetensors"), Err(ModelError::LinkLeadsOut { .. })));
        }

        #[test]
        fn a_link_inside_the_folder_is_followed_even_when_the_folder_is_a_link() {
            let (root, snapshot) = cache();
            fs::write(snapshot.join("real"), "x").unwrap();
            symlink("real", snapshot.join("model.safetensors")).unwrap();
            symlink(&snapshot, root.path().join("shortcut")).unwrap();
            assert!(find_file(&root.path().join("shortcut"), "model.safetensors").unwrap().is_some());
        }

        #[test]
        fn a_link_to_nowhere_is_an_error_and_not_a_missing_file() {
            let (_root, snapshot) = cache();
            symlink("../../blobs/none", snapshot.join("model.safetensors")).unwrap();
            assert!(matches!(find_file(&snapshot, "model.safetensors"), Err(ModelError::Io { .. })));
        }
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("model.safetensors")).unwrap();
        assert!(matches!(find_file(folder.path(), "model.safetensors"), Err(ModelError::NotAFile { .. })));
        assert_eq!(find_file(folder.path(), "config.json").unwrap(), None);
    }
}
