//! Answers, as the Hub gives them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::model::{Access, Content, HubFile, HubModel};
use super::request::Request;
use super::{Fault, Shared};

/// Longer than any client of a test waits.
const FOREVER: Duration = Duration::from_secs(60);

/// Headers of an answer.
type Headers = Vec<(&'static str, String)>;

/// Answers on one connection until the client leaves or a fault ends it.
pub(super) fn serve(stream: &TcpStream, is_storage: bool, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    stream.set_nodelay(true)?;
    while let Some(request) = Request::read(&mut reader, is_storage)? {
        shared.lock().requests.push(request.clone());
        answer(stream, &request, shared)?;
    }
    Ok(())
}

fn answer(stream: &TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let path = request.path.split('?').next().unwrap_or_default();
    let parts: Vec<String> = path.split('/').skip(1).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let is_redirected = request.is_storage || matches!(parts.as_slice(), ["api", "resolve-cache", ..]);
    match parts.as_slice() {
        ["api", "models", organization, name, "revision", revision] => {
            let model = match find(shared, request, organization, name) {
                Ok(model) => model,
                Err(refusal) => return respond(stream, &refusal),
            };
            match shared.next_fault("api") {
                Some(Fault::Status(status, after)) => return respond(stream, &trouble(status, after)),
                Some(Fault::Stall(_)) => return wait_for_the_client(stream),
                _ => {}
            }
            if has_revision(&model, revision) {
                json_answer(stream, request, &info(&format!("{organization}/{name}"), &model), Vec::new())
            } else {
                respond(stream, &refuse(404, "RevisionNotFound", "Invalid rev id"))
            }
        }
        ["api", "models", organization, name, "tree", commit] => {
            match find(shared, request, organization, name) {
                Err(refusal) => respond(stream, &refusal),
                Ok(model) if !has_revision(&model, commit) => {
                    respond(stream, &refuse(404, "RevisionNotFound", "Invalid rev id"))
                }
                Ok(model) => tree(stream, request, &model),
            }
        }
        // both redirects lead to the same: storage by hash, small files by path
        ["api", "resolve-cache", "models", organization, name, _, path @ ..]
        | ["storage", organization, name, path @ ..]
            if is_redirected =>
        {
            let path = path.join("/");
            let model = shared.lock().models.get(&format!("{organization}/{name}")).cloned();
            match model.as_ref().and_then(|model| Some((model, model.files.get(&path)?))) {
                Some((model, file)) => {
                    content(stream, request, model, file, shared.next_fault(&path).as_ref())
                }
                None => respond(stream, &refuse(404, "EntryNotFound", "Entry not found")),
            }
        }
        [organization, name, "resolve", revision, path @ ..] => {
            let model = match find(shared, request, organization, name) {
                Ok(model) => model,
                Err(refusal) => return respond(stream, &refusal),
            };
            let repo = format!("{organization}/{name}");
            respond(stream, &resolve(shared, request, &repo, &model, revision, &path.join("/")))
        }
        _ => respond(stream, &refuse(404, "RepoNotFound", "Repository not found")),
    }
}

/// Status and headers of an answer without a body.
struct Refusal {
    status: u16,
    headers: Headers,
}

fn refuse(status: u16, code: &str, message: &str) -> Refusal {
    let headers = vec![("X-Error-Code", code.to_owned()), ("X-Error-Message", message.to_owned())];
    Refusal { status, headers }
}

fn trouble(status: u16, retry_after: Option<u64>) -> Refusal {
    let headers = retry_after.map(|seconds| ("Retry-After", seconds.to_string())).into_iter().collect();
    Refusal { status, headers }
}

/// Says nothing until the client leaves.
fn wait_for_the_client(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(FOREVER))?;
    let _ = stream.read(&mut [0]);
    stream.shutdown(std::net::Shutdown::Both)
}

