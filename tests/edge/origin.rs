//! The origin behind the gateway: an HTTP server on bare TCP that misbehaves on request and
//! records everything that it receives.
//!
//! The last segment of the path names what it does, the query says how ([`crate::behaviour`]).
//! A request carries the name of its test case as the query parameter `case` or the field `X-Case`;
//! [`Origin::seen`] returns what came for a case.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::behaviour::{self, Call};
use crate::pattern;
use crate::wire::{self, Framing, Head};

/// Bodies up to this size are kept whole, longer ones only as length and hash.
const KEEP_MAX: usize = 1024 * 1024;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The method, unchanged.
    pub method: String,
    /// The target, unchanged.
    pub target: String,
    /// All fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The start of the body, at most [`KEEP_MAX`] bytes.
    pub body: Vec<u8>,
    /// How many bytes of the body arrived.
    pub length: u64,
    /// When the peer gave up waiting for a delayed response.
    pub left: Option<std::time::Instant>,
    /// The body's SHA-256, once it was read to its proper end.
    pub sha256: Option<String>,
}

impl Seen {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        wire::field(&self.fields, name)
    }

    /// What must be equal over all attempts of a job (I6).
    pub fn identity(&self) -> (String, String, Option<String>, Option<String>) {
        let key = self.field("idempotency-key").map(str::to_owned);
        (
            self.method.clone(),
            self.target.clone(),
            self.sha256.clone(),
            key,
        )
    }
}

/// What the origin remembers.
#[derive(Default)]
pub struct Log {
    cases: Mutex<HashMap<String, Vec<Seen>>>,
    attempts: Mutex<HashMap<String, usize>>,
}

impl Log {
    /// Records a request, and returns its index in the case.
    fn begin(&self, case: &str, seen: Seen) -> usize {
        let mut cases = self.cases.lock().unwrap();
        let list = cases.entry(case.to_owned()).or_default();
        list.push(seen);
        list.len() - 1
    }

    /// Changes a recorded request.
    fn update(&self, case: &str, place: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self
            .cases
            .lock()
            .unwrap()
            .get_mut(case)
            .and_then(|l| l.get_mut(place))
        {
            change(seen);
        }
    }

    /// How often this was called with `key` before.
    pub fn count(&self, key: &str) -> usize {
        let mut attempts = self.attempts.lock().unwrap();
        let count = attempts.entry(key.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

/// A running origin. It ends with the test process.
pub struct Origin {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    log: Arc<Log>,
}

impl Origin {
    /// Starts an origin on a separate thread, so that it outlives the runtime of any one test.
    pub fn start() -> Self {
        let log = Arc::new(Log::default());
        let (send, receive) = std::sync::mpsc::channel();
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    if let Ok((stream, _)) = listener.accept().await {
                        let log = Arc::clone(&shared);
                        tokio::spawn(async move {
                            // Many of the tests break the connection on purpose.
                            let _ = converse(stream, log).await;
                        });
                    }
                }
            });
        });
        Self {
            address: receive.recv().unwrap(),
            log,
        }
    }

    /// The origin that the tests of one run share.
    pub fn shared() -> &'static Self {
        static ORIGIN: OnceLock<Origin> = OnceLock::new();
        ORIGIN.get_or_init(Self::start)
    }

    /// The origin's URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests of a case, in the order of their arrival.
    pub fn seen(&self, case: &str) -> Vec<Seen> {
        self.log
            .cases
            .lock()
            .unwrap()
            .get(case)
            .cloned()
            .unwrap_or_default()
    }
}

/// A name for a test case, unique in this run.
pub fn new_case() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "case-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// What happens to the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Wait for the next request.
    KeepAlive,
    /// Close it in the usual way (FIN).
    Close,
    /// Break it (RST).
    Reset,
    /// Send nothing more until the peer closes.
    Hang,
}

/// A connection to the origin, with the current request.
pub struct Conversation {
    /// Both directions.
    pub stream: BufReader<TcpStream>,
    framing: Framing,
    expects_continue: bool,
    log: Arc<Log>,
    case: String,
    place: usize,
}

impl Conversation {
    /// Sends bytes at once.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Reads the request's body to its end, waiting `gap` after each piece.
    pub async fn read_body(&mut self, gap: std::time::Duration) -> io::Result<()> {
        if std::mem::take(&mut self.expects_continue) {
            self.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut hasher = Sha256::new();
        let mut kept = Vec::new();
        let mut length = 0;
        while let Some(piece) = wire::read_piece(&mut self.stream, &mut self.framing).await? {
            hasher.update(&piece);
            length += piece.len() as u64;
            kept.extend(piece.into_iter().take(KEEP_MAX - kept.len()));
            self.log
                .update(&self.case, self.place, |seen| seen.length = length);
            if !gap.is_zero() {
                tokio::time::sleep(gap).await;
            }
        }
        let sha256 = pattern::hex(&hasher.finalize());
        self.log.update(&self.case, self.place, |seen| {
            seen.sha256 = Some(sha256);
            seen.body = kept;
        });
        Ok(())
    }

    /// The request as recorded so far.
    pub fn seen(&self) -> Seen {
        let cases = self.log.cases.lock().unwrap();
        cases
            .get(&self.case)
            .and_then(|list| list.get(self.place))
            .cloned()
            .unwrap_or_default()
    }

    /// How many requests of this job came before, by what identifies the job.
    pub fn attempts_before(&self) -> usize {
        let seen = self.seen();
        let job = seen
            .field("raincheck-job")
            .or_else(|| seen.field("idempotency-key"));
        self.log
            .count(&format!("{} {}", self.case, job.unwrap_or_default()))
    }
}

/// Responds to the requests of one connection until it ends.
async fn converse(stream: TcpStream, log: Arc<Log>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    while let Some(head) = wire::read_head(&mut stream).await? {
        let (call, seen) = understand(&head);
        let place = log.begin(&call.case, seen);
        let mut conversation = Conversation {
            stream,
            framing: Framing::of_request(&head),
            expects_continue: head.field("expect").is_some(),
            log: Arc::clone(&log),
            case: call.case.clone(),
            place,
        };
        let end = behaviour::perform(&mut conversation, &call).await?;
        stream = conversation.stream;
        match end {
            End::KeepAlive => {}
            End::Close => return stream.shutdown().await,
            End::Reset => return stream.get_ref().set_zero_linger(),
            End::Hang => {
                while let Ok(Some(_)) = wire::read_piece(&mut stream, &mut Framing::Close).await {}
                log.update(&call.case, place, |seen| {
                    seen.left = Some(std::time::Instant::now());
                });
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Parses a request's head.
fn understand(head: &Head) -> (Call, Seen) {
    let mut words = head.start.splitn(2, ' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let target = target
        .rsplit_once(' ')
        .map_or(target, |(target, _)| target)
        .to_owned();
    let case = head.field("x-case").map(str::to_owned);
    let call = Call::new(&method, &target, case);
    let fields = head.fields.clone();
    (
        call,
        Seen {
            method,
            target,
            fields,
            ..Seen::default()
        },
    )
}
