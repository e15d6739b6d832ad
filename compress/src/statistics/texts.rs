//! Where the calibration text comes from.

use std::fs;
use std::path::{Path, PathBuf};

use super::StatisticsError;

/// Prose, sixteen languages, code, conversations and numbers, in turns; `compress/data/README.md` says where they are from.
pub const BUILT_IN_TEXT: &str = include_str!("../../data/calibration.txt");

/// What the text in the program is called.
pub const BUILT_IN_NAME: &str = "built-in text";

/// A text, and what it is called: the file, or the folder with others, that was named for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Without the path to it: the same text elsewhere is the same text.
    pub name: String,
    /// What it says.
    pub content: String,
}

/// What files a folder's texts are in.
const EXTENSIONS: [&str; 2] = ["txt", "md"];

/// Reads a text file, or all `.txt` and `.md` files below a folder in the order of their names.
///
/// # Errors
/// If a file cannot be read or is not UTF-8, or the folder holds no such file.
pub fn read_texts(path: &Path) -> Result<Vec<Text>, StatisticsError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = |file: &Path| Ok(Text { name: name.clone().into_owned(), content: read_text(file)? });
    if !path.is_dir() {
        return Ok(vec![text(path)?]);
    }
    let mut files = Vec::new();
    list_texts(path, &mut files)?;
    if files.is_empty() {
        return Err(StatisticsError::NoTexts { path: path.to_owned() });
    }
    files.sort();
    files.iter().map(|file| text(file)).collect()
}

fn read_text(path: &Path) -> Result<String, StatisticsError> {
    let bytes =
        fs::read(path).map_err(|source| StatisticsError::Unreadable { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        StatisticsError::NotUtf8 { path: path.to_owned(), offset }
    })
}

fn list_texts(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), StatisticsError> {
    let unreadable = |source| StatisticsError::Unreadable { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        // a link to a folder is not followed: it may lead in circles
        if entry.file_type().map_err(unreadable)?.is_dir() {
            list_texts(&path, files)?;
        } else if EXTENSIONS.contains(&extension) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// What all of these files and folders hold, or the text in the program if there are none.
///
/// # Errors
/// As [`read_texts`].
pub fn texts_or_built_in(paths: &[PathBuf]) -> Result<Vec<Text>, StatisticsError> {
    if paths.is_empty() {
        return Ok(vec![Text { name: BUILT_IN_NAME.to_owned(), content: BUILT_IN_TEXT.to_owned() }]);
    }
    let texts = paths.iter().map(|path| read_texts(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_texts_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        for (name, text) in [("c.txt", "third"), ("b/x.md", "second"), ("a.txt", "first"), ("d.pdf", "none")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let contents = |path: &Path| -> Vec<String> {
            read_texts(path).unwrap().into_iter().map(|text| text.content).collect()
        };
        assert_eq!(contents(folder.path()), ["first", "second", "third"]);
        assert_eq!(contents(&folder.path().join("d.pdf")), ["none"]);
        let names: Vec<String> =
            read_texts(&folder.path().join("b")).unwrap().into_iter().map(|text| text.name).collect();
        assert_eq!(names, ["b"]);
    }

    #[test]
    fn what_is_no_text_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_texts(folder.path()), Err(StatisticsError::NoTexts { .. })));
        let path = folder.path().join("latin1.txt");
        fs::write(&path, b"caf\xe9").unwrap();
        let error = read_texts(folder.path()).unwrap_err();
        assert!(
            matches!(&error, StatisticsError::NotUtf8 { path: found, offset: 3 } if *found == path),
            "{error}"
        );
        assert!(matches!(
            read_texts(&folder.path().join("nothing")),
            Err(StatisticsError::Unreadable { .. })
        ));
    }

    #[test]
    fn the_built_in_text_is_not_what_models_are_judged_on() {
        let judge = include_str!("../../../tests/data/judge.txt");
        let long_lines = judge.lines().filter(|line| line.len() > 60);
        assert_eq!(long_lines.filter(|line| BUILT_IN_TEXT.contains(&line[..40])).count(), 0);
        assert!(BUILT_IN_TEXT.len() < 200_000);
    }
}
