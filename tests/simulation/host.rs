//! A shard's Durable Object: the steps of the real one (gather, commit, alarm, respond, send), around
//! the real `Shard` and `shard_service`.
//!
//! One turn (what happens between two awaits) is one commit on the platform, the alarm included.
//! A crash loses the memory and every response in transit; the rows and the alarm stay.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use raincheck::job::{IdKey, JobId, Millis, Record, RowKey, UnixMillis};
use raincheck::protocol::problem::{Problem, ProblemCode};
use raincheck::rpc::call::{CALL_VERSION, Call, Envelope, FinishCall, PayloadCall, Work};
use raincheck::rpc::frame;
use raincheck::rpc::hash::name_at_origin;
use raincheck::rpc::ports::CallBody;
use raincheck::rpc::{Content, Reply};
use raincheck::shard::{Claim, Found, Settings, Shard, ShardError, Sql as _};
use raincheck::shard_service::{GroupedCall, Handled, handle, handle_group};

use super::body::Body;
use super::crossing::Crash;
use super::executor::Pid;
use super::fault::Fault;
use super::history::{Event, Job};
use super::watch::Watched;
use super::world::World;

const GATHER_WINDOW: u64 = 2;
const GROUP_MAX: usize = 128;

/// Statements of a turn with one job and no object: one reads, one writes.
const STATEMENTS: usize = 2;

/// How long an object may exist before a record names it. Longer than any upload here takes.
pub const ORPHAN_GRACE: Millis = Millis::from_secs(3600);

/// A caller that waits for a group's commit, and its request.
struct Caller {
    asked: Vec<Event>,
    answer: oneshot::Sender<Handled>,
}

/// A shard with its database.
pub struct ShardHost {
    world: Weak<World>,
    pub number: u16,
    pub sql: Watched,
    /// The platform's alarm: it outlives a crash.
    pub(super) stored_alarm: Cell<Option<u64>>,
    pub(super) pid: Cell<Pid>,
    pub(super) shard: RefCell<Option<Shard<Watched>>>,
    pub(super) alarm: Cell<Option<UnixMillis>>,
    group: RefCell<Vec<GroupedCall<Caller>>>,
    arriving: Cell<usize>,
    /// The active jobs are being read after a start.
    pub(super) loading: Cell<bool>,
    /// The alarm's handler runs.
    pub(super) ringing: Cell<bool>,
    /// Another alarm was set while it runs.
    pub(super) replaced: Cell<bool>,
    /// The current alarm has fired before, and its handler did not get to its end.
    pub(super) failed: Cell<bool>,
}

impl ShardHost {
    pub fn new(world: &Rc<World>, number: u16) -> Rc<Self> {
        let host = Rc::new(Self {
            world: Rc::downgrade(world),
            number,
            sql: Watched::new(),
            stored_alarm: Cell::new(None),
            pid: Cell::new(0),
            shard: RefCell::new(None),
            alarm: Cell::new(None),
            group: RefCell::default(),
            arriving: Cell::new(0),
            loading: Cell::new(false),
            ringing: Cell::new(false),
            replaced: Cell::new(false),
            failed: Cell::new(false),
        });
        host.start(world);
        host
    }

    pub(super) fn world(&self) -> Rc<World> {
        self.world.upgrade().expect("the world outlives its shards")
    }

    /// A new incarnation: nothing in memory.
    fn start(self: &Rc<Self>, world: &World) {
        *self.shard.borrow_mut() = None;
        self.alarm.set(None);
        self.group.borrow_mut().clear();
        self.arriving.set(0);
        self.loading.set(false);
        self.ringing.set(false);
        self.replaced.set(false);
        let pid = world.executor.process();
        self.pid.set(pid);
        let host = Rc::downgrade(self);
        world.executor.on_kill(pid, move || {
            if let Some(host) = host.upgrade() {
                let world = host.world();
                host.start(&world);
            }
        });
    }

    /// Kills it immediately. Must not be called from its own tasks.
    pub fn crash(&self) {
        self.world().executor.kill(self.pid.get());
    }

    /// When the platform's alarm is due, by the clock.
    pub fn due(&self) -> Option<u64> {
        self.stored_alarm.get().filter(|_| !self.ringing.get())
    }

    /// The number of the incarnation: another after each crash.
    pub fn incarnation(&self) -> Pid {
        self.pid.get()
    }

