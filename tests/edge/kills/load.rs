//! Clients that send requests of all kinds and note every receipt.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::client::{Reply, Request};
use crate::origin::new_case;
use crate::pattern;

/// The pause before a request is sent again.
const AGAIN: Duration = Duration::from_millis(50);

/// Longest wait for one answer. The gateway is killed long before that, and then nothing comes.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A small generator of numbers that follow from a seed (splitmix64).
pub struct Draw(u64);

impl Draw {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What one request asks for, and what must come of it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Marks the request at the origin.
    pub case: String,
    /// The rule that takes it.
    pub rule: &'static str,
    /// Its idempotency key.
    pub key: Option<String>,
    /// Length of its body.
    pub sends: u64,
    /// Seed of both bodies.
    pub seed: u64,
    /// Length of the result.
    pub gets: u64,
    /// What the origin does.
    behaviour: String,
}

impl Wanted {
    fn draw(draw: &mut Draw) -> Self {
        let case = new_case();
        let seed = draw.below(1 << 40);
        let rule = ["honours", "honours", "put", "once"][usize::try_from(draw.below(4)).unwrap()];
        let size = |draw: &mut Draw| match draw.below(5) {
            0 => 70_000 + draw.below(130_000),
            _ => 1 + draw.below(2000),
        };
        let (sends, gets) = (size(draw), size(draw));
        let behaviour = match draw.below(4) {
            0 => "sequence?steps=503,429,200".to_owned(),
            1 => format!("echo?ms={}", draw.below(1500)),
            _ => format!("echo?ms={}", draw.below(50)),
        };
        let key = (draw.below(4) > 0).then(|| format!("key-{case}"));
        Self {
            case,
            rule,
            key,
            sends,
            seed,
            gets,
            behaviour,
        }
    }

    fn request(&self) -> Request {
        let method = if self.rule == "put" { "PUT" } else { "POST" };
        let target = format!(
            "/{}/{}&bytes={}&seed={}&case={}",
            self.rule, self.behaviour, self.gets, self.seed, self.case
        );
        let request = Request::new(method, &target).body(pattern::bytes(self.seed, self.sends));
        match &self.key {
            Some(key) => request.field("Idempotency-Key", &format!("\"{key}\"")),
            None => request,
        }
    }
}

/// A job that the gateway promised.
#[derive(Clone, Debug)]
pub struct Promise {
    /// What was asked for.
    pub wanted: Wanted,
    /// The job's id.
    pub id: String,
    /// When the request was sent that got the receipt, if one before it had got no answer.
    pub repeated: Option<SystemTime>,
    /// Its document as it was when it was first seen ended, with the entity tag.
    pub end: Option<(String, Value)>,
}

/// The clients and what they know.
pub struct Load {
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    seed: u64,
    allowed: AtomicUsize,
    begun: AtomicUsize,
    stopped: AtomicBool,
    promises: Mutex<Vec<Promise>>,
    /// Cases of requests that were never answered and have no key: there may be jobs of them.
    pub uncertain: Mutex<Vec<Wanted>>,
    /// What was found wrong while the load ran.
    pub faults: Mutex<Vec<String>>,
    refusal: Mutex<Option<String>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Requests that got no answer.
    pub unanswered: AtomicUsize,
    /// Requests sent again with their key.
    pub repeated: AtomicUsize,
}

impl Load {
    /// No clients yet.
    pub fn new(gateway: SocketAddr, seed: u64) -> Self {
        Self {
            gateway,
            seed,
            allowed: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            promises: Mutex::default(),
            uncertain: Mutex::default(),
            faults: Mutex::default(),
            refusal: Mutex::default(),
            tasks: Mutex::default(),
            unanswered: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
        }
    }

    /// Starts the clients, and one that looks at what has ended.
    pub fn start(self: &Arc<Self>, runtime: &Runtime, clients: usize) {
        let mut tasks = self.tasks.lock().unwrap();
        for client in 0..clients {
            let load = Arc::clone(self);
            let draw = Draw::new(self.seed.wrapping_add(client as u64 + 1));
            tasks.push(runtime.spawn(async move { load.send_all(draw).await }));
        }
        let load = Arc::clone(self);
        let draw = Draw::new(self.seed.wrapping_sub(1));
        tasks.push(runtime.spawn(async move { load.look(draw).await }));
    }

