//! Byte-level BPE on a stretch of text without special tokens, by the `tokenizers` crate.

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
};

use super::byte_alphabet::char_of_byte;
use super::{Token, TokenizerError, pre_tokenizer};

/// A pre-tokenizer and merges.
pub(super) struct BytePairs {
    name: String,
    splits: Vec<Split>,
    byte_level: ByteLevel,
    model: BPE,
    /// Ids from here on stand for bytes that the vocabulary cannot spell.
    token_count: u32,
}

impl BytePairs {
    pub(super) fn new(
        tokens: &[Token],
        pre_tokenizer: &str,
        merges: &[(String, String)],
    ) -> Result<Self, TokenizerError> {
        let error = |source| TokenizerError::Engine { name: pre_tokenizer.to_owned(), source };
        let known = pre_tokenizer::require(pre_tokenizer)?;
        let split = |pattern: &&str| {
            Split::new(SplitPattern::Regex((*pattern).to_owned()), SplitDelimiterBehavior::Isolated, false)
        };
        let mut vocabulary: tokenizers::models::bpe::Vocab =
            (0..).zip(tokens).map(|(id, token)| (token.text.clone(), id)).collect();
        // The crate would drop a byte without a token at once and merge its neighbours; llama.cpp drops it at the end.
        let token_count = tokens.len() as u32;
        for (id, byte) in (token_count..).zip(0..=u8::MAX) {
            vocabulary.entry(char_of_byte(byte).to_string()).or_insert(id);
        }
        Ok(Self {
            name: pre_tokenizer.to_owned(),
            splits: known.splits.iter().map(split).collect::<Result<_, _>>().map_err(error)?,
            byte_level: ByteLevel::new(false, false, false),
            model: BPE::builder()
                .vocab_and_merges(vocabulary, merges.to_vec())
                .ignore_merges(known.ignore_merges)
                .build()
                .map_err(error)?,
            token_count,
        })
    }

    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        self.words(text, ids).map_err(|source| TokenizerError::Engine { name: self.name.clone(), source })
    }

    fn words(&self, text: &str, ids: &mut Vec<u32>) -> tokenizers::Result<()> {
        let mut words = PreTokenizedString::from(text);
        for split in &self.splits {
            split.pre_tokenize(&mut words)?;
        }
        self.byte_level.pre_tokenize(&mut words)?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            let tokens = self.model.tokenize(word)?;
            ids.extend(tokens.iter().map(|token| token.id).filter(|&id| id < self.token_count));
        }
        Ok(())
    }
}
