//! The world of one history: time, randomness, faults, and everything that the ports reach.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use raincheck::job::{JobId, UnixMillis};
use raincheck::policy::Policy;

use super::body::Blob;
use super::executor::{Executor, Pid, WORLD};
use super::fault::Fault;
use super::history::{Entry, Event};
use super::host::ShardHost;
use super::rng::Rng;

/// Where every world's clock begins: any moment of this era.
const EPOCH: u64 = 1_800_000_000_000;

/// How long a search freezes a worker: past its lease.
const FROZEN: u64 = 15_000;

/// A world that moves on more often than this has something in it that never comes to rest.
pub const TURNS_MAX: u64 = 100_000;

/// What makes a history: with the same scenario it is the same again, to the last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub seed: u64,
    pub clients: u32,
    pub operations: u32,
    pub faults: u64,
}

/// Decides what is left to chance: which task runs, which fault strikes.
pub trait Chance {
    /// One of `n`.
    fn choose(&self, n: usize) -> usize;
    /// One of the classes, or none.
    fn strike(&self, candidates: &[Fault]) -> Option<Fault>;
    /// How long something on the way takes.
    fn latency(&self) -> u64;
    /// In a search through all orders: how long an effect waits before it happens.
    fn order(&self) -> Option<u64> {
        None
    }
    /// In such a search: after which poll a shard is struck.
    fn turn(&self) -> Option<u32> {
        None
    }
}

/// A leap of the clock, in milliseconds, that outruns the grace of an upload (two hours): a day.
const LEAP: i64 = 86_400_000;

/// A world.
pub struct World {
    pub executor: Rc<Executor>,
    pub chance: Rc<dyn Chance>,
    pub policy: Rc<Policy>,
    pub shards: RefCell<Vec<Rc<ShardHost>>>,
    pub objects: RefCell<BTreeMap<String, Blob>>,
    pub history: RefCell<Vec<Entry>>,
    /// Ids that clients know from receipts.
    pub known: RefCell<Vec<JobId>>,
    /// Random bytes for the code under test.
    pub secrets: Rng,
    /// Draws of the world itself.
    pub dice: Rng,
    skew: Cell<i64>,
    /// Faults may strike.
    pub stormy: Cell<bool>,
    pub next_op: Cell<u32>,
    /// How often the time has moved on.
    pub turns: Cell<u64>,
    /// Clients that have not come to their end.
    pub clients: Cell<u32>,
    /// Messages that are on their way.
    pub messages: Cell<u32>,
    /// The clock has leapt ahead by more than any grace.
    pub leapt: Cell<bool>,
    pub responses: Cell<u32>,
    pub tally: RefCell<BTreeMap<&'static str, u64>>,
}

impl World {
    pub fn new(seed: u64, shards: u16, policy: Rc<Policy>, chance: Rc<dyn Chance>) -> Rc<Self> {
        let chooser = Rc::clone(&chance);
        let world = Rc::new(Self {
            executor: Executor::new(Box::new(move |n| chooser.choose(n))),
            chance,
            policy,
            shards: RefCell::default(),
            objects: RefCell::default(),
            history: RefCell::default(),
            known: RefCell::default(),
            secrets: Rng::new(seed, 1),
            dice: Rng::new(seed, 2),
            skew: Cell::new(0),
            stormy: Cell::new(true),
            next_op: Cell::new(0),
            turns: Cell::new(0),
            clients: Cell::new(0),
            messages: Cell::new(0),
            leapt: Cell::new(false),
            responses: Cell::new(0),
            tally: RefCell::default(),
        });
        for number in 0..shards {
            let host = ShardHost::new(&world, number);
            world.shards.borrow_mut().push(host);
        }
        world
    }

    pub fn now(&self) -> UnixMillis {
        UnixMillis((EPOCH + self.executor.now()).saturating_add_signed(self.skew.get()))
    }

    /// Moves the clock, not the time.
    pub fn move_clock(&self, by: i64) {
        self.skew.set(self.skew.get() + by);
        self.leapt.set(self.leapt.get() || by >= LEAP);
        self.log(Event::Clock(by));
    }

