//! The hash that names a blob, computed piece by piece.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::remote::BlobId;

/// Hashes bytes as the blob that they should be is hashed.
#[derive(Debug, Clone)]
pub(crate) enum BlobHasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl BlobHasher {
    /// For the kind of hash that `blob` is; git hashes the length in front of the bytes.
    pub(crate) fn new(blob: &BlobId, size: u64) -> Self {
        match blob {
            BlobId::Sha256(_) => Self::Sha256(Sha256::new()),
            BlobId::Git(_) => Self::Git(Sha1::new().chain_update(format!("blob {size}\0"))),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> BlobId {
        match self {
            Self::Sha256(hasher) => BlobId::Sha256(hasher.finalize().into()),
            Self::Git(hasher) => BlobId::Git(hasher.finalize().into()),
        }
    }

    /// The hash of bytes in memory.
    pub(crate) fn of(blob: &BlobId, size: u64, bytes: &[u8]) -> BlobId {
        let mut hasher = Self::new(blob, size);
        hasher.update(bytes);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        // `printf hello | git hash-object --stdin` and `printf hello | sha256sum`
        for digits in [
            "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        ] {
            let blob = BlobId::new(digits).unwrap();
            let mut hasher = BlobHasher::new(&blob, 5);
            hasher.update(b"hel");
            hasher.update(b"lo");
            assert_eq!(hasher.finish(), blob);
        }
    }
}
