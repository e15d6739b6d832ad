//! What the server has.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Who may read a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Who has this token; others do not learn that it exists.
    Private(String),
    /// Everybody may see it, who has this token may read its files.
    Gated(String),
}

/// A model with one commit.
#[derive(Debug, Clone)]
pub struct HubModel {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// Branches and tags.
    pub revisions: Vec<String>,
    /// By path.
    pub files: BTreeMap<String, HubFile>,
    /// Who may read it.
    pub access: Access,
    /// Files that one answer of the listing has.
    pub page: usize,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// On disk.
    File(PathBuf),
}

/// A file as the Hub knows it.
#[derive(Debug, Clone)]
pub struct HubFile {
    /// Its bytes.
    pub content: Content,
    /// How many.
    pub size: u64,
    /// The hash that git gives it, or the pointer that git has in its place.
    pub git: String,
    /// The hash of its bytes, if it is not in git.
    pub sha256: Option<String>,
}

impl HubModel {
    /// An empty public model; each `commit` letter makes another commit.
    pub fn new(commit: char) -> Self {
        Self {
            commit: commit.to_string().repeat(40),
            revisions: vec!["main".to_owned()],
            files: BTreeMap::new(),
            access: Access::Public,
            page: 3,
        }
    }

    /// With a small file, as git has it.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: &[u8]) -> Self {
        let content = Content::Bytes(bytes.into());
        self.files.insert(path.to_owned(), HubFile::new(content, false).unwrap_or_else(|_| HubFile::empty()));
        self
    }

    /// With a large file, as it is stored outside of git.
    #[must_use]
    pub fn with_large(mut self, path: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let content = Content::Bytes(bytes.into());
        self.files.insert(path.to_owned(), HubFile::new(content, true).unwrap_or_else(|_| HubFile::empty()));
        self
    }

    /// With all files of a folder; weights are large files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn with_folder(mut self, folder: &Path) -> io::Result<Self> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_large = [".safetensors", ".gguf", ".bin"].iter().any(|ending| name.ends_with(ending));
            if path.is_file() {
                self.files.insert(name, HubFile::new(Content::File(path), is_large)?);
            }
        }
        Ok(self)
    }

    /// With one file from disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn with_file(mut self, path: &str, file: &Path) -> io::Result<Self> {
        self.files.insert(path.to_owned(), HubFile::new(Content::File(file.to_owned()), true)?);
        Ok(self)
    }

    /// Readable for some.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }
}

impl HubFile {
    fn empty() -> Self {
        let content = Content::Bytes(Arc::from([]));
        Self { content, size: 0, git: "0".repeat(40), sha256: None }
    }

    fn new(content: Content, is_large: bool) -> io::Result<Self> {
        let mut reader: Box<dyn Read> = match &content {
            Content::Bytes(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Content::File(path) => Box::new(File::open(path)?),
        };
        let size = match &content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(path) => std::fs::metadata(path)?.len(),
        };
        let mut sha256 = Sha256::new();
        let mut git = Sha1::new().chain_update(format!("blob {size}\0"));
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            if is_large {
                sha256.update(&buffer[..read]);
            } else {
                git.update(&buffer[..read]);
            }
        }
        let sha256 = is_large.then(|| hex(&sha256.finalize()));
        if let Some(sha256) = &sha256 {
            // git has a pointer in place of a large file
            let pointer =
                format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
            git = Sha1::new().chain_update(format!("blob {}\0{pointer}", pointer.len()));
        }
        Ok(Self { content, size, git: hex(&git.finalize()), sha256 })
    }

    /// What names its blob in the cache.
    pub fn etag(&self) -> &str {
        self.sha256.as_deref().unwrap_or(&self.git)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // writing to a String cannot fail
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
