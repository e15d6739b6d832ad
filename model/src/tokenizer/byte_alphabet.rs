//! The two spellings of bytes as text: GPT-2's alphabet of 256 visible characters, and SentencePiece's `<0x0A>`.

/// The character that stands for a byte in GPT-2's alphabet: printable Latin-1 characters for themselves, the 68 others
/// by the characters from U+0100, in order.
pub(super) fn char_of_byte(byte: u8) -> char {
    if is_itself(byte) {
        return char::from(byte);
    }
    let position = (0..byte).filter(|&other| !is_itself(other)).count() as u32;
    char::from_u32(0x100 + position).unwrap_or(char::REPLACEMENT_CHARACTER) // at most 0x100 + 67, always a character
}

/// The byte that a character stands for in GPT-2's alphabet.
pub(super) fn byte_of_char(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..=0xFF => Some(code as u8).filter(|&byte| is_itself(byte)),
        code @ 0x100..=0x143 => (0..=u8::MAX).filter(|&byte| !is_itself(byte)).nth(code as usize - 0x100),
        _ => None,
    }
}

/// The bytes that a text in GPT-2's alphabet stands for; `None` if it has another character.
pub(super) fn bytes_of_text(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte_of_char).collect()
}

/// The byte of a token spelled `<0x0A>`.
pub(super) fn byte_of_token(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_that_of_the_tokenizers_crate() {
        let ours: std::collections::BTreeSet<char> = (0..=u8::MAX).map(char_of_byte).collect();
        let theirs = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
        assert_eq!(ours, theirs);
        assert_eq!([b' ', b'\n', b'A', 0xAD].map(char_of_byte), ['Ġ', 'Ċ', 'A', 'Ń']);
    }

    #[test]
    fn characters_lead_back_to_their_bytes() {
        for byte in 0..=u8::MAX {
            assert_eq!(byte_of_char(char_of_byte(byte)), Some(byte));
        }
        assert_eq!(bytes_of_text("Ġhé"), Some(vec![b' ', b'h', 0xE9]));
        assert_eq!(bytes_of_text("a b"), None);
    }

    #[test]
    fn byte_tokens_have_two_digits() {
        assert_eq!(byte_of_token("<0x0A>"), Some(10));
        assert_eq!(byte_of_token("<0xfF>"), Some(255));
        for other in ["<0x0>", "<0x+1>", "<0x00", "0x00>", "<0x000>", "<0xé>"] {
            assert_eq!(byte_of_token(other), None, "{other}");
        }
    }
}
