//! What we need of a Hub, and the words for it. [`crate::HttpHub`] is the one on the network.

use std::fmt::{self, Write as _};
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use crate::{HubError, RepoId};

/// A state of a model, named by git: 40 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Commit(String);

impl Commit {
    /// `None` if the text is not 40 hexadecimal digits.
    pub fn new(text: &str) -> Option<Self> {
        let is_hash = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash that names the bytes of a file, on the Hub as in the cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobId {
    /// Large files: the SHA-256 of their bytes.
    Sha256([u8; 32]),
    /// Small files: the SHA-1 that git gives a blob.
    Git([u8; 20]),
}

impl BlobId {
    /// From 64 or 40 hexadecimal digits.
    pub fn new(digits: &str) -> Option<Self> {
        match digits.len() {
            64 => from_hex(digits).map(Self::Sha256),
            40 => from_hex(digits).map(Self::Git),
            _ => None,
        }
    }
}

fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let digit = |letter: u8| (letter as char).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::Git(bytes) => bytes,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('`')?;
        fmt::Display::fmt(self, f)?;
        f.write_char('`')
    }
}

/// A file as the Hub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// With `/` between folders.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// What its bytes hash to.
    pub blob: BlobId,
}

/// Bytes on their way.
pub struct Answer {
    /// Where in the file they start: where was asked for, or at 0 from a server that knows no ranges.
    pub start: u64,
    /// Where they end, not included: where was asked for, or at the end of the file.
    pub end: u64,
    /// The bytes.
    pub body: Box<dyn Read + Send>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("start", &self.start).field("end", &self.end).finish_non_exhaustive()
    }
}

/// Why one attempt failed.
#[derive(Debug)]
pub enum Failure {
    /// May work next time: a cut connection, a busy server.
    Passing {
        /// What to say if it does not.
        error: HubError,
        /// How long the server wants us to wait.
        wait: Option<Duration>,
    },
    /// Will not get better.
    Lasting(HubError),
}

impl Failure {
    /// A failure that may pass, with no word of when.
    pub fn passing(error: HubError) -> Self {
        Self::Passing { error, wait: None }
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Lasting(error)
    }
}

/// A Hub: each method is one attempt; who calls it decides about the next.
pub trait Remote: Sync {
    /// The commit that a branch, a tag or a commit stands for.
    ///
    /// # Errors
    /// [`Failure`], for one attempt.
    fn commit(&self, repo: &RepoId, revision: &str) -> Result<Commit, Failure>;

    /// All files of a commit.
    ///
    /// # Errors
    /// [`Failure`], for one attempt.
    fn list(&self, repo: &RepoId, commit: &Commit) -> Result<Vec<RemoteFile>, Failure>;

    /// Opens a range of a file's bytes.
    ///
    /// # Errors
    /// [`Failure`], for one attempt.
    fn open(
        &self,
        repo: &RepoId,
        commit: &Commit,
        file: &RemoteFile,
        range: Range<u64>,
    ) -> Result<Answer, Failure>;

    /// Ends all that is under way, in other threads too; nothing can be asked after that.
    fn close(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blob_ids_are_read_by_their_length_and_written_back() {
        let (sha256, git) = ("0a".repeat(32), "Ff".repeat(20));
        assert_eq!(BlobId::new(&sha256).unwrap().to_string(), sha256);
        assert_eq!(BlobId::new(&git).unwrap().to_string(), git.to_lowercase());
        for text in ["", "abc", &"zz".repeat(20), &"0".repeat(41), &"é".repeat(20), "../../../../etc/passwd"]
        {
            assert_eq!(BlobId::new(text), None, "{text}");
        }
    }

    #[test]
    fn a_commit_is_forty_digits() {
        assert_eq!(Commit::new(&"AB".repeat(20)).unwrap().as_str(), "ab".repeat(20));
        for text in ["main", "../../../../../../../../../../../../../x", &"g".repeat(40)] {
            assert_eq!(Commit::new(text), None);
        }
    }
}
