//! Finding the tokens that are taken out of a text before it is tokenized.

use aho_corasick::AhoCorasick;

use super::{Token, TokenKind, Tokenizer, TokenizerError, TokenizerKind};

/// Texts that llama.cpp takes for control tokens whatever their type says, because they end a turn or mark code to
/// fill in (`llama_vocab::impl::load`). Gemma's `</s>`, there to strike text through, is one of them.
const ALWAYS_CONTROL: [&str; 38] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
    "<|eom_id|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "</s>",
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<PRE>",
    "▁<PRE>",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<SUF>",
    "▁<SUF>",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<MID>",
    "▁<MID>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<|file_sep|>",
];

/// A stretch of text, or a token that was found in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fragment<'a> {
    Text(&'a str),
    Token(u32),
}

/// Finds the tokens of one set in texts.
pub(super) struct SpecialTexts {
    finder: AhoCorasick,
    /// By the number of the pattern.
    ids: Vec<u32>,
}

impl SpecialTexts {
    /// The tokens that are found in every text, or those that are found when special tokens are asked for.
    pub(super) fn new(tokenizer: &Tokenizer, parse_special: bool) -> Result<Self, TokenizerError> {
        let wanted = |token: &Token| !token.text.is_empty() && is_special(token, parse_special);
        let ids: Vec<u32> =
            (0..).zip(&tokenizer.tokens).filter(|(_, token)| wanted(token)).map(|(id, _)| id).collect();
        let texts = ids.iter().map(|&id| &tokenizer.tokens[id as usize].text);
        let finder = AhoCorasick::new(texts).map_err(|source| TokenizerError::Engine {
            name: match &tokenizer.kind {
                TokenizerKind::BytePair { pre_tokenizer, .. } => pre_tokenizer.clone(),
                TokenizerKind::SentencePiece => "default".to_owned(),
            },
            source: source.into(),
        })?;
        Ok(Self { finder, ids })
    }

    /// Cuts a text at the tokens in it. Longer tokens go first, wherever they are; among equals the leftmost.
    pub(super) fn cut<'a>(&self, text: &'a str) -> Vec<Fragment<'a>> {
        let mut found: Vec<_> = self.finder.find_overlapping_iter(text).collect();
        found.sort_by_key(|place| (std::cmp::Reverse(place.len()), place.pattern(), place.start()));
        let mut taken = vec![false; if found.is_empty() { 0 } else { text.len() }];
        // what is taken is at least as long as what follows, so a collision shows at an end
        found.retain(|place| {
            let free = !taken[place.start()] && !taken[place.end() - 1];
            if free {
                taken[place.range()].fill(true);
            }
            free
        });
        found.sort_by_key(aho_corasick::Match::start);

        let mut fragments = Vec::with_capacity(2 * found.len() + 1);
        let mut rest = 0;
        for place in found {
            if place.start() > rest {
                fragments.push(Fragment::Text(&text[rest..place.start()]));
            }
            fragments.push(Fragment::Token(self.ids[place.pattern()]));
            rest = place.end();
        }
        if rest < text.len() {
            fragments.push(Fragment::Text(&text[rest..]));
        }
        fragments
    }
}

/// True if this token is taken out of texts as a whole.
fn is_special(token: &Token, parse_special: bool) -> bool {
    if token.is_control() { parse_special } else { token.kind == TokenKind::UserDefined }
}

impl Token {
    /// True if the token steers the model or stands for the unknown, by its kind or by a text that always does.
    pub fn is_control(&self) -> bool {
        matches!(self.kind, TokenKind::Control | TokenKind::Unknown)
            || ALWAYS_CONTROL.contains(&self.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(texts: &[&str]) -> SpecialTexts {
        SpecialTexts { finder: AhoCorasick::new(texts).unwrap(), ids: (0..texts.len() as u32).collect() }
    }

    #[test]
    fn longer_tokens_go_first_even_when_they_start_later() {
        use Fragment::{Text, Token};
        let texts = finder(&["abc", "bcde", "e"]);
        assert_eq!(texts.cut("abcde"), [Text("a"), Token(1)]);
        assert_eq!(texts.cut("abcabce"), [Token(0), Token(0), Token(2)]);
        assert_eq!(texts.cut(""), []);
        assert_eq!(texts.cut("xyz"), [Text("xyz")]);
    }

    #[test]
    fn runs_are_cut_from_the_left() {
        use Fragment::{Text, Token};
        let texts = finder(&["\n", "\n\n", "\n\n\n"]);
        assert_eq!(texts.cut("a\n\n\n\n\nb"), [Text("a"), Token(2), Token(1), Text("b")]);
    }

    #[test]
    fn texts_may_have_characters_of_several_bytes() {
        use Fragment::{Text, Token};
        assert_eq!(finder(&["｜"]).cut("é｜ü"), [Text("é"), Token(0), Text("ü")]);
    }
}
