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

/// Cuts a text into chunks that can be tokenized side by side: between lines, before one that is not indented, so that runs of space that make one token
/// stay whole.
pub(super) fn chunks(text: &str) -> Vec<&str> {
    chunks_of(text, CHUNK_BYTES)
}

/// Cuts a text into up to so many parts of about the same size, the same way.
pub(super) fn parts(text: &str, count: usize) -> Vec<&str> {
    chunks_of(text, text.len().div_ceil(count.max(1)).max(1))
}

fn chunks_of(text: &str, bytes: usize) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        // one space belongs to the word behind it
        let is_indented = line.strip_prefix(' ').unwrap_or(line).starts_with(char::is_whitespace);
        if end - start >= bytes && !is_indented {
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

    #[test]
    fn parts_are_about_equal_and_may_start_with_one_space() {
        assert_eq!(parts("one line", 4), ["one line"]);
        let text = " = A title =\n\n  some words\n".repeat(1000);
        let parts = parts(&text, 4);
        assert_eq!((parts.len(), parts.concat()), (4, text.clone()));
        assert!(parts.iter().all(|part| part.len().abs_diff(text.len() / 4) < 100));
        assert!(parts.iter().all(|part| part.starts_with(" = A")));
    }
}
