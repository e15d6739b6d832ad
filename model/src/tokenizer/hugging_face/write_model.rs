//! `tokenizer.model` from the value: the only file of a Hugging Face folder that holds the scores, and the one that
//! llama.cpp's converter wants for SentencePiece.

use super::model_file::{BYTE_PAIRS, model, normalizer, piece, trainer};
use crate::tokenizer::keep::padding_text;
use crate::tokenizer::{Special, Token, TokenKind, Tokenizer, TokenizerKind};

/// The bytes of the file. `None` for other kinds, and where SentencePiece would refuse the vocabulary: it wants a token
/// for the unknown, and a token for each byte or for none.
pub(super) fn write(tokenizer: &Tokenizer) -> Option<Vec<u8>> {
    let unknown = tokenizer.special(Special::Unknown)? as usize;
    let byte_tokens = tokenizer.tokens.iter().filter(|token| token.kind == TokenKind::Byte).count();
    if tokenizer.kind != TokenizerKind::SentencePiece || !matches!(byte_tokens, 0 | 256) {
        return None;
    }
    let padding = |(id, token): (usize, &Token)| {
        token.kind == TokenKind::Unused && token.text == padding_text(id as u32)
    };
    let count = 1 + (0..tokenizer.tokens.len()).rev().find(|&id| !padding((id, &tokenizer.tokens[id])))?;

    let mut file = Message::default();
    for (id, token) in tokenizer.tokens[..count].iter().enumerate() {
        let kind = match token.kind {
            _ if id == unknown => TokenKind::Unknown,
            // SentencePiece takes one only
            TokenKind::Unknown => TokenKind::Control,
            kind => kind,
        };
        file.message(model::PIECES, &write_piece(token, kind));
    }
    file.message(model::TRAINER, &write_trainer(tokenizer, count, byte_tokens > 0));
    file.message(model::NORMALIZER, &write_normalizer(tokenizer.adds_space_prefix()));
    Some(file.bytes)
}

fn write_piece(token: &Token, kind: TokenKind) -> Message {
    let mut message = Message::default();
    message.text(piece::TEXT, &token.text.replace(' ', "▁"));
    message.float(piece::SCORE, token.score);
    message.number(piece::TYPE, kind as u64);
    message
}

fn write_trainer(tokenizer: &Tokenizer, count: usize, byte_fallback: bool) -> Message {
    let mut message = Message::default();
    message.number(trainer::MODEL_TYPE, BYTE_PAIRS);
    message.number(trainer::VOCABULARY_SIZE, count as u64);
    message.number(trainer::BYTE_FALLBACK, byte_fallback.into());
    let roles = [
        (trainer::UNKNOWN_ID, trainer::UNKNOWN_PIECE, Special::Unknown),
        (trainer::BOS_ID, trainer::BOS_PIECE, Special::BeginOfSequence),
        (trainer::EOS_ID, trainer::EOS_PIECE, Special::EndOfSequence),
        (trainer::PAD_ID, trainer::PAD_PIECE, Special::Padding),
    ];
    for (id_field, _, special) in roles {
        // none is -1, as a number of 64 bits
        message.number(id_field, tokenizer.special(special).map_or(u64::MAX, u64::from));
    }
    for (_, piece_field, special) in roles {
        if let Some(token) = tokenizer.special(special).and_then(|id| tokenizer.tokens.get(id as usize)) {
            message.text(piece_field, &token.text);
        }
    }
    message
}

fn write_normalizer(add_space_prefix: bool) -> Message {
    let mut message = Message::default();
    message.text(normalizer::NAME, "identity");
    message.number(normalizer::ADD_DUMMY_PREFIX, add_space_prefix.into());
    message.number(normalizer::REMOVE_EXTRA_WHITESPACES, 0);
    message.number(normalizer::ESCAPE_WHITESPACES, 1);
    message
}

/// A protocol buffer message while it is being written.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | 5);
        self.bytes.extend(value.to_le_bytes());
    }

    fn text(&mut self, field: u64, value: &str) {
        self.delimited(field, value.as_bytes());
    }

    fn message(&mut self, field: u64, value: &Self) {
        self.delimited(field, &value.bytes);
    }

    fn delimited(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.bytes.extend(value);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}
