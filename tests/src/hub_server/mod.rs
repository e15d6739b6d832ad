//! A Hub on loopback: the HTTP interface that secateur and Python's huggingface_hub speak, with faults on demand.
//!
//! Large files are redirected to a second port, as the Hub redirects them to another host; small ones to another path of the first.

mod model;
mod request;
mod respond;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use model::{Access, Content, HubFile, HubModel};
pub use request::Request;

/// What goes wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(u64),
    /// After so many bytes of the body nothing more comes.
    Stall(u64),
    /// So many bytes at a time, with so long between them.
    Slow(usize, Duration),
    /// This status, and `Retry-After` with so many seconds.
    Status(u16, Option<u64>),
    /// A length that is so much larger than the file, in all headers that tell it.
    WrongLength(i64),
    /// One byte of the file is another one.
    Corrupt,
    /// Ranges are not served: the whole file comes.
    NoRanges,
    /// A redirect to this address.
    RedirectTo(String),
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct HubServer {
    hub: SocketAddr,
    shared: Arc<Shared>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    /// Where large files are served.
    storage: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    models: BTreeMap<String, HubModel>,
    /// By the file's path, or `api`; each fault with how often it will happen.
    faults: BTreeMap<String, Vec<(Fault, usize)>>,
    requests: Vec<Request>,
    is_over: bool,
}

impl HubServer {
    /// Starts a server without models.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[allow(clippy::expect_used)] // tests that cannot go on
    pub fn start() -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let (hub, storage) = (bind(), bind());
        let address = |listener: &TcpListener| listener.local_addr().expect("a bound port has an address");
        let shared = Arc::new(Shared { storage: address(&storage), state: Mutex::default() });
        let server = Self { hub: address(&hub), shared: shared.clone() };
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let shared = shared.clone();
            thread::spawn(move || accept(&listener, is_storage, &shared));
        }
        server
    }

    /// For `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    /// The port to which large files are redirected.
    pub fn storage_port(&self) -> u16 {
        self.shared.storage.port()
    }

    /// Adds or replaces a model.
    pub fn add(&self, repo: &str, model: HubModel) {
        self.shared.lock().models.insert(repo.to_owned(), model);
    }

    /// Lets an answer about a file, or about `api`, go wrong so many times; faults of one file happen one after the other.
    pub fn fail(&self, what: &str, fault: Fault, times: usize) {
        self.shared.lock().faults.entry(what.to_owned()).or_default().push((fault, times));
    }

    /// Forgets all faults.
    pub fn repair(&self) {
        self.shared.lock().faults.clear();
    }

    /// All requests since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        // wakes the two that wait for connections
        for address in [self.hub, self.shared.storage] {
            drop(TcpStream::connect(address));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that happens now.
    fn next_fault(&self, what: &str) -> Option<Fault> {
        let mut state = self.lock();
        let faults = state.faults.get_mut(what)?;
        let (fault, times) = faults.first_mut()?;
        let fault = fault.clone();
        *times -= 1;
        if *times == 0 {
            faults.remove(0);
        }
        Some(fault)
    }
}

fn accept(listener: &TcpListener, is_storage: bool, shared: &Arc<Shared>) {
    for stream in listener.incoming().filter_map(Result::ok) {
        if shared.lock().is_over {
            return;
        }
        let shared = shared.clone();
        // a client that goes away ends its connection, and nothing else
        thread::spawn(move || drop(respond::serve(&stream, is_storage, &shared)));
    }
}
