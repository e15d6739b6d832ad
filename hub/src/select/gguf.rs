//! GGUF models in a repository: which file of many is meant, and which files are its parts.

use super::{Selected, has_extension, is_pickle, listed, only_pickle};
use crate::HubError;

/// Words in the names of GGUF files that are no models of their own.
const SIDECARS: [&str; 3] = ["mmproj", "imatrix", "mtp-"];

/// The GGUF model of a repository that has one.
pub(super) fn only_gguf(repo: &str, paths: &[String]) -> Result<Selected, HubError> {
    let models = gguf_models(paths);
    match models.as_slice() {
        [] => {
            let pickles: Vec<String> = paths.iter().filter(|path| is_pickle(path)).cloned().collect();
            if pickles.is_empty() {
                return Err(HubError::NoWeights { repo: repo.to_owned() });
            }
            Err(only_pickle(repo, &pickles))
        }
        [only] => Ok(with_parts(paths, only)),
        [first, ..] => Err(HubError::ManyGguf {
            repo: repo.to_owned(),
            count: models.len(),
            example: (*first).to_owned(),
            names: listed(&models),
        }),
    }
}

/// The GGUF model that `org/name:…` means: a file by its name, or the first whose name has that type, as llama.cpp's `-hf` takes it.
pub(super) fn gguf_named(repo: &str, paths: &[String], wanted: &str) -> Result<Selected, HubError> {
    let models = gguf_models(paths);
    let is_file = |path: &&&str| **path == wanted || path.rsplit('/').next() == Some(wanted);
    let by_name = models.iter().find(is_file);
    let found = by_name.or_else(|| models.iter().find(|path| has_type(path, wanted)));
    match found {
        Some(path) => Ok(with_parts(paths, path)),
        None => Err(HubError::NoSuchFile {
            repo: repo.to_owned(),
            file: wanted.to_owned(),
            hint: if models.is_empty() {
                "it has no GGUF models".to_owned()
            } else {
                format!("its GGUF models are {}", listed(&models))
            },
        }),
    }
}

/// The first file of every GGUF model.
fn gguf_models(paths: &[String]) -> Vec<&str> {
    let is_model = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_later_part = part(path).is_some_and(|part| part.number != 1);
        has_extension(path, &["gguf"]) && !is_later_part && !SIDECARS.iter().any(|word| name.contains(word))
    };
    paths.iter().map(String::as_str).filter(is_model).collect()
}

/// A GGUF model with all its parts.
fn with_parts(paths: &[String], first: &str) -> Selected {
    let of_the_same = |path: &&String| match (part(first), part(path)) {
        (Some(first), Some(other)) => first.stem == other.stem && first.count == other.count,
        _ => path.as_str() == first,
    };
    Selected {
        paths: paths.iter().filter(of_the_same).cloned().collect(),
        gguf: Some(first.to_owned()),
        pickles: Vec::new(),
    }
}

/// What `stem-00001-of-00003.gguf` says.
struct Part<'a> {
    stem: &'a str,
    number: u32,
    count: u32,
}

fn part(path: &str) -> Option<Part<'_>> {
    let (rest, count) = path.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    (number.len() == 5 && count.len() == 5).then_some(())?;
    Some(Part { stem, number: number.parse().ok()?, count: count.parse().ok()? })
}

/// True if a file's name has this type as a word: `model-Q4_K_M.gguf`, `model.q4_k_m-00001-of-00002.gguf`.
fn has_type(path: &str, wanted: &str) -> bool {
    let (path, wanted) = (path.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    path.match_indices(&wanted).any(|(start, _)| {
        let before = path[..start].chars().next_back();
        let after = path[start + wanted.len()..].chars().next();
        before.is_none_or(|letter| !letter.is_ascii_alphanumeric()) && matches!(after, Some('.' | '-'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Selection;
    use super::super::tests::choose;
    use crate::HubError;

    #[test]
    fn a_gguf_model_is_named_by_file_or_type() {
        let paths = [
            "README.md",
            "big/m-Q8_0-00001-of-00002.gguf",
            "big/m-Q8_0-00002-of-00002.gguf",
            "m-IQ4_XS.gguf",
            "m-Q4_K_M.gguf",
            "mmproj-m-Q4_K_M.gguf",
        ];
        for (wanted, expected) in [
            ("q4_k_m", &paths[4..5]),
            ("m-IQ4_XS.gguf", &paths[3..4]),
            ("Q8_0", &paths[1..3]),
            ("m-Q8_0-00001-of-00002.gguf", &paths[1..3]),
        ] {
            let selected = choose(&paths, Some(wanted), &Selection::default()).unwrap();
            assert_eq!(selected.paths, expected, "{wanted}");
            assert_eq!(selected.gguf.as_deref(), Some(expected[0]));
        }
        for wanted in ["Q4_K", "4_XS", "Q4_K_M.safetensors"] {
            let error = choose(&paths, Some(wanted), &Selection::default()).unwrap_err();
            assert!(matches!(error, HubError::NoSuchFile { .. }), "{wanted}");
        }
        assert!(matches!(
            choose(&paths, None, &Selection::default()),
            Err(HubError::ManyGguf { count: 3, .. })
        ));
        let one = choose(&paths[..3], None, &Selection::default()).unwrap();
        assert_eq!(one.paths, paths[1..3]);
    }
}
