//! Where on the Hugging Face Hub a checkpoint came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model on the Hub at one point of its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HubSource {
    /// `org/name`.
    pub repo: String,
    /// The branch, tag or commit that was asked for.
    pub revision: String,
    /// The commit that this was.
    pub commit: String,
}
