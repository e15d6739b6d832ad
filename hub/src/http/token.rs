//! The secret that opens private and gated models.

use std::fmt;

use crate::HubError;

/// A token; it shows itself to nobody but the Hub.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// `Bearer …`
    header: String,
}

impl Token {
    /// Takes a token as people store it, with spaces and line ends around it; `None` if there is nothing else.
    ///
    /// # Errors
    /// When it has characters that cannot stand in a header.
    pub fn new(text: &str) -> Result<Option<Self>, HubError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::TokenText);
        }
        Ok(Some(Self { header: format!("Bearer {text}") }))
    }

    pub(super) fn header(&self) -> &str {
        &self.header
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_never_shown() {
        let token = Token::new(" hf_secret\n").unwrap().unwrap();
        assert_eq!(token.header(), "Bearer hf_secret");
        assert!(!format!("{token:?} {:?}", Some(&token)).contains("secret"));
        assert_eq!(Token::new(" \n").unwrap(), None);
    }

    #[test]
    fn a_token_cannot_smuggle_headers() {
        for text in ["a\r\nX: y", "a b", "ä"] {
            let error = Token::new(text).unwrap_err();
            assert!(matches!(error, HubError::TokenText));
            assert!(!error.to_string().contains(text));
        }
    }
}
