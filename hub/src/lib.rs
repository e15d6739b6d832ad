//! Checkpoints from the Hugging Face Hub, as reliably as a package manager fetches packages.
//!
//! A [`ModelId`] says what is wanted. [`Hub::plan`] asks a [`Remote`] which files that is and compares them with the
//! [`Cache`], which is the one of Python's huggingface_hub. [`Hub::fetch`] brings what is missing, in parallel, each file checked by
//! its hash before it gets its name. [`Hub::stand_in`] reads headers only, by range.
//!
//! Nothing here reads the environment or prints.

mod cache;
mod error;
mod http;
mod id;
mod patience;
mod plan;
mod progress;
mod pull;
mod remote;
mod select;
mod stand_in;
mod transfer;

pub use cache::Cache;
pub use error::HubError;
pub use http::{DEFAULT_ENDPOINT, HttpHub, HttpSettings, Token};
pub use id::{DEFAULT_REVISION, IdError, ModelId, RepoId};
pub use plan::{Plan, PlannedFile};
pub use progress::{Progress, Silent};
pub use pull::Hub;
pub use remote::{Answer, BlobId, Commit, Failure, Remote, RemoteFile};
pub use select::{Pattern, Selection};
pub use stand_in::StandIn;