/// The model, if it is there for who asks.
fn find(shared: &Shared, request: &Request, organization: &str, name: &str) -> Result<HubModel, Refusal> {
    let model = shared.lock().models.get(&format!("{organization}/{name}")).cloned();
    let bearer = |token: &String| request.authorization.as_deref() == Some(&format!("Bearer {token}"));
    let model = model.filter(|model| match &model.access {
        Access::Private(token) => bearer(token),
        _ => true,
    });
    if request.authorization.as_deref() == Some("Bearer hf_expired") {
        return Err(refuse(401, "", "Invalid credentials in Authorization header"));
    }
    // who shows no token is not told whether a model exists
    let status = if request.authorization.is_some() { 404 } else { 401 };
    let model = model.ok_or_else(|| refuse(status, "RepoNotFound", "Repository not found"))?;
    let wants_content = request.path.contains("/resolve/");
    match &model.access {
        Access::Gated(token) if wants_content && !bearer(token) => {
            let status = if request.authorization.is_some() { 403 } else { 401 };
            Err(refuse(status, "GatedRepo", "Access to this model is restricted"))
        }
        _ => Ok(model),
    }
}

fn has_revision(model: &HubModel, revision: &str) -> bool {
    model.commit == revision || model.revisions.iter().any(|other| other == revision)
}

fn info(repo: &str, model: &HubModel) -> Value {
    let siblings: Vec<Value> = model.files.keys().map(|path| json!({"rfilename": path})).collect();
    json!({
        "_id": "1", "id": repo, "modelId": repo, "sha": model.commit, "private": false, "gated": false,
        "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
    })
}

/// One page of the listing; `cursor` in the query says which.
fn tree(stream: &TcpStream, request: &Request, model: &HubModel) -> io::Result<()> {
    let cursor = request.path.split_once("cursor=").and_then(|(_, rest)| rest.split('&').next());
    let page: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let entry = |(path, file): (&String, &HubFile)| {
        let mut entry = json!({"type": "file", "oid": file.git, "size": file.size, "path": path});
        if let Some(sha256) = &file.sha256 {
            entry["lfs"] = json!({"oid": sha256, "size": file.size, "pointerSize": 134});
        }
        entry
    };
    let mut entries =
        vec![json!({"type": "directory", "oid": "0".repeat(40), "size": 0, "path": "a folder"})];
    entries.extend(model.files.iter().map(entry));
    let entries: Vec<Value> = entries.into_iter().skip(page * model.page).take(model.page + 1).collect();
    let (shown, has_more) = (&entries[..entries.len().min(model.page)], entries.len() > model.page);
    let mut headers = Vec::new();
    if has_more {
        let (host, path) = (stream.local_addr()?, request.path.split("&cursor=").next().unwrap_or_default());
        headers.push(("Link", format!("<http://{host}{path}&cursor={}>; rel=\"next\"", page + 1)));
    }
    json_answer(stream, request, &json!(shown), headers)
}

/// Where a file's bytes are: the redirect that the Hub answers with.
fn resolve(
    shared: &Shared,
    request: &Request,
    repo: &str,
    model: &HubModel,
    revision: &str,
    path: &str,
) -> Refusal {
    if !has_revision(model, revision) {
        return refuse(404, "RevisionNotFound", "Invalid rev id");
    }
    let Some(file) = model.files.get(path) else { return refuse(404, "EntryNotFound", "Entry not found") };
    let fault = if request.method == "GET" { shared.next_fault(&format!("resolve {path}")) } else { None };
    let target = match (fault, &file.sha256) {
        (Some(Fault::RedirectTo(address)), _) => address,
        (Some(Fault::Status(status, after)), _) => return trouble(status, after),
        (_, Some(_)) => format!("http://{}/storage/{repo}/{path}?signature=s3cr3t", shared.storage),
        (_, None) => format!("/api/resolve-cache/models/{repo}/{}/{path}", model.commit),
    };
    let headers = vec![
        ("Location", target),
        ("X-Repo-Commit", model.commit.clone()),
        ("X-Linked-Size", file.size.to_string()),
        ("X-Linked-Etag", format!("\"{}\"", file.etag())),
        ("ETag", format!("\"{}\"", file.etag())),
    ];
    Refusal { status: if file.sha256.is_some() { 302 } else { 307 }, headers }
}

