//! Text to ids, as `llama_tokenize` does it.

use super::byte_pair::BytePairs;
use super::sentence_piece::SentencePieces;
use super::special_text::{Fragment, SpecialTexts};
use super::{Special, Tokenizer, TokenizerError, TokenizerKind};

/// What to do beside the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodeOptions {
    /// Add begin- and end-of-sequence tokens where the tokenizer wants them.
    pub add_special: bool,
    /// Take the text of a control token, for example `<|im_end|>`, for that token. User-defined tokens always are.
    pub parse_special: bool,
}

/// A tokenizer made ready to turn text into ids.
pub struct Encoder {
    engine: Engine,
    always: SpecialTexts,
    on_demand: SpecialTexts,
    bos: Option<u32>,
    eos: Option<u32>,
}

enum Engine {
    BytePair(Box<BytePairs>),
    SentencePiece(SentencePieces),
}

impl Encoder {
    /// Indexes the vocabulary. It takes tenths of a second; make one encoder and keep it.
    ///
    /// # Errors
    /// When the parts of the tokenizer disagree; see [`Tokenizer::check`].
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        tokenizer.check_itself()?;
        let engine = match &tokenizer.kind {
            TokenizerKind::BytePair { pre_tokenizer, merges } => {
                Engine::BytePair(Box::new(BytePairs::new(&tokenizer.tokens, pre_tokenizer, merges)?))
            }
            TokenizerKind::SentencePiece => Engine::SentencePiece(SentencePieces::new(tokenizer)?),
        };
        let only_if = |added: bool, special| if added { tokenizer.special(special) } else { None };
        Ok(Self {
            engine,
            always: SpecialTexts::new(tokenizer, false)?,
            on_demand: SpecialTexts::new(tokenizer, true)?,
            bos: only_if(tokenizer.adds_bos(), Special::BeginOfSequence),
            eos: only_if(tokenizer.adds_eos(), Special::EndOfSequence),
        })
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// When the regular expression of the pre-tokenizer gives up on a text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        if options.add_special {
            ids.extend(self.bos);
        }
        let specials = if options.parse_special { &self.on_demand } else { &self.always };
        let mut after_text = false;
        for fragment in specials.cut(text) {
            match fragment {
                Fragment::Token(id) => ids.push(id),
                Fragment::Text(text) => match &self.engine {
                    Engine::BytePair(engine) => engine.encode(text, &mut ids)?,
                    Engine::SentencePiece(engine) => engine.encode(text, !after_text, &mut ids),
                },
            }
            after_text = matches!(fragment, Fragment::Text(_));
        }
        if options.add_special {
            ids.extend(self.eos);
        }
        Ok(ids)
    }
}
