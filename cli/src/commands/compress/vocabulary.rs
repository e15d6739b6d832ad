//! The smaller or larger vocabulary, if one is asked for.

use std::path::{Path, PathBuf};

use secateur_compress::CompressError;
use secateur_compress::progress::Progress as _;
use secateur_compress::statistics::{self, StatisticsError, Text, calibration_tokens};
use secateur_compress::vocabulary::{
    Additions, NamedText, Scripts, Target, TextReport, VocabularyCut, VocabularyError, VocabularyReport, cut,
    expected_use, read_additions, read_keep_list, read_list_file, with_vocabulary,
};
use secateur_model::{Checkpoint, Tokenizer};
use secateur_reports::compression::{SmallerVocabulary, TextInTokens};

use crate::arguments::{CompressArguments, VocabularyArguments};
use crate::console::Bar;

/// The model with the tokens that are to stay and to come, and what that is worth; as it was if it keeps its own.
pub fn cut_vocabulary(
    arguments: &CompressArguments,
    checkpoint: Checkpoint,
    progress: &Bar,
) -> anyhow::Result<(Checkpoint, Option<SmallerVocabulary>)> {
    if !arguments.vocabulary.are_given() && arguments.add_tokens.is_none() {
        return Ok((checkpoint, None));
    }
    let tokenizer = tokenizer_of(&checkpoint).map_err(CompressError::from)?;
    let target = target(&arguments.vocabulary, tokenizer).map_err(CompressError::from)?;
    let additions = additions(arguments.add_tokens.as_deref()).map_err(CompressError::from)?;
    let cut = checked_cut(&checkpoint, &target, &additions, &arguments.texts, progress)?;
    let share_before = checkpoint.spec.vocabulary_share();
    let checkpoint = with_vocabulary(checkpoint, &cut)?;
    let told = told(&cut.report, share_before, checkpoint.spec.vocabulary_share());
    Ok((checkpoint, Some(told)))
}

/// What a vocabulary is worth that was chosen already: `smaller` has it, `kept` are its tokens in `whole`. It goes through the same gate.
pub fn cut_to(
    whole: &Checkpoint,
    smaller: &Checkpoint,
    kept: Vec<u32>,
    texts: &[PathBuf],
    progress: &Bar,
) -> anyhow::Result<SmallerVocabulary> {
    let cut = checked_cut(whole, &Target::Tokens(kept), &Additions::default(), texts, progress)?;
    Ok(told(&cut.report, whole.spec.vocabulary_share(), smaller.spec.vocabulary_share()))
}

fn checked_cut(
    checkpoint: &Checkpoint,
    target: &Target,
    additions: &Additions,
    texts: &[PathBuf],
    progress: &Bar,
) -> Result<VocabularyCut, CompressError> {
    let texts = statistics::texts_or_built_in(texts)?;
    target.check(tokenizer_of(checkpoint)?, additions.len())?;
    let expected = if target.asks_model() { expected(checkpoint, &texts, progress)? } else { Vec::new() };
    let texts = named_texts(texts);
    let texts: Vec<_> = texts.iter().map(|(name, text)| NamedText { name, text }).collect();
    let cut = cut(tokenizer_of(checkpoint)?, &texts, target, &expected, additions, progress)?;
    progress.check()?;
    Ok(cut)
}

/// What the model expects in such texts; nothing if they are too short to be read.
fn expected(checkpoint: &Checkpoint, texts: &[Text], progress: &Bar) -> Result<Vec<f32>, CompressError> {
    let sequences = match calibration_tokens(tokenizer_of(checkpoint)?, &checkpoint.spec, texts, None) {
        Err(StatisticsError::TooShort { .. }) => return Ok(Vec::new()),
        sequences => sequences?,
    };
    let sequences: Vec<&[u32]> = sequences.iter().map(|sequence| sequence.tokens.as_slice()).collect();
    Ok(expected_use(checkpoint, &sequences, progress)?)
}

fn tokenizer_of(checkpoint: &Checkpoint) -> Result<&Tokenizer, StatisticsError> {
    let no_tokenizer = || StatisticsError::NoTokenizer { path: checkpoint.source.clone() };
    checkpoint.tokenizer.as_ref().ok_or_else(no_tokenizer)
}

impl VocabularyArguments {
    fn are_given(&self) -> bool {
        self.vocab.is_some()
            || self.vocab_coverage.is_some()
            || self.keep_tokens.is_some()
            || !self.keep_scripts.is_empty()
    }
}

fn target(arguments: &VocabularyArguments, tokenizer: &Tokenizer) -> Result<Target, VocabularyError> {
    Ok(match arguments {
        VocabularyArguments { vocab: Some(tokens), .. } => Target::Size(*tokens),
        VocabularyArguments { vocab_coverage: Some(share), .. } => Target::Coverage(*share),
        VocabularyArguments { keep_tokens: Some(path), .. } => {
            Target::Tokens(read_keep_list(tokenizer, &read_list_file(path)?)?)
        }
        VocabularyArguments { keep_scripts, .. } if keep_scripts.is_empty() => {
            Target::Tokens((0..tokenizer.tokens.len() as u32).collect())
        }
        VocabularyArguments { keep_scripts, .. } => Target::Scripts(Scripts::new(keep_scripts)?),
    })
}

fn additions(list: Option<&Path>) -> Result<Additions, VocabularyError> {
    list.map_or_else(|| Ok(Additions::default()), |list| read_additions(&read_list_file(list)?))
}

/// The texts of each file or folder together, by its name.
fn named_texts(texts: Vec<Text>) -> Vec<(String, String)> {
    let mut named: Vec<(String, String)> = Vec::new();
    for Text { name, content } in texts {
        match named.last_mut().filter(|(last, _)| *last == name) {
            Some((_, together)) => together.push_str(&content),
            None => named.push((name, content)),
        }
    }
    named
}

fn told(report: &VocabularyReport, share_before: f64, share_after: f64) -> SmallerVocabulary {
    let text = |text: &TextReport| TextInTokens {
        name: text.name.clone(),
        coverage: text.coverage(),
        bytes_per_token: text.bytes_per_token(),
    };
    SmallerVocabulary {
        tokens_before: report.tokens_before,
        tokens_after: report.tokens_after,
        tokens_added: report.added,
        embedding_share_before: share_before,
        embedding_share_after: share_after,
        lines: report.gate.lines,
        lines_of_kept_tokens: report.gate.lines_of_kept_tokens,
        texts: report.texts.iter().map(text).collect(),
    }
}
