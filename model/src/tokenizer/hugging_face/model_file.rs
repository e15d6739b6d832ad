//! `tokenizer.model`: a protocol buffer, `ModelProto` in SentencePiece's `sentencepiece_model.proto`.

use super::{Token, TokenKind, TokenizerError};
use crate::tokenizer::Special;

/// What we need of a SentencePiece model.
pub(super) struct ModelFile {
    pub(super) pieces: Vec<Token>,
    /// From the trainer's settings.
    pub(super) specials: Vec<(Special, u32)>,
    pub(super) add_space_prefix: bool,
}

/// `TrainerSpec.ModelType.BPE`.
pub(super) const BYTE_PAIRS: u64 = 2;
/// The type of a model that does not say.
const UNIGRAM: u64 = 1;

/// Field numbers of `ModelProto`.
pub(super) mod model {
    pub const PIECES: u64 = 1;
    pub const TRAINER: u64 = 2;
    pub const NORMALIZER: u64 = 3;
}

/// Field numbers of `ModelProto.SentencePiece`.
pub(super) mod piece {
    pub const TEXT: u64 = 1;
    pub const SCORE: u64 = 2;
    pub const TYPE: u64 = 3;
}

/// Field numbers of `TrainerSpec`.
pub(super) mod trainer {
    pub const MODEL_TYPE: u64 = 3;
    pub const VOCABULARY_SIZE: u64 = 4;
    pub const BYTE_FALLBACK: u64 = 35;
    pub const UNKNOWN_ID: u64 = 40;
    pub const BOS_ID: u64 = 41;
    pub const EOS_ID: u64 = 42;
    pub const PAD_ID: u64 = 43;
    pub const UNKNOWN_PIECE: u64 = 45;
    pub const BOS_PIECE: u64 = 46;
    pub const EOS_PIECE: u64 = 47;
    pub const PAD_PIECE: u64 = 48;
}

/// Field numbers of `NormalizerSpec`.
pub(super) mod normalizer {
    pub const NAME: u64 = 1;
    pub const ADD_DUMMY_PREFIX: u64 = 3;
    pub const REMOVE_EXTRA_WHITESPACES: u64 = 4;
    pub const ESCAPE_WHITESPACES: u64 = 5;
}

pub(super) fn read(bytes: &[u8]) -> Result<ModelFile, TokenizerError> {
    let mut file = ModelFile { pieces: Vec::new(), specials: Vec::new(), add_space_prefix: true };
    let mut trained = None;
    let mut fields = Fields::of(bytes, 0);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (model::PIECES, Value::Bytes(inner)) => file.pieces.push(read_piece(inner, file.pieces.len())?),
            (model::TRAINER, Value::Bytes(inner)) => trained = Some(read_trainer(inner)?),
            (model::NORMALIZER, Value::Bytes(mut inner)) => {
                while let Some(field) = inner.next()? {
                    if let (normalizer::ADD_DUMMY_PREFIX, Value::Number(number)) = field {
                        file.add_space_prefix = number != 0;
                    }
                }
            }
            _ => {}
        }
    }
    let (model_type, specials) = trained.unwrap_or((UNIGRAM, Vec::new()));
    if model_type != BYTE_PAIRS {
        return Err(TokenizerError::NotBytePairs { found: model_type });
    }
    file.specials = specials;
    Ok(file)
}

fn read_piece(mut fields: Fields, id: usize) -> Result<Token, TokenizerError> {
    let mut token = Token { text: String::new(), score: 0.0, kind: TokenKind::Normal };
    while let Some(field) = fields.next()? {
        match field {
            (piece::TEXT, Value::Bytes(text)) => {
                let text =
                    std::str::from_utf8(text.bytes).map_err(|_| TokenizerError::PieceNotUtf8 { id })?;
                text.clone_into(&mut token.text);
            }
            (piece::SCORE, Value::Float(score)) => token.score = score,
            (piece::TYPE, Value::Number(number)) => {
                let number = i32::try_from(number).unwrap_or(i32::MAX);
                token.kind = TokenKind::from_number(number)
                    .ok_or(TokenizerError::UnknownTokenKind { id, found: number })?;
            }
            _ => {}
        }
    }
    Ok(token)
}

/// The model type and the ids that are not turned off (negative).
fn read_trainer(mut fields: Fields) -> Result<(u64, Vec<(Special, u32)>), TokenizerError> {
    let mut model_type = UNIGRAM;
    // `None` is what the format says for a field that is not there
    let mut ids = [
        (trainer::UNKNOWN_ID, Special::Unknown, Some(0)),
        (trainer::BOS_ID, Special::BeginOfSequence, Some(1)),
        (trainer::EOS_ID, Special::EndOfSequence, Some(2)),
        (trainer::PAD_ID, Special::Padding, None),
    ];
    while let Some(field) = fields.next()? {
        let (number, Value::Number(value)) = field else { continue };
        if number == trainer::MODEL_TYPE {
            model_type = value;
        } else if let Some(place) = ids.iter_mut().find(|place| place.0 == number) {
            place.2 = u32::try_from(value).ok();
        }
    }
    Ok((model_type, ids.into_iter().filter_map(|(_, special, id)| Some((special, id?))).collect()))
}

/// The fields of one message, read with distrust.
#[derive(Clone, Copy)]
struct Fields<'a> {
    bytes: &'a [u8],
    /// Where these bytes start in the file, for error messages.
    offset: usize,
}

enum Value<'a> {
    Number(u64),
    Float(f32),
    Bytes(Fields<'a>),
    /// Eight bytes, which no field of ours has.
    Long,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    /// The next field with its number; `None` at the end.
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, TokenizerError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let broken = TokenizerError::BrokenProtobuf { offset: self.offset };
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => {
                self.take(8)?;
                Value::Long
            }
            2 => {
                let len = self.number()?;
                Value::Bytes(self.take(usize::try_from(len).map_err(|_| broken)?)?)
            }
            5 => {
                let float = self.take(4)?;
                Value::Float(f32::from_le_bytes(float.bytes.try_into().map_err(|_| broken)?))
            }
            _ => return Err(broken),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// A number of up to ten bytes, seven bits in each, the lowest first.
    fn number(&mut self) -> Result<u64, TokenizerError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.bytes[0];
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(TokenizerError::BrokenProtobuf { offset: self.offset })
    }

    fn take(&mut self, len: usize) -> Result<Self, TokenizerError> {
        let (taken, rest) =
            self.bytes.split_at_checked(len).ok_or(TokenizerError::BrokenProtobuf { offset: self.offset })?;
        let taken = Self::of(taken, self.offset);
        *self = Self::of(rest, self.offset + len);
        Ok(taken)
    }
}
