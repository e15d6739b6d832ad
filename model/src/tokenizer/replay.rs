//! How texts come to have a token: the tokenizer's own merging, replayed on the spelling of the token.
//!
//! Whatever merges within a token that a text comes to have, merges in the same order when the token stands alone: a merge
//! across its ends never happens, and among those within them the best goes first, in the text and here. So what a
//! token is made of here is what it is made of everywhere.

use std::collections::HashMap;

use super::sentence_piece::SentencePieces;
use super::{TokenKind, Tokenizer, TokenizerError, TokenizerKind, pre_tokenizer};

/// How texts come to have a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// It is a symbol that merging starts with: a byte of GPT-2's alphabet, or a character.
    Symbol,
    /// By merging two neighbours last. A part is `None` if it is a character that is no token.
    Merge {
        /// The token that comes first.
        left: Option<u32>,
        /// The token that follows it.
        right: Option<u32>,
    },
    /// It is found as a whole: control and user-defined tokens, bytes that nothing else spells, and whole words where
    /// the tokenizer looks for these first.
    Whole,
    /// No text leads to it.
    Never,
}

impl Making {
    /// The tokens that it cannot be made without.
    pub fn parts(self) -> impl Iterator<Item = u32> {
        let (left, right) = match self {
            Self::Merge { left, right } => (left, right),
            Self::Symbol | Self::Whole | Self::Never => (None, None),
        };
        left.into_iter().chain(right)
    }
}

/// A vocabulary indexed for replaying.
pub struct Replay<'a> {
    tokenizer: &'a Tokenizer,
    engine: Engine<'a>,
}

enum Engine<'a> {
    BytePair(Merges<'a>),
    SentencePiece(SentencePieces),
}

impl<'a> Replay<'a> {
    /// Indexes the vocabulary.
    ///
    /// # Errors
    /// When the parts of the tokenizer disagree; see [`Tokenizer::check`].
    pub fn new(tokenizer: &'a Tokenizer) -> Result<Self, TokenizerError> {
        tokenizer.check_itself()?;
        let engine = match &tokenizer.kind {
            TokenizerKind::BytePair { pre_tokenizer, merges } => Engine::BytePair(Merges::new(
                tokenizer.ids_by_text()?,
                merges,
                pre_tokenizer::require(pre_tokenizer)?.ignore_merges,
            )),
            TokenizerKind::SentencePiece => Engine::SentencePiece(SentencePieces::new(tokenizer)?),
        };
        Ok(Self { tokenizer, engine })
    }

    /// How texts come to have this token; [`Making::Never`] for an id that is not in the vocabulary.
    pub fn making(&self, id: u32) -> Making {
        let Some(token) = self.tokenizer.tokens.get(id as usize) else { return Making::Never };
        if token.kind == TokenKind::UserDefined && !token.is_control() {
            // taken out of every text before it is merged, wherever it stands
            return Making::Whole;
        }
        let merged = match &self.engine {
            Engine::BytePair(merges) => merges.making(&token.text),
            Engine::SentencePiece(pieces) => pieces.making(&token.text),
        };
        match (merged, token.kind) {
            (
                Making::Never,
                TokenKind::Control | TokenKind::Unknown | TokenKind::UserDefined | TokenKind::Byte,
            ) => Making::Whole,
            (merged, _) => merged,
        }
    }
}

/// Byte pairs by the ids of their parts.
struct Merges<'a> {
    ids: HashMap<&'a str, u32>,
    /// Rank, and the id of what the pair becomes.
    pairs: HashMap<(u32, u32), (usize, u32)>,
    whole_words: bool,
}

impl<'a> Merges<'a> {
    fn new(ids: HashMap<&'a str, u32>, merges: &[(String, String)], whole_words: bool) -> Self {
        let mut text = String::new();
        let mut pairs = HashMap::with_capacity(merges.len());
        for (rank, (left, right)) in merges.iter().enumerate() {
            text.clear();
            text.push_str(left);
            text.push_str(right);
            if let (Some(&left), Some(&right), Some(&whole)) =
                (ids.get(left.as_str()), ids.get(right.as_str()), ids.get(text.as_str()))
            {
                pairs.insert((left, right), (rank, whole));
            }
        }
        Self { ids, pairs, whole_words }
    }

    fn making(&self, text: &str) -> Making {
        let otherwise = if self.whole_words { Making::Whole } else { Making::Never };
        let mut buffer = [0; 4];
        let symbols: Option<Vec<u32>> = text
            .chars()
            .map(|character| self.ids.get(&*character.encode_utf8(&mut buffer)).copied())
            .collect();
        let Some(mut symbols) = symbols.filter(|symbols| !symbols.is_empty()) else { return otherwise };
        let mut making = Making::Symbol;
        while symbols.len() > 1 {
            let pairs = symbols.windows(2).enumerate();
            let best = pairs
                .filter_map(|(place, pair)| {
                    self.pairs.get(&(pair[0], pair[1])).map(|&(rank, whole)| (rank, place, whole))
                })
                .min();
            let Some((_, place, whole)) = best else { return otherwise };
            making = Making::Merge { left: Some(symbols[place]), right: Some(symbols[place + 1]) };
            symbols[place] = whole;
            symbols.remove(place + 1);
        }
        making
    }
}
