//! The tokens that have a meaning of their own.

/// A role that one token of the vocabulary plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it all
#[non_exhaustive]
pub enum Special {
    BeginOfSequence,
    EndOfSequence,
    EndOfTurn,
    EndOfMessage,
    Unknown,
    Separator,
    Padding,
    Mask,
    FillPrefix,
    FillSuffix,
    FillMiddle,
    FillPadding,
    FillRepository,
    FillSeparator,
    /// As [`Self::FillPrefix`], under the name of older files.
    OldFillPrefix,
    /// As [`Self::FillSuffix`], under the name of older files.
    OldFillSuffix,
    /// As [`Self::FillMiddle`], under the name of older files.
    OldFillMiddle,
}

impl Special {
    /// Every role, in the order in which they are written.
    pub const ALL: [Self; 17] = [
        Self::BeginOfSequence,
        Self::EndOfSequence,
        Self::EndOfTurn,
        Self::EndOfMessage,
        Self::Unknown,
        Self::Separator,
        Self::Padding,
        Self::Mask,
        Self::FillPrefix,
        Self::FillSuffix,
        Self::FillMiddle,
        Self::FillPadding,
        Self::FillRepository,
        Self::FillSeparator,
        Self::OldFillPrefix,
        Self::OldFillSuffix,
        Self::OldFillMiddle,
    ];

    /// The GGUF key that holds the id.
    pub fn gguf_key(self) -> &'static str {
        match self {
            Self::BeginOfSequence => "tokenizer.ggml.bos_token_id",
            Self::EndOfSequence => "tokenizer.ggml.eos_token_id",
            Self::EndOfTurn => "tokenizer.ggml.eot_token_id",
            Self::EndOfMessage => "tokenizer.ggml.eom_token_id",
            Self::Unknown => "tokenizer.ggml.unknown_token_id",
            // sic
            Self::Separator => "tokenizer.ggml.seperator_token_id",
            Self::Padding => "tokenizer.ggml.padding_token_id",
            Self::Mask => "tokenizer.ggml.mask_token_id",
            Self::FillPrefix => "tokenizer.ggml.fim_pre_token_id",
            Self::FillSuffix => "tokenizer.ggml.fim_suf_token_id",
            Self::FillMiddle => "tokenizer.ggml.fim_mid_token_id",
            Self::FillPadding => "tokenizer.ggml.fim_pad_token_id",
            Self::FillRepository => "tokenizer.ggml.fim_rep_token_id",
            Self::FillSeparator => "tokenizer.ggml.fim_sep_token_id",
            Self::OldFillPrefix => "tokenizer.ggml.prefix_token_id",
            Self::OldFillSuffix => "tokenizer.ggml.suffix_token_id",
            Self::OldFillMiddle => "tokenizer.ggml.middle_token_id",
        }
    }

    /// The name in a Hugging Face config: `bos` in `bos_token` and `bos_token_id`.
    pub(crate) fn hf_name(self) -> Option<&'static str> {
        match self {
            Self::BeginOfSequence => Some("bos"),
            Self::EndOfSequence => Some("eos"),
            Self::EndOfTurn => Some("eot"),
            Self::EndOfMessage => Some("eom"),
            Self::Unknown => Some("unk"),
            Self::Separator => Some("sep"),
            Self::Padding => Some("pad"),
            Self::Mask => Some("mask"),
            _ => None,
        }
    }
}
