//! A request, as far as the server looks at it.

use std::io::{self, BufRead};

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// True at the port to which large files are redirected.
    pub is_storage: bool,
    /// First and last byte, as asked for.
    pub range: Option<(u64, Option<u64>)>,
    /// The whole header.
    pub authorization: Option<String>,
}

impl Request {
    /// Reads a request; `None` when the client is done.
    pub(super) fn read(reader: &mut impl BufRead, is_storage: bool) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
        let mut request = Self { method, path, is_storage, range: None, authorization: None };
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 {
                return Ok(None);
            }
            let Some((name, value)) = header.trim_end().split_once(':') else { return Ok(Some(request)) };
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = range(value.trim()),
                "authorization" => request.authorization = Some(value.trim().to_owned()),
                _ => {}
            }
        }
    }

    /// True if it asks for bytes of a file.
    pub fn is_content(&self) -> bool {
        self.method == "GET" && (self.is_storage || self.path.contains("/resolve"))
    }
}

fn range(header: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}
