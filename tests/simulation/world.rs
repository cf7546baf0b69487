//! The world of one history: time, randomness, faults, and everything that the ports reach.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use raincheck::job::{JobId, UnixMillis};
use raincheck::policy::Policy;

use super::body::Blob;
use super::crossing::Crossing;
use super::executor::{Executor, Pid, WORLD};
use super::fault::Fault;
use super::history::{Entry, Event};
use super::host::ShardHost;
use super::rng::Rng;

/// Where every world's clock begins: an arbitrary present-day time.
const EPOCH: u64 = 1_800_000_000_000;

/// How long a search freezes a worker: until its shard's next alarm, so that either may come first, or
/// past that.
const FROZEN: [u64; 2] = [0, 5_000];

/// What a search draws instead of random numbers: messages arrive immediately, and responses are small,
/// take some time and are 200.
const STILL: u64 = 252_840;

/// If time advances more often than this, something in the world never comes to rest.
pub const TURNS_MAX: u64 = 100_000;

/// What determines a history: the same scenario gives exactly the same events.
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
    /// How long something takes in transit.
    fn latency(&self) -> u64;
    /// Nothing is left to chance: every order of effects is tried, and every fault at each of them.
    fn searches(&self) -> bool {
        false
    }
    /// In a search: chooses one of `n`.
    fn pick(&self, _n: usize) -> usize {
        0
    }
    /// In a search: whether this state has not been seen.
    fn fresh(&self, _state: &dyn Fn() -> u64) -> bool {
        true
    }
}

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
    /// The jobs that a consumer has claimed, by their names at the origin.
    pub named: RefCell<HashMap<String, JobId>>,
    /// Rows, by shard and key, that no build could read for a while.
    pub unread: RefCell<BTreeSet<(u16, u64)>>,
    /// Random bytes for the code under test.
    pub secrets: Rng,
    /// Random numbers of the world itself.
    pub dice: Rng,
    /// Where a search lets processes continue, one at a time.
    pub crossing: Crossing,
    skew: Cell<i64>,
    /// Faults may strike.
    pub stormy: Cell<bool>,
    pub next_op: Cell<u32>,
    /// How often the time has advanced.
    pub turns: Cell<u64>,
    /// Clients that have not ended.
    pub clients: Cell<u32>,
    /// The rows that the message of each consumer is about, by its process.
    pub consumers: RefCell<BTreeMap<Pid, (u16, Vec<u64>)>>,
    /// Messages in transit.
    pub messages: Cell<u32>,
    pub responses: Cell<u32>,
    pub tally: RefCell<BTreeMap<&'static str, u64>>,
}

impl World {
    pub fn new(seed: u64, shards: u16, policy: Rc<Policy>, chance: Rc<dyn Chance>) -> Rc<Self> {
        let chooser = Rc::clone(&chance);
        let draws = |stream| {
            if chance.searches() {
                Rng::still(STILL)
            } else {
                Rng::new(seed, stream)
            }
        };
        let world = Rc::new(Self {
            executor: Executor::new(Box::new(move |n| chooser.choose(n))),
            policy,
            shards: RefCell::default(),
            objects: RefCell::default(),
            history: RefCell::default(),
            known: RefCell::default(),
            named: RefCell::default(),
            unread: RefCell::default(),
            secrets: draws(1),
            dice: draws(2),
            crossing: Crossing::default(),
            skew: Cell::new(0),
            stormy: Cell::new(true),
            next_op: Cell::new(0),
            turns: Cell::new(0),
            clients: Cell::new(0),
            consumers: RefCell::default(),
            messages: Cell::new(0),
            responses: Cell::new(0),
            tally: RefCell::default(),
            chance,
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

    /// Changes the clock, not the time.
    pub fn move_clock(&self, by: i64) {
        self.skew.set(self.skew.get() + by);
        self.log(Event::Clock(by));
    }

    pub fn log(&self, event: Event) {
        if self.chance.searches() {
            self.crossing.remember(&event);
        }
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

    /// Whether a fault strikes here. If so, records it.
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

    /// Waits for a transfer. In a search, only effects and waits take time, because what lies between them
    /// does not affect other processes.
    pub async fn latency(&self) {
        if !self.chance.searches() {
            self.executor.sleep(self.chance.latency()).await;
        }
    }

    /// Notes an input of a process, for a search.
    pub fn tell(&self, pid: Pid, what: &impl std::hash::Hash) {
        if self.chance.searches() {
            self.crossing.tell(pid, what);
        }
    }

    /// Random bytes for a process.
    pub fn random(&self, pid: Pid, bytes: &mut [u8]) {
        if self.chance.searches() {
            self.crossing.random(pid, bytes);
        } else {
            self.secrets.fill(bytes);
        }
    }

    /// Waits before an effect of a process. A search strikes the process here and orders effects.
    pub async fn gate(&self, pid: Pid) {
        if !self.chance.searches() {
            return self.latency().await;
        }
        if pid != WORLD {
            match self.strike(&[Fault::ConsumerCrash, Fault::ConsumerFrozen]) {
                Some(Fault::ConsumerCrash) => self.executor.kill_after(pid, 0),
                Some(_) => {
                    let more = FROZEN[self.chance.pick(FROZEN.len())];
                    let alarm = self.next_alarm().unwrap_or_default();
                    let span = alarm.saturating_sub(self.executor.now());
                    self.executor.freeze_after(pid, 0, span + more);
                }
                None => {}
            }
        }
        self.crossing.wait(pid).await;
    }

    /// A new process that a class of crash or freeze may strike at any of its awaits.
    pub fn process(&self, crash: Fault, freeze: Option<Fault>) -> Pid {
        let pid = self.executor.process();
        if self.chance.searches() {
            // A search strikes it at its effects instead.
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

    /// After which poll a fault strikes: early polls are the likeliest.
    pub fn poll_number(&self) -> u32 {
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
            for (pid, what) in self.executor.ended.take() {
                self.log(Event::Fault(what));
                let struck = self.consumers.borrow().get(&pid).cloned();
                if let Some((shard, keys)) = struck {
                    self.log(Event::Struck { shard, keys });
                }
            }
            if self.chance.searches() {
                if self.cross() {
                    continue;
                }
                if self.crossing.known.get() {
                    return;
                }
            } else if self.ring_alarms() {
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
