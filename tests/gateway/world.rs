//! The world of a test: `World::new().rule(…).origin([…])`, then requests, then time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use raincheck::consumer::{Disposal, dead_letter};
use raincheck::http::Headers;
use raincheck::ingress::{Action, Head, Isolate, cors, decide};
use raincheck::ingress::{execute, hold};
use raincheck::job::{JobId, Millis, Record, UnixMillis};
use raincheck::policy::Policy;
use raincheck::rpc::message::{Message, Outgoing, pack};
use raincheck::shard::{Found, Settings, Shard};

use super::configuration;
use super::one_by_one::run_message;
use super::ports::{Answer, Body, Sent};
use super::script::{Reaction, respond};
use super::sqlite::Sqlite;

/// When every world begins.
pub const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// The time of waits that only another event ends.
pub const NEVER: UnixMillis = UnixMillis(u64::MAX);

/// How long an object without a record may stay.
pub const ORPHAN_GRACE: Millis = Millis(7_200_000);

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has no effect, and an error is returned.
    Before,
    /// It has its effect, but an error is returned.
    After,
    /// It has no effect, and never returns.
    Hang,
    /// It takes this many milliseconds.
    Slow(u64),
}

/// Something that happens at a time.
type Happening = Box<dyn FnOnce(&World)>;

