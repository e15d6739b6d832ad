//! What the user asked for with `--type` and `--tensor-type`.

use crate::{ModelSpec, TensorId, TensorType};
use regex::Regex;

use super::{Mix, fallback};

/// What `--type` and `--tensor-type` say together.
#[derive(Debug, Clone)]
pub struct TypeRequest {
    /// For every matrix that no override names.
    pub base: TypeChoice,
    /// The first whose pattern matches a tensor's GGUF name decides.
    pub overrides: Vec<Override>,
}

/// One type for all matrices, or one of llama.cpp's mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeChoice {
    /// Every matrix, embeddings included.
    Uniform(TensorType),
    /// As llama-quantize would.
    Mix(Mix),
    /// Every matrix as the source has it; `f16` where there is no source.
    Source,
}

/// `PATTERN=TYPE`: a regular expression searched for in the tensor's GGUF name, as llama-quantize does.
#[derive(Debug, Clone)]
pub struct Override {
    pattern: Regex,
    tensor_type: TensorType,
}

/// Why a type request cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No such type or mix.
    #[error("`{found}` is no tensor type; known are: {known}")]
    UnknownType {
        /// What was asked for.
        found: String,
        /// What could be asked for.
        known: String,
    },
    /// Not of the form `PATTERN=TYPE`.
    #[error("`{found}` is not of the form PATTERN=TYPE, for example ffn_down=q5_k")]
    NotAnOverride {
        /// What was given.
        found: String,
    },
    /// Not a regular expression.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    BadPattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern that names nothing, most likely a slip.
    #[error("pattern `{pattern}` matches no matrix of this model; its first layer has: {names}")]
    MatchesNothing {
        /// What was given.
        pattern: String,
        /// Names that it could match.
        names: String,
    },
}

fn parse_type(name: &str) -> Result<TensorType, RequestError> {
    TensorType::from_name(name).ok_or_else(|| {
        let known = TensorType::all().map(TensorType::name).collect::<Vec<_>>().join(", ");
        RequestError::UnknownType { found: name.to_owned(), known }
    })
}

impl std::str::FromStr for TypeChoice {
    type Err = RequestError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == SOURCE {
            return Ok(Self::Source);
        }
        if let Some(mix) = Mix::from_name(name) {
            return Ok(Self::Mix(mix));
        }
        parse_type(name).map(Self::Uniform).map_err(|error| match error {
            RequestError::UnknownType { found, known } => RequestError::UnknownType {
                found,
                known: format!("{known}, {}, {SOURCE}", Mix::ALL.map(Mix::name).join(", ")),
            },
            other => other,
        })
    }
}

/// The word for [`TypeChoice::Source`].
const SOURCE: &str = "source";

impl TypeChoice {
    /// Every type that `--type` names: the plain types, then the mixes.
    pub fn all() -> impl Iterator<Item = Self> {
        TensorType::all().map(Self::Uniform).chain(Mix::ALL.into_iter().map(Self::Mix))
    }
}

impl std::fmt::Display for TypeChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uniform(tensor_type) => tensor_type.name(),
            Self::Mix(mix) => mix.name(),
            Self::Source => SOURCE,
        })
    }
}

impl std::str::FromStr for Override {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_an_override = || RequestError::NotAnOverride { found: text.to_owned() };
        let (pattern, name) = text.rsplit_once('=').ok_or_else(not_an_override)?;
        if pattern.is_empty() {
            return Err(not_an_override());
        }
        let compiled = Regex::new(pattern).map_err(|error| RequestError::BadPattern {
            pattern: pattern.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { pattern: compiled, tensor_type: parse_type(name)? })
    }
}

impl std::fmt::Display for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.pattern, self.tensor_type)
    }
}

/// The type that overrides give to a matrix; the first whose pattern matches decides.
pub fn named(overrides: &[Override], gguf_name: &str) -> Option<TensorType> {
    overrides.iter().find(|rule| rule.pattern.is_match(gguf_name)).map(|rule| rule.tensor_type)
}

/// The type of one tensor: what was asked for, and what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// By `--type`, a mix or an override.
    pub asked: TensorType,
    /// The same, or the fallback for its width.
    pub given: TensorType,
}

impl TypeRequest {
    /// Decides the type of a matrix that the source has as `stored`. Norms, biases and rotary divisors are not asked about: they stay `f32`.
    ///
    /// # Errors
    /// If a pattern matches no matrix.
    pub fn assign(
        &self,
        spec: &ModelSpec,
        id: TensorId,
        gguf_name: &str,
        row_len: usize,
        stored: Option<TensorType>,
    ) -> Assigned {
        let asked = named(&self.overrides, gguf_name).unwrap_or_else(|| match self.base {
            TypeChoice::Uniform(tensor_type) => tensor_type,
            TypeChoice::Mix(mix) => mix.tensor_type(spec, id),
            TypeChoice::Source => stored.unwrap_or(TensorType::F16),
        });
        Assigned { asked, given: fallback(asked, row_len) }
    }

    /// Checks that every override names at least one of these matrices.
    ///
    /// # Errors
    /// [`RequestError::MatchesNothing`] for the first that does not.
    pub fn check_patterns(&self, matrix_names: &[String]) -> Result<(), RequestError> {
        for rule in &self.overrides {
            if !matrix_names.iter().any(|name| rule.pattern.is_match(name)) {
                let names = matrix_names.iter().take(9).map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(RequestError::MatchesNothing { pattern: rule.pattern.to_string(), names });
            }
        }
        Ok(())
    }

    /// `general.file_type` in GGUF (`enum llama_ftype`): the type that most of the file has, by name; `source` is the source's, `most` the
    /// type of most bytes.
    pub fn file_type(&self, source: Option<u32>, most: TensorType) -> u32 {
        match self.base {
            TypeChoice::Mix(mix) => mix.file_type(),
            TypeChoice::Uniform(tensor_type) => file_type(tensor_type),
            TypeChoice::Source => source.unwrap_or_else(|| file_type(most)),
        }
    }
}

fn file_type(tensor_type: TensorType) -> u32 {
    match tensor_type {
        TensorType::F32 => 0,
        TensorType::Q4_0 => 2,
        TensorType::Q4_1 => 3,
        TensorType::Q8_0 => 7,
        TensorType::Q5_0 => 8,
        TensorType::Q5_1 => 9,
        TensorType::Q2_K => 10,
        TensorType::Q3_K => 12,
        TensorType::Q4_K => 15,
        TensorType::Q5_K => 17,
        TensorType::Q6_K => 18,
        TensorType::IQ4_NL => 25,
        TensorType::IQ3_S => 26,
        TensorType::IQ4_XS => 30,
        TensorType::MXFP4 => 38,
        TensorType::BF16 => 32,
        _ => 1,
    }
}
