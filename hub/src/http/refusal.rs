//! What an answer that is no success means, in the Hub's own terms.

use std::io::Read;
use std::time::Duration;

use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::address::Address;
use super::text;
use crate::HubError;
use crate::remote::Failure;

/// Longest message of a server that is shown.
const MAX_MESSAGE_CHARS: usize = 200;

/// What was asked for.
pub(super) struct Asked {
    pub(super) repo: String,
    pub(super) revision: String,
    pub(super) file: Option<String>,
}

/// Explains an answer by its status and the headers `X-Error-Code` and `X-Error-Message`, as huggingface_hub does.
pub(super) fn explain(
    endpoint: &Address,
    address: &Address,
    is_hub: bool,
    has_token: bool,
    response: Response<Body>,
    asked: &Asked,
) -> Failure {
    let status = response.status();
    if let Some(failure) = busy(address, status, &response) {
        return failure;
    }
    let code = text(response.headers(), "x-error-code").unwrap_or_default().to_owned();
    let message = text(response.headers(), "x-error-message").unwrap_or_default().to_owned();
    let repo = asked.repo.clone();
    let site = endpoint.as_str().to_owned();
    let error = match (code.as_str(), status.as_u16()) {
        ("RevisionNotFound", _) => HubError::UnknownRevision { repo, revision: asked.revision.clone() },
        ("EntryNotFound", _) => HubError::NoSuchFile {
            repo,
            file: asked.file.clone().unwrap_or_default(),
            hint: "its listing has it, so try again later".to_owned(),
        },
        ("GatedRepo", _) => {
            let page = format!("{site}/{repo}");
            if has_token {
                HubError::Gated { repo, page }
            } else {
                HubError::GatedWithoutToken { repo, page }
            }
        }
        (_, 401) if message.contains("Invalid credentials") && has_token => {
            HubError::BadToken { endpoint: site }
        }
        ("RepoNotFound", _) | (_, 401 | 404) if is_hub && asked.file.is_none() => {
            if has_token {
                HubError::NotFound { repo, endpoint: site }
            } else {
                HubError::NotFoundWithoutToken { repo, endpoint: site }
            }
        }
        // an address that was signed for a time that is over: the next attempt gets a new one
        (_, 403) if !is_hub => return Failure::passing(status_error(address, status, message, response)),
        _ => status_error(address, status, message, response),
    };
    Failure::Lasting(error)
}

/// Answers of a server that may soon do better.
fn busy(address: &Address, status: StatusCode, response: &Response<Body>) -> Option<Failure> {
    let wait = wait_of(response);
    let error = match (status.as_u16(), wait) {
        (429, Some(wait)) => {
            HubError::RateLimited { host: address.host().to_owned(), seconds: wait.as_secs() }
        }
        (408 | 429 | 500 | 502 | 503 | 504, _) => HubError::Status {
            host: address.host().to_owned(),
            path: address.path().to_owned(),
            status: status.as_u16(),
            message: String::new(),
        },
        _ => return None,
    };
    Some(Failure::Passing { error, wait })
}

/// `Retry-After` in seconds, or `t` of the draft header `ratelimit: "api";r=0;t=55`.
fn wait_of(response: &Response<Body>) -> Option<Duration> {
    let after = text(response.headers(), "retry-after").and_then(|value| value.trim().parse().ok());
    let limit = || {
        let header = text(response.headers(), "ratelimit")?;
        header.split(';').find_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
    };
    let is_limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    after.or_else(|| is_limited.then(limit).flatten()).map(Duration::from_secs)
}

fn status_error(
    address: &Address,
    status: StatusCode,
    message: String,
    response: Response<Body>,
) -> HubError {
    let message = if message.is_empty() { first_line(response) } else { message };
    HubError::Status {
        host: address.host().to_owned(),
        path: address.path().to_owned(),
        status: status.as_u16(),
        message: if message.is_empty() { String::new() } else { format!(" ({message})") },
    }
}

/// The first line of a body that is plain text.
fn first_line(response: Response<Body>) -> String {
    let is_plain =
        text(response.headers(), "content-type").is_some_and(|kind| kind.starts_with("text/plain"));
    let mut body = Vec::new();
    if is_plain {
        // only words for a message: what does not come is left out
        let _ = response.into_body().into_reader().take(4096).read_to_end(&mut body);
    }
    let body = String::from_utf8_lossy(&body);
    let line = body.lines().next().unwrap_or_default();
    line.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE_CHARS).collect()
}