    /// Whether a job has ended, or is gone.
    pub fn has_ended(&self, id: &JobId) -> bool {
        let now = self.world().now();
        let shard = self.shard.borrow();
        let found = shard.as_ref().and_then(|shard| shard.read(id, now).ok());
        match found {
            Some(Found::Job(record)) => record.status().is_terminal(),
            Some(Found::Nothing | Found::Expired) => true,
            None => false,
        }
    }

    pub fn stored_alarm(&self) -> Option<u64> {
        self.stored_alarm.get()
    }

    /// A call arrives.
    pub fn call(
        self: &Rc<Self>,
        text: String,
        body: CallBody<Body>,
        answer: oneshot::Sender<Reply>,
        crashes: bool,
    ) {
        let world = self.world();
        let crash = if crashes {
            self.perhaps_crash(&world)
        } else {
            Crash::None
        };
        if crash == Crash::Before {
            return;
        }
        let host = Rc::clone(self);
        world.executor.spawn(self.pid.get(), async move {
            let reply = host.serve(&text, body).await;
            if crash == Crash::None {
                let _ = answer.send(reply);
            }
        });
    }

    async fn serve(self: &Rc<Self>, text: &str, body: CallBody<Body>) -> Reply {
        let envelope = match Envelope::from_header(text) {
            Ok(envelope) if envelope.v <= CALL_VERSION => envelope,
            _ => return unavailable(),
        };
        self.arriving.set(self.arriving.get() + 1);
        let body = self.read_body(&envelope.call, body).await;
        self.arriving.set(self.arriving.get() - 1);
        let Some(body) = body else {
            self.flush_if_last();
            return Problem::new(ProblemCode::BodyIncomplete).into();
        };
        if let Err(error) = self.opened(Some(envelope.shard)) {
            return self.closed_by(error);
        }
        self.load();
        let handled = if envelope.call.shares_commit() {
            self.in_group(envelope.call, body).await
        } else {
            self.alone(envelope.call, body)
        };
        self.after(&handled.sends);
        handled.reply
    }

    async fn read_body(&self, call: &Call, body: CallBody<Body>) -> Option<Vec<u8>> {
        let has_body = match call {
            Call::Accept(call) => matches!(call.payload, PayloadCall::Inline(_)),
            Call::Finish => true,
            _ => false,
        };
        if !has_body {
            return Some(Vec::new());
        }
        self.world().latency().await;
        match body {
            CallBody::Empty => Some(Vec::new()),
            CallBody::Bytes(bytes) => Some(bytes),
            CallBody::Stream(body) => {
                self.world().sleep(body.slow).await;
                (!body.broken).then(|| body.blob.bytes().to_vec())
            }
        }
    }

    pub(super) fn opened(&self, number: Option<u16>) -> Result<(), ShardError> {
        if self.shard.borrow().is_some() {
            return Ok(());
        }
        self.committing(|| self.open(number))
    }

    fn open(&self, number: Option<u16>) -> Result<(), ShardError> {
        let policy = Rc::clone(&self.world().policy);
        let settings = Settings {
            patience: policy.claim_patience,
            tombstone: policy.tombstone,
            orphan_grace: ORPHAN_GRACE,
        };
        self.alarm.set(self.told_alarm());
        let id_key = IdKey([self.number.to_le_bytes()[0]; 32]);
        *self.shard.borrow_mut() = Some(Shard::open(self.sql.clone(), number, settings, id_key)?);
        Ok(())
    }

    pub(super) fn closed_by(&self, error: ShardError) -> Reply {
        *self.shard.borrow_mut() = None;
        Handled::from(error).reply
    }

    /// Runs code that may write, with a chance that a statement fails, and records what was committed.
    pub(super) fn committing<T>(&self, act: impl FnOnce() -> T) -> T {
        let world = self.world();
        if world.strike(&[Fault::Sql]).is_some() {
            let after = if world.chance.searches() {
                world.chance.pick(STATEMENTS) as u64
            } else {
                world.dice.below(6)
            };
            let after = u32::try_from(after).unwrap_or(0);
            self.sql.inner.fail_after.set(Some(after));
        }
        let done = act();
        self.sql.inner.fail_after.set(None);
        self.note(&world);
        done
    }

    fn note(&self, world: &World) {
        for (key, tag, state) in self.sql.take() {
            let job = (self.number, key, tag);
            match state {
                Some(state) => {
                    let record: Record =
                        serde_json::from_str(&state).expect("what a shard stores is a record");
                    world.log(Event::Stored {
                        job,
                        record: Rc::new(record),
                    });
                }
                None => world.log(Event::Erased { job }),
            }
        }
    }

    fn job(&self, key: u64) -> Job {
        (self.number, key, self.sql.tag(key))
    }

