//! Why there is no plan.

use secateur_compress::CompressError;
use secateur_search::SearchError;

/// Why plans of a model cannot be searched, or none of them will do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum PlansError {
    #[error(
        "no plan is within the limits: the nearest has {needed:.0} {binding}, {limit:.0} are allowed; it is the model {body}, with {types}"
    )]
    NothingFits { binding: String, limit: f64, needed: f64, body: String, types: String },
    #[error("a plan can be searched for at most {most} devices at once, not for {found}; leave some out")]
    TooManyDevices { found: usize, most: usize },
    #[error("`{pattern}` in `types` of the space is not a regular expression: {reason}")]
    NoPattern { pattern: String, reason: String },
    #[error(
        "`{pattern}` in `types` of the space matches no matrix of this model; `secateur inspect` lists their names"
    )]
    NamesNoMatrix { pattern: String },
    #[error("`{found}` in `types` of the space is no type; types are named as for `--tensor-type`")]
    UnknownType { found: String },
    #[error("the space leaves no type for `{tensor}`: it offers {types}, its rows can have {legal}")]
    NoTypeLeft { tensor: String, types: String, legal: String },
    #[error(
        "`cache` of the space offers f32, which takes more memory than f16 and makes nothing better; leave it out"
    )]
    LargerCache,
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Compress(#[from] CompressError),
}
