//! What the Hub's API answers.

use serde::Deserialize;

use crate::remote::{BlobId, RemoteFile};

/// `/api/models/{id}/revision/{revision}`, the part that we need.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) sha: String,
}

/// One entry of `/api/models/{id}/tree/{commit}`.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    oid: String,
    path: String,
    #[serde(default)]
    size: u64,
    lfs: Option<LargeFile>,
}

/// What is stored outside of git.
#[derive(Debug, Deserialize)]
struct LargeFile {
    oid: String,
    size: u64,
}

impl Entry {
    /// The file, unless this is a folder.
    pub(super) fn into_file(self) -> Result<Option<RemoteFile>, String> {
        if self.kind != "file" {
            return Ok(None);
        }
        let (oid, size) = match self.lfs {
            Some(large) => (large.oid, large.size),
            None => (self.oid, self.size),
        };
        match BlobId::new(&oid) {
            Some(blob) => Ok(Some(RemoteFile { path: self.path, size, blob })),
            None => Err(format!("the hash of `{}` is `{oid}`", self.path)),
        }
    }
}

/// The address of the next page in a `Link` header.
pub(super) fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        parameters.contains("rel=\"next\"").then_some(address)
    })
}

/// Start and total of `bytes 100-199/1000`.
pub(super) fn content_range(header: &str) -> Option<(u64, &str)> {
    let (range, total) = header.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> Result<Option<RemoteFile>, String> {
        serde_json::from_str::<Entry>(json).unwrap().into_file()
    }

    #[test]
    fn large_files_have_the_hash_of_their_bytes() {
        let git = "1".repeat(40);
        let sha256 = "2".repeat(64);
        let small = file(&format!(r#"{{"type":"file","oid":"{git}","size":7,"path":"config.json"}}"#));
        assert_eq!(small.unwrap().unwrap().blob, BlobId::new(&git).unwrap());
        let large = file(&format!(
            r#"{{"type":"file","oid":"{git}","size":134,"path":"a","lfs":{{"oid":"{sha256}","size":9,"pointerSize":134}}}}"#
        ));
        let large = large.unwrap().unwrap();
        assert_eq!((large.blob, large.size), (BlobId::new(&sha256).unwrap(), 9));
        assert_eq!(file(&format!(r#"{{"type":"directory","oid":"{git}","path":"onnx"}}"#)), Ok(None));
        assert!(file(r#"{"type":"file","oid":"../x","size":1,"path":"a"}"#).is_err());
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let link = r#"<https://h/a?cursor=1>; rel="prev", <https://h/a?cursor=2>; rel="next""#;
        assert_eq!(next_page(link), Some("https://h/a?cursor=2"));
        assert_eq!(next_page(r#"<x>; rel="last""#), None);
    }

    #[test]
    fn content_ranges_are_read_or_refused() {
        assert_eq!(content_range("bytes 100-199/1000"), Some((100, "1000")));
        for text in ["", "bytes */1000", "100-199/1000", "bytes x-1/2"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