    /// Lets the clients go on until so many jobs are accepted.
    pub fn allow(&self, jobs: usize) {
        self.allowed.store(jobs, Ordering::Relaxed);
    }

    /// Waits until all clients have stopped.
    pub fn stop(&self, runtime: &Runtime) {
        self.stopped.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut *self.tasks.lock().unwrap()) {
            runtime.block_on(task).unwrap();
        }
    }

    /// How many jobs are accepted.
    pub fn accepted(&self) -> usize {
        self.promises.lock().unwrap().len()
    }

    /// All that was promised.
    pub fn promises(&self) -> Vec<Promise> {
        self.promises.lock().unwrap().clone()
    }

    /// The last answer that was no receipt.
    pub fn last_refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap().clone()
    }

    /// Sends a request to the gateway, and waits for the whole answer.
    pub async fn ask(&self, request: &Request) -> io::Result<Reply> {
        tokio::time::timeout(ANSWER_MAX, request.try_send(self.gateway))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn send_all(&self, mut draw: Draw) {
        while !self.stopped.load(Ordering::Relaxed) {
            // Begun, not accepted: otherwise every client would go past the limit by one.
            let begun = self.begun.fetch_add(1, Ordering::Relaxed);
            if begun >= self.allowed.load(Ordering::Relaxed) {
                self.begun.fetch_sub(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            if !self.send_one(Wanted::draw(&mut draw)).await {
                self.begun.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Sends one request until there is a receipt; without a key only until it may have arrived.
    async fn send_one(&self, wanted: Wanted) -> bool {
        let request = wanted.request();
        let mut unanswered = false;
        while !self.stopped.load(Ordering::Relaxed) {
            if unanswered {
                self.repeated.fetch_add(1, Ordering::Relaxed);
            }
            let sent = SystemTime::now();
            match self.ask(&request).await {
                Ok(reply) if reply.status == 202 => {
                    self.promised(wanted, &reply, unanswered.then_some(sent));
                    return true;
                }
                Ok(reply) => *self.refusal.lock().unwrap() = Some(reply.to_string()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    if wanted.key.is_none() {
                        self.uncertain.lock().unwrap().push(wanted);
                        return false;
                    }
                    unanswered = true;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        false
    }

    fn promised(&self, wanted: Wanted, reply: &Reply, repeated: Option<SystemTime>) {
        let location = reply.field("operation-location").unwrap_or_default();
        let id = location.rsplit('/').next().unwrap_or_default().to_owned();
        self.promises.lock().unwrap().push(Promise {
            wanted,
            id,
            repeated,
            end: None,
        });
    }

    /// Looks at jobs at random, and keeps the documents of those that have ended.
    async fn look(&self, mut draw: Draw) {
        while !self.stopped.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let count = self.accepted();
            if count == 0 {
                continue;
            }
            let place = usize::try_from(draw.below(count as u64)).unwrap();
            let promise = self.promises.lock().unwrap()[place].clone();
            let Ok(reply) = self
                .ask(&Request::get(&format!("/jobs/{}", promise.id)))
                .await
            else {
                continue;
            };
            let end = match end(&reply) {
                Ok(Some(end)) => end,
                Ok(None) => continue,
                Err(fault) => {
                    self.faults.lock().unwrap().push(fault);
                    continue;
                }
            };
            match promise.end {
                None => self.promises.lock().unwrap()[place].end = Some(end),
                Some(before) if before == end => {}
                Some(before) => {
                    let fault = format!("changed: {reply}\nwas {before:?}");
                    self.faults.lock().unwrap().push(fault);
                }
            }
        }
    }
}

/// Entity tag and document of a job that has ended; `None` where it has not, or where the gateway
/// could not say. A job that is not there is a fault.
pub fn end(reply: &Reply) -> Result<Option<(String, Value)>, String> {
    if reply.status >= 500 {
        return Ok(None);
    }
    if reply.status != 200 {
        return Err(format!("lost: {reply}"));
    }
    let document = reply.json();
    let ended = ["succeeded", "failed", "canceled"]
        .iter()
        .any(|status| document["status"] == *status);
    let tag = reply.field("etag").unwrap_or_default().to_owned();
    Ok(ended.then_some((tag, document)))
}
