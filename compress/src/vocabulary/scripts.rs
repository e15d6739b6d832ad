//! Choosing tokens by the scripts that they are written in.

use regex::Regex;

use super::VocabularyError;

/// Some of Unicode's scripts, with what all scripts share: digits, punctuation, symbols, emoji, combining accents.
#[derive(Debug, Clone)]
pub struct Scripts {
    within: Regex,
}

impl Scripts {
    /// The scripts of these names, as Unicode has them, in upper or lower case: `latin`, `Cyrillic`, `han`.
    ///
    /// # Errors
    /// When a name is none.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, VocabularyError> {
        let unknown = |name: &str| VocabularyError::UnknownScript { name: name.to_owned() };
        let mut classes = String::from(r"\p{Script=Common}\p{Script=Inherited}");
        for name in names {
            let name = name.as_ref().trim();
            let plain = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b' ');
            let class = format!(r"\p{{Script={name}}}");
            if !plain || Regex::new(&class).is_err() {
                return Err(unknown(name));
            }
            classes.push_str(&class);
        }
        let within = Regex::new(&format!("^[{classes}]*$")).map_err(|_| unknown(&classes))?;
        Ok(Self { within })
    }

    /// True if all characters are of these scripts. Bytes that are not UTF-8 are of no script.
    pub fn hold(&self, bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_ok_and(|text| self.within.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_held_if_all_its_characters_are() {
        let scripts = Scripts::new(&["latin", "Cyrillic"]).unwrap();
        for text in [" the", "Größe", "привет", "e\u{301}", "x²", " 123", "👩‍👩‍👧", "\n\n", "“—”", ""]
        {
            assert!(scripts.hold(text.as_bytes()), "{text}");
        }
        for text in ["αβγ", "日本", "latin日", "हिन्दी", "٣"] {
            assert!(!scripts.hold(text.as_bytes()), "{text}");
        }
        assert!(!scripts.hold(b"\xe6\x97"));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["klingon", "", "latin}", "L"] {
            let error = Scripts::new(&["latin", name]).unwrap_err();
            assert!(
                matches!(&error, VocabularyError::UnknownScript { name: found } if found == name),
                "{error}"
            );
        }
    }
}
