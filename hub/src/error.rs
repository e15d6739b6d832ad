//! Why a model cannot be had from the Hub: one sentence each, with what to do.

use std::path::PathBuf;

/// What went wrong between the Hub, the cache and us. No message holds a token or the query of a signed address.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum HubError {
    #[error(
        "there is no model `{repo}` at {endpoint} that this token may read; check the name, or the token's rights"
    )]
    NotFound { repo: String, endpoint: String },
    #[error(
        "there is no public model `{repo}` at {endpoint}; check the name, or set HF_TOKEN if it is private"
    )]
    NotFoundWithoutToken { repo: String, endpoint: String },
    #[error("`{repo}` is gated; ask for access at {page}, then set HF_TOKEN to a token of that account")]
    GatedWithoutToken { repo: String, page: String },
    #[error("`{repo}` is gated and this token's account has no access; ask for it at {page}")]
    Gated { repo: String, page: String },
    #[error(
        "{endpoint} does not accept this token; make a new one and set HF_TOKEN, or unset it for public models"
    )]
    BadToken { endpoint: String },
    #[error("the token of HF_TOKEN or of the token file holds characters that no token has; set it anew")]
    TokenText,
    #[error("`{repo}` has no revision `{revision}`; give a branch, a tag or a commit of it")]
    UnknownRevision { repo: String, revision: String },
    #[error("`{repo}` has no `{file}`; {hint}")]
    NoSuchFile { repo: String, file: String, hint: String },
    #[error("`{repo}` has {count} GGUF models; name one, for example `{repo}:{example}` ({names})")]
    ManyGguf { repo: String, count: usize, example: String, names: String },
    #[error(
        "`{repo}` has pickled weights only ({files}); pickle can run any program and is never fetched, look for a conversion to safetensors"
    )]
    OnlyPickle { repo: String, files: String },
    #[error(
        "`{repo}` has neither safetensors nor GGUF weights; give another model, or `--include` what you want of it"
    )]
    NoWeights { repo: String },
    #[error(
        "no file of `{repo}` is left by --include and --exclude; `--include '*' --dry-run` lists what there is"
    )]
    NothingSelected { repo: String },
    #[error("`{repo}` at `{revision}` is not in the cache {}; run once without --offline (and HF_HUB_OFFLINE)", cache.display())]
    NotCached { repo: String, revision: String, cache: PathBuf },
    #[error(
        "`{repo}` at `{revision}` is only partly in the cache, without `{file}`; run once without --offline (and HF_HUB_OFFLINE)"
    )]
    PartlyCached { repo: String, revision: String, file: String },
    #[error("{host} cannot be reached ({reason}); check the connection and run the same command again")]
    Unreachable { host: String, reason: String },
    #[error(
        "the server stopped in the middle of `{file}` ({reason}); run the same command again, it goes on from there"
    )]
    Cut { file: String, reason: String },
    #[error("{host} answers {status} for {path}{message}; try again later")]
    Status { host: String, path: String, status: u16, message: String },
    #[error("{host} asks to wait {seconds} s before the next request; run the same command again after that")]
    RateLimited { host: String, seconds: u64 },
    #[error("{host} redirects {path} too often or to nowhere; check HF_ENDPOINT")]
    Redirects { host: String, path: String },
    #[error("HF_ENDPOINT is `{found}`; expected the address of a Hub, as https://huggingface.co")]
    Endpoint { found: String },
    #[error(
        "{host} shows no certificate that is trusted ({reason}); if your network has its own, set SSL_CERT_FILE to them"
    )]
    Untrusted { host: String, reason: String },
    #[error("the certificates of SSL_CERT_FILE, `{}`, cannot be read: {reason}", path.display())]
    Certificates { path: PathBuf, reason: String },
    #[error(
        "{host} gives an answer for {path} that is not the Hub's ({reason}); check HF_ENDPOINT and proxies"
    )]
    BadAnswer { host: String, path: String, reason: String },
    #[error("{host} sends {found} bytes of `{file}` where its listing says {expected}; try again later")]
    WrongSize { host: String, file: String, expected: u64, found: u64 },
    #[error(
        "`{file}` was fetched twice and has hash {found} instead of {expected} both times; it is damaged at its source, try again later"
    )]
    WrongHash { file: String, expected: String, found: String },
    #[error(
        "`{repo}` lists a file named `{name}`, which is no name inside a folder; nothing was fetched, do not trust that model"
    )]
    UnsafeName { repo: String, name: String },
    #[error("{needed} bytes are to be fetched and {} has {free} free; make room, or set HF_HUB_CACHE to a larger disk", path.display())]
    DiskTooSmall { path: PathBuf, needed: u64, free: u64 },
    #[error("the cache cannot be written at {}: {source}; make room or set HF_HUB_CACHE to another folder, then run the same command again", path.display())]
    Cache { path: PathBuf, source: std::io::Error },
    #[error("{} in the cache cannot be read: {source}; remove it and run the same command again", path.display())]
    CacheUnreadable { path: PathBuf, source: std::io::Error },
    #[error("`{repo}` names `{file}` in its index of weights and has no such file; give another revision")]
    MissingShard { repo: String, file: String },
    #[error("the index of weights of `{repo}` is not understood ({reason}); give another revision")]
    BadIndex { repo: String, reason: String },
    #[error("headers cannot be kept for the moment at {}: {source}; make room or set TMPDIR to another folder", path.display())]
    Temporary { path: PathBuf, source: std::io::Error },
    #[error("interrupted; what has come is kept, run the same command again to go on")]
    Interrupted,
}