    fn alone(&self, call: Call, body: Vec<u8>) -> Handled {
        self.committing(|| self.handle(call, body))
    }

    fn handle(&self, call: Call, body: Vec<u8>) -> Handled {
        let world = self.world();
        let mut borrowed = self.shard.borrow_mut();
        let Some(shard) = borrowed.as_mut() else {
            return unavailable().into();
        };
        handle(shard, call, body, world.now(), &mut |bytes| {
            world.secrets.fill(bytes);
        })
    }

    /// Runs a call on the shard. Claims and reports always share a commit.
    fn asked(&self, call: &Call, body: &[u8]) -> Vec<Event> {
        match call {
            Call::Finish => {
                let frames = frame::decode(body).unwrap_or_default();
                let reports = frames.iter().map(|frame| {
                    let finish: FinishCall =
                        serde_json::from_str(&frame.json).expect("a consumer writes reports");
                    Event::Report {
                        job: self.job(finish.key.0),
                        token: finish.token,
                        outcome: finish.outcome,
                        object: finish.object.and_then(|body| body.object),
                    }
                });
                reports.collect()
            }
            Call::Claim(claims) => {
                let claim = |claim: &Claim| Event::Claim {
                    job: self.job(claim.key.0),
                    token: claim.token,
                };
                claims.iter().map(claim).collect()
            }
            _ => Vec::new(),
        }
    }

    async fn in_group(self: &Rc<Self>, call: Call, body: Vec<u8>) -> Handled {
        let (answer, answered) = oneshot::channel();
        let asked = self.asked(&call, &body);
        let position = {
            let mut group = self.group.borrow_mut();
            group.push(GroupedCall {
                call,
                body,
                caller: Caller { asked, answer },
            });
            group.len()
        };
        if position >= GROUP_MAX || (position == 1 && self.arriving.get() == 0) {
            self.flush();
        } else if position == 1 {
            let host = Rc::clone(self);
            let world = self.world();
            world.clone().executor.spawn(self.pid.get(), async move {
                world.sleep(GATHER_WINDOW).await;
                host.flush();
            });
        } else {
            self.flush_if_last();
        }
        answered.await.unwrap_or_else(|_| unavailable().into())
    }

    fn flush_if_last(&self) {
        if self.arriving.get() == 0 {
            self.flush();
        }
    }

    fn flush(&self) {
        let group = self.group.take();
        if group.is_empty() || self.shard.borrow().is_none() {
            return;
        }
        self.committing(|| {
            let world = self.world();
            let mut borrowed = self.shard.borrow_mut();
            let Some(shard) = borrowed.as_mut() else {
                return;
            };
            let mut random = |bytes: &mut [u8]| world.secrets.fill(bytes);
            handle_group(shard, group, world.now(), &mut random, |caller, handled| {
                for asked in caller.asked {
                    world.log(asked);
                }
                self.note(&world);
                name_jobs(&world, &handled);
                let _ = caller.answer.send(handled);
            });
        });
        // On the platform, the tasks that got their response continue in the same turn.
        self.align_alarm();
    }

    /// What the rows of this shard hold, for the final look: tables of jobs and keys, and others that are not empty.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = self.sql.inner.tables("jobs_");
        left.extend(self.sql.inner.tables("keys_"));
        for table in ["sweeps", "partitions"] {
            if self.sql.inner.count(table) > 0 {
                left.push(table.to_owned());
            }
        }
        left
    }

    /// Writes a job's state behind the shard's back, as another build would.
    pub fn rewrite(&self, key: u64, state: &str) {
        use raincheck::shard::Param;
        let params = [Param::Text(state), Param::Int(key)];
        let table = RowKey(key).partition();
        let sql = format!("UPDATE jobs_{table} SET state = ? WHERE key = ?");
        let _ = self.sql.inner.run(&sql, &params);
    }
}

/// Records the names at the origin of the jobs that a claim grants.
fn name_jobs(world: &World, handled: &Handled) {
    let Content::Bytes(bytes) = &handled.reply.content else {
        return;
    };
    for frame in frame::decode(bytes).unwrap_or_default() {
        if let Ok(work) = serde_json::from_str::<Work>(&frame.json)
            && let Some(id) = JobId::parse(&work.id)
        {
            let name = name_at_origin(&work.id);
            world.named.borrow_mut().insert(name, id);
        }
    }
}

fn unavailable() -> Reply {
    Problem::new(ProblemCode::StorageUnavailable)
        .retry_after(1)
        .into()
}