    pub fn log(&self, event: Event) {
        let entry = Entry {
            at: self.executor.now(),
            clock: self.now().0,
            event,
        };
        self.history.borrow_mut().push(entry);
    }

    pub fn count(&self, what: &'static str) {
        *self.tally.borrow_mut().entry(what).or_default() += 1;
    }

    /// Asks whether a fault strikes here, and notes it.
    pub fn strike(&self, candidates: &[Fault]) -> Option<Fault> {
        if !self.stormy.get() {
            return None;
        }
        let fault = self.chance.strike(candidates)?;
        self.count(fault.name());
        self.log(Event::Fault(fault.name()));
        Some(fault)
    }

    pub fn shard(&self, number: u16) -> Option<Rc<ShardHost>> {
        self.shards.borrow().get(usize::from(number)).cloned()
    }

    pub async fn sleep(&self, span: u64) {
        self.executor.sleep(span).await;
    }

    pub async fn latency(&self) {
        self.executor.sleep(self.chance.latency()).await;
    }

    /// Waits before an effect of a process. A search strikes the process here and orders effects.
    pub async fn gate(&self, pid: Pid) {
        let Some(order) = self.chance.order() else {
            return self.latency().await;
        };
        if pid != WORLD {
            match self.strike(&[Fault::ConsumerCrash, Fault::ConsumerFrozen]) {
                Some(Fault::ConsumerCrash) => self.executor.kill_after(pid, 0),
                Some(_) => self.executor.freeze_after(pid, 0, FROZEN),
                None => {}
            }
        }
        self.sleep(order).await;
    }

    /// A new process that a class of crash or freeze may strike at any of its awaits.
    pub fn process(&self, crash: Fault, freeze: Option<Fault>) -> Pid {
        let pid = self.executor.process();
        if self.chance.order().is_some() {
            // Struck at its effects instead.
        } else if self.strike(&[crash]).is_some() {
            self.executor.kill_after(pid, self.poll_number());
        } else if let Some(freeze) = freeze
            && self.strike(&[freeze]).is_some()
        {
            let span = self.dice.range(1_000, 60_000);
            self.executor.freeze_after(pid, self.poll_number(), span);
        }
        pid
    }

    /// After which poll a strike comes: early ones are the likeliest.
    pub fn poll_number(&self) -> u32 {
        if let Some(turn) = self.chance.turn() {
            return turn;
        }
        let most = *self.dice.pick(&[3, 8, 25]);
        u32::try_from(self.dice.range(1, most)).unwrap_or(1)
    }

    pub fn op(&self) -> u32 {
        self.next_op.set(self.next_op.get() + 1);
        self.next_op.get()
    }

    /// Runs until `until` (in world time) or until nothing is left that could happen.
    pub fn run(&self, until: u64) {
        loop {
            while self.executor.step() {}
            self.turns.set(self.turns.get() + 1);
            if self.turns.get() > TURNS_MAX {
                return;
            }
            for (_, what) in self.executor.ended.take() {
                self.log(Event::Fault(what));
            }
            if self.ring_alarms() {
                continue;
            }
            let alarm = self.next_alarm();
            let timer = self.executor.next_timer();
            let next = match (timer, alarm) {
                (Some(timer), Some(alarm)) => timer.min(alarm),
                (Some(at), None) | (None, Some(at)) => at,
                (None, None) => return,
            };
            if next > until {
                self.executor.advance(until);
                return;
            }
            self.executor.advance(next);
        }
    }

    /// The next alarm in world time.
    fn next_alarm(&self) -> Option<u64> {
        let now = self.now().0;
        let shards = self.shards.borrow();
        let next = shards.iter().filter_map(|shard| shard.due()).min()?;
        Some(self.executor.now() + next.saturating_sub(now))
    }

    fn ring_alarms(&self) -> bool {
        let now = self.now().0;
        let due: Vec<Rc<ShardHost>> = self
            .shards
            .borrow()
            .iter()
            .filter(|shard| shard.due().is_some_and(|at| at <= now))
            .cloned()
            .collect();
        for shard in &due {
            shard.ring();
        }
        !due.is_empty()
    }

    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.executor.spawn(WORLD, future);
    }
}