/// The whole world.
pub struct World {
    text: String,
    pub policy: Policy,
    pub clock: Cell<UnixMillis>,
    /// How far the Workers' clock is ahead of the time, in milliseconds.
    pub skew: Cell<i64>,
    /// Whether a consumer is running.
    pub consuming: Cell<bool>,
    /// Tasks that wait for the clock, and until when.
    pub timers: RefCell<Vec<(UnixMillis, Waker)>>,
    agenda: RefCell<Vec<(UnixMillis, Happening)>>,
    shards: RefCell<BTreeMap<u16, Shard<Sqlite>>>,
    databases: RefCell<BTreeMap<u16, Sqlite>>,
    pub bucket: RefCell<BTreeMap<String, Vec<u8>>>,
    pub queue: RefCell<Vec<(UnixMillis, Outgoing)>>,
    script: RefCell<VecDeque<Reaction>>,
    faults: RefCell<Vec<(&'static str, Fault)>>,
    pub calls: RefCell<Vec<(u16, &'static str)>>,
    pub sent: RefCell<Vec<Sent>>,
    pub aborted: Rc<Cell<u32>>,
    pub lines: RefCell<Vec<String>>,
    draws: Cell<u64>,
}

impl World {
    /// A world without rules, whose origin responds to everything with 200.
    pub fn new() -> Self {
        let text = "origin = \"https://api.example.com\"\nshards = 1\n".to_owned();
        Self {
            policy: configuration::parse(&text).unwrap(),
            text,
            clock: Cell::new(START),
            skew: Cell::new(0),
            consuming: Cell::new(false),
            timers: RefCell::default(),
            agenda: RefCell::default(),
            shards: RefCell::default(),
            databases: RefCell::default(),
            bucket: RefCell::default(),
            queue: RefCell::default(),
            script: RefCell::default(),
            faults: RefCell::default(),
            calls: RefCell::default(),
            sent: RefCell::default(),
            aborted: Rc::default(),
            lines: RefCell::default(),
            draws: Cell::new(1),
        }
    }

    /// Adds a rule for every method on `/slow` with these additional lines. Waits have no jitter.
    pub fn rule(self, lines: &str) -> Self {
        let rule = format!(
            "[[rules]]\nname = \"slow\"\nmethods = [\"*\"]\npath = \"/slow\"\nattempts = 3\n\
             backoff = {{ initial = \"1s\", max = \"1m\", jitter = 0 }}\n{lines}\n"
        );
        self.configured(|text| format!("{text}{rule}"))
    }

    /// Adds lines outside the rules. They replace existing lines of the same field.
    pub fn config(self, lines: &str) -> Self {
        self.configured(|text| {
            let name = lines.split(' ').next().unwrap();
            let kept = text
                .lines()
                .filter(|line| !line.starts_with(&format!("{name} = ")));
            format!("{lines}\n{}\n", kept.collect::<Vec<_>>().join("\n"))
        })
    }

    fn configured(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.text = change(&self.text);
        self.policy = configuration::parse(&self.text).unwrap_or_else(|errors| panic!("{errors}"));
        self
    }

    /// Changes the configuration of a running world, as a deploy does.
    pub fn deploy(&mut self, lines: &str) {
        let old = std::mem::replace(self, Self::new());
        *self = old.config(lines);
    }

    /// What the origin does with the next requests, in their order. After that it responds with 200.
    pub fn origin<R: Into<Reaction>>(self, script: impl IntoIterator<Item = R>) -> Self {
        self.script
            .borrow_mut()
            .extend(script.into_iter().map(Into::into));
        self
    }

    /// Lets the next call of this name fail.
    pub fn failing(self, name: &'static str, fault: Fault) -> Self {
        self.faults.borrow_mut().push((name, fault));
        self
    }

    /// Lets the next `times` calls of this name fail.
    pub fn failing_times(self, times: usize, name: &'static str, fault: Fault) -> Self {
        self.fail_times(times, name, fault);
        self
    }

    /// From now on the next so many calls of this name go wrong.
    pub fn fail_times(&self, times: usize, name: &'static str, fault: Fault) {
        let faults = std::iter::repeat_n((name, fault), times);
        self.faults.borrow_mut().extend(faults);
    }

    /// From now on no call of this name goes wrong.
    pub fn heal(&self, name: &str) {
        self.faults.borrow_mut().retain(|(known, _)| *known != name);
    }

    /// How often a call of this name was made.
    pub fn times_called(&self, name: &str) -> usize {
        let calls = self.calls.borrow();
        calls.iter().filter(|(_, called)| *called == name).count()
    }

    /// Runs a consumer with one message.
    pub fn consume(&self, message: &Message) -> Disposal {
        self.consuming.set(true);
        let disposal = self.block_on(run_message(self, &self.policy, message));
        self.consuming.set(false);
        disposal
    }

    /// Something happens this long from now.
    pub fn after(&self, millis: u64, happening: impl FnOnce(&World) + 'static) {
        let at = self.clock.get().plus(Millis(millis));
        self.agenda.borrow_mut().push((at, Box::new(happening)));
    }

    pub(super) fn fault(&self, name: &str) -> Option<Fault> {
        let mut faults = self.faults.borrow_mut();
        let index = faults.iter().position(|(known, _)| *known == name)?;
        Some(faults.remove(index).1)
    }

    pub(super) fn draw(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // A fixed generator: the same numbers in every run.
            let next = self
                .draws
                .get()
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            self.draws.set(next);
            *byte = next.to_be_bytes()[0];
        }
    }

    pub(super) fn next_reaction(&self) -> Reaction {
        let scripted = self.script.borrow_mut().pop_front();
        scripted.unwrap_or_else(|| respond(200).body("done").into())
    }

    pub(super) fn with_shard<T>(
        &self,
        number: u16,
        act: impl FnOnce(&mut Shard<Sqlite>) -> T,
    ) -> T {
        let mut shards = self.shards.borrow_mut();
        let shard = shards.entry(number).or_insert_with(|| {
            let mut databases = self.databases.borrow_mut();
            let sql = databases
                .entry(number)
                .or_insert_with(Sqlite::in_memory)
                .clone();
            let settings = Settings {
                patience: self.policy.claim_patience,
                tombstone: self.policy.tombstone,
                orphan_grace: ORPHAN_GRACE,
            };
            let id_key = raincheck::job::IdKey([7; 32]);
            let mut shard = Shard::open(sql, Some(number), settings, id_key).unwrap();
            while !shard.is_loaded() {
                shard.load().unwrap();
            }
            shard
        });
        act(shard)
    }

    /// The database of a shard that was called.
    pub(super) fn database(&self, number: u16) -> Sqlite {
        self.databases.borrow()[&number].clone()
    }

    /// Evicts every object; the next call opens it again.
    pub fn evict(&self) {
        self.shards.borrow_mut().clear();
    }

    pub(super) fn put_in_queue(&self, message: &Outgoing) {
        let due = self.clock.get().plus(Millis::from_secs(message.delay_secs));
        self.queue.borrow_mut().push((due, message.clone()));
    }

    /// Runs a future; the clock moves on when it waits.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        // Tasks that already wait are not woken before this ends.
        let before = self.timers.take();
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                self.timers.replace(before);
                return output;
            }
            let waiting = self.timers.take();
            let mut next: Vec<UnixMillis> = waiting.iter().map(|(at, _)| *at).collect();
            next.retain(|at| *at < NEVER);
            next.extend(self.agenda.borrow().iter().map(|(at, _)| *at));
            next.extend(self.alarms());
            let next = next
                .into_iter()
                .min()
                .expect("somebody waits for something");
            self.advance_to(next);
            for (_, waker) in waiting {
                waker.wake();
            }
        }
    }

    fn alarms(&self) -> Vec<UnixMillis> {
        self.shards
            .borrow()
            .values()
            .filter_map(Shard::wake_at)
            .collect()
    }

    /// Moves the clock, lets what is due happen, and fires the alarms.
    pub fn advance_to(&self, at: UnixMillis) {
        self.clock.set(self.clock.get().max(at));
        loop {
            let mut agenda = self.agenda.borrow_mut();
            let Some(due) = agenda.iter().position(|(at, _)| *at <= self.clock.get()) else {
                break;
            };
            let (_, happening) = agenda.remove(due);
            drop(agenda);
            happening(self);
        }
        self.ring();
    }

    fn ring(&self) {
        let numbers: Vec<u16> = self.shards.borrow().keys().copied().collect();
        let now = self.clock.get();
        for number in numbers {
            let due = |shard: &mut Shard<Sqlite>| shard.wake_at().is_some_and(|at| at <= now);
            let mut rounds = 0;
            while self.with_shard(number, due) {
                rounds += 1;
                assert!(rounds < 100, "the alarm never stops firing");
                self.with_shard(number, |shard| shard.expire(now)).unwrap();
                let tick = self.with_shard(number, |shard| shard.tick(now, 0));
                assert_eq!(tick.fault, None);
                for object in &tick.sweeps {
                    self.bucket.borrow_mut().remove(object);
                }
                self.with_shard(number, |shard| shard.swept(&tick.sweeps))
                    .unwrap();
                for message in pack(number, &tick.sends) {
                    self.put_in_queue(&message);
                }
            }
        }
    }

    /// Delivers messages and fires alarms until no job is active.
    pub fn run(&self) {
        let end = UnixMillis(u64::MAX);
        self.run_until(end, || {
            self.shards
                .borrow()
                .values()
                .all(|shard| shard.active() == 0)
        });
    }

    /// Delivers messages and fires alarms until a condition holds, at most up to a time.
    pub fn run_until(&self, end: UnixMillis, done: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if done() {
                return;
            }
            let message = self.queue.borrow().iter().map(|(due, _)| *due).min();
            let next = self.alarms().into_iter().chain(message).min();
            let next = next.unwrap_or(end).max(self.clock.get());
            if next >= end {
                return self.advance_to(end);
            }
            self.advance_to(next);
            self.deliver();
        }
        panic!("it never comes to an end");
    }

    /// Delivers the messages that are due.
    pub fn deliver(&self) {
        let now = self.clock.get();
        let due = |(at, _): &mut (UnixMillis, Outgoing)| *at <= now;
        let messages: Vec<_> = self.queue.borrow_mut().extract_if(.., due).collect();
        for (_, outgoing) in messages {
            let message = Message::read(&outgoing.text).unwrap();
            let again = self.clock.get().plus(Millis::from_secs(10));
            match self.consume(&message) {
                Disposal::Acknowledge => {}
                Disposal::Retry => self.queue.borrow_mut().push((again, outgoing)),
                Disposal::Replace(message) => {
                    let text = serde_json::to_string(&message).unwrap();
                    let outgoing = Outgoing { text, ..outgoing };
                    self.queue.borrow_mut().push((again, outgoing));
                }
            }
        }
    }

    /// Moves every message of the queue to the dead-letter queue.
    pub fn bury_all(&self) {
        for (_, outgoing) in self.queue.take() {
            let message = Message::read(&outgoing.text).unwrap();
            assert_eq!(
                self.block_on(dead_letter(self, &message)),
                Disposal::Acknowledge
            );
        }
    }

    /// Whether there is nothing to wait for, as far as the shard can tell.
    pub fn has_ended(&self, id: &JobId) -> bool {
        let now = self.clock.get();
        match self.with_shard(id.shard, |shard| shard.read(id, now)) {
            Ok(Found::Job(record)) => record.status().is_terminal(),
            Ok(Found::Nothing | Found::Expired) => true,
            Err(_) => false,
        }
    }

    pub fn record(&self, id: &JobId) -> Option<Record> {
        let now = self.clock.get();
        match self
            .with_shard(id.shard, |shard| shard.read(id, now))
            .unwrap()
        {
            Found::Job(record) => Some(record),
            Found::Nothing | Found::Expired => None,
        }
    }

    /// How many rows a table has, in all shards.
    pub fn count(&self, table: &str) -> u64 {
        let databases = self.databases.borrow();
        databases.values().map(|sql| sql.count(table)).sum()
    }

    /// Handles a request up to its response.
    pub fn serve(&self, head: Head, body: Option<Body>) -> Answer {
        let origin = head.headers.get("origin").map(str::to_owned);
        let action = decide(&self.policy, head, self.clock.get(), Isolate(1));
        let mut answer = match action {
            Action::Reply(reply) => Answer::of(reply, &self.policy.mount),
            Action::PassThrough(pass) => {
                let headers = Headers::from_iter([("passed-to", pass.target.as_str())]);
                Answer {
                    status: 299,
                    headers,
                    body: Body::default(),
                }
            }
            Action::Ask {
                shard,
                call,
                wait: None,
            } => self.block_on(execute::ask(self, shard, &call)),
            Action::Ask {
                call,
                wait: Some((id, span)),
                ..
            } => self.block_on(hold::ask_when_ended(self, &id, span, &call)),
            Action::Redrive { id, call } => self.block_on(execute::redrive(self, id, *call)),
            Action::Accept(plan) if plan.hold.0 > 0 => {
                self.block_on(hold::accept_and_hold(self, *plan, body))
            }
            Action::Accept(plan) => self.block_on(execute::accept(self, *plan, body)),
        };
        cors(&self.policy).decorate(origin.as_deref(), &mut answer.headers);
        answer
    }
}
