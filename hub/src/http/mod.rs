//! The Hub over HTTP.

mod address;
mod listing;
mod refusal;
mod token;

use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use address::Address;
use listing::{Entry, Info};
pub use token::Token;

use crate::remote::{Answer, Commit, Failure, Remote, RemoteFile};
use crate::{HubError, RepoId};

/// Where the Hub is unless told otherwise.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Redirects of one request: the Hub takes one or two.
const MAX_REDIRECTS: usize = 8;

/// Largest answer of the API that we take: listings of thousands of files have a few megabytes.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// Pages of one listing that we take, each of up to a thousand files.
const MAX_PAGES: usize = 1000;

/// How to speak with the Hub.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Its address.
    pub endpoint: String,
    /// Sent to that address and to no other.
    pub token: Option<Token>,
    /// How long a server may be silent.
    pub timeout: Duration,
    /// Certificates to trust, as PEM, instead of those of Mozilla.
    pub certificates: Option<PathBuf>,
}

/// The Hub on the network.
#[derive(Debug)]
pub struct HttpHub {
    agent: Agent,
    endpoint: Address,
    token: Option<Token>,
}

impl HttpHub {
    /// Prepares to speak with a Hub; nothing is sent yet.
    ///
    /// # Errors
    /// When the address is none, or the certificates cannot be read.
    pub fn new(settings: &HttpSettings) -> Result<Self, HubError> {
        let endpoint = settings.endpoint.trim_end_matches('/');
        let endpoint = Address::parse(endpoint)
            .ok_or_else(|| HubError::Endpoint { found: settings.endpoint.clone() })?;
        let mut config = Agent::config_builder()
            .user_agent(concat!("secateur/", env!("CARGO_PKG_VERSION")))
            // sizes and ranges are those of the file, not of some compression of it
            .accept_encoding("identity")
            .http_status_as_error(false)
            // followed here, where the token can be left out
            .max_redirects(0)
            .max_idle_connections(32)
            .max_idle_connections_per_host(16)
            .timeout_connect(Some(settings.timeout))
            .timeout_per_read(Some(settings.timeout))
            .timeout_per_write(Some(settings.timeout));
        if let Some(path) = &settings.certificates {
            let roots = read_certificates(path)
                .map_err(|reason| HubError::Certificates { path: path.clone(), reason })?;
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { agent: config.build().new_agent(), endpoint, token: settings.token.clone() })
    }

    /// Asks once, following redirects; the token goes to the Hub and to no other host.
    fn get(&self, start: &Address, range: Option<&Range<u64>>) -> Result<(Address, Response<Body>), Failure> {
        let mut address = start.clone();
        for _ in 0..MAX_REDIRECTS {
            let mut request = self.agent.get(address.as_str());
            if let (Some(token), true) = (&self.token, address.same_origin(&self.endpoint)) {
                request = request.header("Authorization", token.header());
            }
            if let Some(range) = range {
                // both ends of a range of bytes are part of it
                request = request.header("Range", format!("bytes={}-{}", range.start, range.end - 1));
            }
            let response = request.call().map_err(|error| no_answer(&address, &error))?;
            if !response.status().is_redirection() {
                return Ok((address, response));
            }
            let location = text(response.headers(), "location").and_then(|location| address.join(location));
            address = location.ok_or_else(|| redirects(&address))?;
        }
        Err(redirects(start).into())
    }

    /// Asks the API, about a model.
    fn api<T: DeserializeOwned>(
        &self,
        address: &Address,
        asked: &refusal::Asked,
    ) -> Result<(T, HeaderMap), Failure> {
        let (address, response) = self.get(address, None)?;
        if !response.status().is_success() {
            return Err(self.refusal(&address, response, asked));
        }
        let (parts, body) = response.into_parts();
        let mut json = Vec::new();
        body.into_reader()
            .take(MAX_JSON_BYTES)
            .read_to_end(&mut json)
            .map_err(|error| unreachable_host(&address, &error))?;
        let value = serde_json::from_slice(&json)
            .map_err(|error| bad_answer(&address, format!("not the JSON that was expected: {error}")))?;
        Ok((value, parts.headers))
    }

    fn refusal(&self, address: &Address, response: Response<Body>, asked: &refusal::Asked) -> Failure {
        let is_hub = address.same_origin(&self.endpoint);
        refusal::explain(&self.endpoint, address, is_hub, self.token.is_some(), response, asked)
    }
}