fn content(
    stream: &TcpStream,
    request: &Request,
    model: &HubModel,
    file: &HubFile,
    fault: Option<&Fault>,
) -> io::Result<()> {
    if let Some(Fault::Status(status, after)) = fault {
        return respond(stream, &trouble(*status, *after));
    }
    let announced = match fault {
        Some(Fault::WrongLength(more)) => file.size.saturating_add_signed(*more),
        _ => file.size,
    };
    let asked = request.range.filter(|_| fault != Some(&Fault::NoRanges));
    let range = match asked {
        Some((first, _)) if first >= file.size => {
            let headers = vec![("Content-Range", format!("bytes */{announced}"))];
            return respond(stream, &Refusal { status: 416, headers });
        }
        Some((first, last)) => first..last.map_or(file.size, |last| (last + 1).min(file.size)),
        None => 0..file.size,
    };
    let mut headers = vec![("ETag", format!("\"{}\"", file.etag())), ("Accept-Ranges", "bytes".to_owned())];
    if !request.is_storage {
        headers.push(("X-Repo-Commit", model.commit.clone()));
    }
    let status = if asked.is_some() {
        headers.push(("Content-Range", format!("bytes {}-{}/{announced}", range.start, range.end - 1)));
        206
    } else {
        200
    };
    let length = (range.end - range.start).saturating_add_signed(announced as i64 - file.size as i64);
    head(stream, status, &headers, length)?;
    if request.method == "HEAD" {
        return Ok(());
    }
    body(stream, file, range, fault)
}

fn body(mut stream: &TcpStream, file: &HubFile, range: Range<u64>, fault: Option<&Fault>) -> io::Result<()> {
    let length = range.end - range.start;
    let mut reader: Box<dyn Read> = match &file.content {
        Content::Bytes(bytes) => Box::new(io::Cursor::new(&bytes[range.start as usize..range.end as usize])),
        Content::File(path) => {
            let mut open = File::open(path)?;
            open.seek(SeekFrom::Start(range.start))?;
            if fault.is_none() {
                // file to socket inside the kernel
                io::copy(&mut open.take(length), &mut stream)?;
                return Ok(());
            }
            Box::new(open.take(length))
        }
    };
    match fault {
        Some(Fault::Cut(after)) => {
            io::copy(&mut reader.take(*after), &mut stream)?;
            stream.shutdown(std::net::Shutdown::Both)
        }
        Some(Fault::Stall(after)) => {
            io::copy(&mut reader.take(*after), &mut stream)?;
            wait_for_the_client(stream)
        }
        Some(Fault::Slow(bytes, pause)) => {
            let mut buffer = vec![0; *bytes];
            loop {
                let read = reader.read(&mut buffer)?;
                if read == 0 {
                    return Ok(());
                }
                stream.write_all(&buffer[..read])?;
                sleep(*pause);
            }
        }
        Some(Fault::Corrupt) => {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            stream.write_all(&bytes)
        }
        Some(Fault::WrongLength(_)) => {
            io::copy(&mut reader, &mut stream)?;
            stream.shutdown(std::net::Shutdown::Both)
        }
        _ => io::copy(&mut reader, &mut stream).map(drop),
    }
}

fn json_answer(
    mut stream: &TcpStream,
    request: &Request,
    value: &Value,
    mut headers: Headers,
) -> io::Result<()> {
    let text = value.to_string();
    headers.push(("Content-Type", "application/json; charset=utf-8".to_owned()));
    head(stream, 200, &headers, text.len() as u64)?;
    if request.method == "HEAD" { Ok(()) } else { stream.write_all(text.as_bytes()) }
}

fn respond(stream: &TcpStream, refusal: &Refusal) -> io::Result<()> {
    head(stream, refusal.status, &refusal.headers, 0)
}

fn head(mut stream: &TcpStream, status: u16, headers: &Headers, length: u64) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        // writing to a String cannot fail
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())
}

/// `%2F` as `/`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| first == b'%');
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
