//! Addresses, as far as following the Hub's redirects needs them.

use std::fmt::Write as _;

use ureq::http::Uri;

/// An absolute `http` or `https` address.
#[derive(Debug, Clone)]
pub(super) struct Address {
    text: String,
    uri: Uri,
}

impl Address {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        // a name and password in the address would end up in messages
        let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        (is_web && is_plain).then(|| Self { text: text.to_owned(), uri })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port, for messages.
    pub(super) fn host(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The path alone: what stands behind it may be a signature.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The address without the path.
    fn origin(&self) -> (&str, &str, u16) {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let default_port = if scheme == "https" { 443 } else { 80 };
        (scheme, self.uri.host().unwrap_or_default(), self.uri.port_u16().unwrap_or(default_port))
    }

    /// True if scheme, host and port are the same: what may see the token.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        let ((scheme, host, port), (other_scheme, other_host, other_port)) = (self.origin(), other.origin());
        scheme == other_scheme && host.eq_ignore_ascii_case(other_host) && port == other_port
    }

    /// An address below this one; `path` starts with a slash and is encoded.
    pub(super) fn with_path(&self, path: &str) -> Self {
        let text = format!("{}{path}", self.text);
        // the parts are legal, so the whole is; were it not, the request to the bare endpoint fails clearly
        Self::parse(&text).unwrap_or_else(|| self.clone())
    }

    /// What a `Location` or `Link` header at this address points to.
    pub(super) fn join(&self, reference: &str) -> Option<Self> {
        let scheme = self.uri.scheme_str()?;
        if reference.contains("://") {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            return Self::parse(&format!("{scheme}:{reference}"));
        }
        if reference.starts_with('/') {
            return Self::parse(&format!("{scheme}://{}{reference}", self.host()));
        }
        let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::parse(&format!("{scheme}://{}{folder}/{reference}", self.host()))
    }
}

/// Percent-encodes everything but letters, digits, `-._~` and what is named in `kept`.
pub(super) fn encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.as_bytes().contains(&byte) {
            encoded.push(byte as char);
        } else {
            // writing to a String cannot fail
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn the_origin_is_scheme_host_and_port() {
        let hub = address("https://hub.example");
        for same in ["https://hub.example/x", "https://HUB.example:443/"] {
            assert!(address(same).same_origin(&hub), "{same}");
        }
        for other in [
            "http://hub.example/x",
            "https://hub.example:8443/x",
            "https://hub.example.evil/x",
            "https://cdn.hub.example/x",
        ] {
            assert!(!address(other).same_origin(&hub), "{other}");
        }
    }

    #[test]
    fn references_are_joined_as_browsers_do() {
        let here = address("https://hub.example/a/b?q=1");
        for (reference, expected) in [
            ("https://cdn.example/x?sig=1", "https://cdn.example/x?sig=1"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("/c", "https://hub.example/c"),
            ("c", "https://hub.example/a/c"),
        ] {
            assert_eq!(here.join(reference).unwrap().as_str(), expected);
        }
        assert!(here.join("ftp://x/y").is_none());
    }

    #[test]
    fn only_web_addresses_without_passwords_are_taken() {
        for text in ["", "hub.example", "file:///etc/passwd", "https://user:secret@hub.example", "https://"] {
            assert!(Address::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn names_are_encoded_for_a_path() {
        assert_eq!(encode("refs/pr/1", ""), "refs%2Fpr%2F1");
        assert_eq!(encode("a b/ü?.gguf", "/"), "a%20b/%C3%BC%3F.gguf");
    }
}
