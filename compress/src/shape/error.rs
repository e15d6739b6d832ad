//! What can be wrong with a shape that is asked for.

use super::obs::Singular;

/// A shape that this model cannot have.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum ShapeRequestError {
    #[error("{asked} layers were asked for, the model has {of}; at least the first and the last stay")]
    Layers { asked: usize, of: usize },
    #[error("layer {layer} was asked for, the model has {of} layers, numbered from 0")]
    NoSuchLayer { layer: usize, of: usize },
    #[error(
        "{asked} heads were asked for, each layer has {of}; heads go in groups of {group}, which share a key and a value"
    )]
    Heads { asked: usize, of: usize, group: usize },
    #[error("{asked} feed-forward channels were asked for, each layer has {of}")]
    Channels { asked: usize, of: usize },
    #[error("{asked} hidden dimensions were asked for, the model has {of}")]
    Hidden { asked: usize, of: usize },
    #[error(
        "`--hidden` compares what all layers read, which `--importance taylor` does not tell; choose another"
    )]
    HiddenByTaylor,
    #[error(
        "`--repair bias` cannot take over from hidden dimensions; choose `--repair solve` or `--repair none`"
    )]
    HiddenByBias,
    #[error("{family} has no place for biases; choose `--repair solve` or `--repair none`")]
    NoBiases { family: &'static str },
    #[error(
        "`--uneven` compares what layers lose, which `--importance {importance}` does not tell; choose obs or taylor, and give `--ffn`"
    )]
    Uneven { importance: &'static str },
    #[error("layer {layer}: {source}")]
    Singular { layer: usize, source: Singular },
    #[error("output matrix: {source}")]
    SingularOutput { source: Singular },
    #[error("no stock runtime loads this shape: {reason}")]
    NotPortable { reason: String },
}