impl Remote for HttpHub {
    fn commit(&self, repo: &RepoId, revision: &str) -> Result<Commit, Failure> {
        let path = format!("/api/models/{repo}/revision/{}", address::encode(revision, ""));
        let address = self.endpoint.with_path(&path);
        let asked = refusal::Asked { repo: repo.to_string(), revision: revision.to_owned(), file: None };
        let (info, _): (Info, _) = self.api(&address, &asked)?;
        let commit = Commit::new(&info.sha);
        Ok(commit.ok_or_else(|| bad_answer(&address, format!("its commit is `{}`", info.sha)))?)
    }

    fn list(&self, repo: &RepoId, commit: &Commit) -> Result<Vec<RemoteFile>, Failure> {
        let asked = refusal::Asked { repo: repo.to_string(), revision: commit.to_string(), file: None };
        let path = format!("/api/models/{repo}/tree/{commit}?recursive=true&expand=false");
        let mut address = self.endpoint.with_path(&path);
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let (entries, headers): (Vec<Entry>, _) = self.api(&address, &asked)?;
            for entry in entries {
                files.extend(entry.into_file().map_err(|reason| bad_answer(&address, reason))?);
            }
            let Some(next) = text(&headers, "link").and_then(listing::next_page) else {
                files.sort_by(|a: &RemoteFile, b| a.path.cmp(&b.path));
                return Ok(files);
            };
            let here = address.clone();
            address = here
                .join(next)
                .filter(|next| next.same_origin(&self.endpoint))
                .ok_or_else(|| bad_answer(&here, "its next page is on another host".to_owned()))?;
        }
        Err(bad_answer(&address, "its listing has no end".to_owned()).into())
    }

    fn open(
        &self,
        repo: &RepoId,
        commit: &Commit,
        file: &RemoteFile,
        range: Range<u64>,
    ) -> Result<Answer, Failure> {
        let path = format!("/{repo}/resolve/{commit}/{}", address::encode(&file.path, "/"));
        let is_whole = range == (0..file.size);
        let (address, response) = self.get(&self.endpoint.with_path(&path), (!is_whole).then_some(&range))?;
        let headers = response.headers();
        let (start, end, total) = match response.status() {
            StatusCode::OK => (0, file.size, text(headers, "content-length")),
            StatusCode::PARTIAL_CONTENT => {
                let content = text(headers, "content-range").unwrap_or_default();
                let (_, total) =
                    listing::content_range(content).filter(|(start, _)| *start == range.start).ok_or_else(
                        || Failure::passing(bad_answer(&address, format!("its range is `{content}`"))),
                    )?;
                (range.start, range.end, Some(total))
            }
            _ => {
                let file = Some(file.path.clone());
                let asked = refusal::Asked { repo: repo.to_string(), revision: commit.to_string(), file };
                return Err(self.refusal(&address, response, &asked));
            }
        };
        match total.and_then(|total| total.parse().ok()) {
            Some(found) if found != file.size => Err(Failure::passing(HubError::WrongSize {
                host: address.host().to_owned(),
                file: file.path.clone(),
                expected: file.size,
                found,
            })),
            _ => Ok(Answer { start, end, body: Box::new(response.into_body().into_reader()) }),
        }
    }

    fn close(&self) {
        self.agent.clone().shutdown();
    }
}

/// The text of a header.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bad_answer(address: &Address, reason: String) -> HubError {
    HubError::BadAnswer { host: address.host().to_owned(), path: address.path().to_owned(), reason }
}

fn redirects(address: &Address) -> HubError {
    HubError::Redirects { host: address.host().to_owned(), path: address.path().to_owned() }
}

fn no_answer(address: &Address, error: &ureq::Error) -> Failure {
    let (host, reason) = (address.host().to_owned(), error.to_string());
    // what rustls refuses comes as an I/O error with its words
    let is_tls =
        matches!(error, ureq::Error::Tls(_) | ureq::Error::Rustls(_)) || reason.contains("certificate");
    if is_tls { HubError::Untrusted { host, reason }.into() } else { unreachable_host(address, error) }
}

fn unreachable_host(address: &Address, error: &dyn std::error::Error) -> Failure {
    Failure::passing(HubError::Unreachable { host: address.host().to_owned(), reason: error.to_string() })
}

fn read_certificates(path: &std::path::Path) -> Result<RootCerts, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err("it has no certificate in PEM".to_owned());
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
