//! SentencePiece's byte pairs on a stretch of text without special tokens: neighbours merge where what they become is a
//! token, the highest score first, the leftmost among equals.
//!
//! The `tokenizers` crate merges by the rank of the *pair*; several pairs that become the same token have different
//! ranks there and one score here. So the crate is not used.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::byte_alphabet::byte_of_token;
use super::{Making, Special, TokenKind, Tokenizer, TokenizerError};

/// How SentencePiece spells a space.
pub(super) const SPACE: char = '▁';

/// A vocabulary indexed for merging.
pub(super) struct SentencePieces {
    /// Ids and scores by text.
    pieces: HashMap<Box<str>, (u32, f32)>,
    /// What stands for each byte that no token spells.
    bytes: Vec<Option<u32>>,
    space_prefix: bool,
}

impl SentencePieces {
    pub(super) fn new(tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        let unknown = tokenizer.special(Special::Unknown);
        let ids = tokenizer.ids_by_text()?;
        let byte_token = |byte: u8| {
            let by_itself = || ids.get(char::from(byte).to_string().as_str()).filter(|_| byte.is_ascii());
            ids.get(format!("<0x{byte:02X}>").as_str()).or_else(by_itself).copied().or(unknown)
        };
        let mut bytes: Vec<Option<u32>> = (0..=u8::MAX).map(byte_token).collect();
        for (id, token) in (0..).zip(&tokenizer.tokens) {
            if token.kind == TokenKind::Byte
                && let Some(byte) = byte_of_token(&token.text)
            {
                bytes[usize::from(byte)] = Some(id);
            }
        }
        let piece = |(text, id): (&str, u32)| (text.into(), (id, tokenizer.tokens[id as usize].score));
        Ok(Self {
            bytes,
            space_prefix: tokenizer.adds_space_prefix(),
            pieces: ids.into_iter().map(piece).collect(),
        })
    }

    /// `at_start` tells that the text is the first, or follows a special token.
    pub(super) fn encode(&self, text: &str, at_start: bool, ids: &mut Vec<u32>) {
        let mut spelled = String::with_capacity(text.len() + text.len() / 2);
        if at_start && self.space_prefix {
            spelled.push(SPACE);
        }
        spelled.extend(text.chars().map(|character| if character == ' ' { SPACE } else { character }));
        for piece in Chain::new(&spelled, &self.pieces).merged().texts() {
            match self.pieces.get(piece) {
                Some(&(id, _)) => ids.push(id),
                None => ids.extend(piece.bytes().filter_map(|byte| self.bytes[usize::from(byte)])),
            }
        }
    }
}

impl SentencePieces {
    /// How merging makes a token of this text.
    pub(super) fn making(&self, text: &str) -> Making {
        let chain = Chain::new(text, &self.pieces).merged();
        let id = |text: &str| self.pieces.get(text).map(|&(id, _)| id);
        match (chain.symbols.first(), chain.last_cut) {
            (Some(first), _) if first.end < text.len() => Making::Never,
            (Some(_), None) => Making::Symbol,
            (Some(_), Some(cut)) => Making::Merge { left: id(&text[..cut]), right: id(&text[cut..]) },
            (None, _) => Making::Never,
        }
    }
}

/// A text as a chain of symbols that grow by merging. Symbols are named by where they stand at the beginning.
struct Chain<'a> {
    text: &'a str,
    pieces: &'a HashMap<Box<str>, (u32, f32)>,
    symbols: Vec<Symbol>,
    candidates: BinaryHeap<Candidate>,
    /// Where the parts met that merged last.
    last_cut: Option<usize>,
}

/// Bytes of the text; empty once merged into its left neighbour.
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that would be a token. Stale once either has changed, which their length tells.
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    len: usize,
}

impl<'a> Chain<'a> {
    fn new(text: &'a str, pieces: &'a HashMap<Box<str>, (u32, f32)>) -> Self {
        let count = text.chars().count();
        let symbol = |(index, (start, character)): (usize, (usize, char))| Symbol {
            start,
            end: start + character.len_utf8(),
            previous: index.checked_sub(1),
            next: (index + 1 < count).then_some(index + 1),
        };
        let symbols = text.char_indices().enumerate().map(symbol).collect();
        Self { text, pieces, symbols, candidates: BinaryHeap::new(), last_cut: None }
    }

    /// Merges as long as there is something to merge.
    fn merged(mut self) -> Self {
        for right in 1..self.symbols.len() {
            self.consider(right - 1, right);
        }
        while let Some(candidate) = self.candidates.pop() {
            self.merge(&candidate);
        }
        self
    }

    /// The texts of the symbols, from the left.
    fn texts(self) -> impl Iterator<Item = &'a str> {
        let text = self.text;
        self.symbols
            .into_iter()
            .map(move |symbol| &text[symbol.start..symbol.end])
            .filter(|piece| !piece.is_empty())
    }

    fn consider(&mut self, left: usize, right: usize) {
        let (start, end) = (self.symbols[left].start, self.symbols[right].end);
        if let Some(&(_, score)) = self.pieces.get(&self.text[start..end]) {
            self.candidates.push(Candidate { score, left, right, len: end - start });
        }
    }

    fn merge(&mut self, candidate: &Candidate) {
        let &Candidate { left, right, len, .. } = candidate;
        let stale = self.len(left) == 0 || self.len(right) == 0 || self.len(left) + self.len(right) != len;
        if stale {
            return;
        }
        self.last_cut = Some(self.symbols[right].start);
        let next = self.symbols[right].next;
        self.symbols[left].end = self.symbols[right].end;
        self.symbols[left].next = next;
        self.symbols[right].start = self.symbols[right].end;
        if let Some(next) = next {
            self.symbols[next].previous = Some(left);
        }
        if let Some(previous) = self.symbols[left].previous {
            self.consider(previous, left);
        }
        if let Some(next) = next {
            self.consider(left, next);
        }
    }

    fn len(&self, symbol: usize) -> usize {
        self.symbols[symbol].end - self.symbols[symbol].start
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        // `+ 0.0` makes the negative zero of SentencePiece's first piece equal to the positive one
        (self.score + 0.0).total_cmp(&(other.score + 0.0)).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}
