//! The profiles inside the program, and those in the user's files.

use std::path::Path;

use rayon::prelude::*;

use crate::profile::{Profile, ProfileError};

include!("../data/devices/embedded.rs");

/// Ids of all embedded profiles, in alphabetical order.
pub fn ids() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(id, _)| *id)
}

/// Every embedded profile.
///
/// # Errors
/// None that the tests have not seen.
pub fn all() -> Result<Vec<Profile>, ProfileError> {
    EMBEDDED.par_iter().map(|(id, text)| Profile::from_yaml(id, text)).collect()
}

/// The profile with this id, or in this file.
///
/// # Errors
/// If there is neither, with the nearest ids; if the file is no profile.
pub fn find(name: &str) -> Result<Profile, ProfileError> {
    if let Some((id, text)) = EMBEDDED.iter().find(|(id, _)| *id == name) {
        return Profile::from_yaml(id, text);
    }
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_file || path.is_file() {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProfileError::Unreadable { file: name.to_owned(), source })?;
        return Profile::from_yaml(name, &text);
    }
    Err(ProfileError::Unknown { found: name.to_owned(), nearest: nearest(name).join(", ") })
}

/// The three ids that look most like a name: by shared words first, then by edits.
fn nearest(name: &str) -> Vec<&'static str> {
    let name = name.to_lowercase();
    let words: Vec<&str> = name.split(['-', ' ', '_']).filter(|word| !word.is_empty()).collect();
    let mut ranked: Vec<(usize, usize, &str)> = ids()
        .map(|id| {
            let shared = words.iter().filter(|word| id.contains(**word)).count();
            (words.len() - shared, strsim::levenshtein(id, &name), id)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, _, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_profile_is_valid_and_stands_under_its_id() {
        let profiles = all().unwrap();
        assert!(profiles.len() >= 20);
        for (profile, id) in profiles.iter().zip(ids()) {
            assert_eq!(profile.id, id);
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_nearest_names() {
        let error = find("rasberry-pi-5").unwrap_err().to_string();
        assert!(error.contains("raspberry-pi-5-"), "{error}");
    }
}
