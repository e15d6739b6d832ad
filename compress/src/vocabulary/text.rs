//! Texts with a name, and the pieces in which they are looked at.

/// A text of one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedText<'a> {
    /// What messages and reports call it.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

/// Bytes of a chunk, about. A token across the border of two is not seen, which is one in tens of thousands.
const CHUNK_BYTES: usize = 1 << 16;

/// Cuts a text into chunks that can be tokenized side by side: between lines, before one that does not start with
/// space, so that runs of empty lines stay whole.
pub(super) fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let indented = line.starts_with(char::is_whitespace);
        if end - start >= CHUNK_BYTES && !indented {
            chunks.push(&text[start..end]);
            start = end;
        }
        end += line.len();
    }
    if end > start {
        chunks.push(&text[start..end]);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_the_text_and_start_with_no_space() {
        let text = "some words\n\n  more of them\n".repeat(20_000);
        let chunks = chunks(&text);
        assert!(chunks.len() > 4);
        assert_eq!(chunks.concat(), text);
        assert!(chunks.iter().all(|chunk| chunk.starts_with("some")));
        assert!(super::chunks("").is_empty());
    }
}
