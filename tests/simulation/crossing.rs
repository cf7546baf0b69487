//! What a search needs from a world: the points at which processes wait before their effects, so that
//! every order of effects can be tried, and a digest of everything that decides what can happen next.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::executor::Pid;
use super::fault::Fault;
use super::history::Event;
use super::host::ShardHost;
use super::world::World;

/// A process that waits before an effect.
struct Parked {
    pid: Pid,
    waker: Waker,
    released: Rc<Cell<bool>>,
}

/// A message in transit, and the consumer that has it.
#[derive(Default)]
struct Delivery {
    text: u64,
    /// How often it was delivered, what it waits for, and until when.
    tries: u32,
    consumed: bool,
    until: u64,
    pid: Pid,
    /// All input of its consumer, in order. A consumer has no other input, so two with the same input
    /// are in the same state.
    told: u64,
    draws: u64,
}

/// The state of a search in one world.
#[derive(Default)]
pub struct Crossing {
    parked: RefCell<BTreeMap<u64, Parked>>,
    next: Cell<u64>,
    deliveries: RefCell<BTreeMap<u32, Delivery>>,
    named: Cell<u32>,
    /// What the checker remembers about rows and about the origin.
    rows: Cell<u64>,
    origin: Cell<u64>,
    /// The search has seen this state before.
    pub known: Cell<bool>,
}

/// A digest. With 64 bits, two of a million states collide in one of forty million searches.
pub fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Crossing {
    /// Waits until it is this process' turn.
    pub async fn wait(&self, pid: Pid) {
        let released = Rc::new(Cell::new(false));
        let number = self.next.replace(self.next.get() + 1);
        let guard = Leave(self, number);
        poll_fn(|context| {
            if released.get() {
                return Poll::Ready(());
            }
            let parked = Parked {
                pid,
                waker: context.waker().clone(),
                released: Rc::clone(&released),
            };
            self.parked.borrow_mut().insert(number, parked);
            Poll::Pending
        })
        .await;
        drop(guard);
    }

    /// Notes that a message was sent.
    pub fn sent(&self, text: &str, until: u64) -> u32 {
        let name = self.named.get() + 1;
        self.named.set(name);
        let delivery = Delivery {
            text: digest(&text),
            until,
            ..Delivery::default()
        };
        self.deliveries.borrow_mut().insert(name, delivery);
        name
    }

    /// Notes that a consumer has a message.
    pub fn consumed(&self, name: u32, pid: Pid) {
        if let Some(delivery) = self.deliveries.borrow_mut().get_mut(&name) {
            delivery.tries += 1;
            delivery.consumed = true;
            delivery.pid = pid;
            (delivery.told, delivery.draws) = (0, 0);
        }
    }

    /// Notes that a message will be redelivered.
    pub fn returned(&self, name: u32, until: u64) {
        if let Some(delivery) = self.deliveries.borrow_mut().get_mut(&name) {
            delivery.consumed = false;
            delivery.until = until;
            (delivery.told, delivery.draws) = (0, 0);
        }
    }

    /// Notes that a message will not be redelivered.
    pub fn gone(&self, name: u32) {
        self.deliveries.borrow_mut().remove(&name);
    }

    /// Notes an input of a process.
    pub fn tell(&self, pid: Pid, what: &impl Hash) {
        let mut deliveries = self.deliveries.borrow_mut();
        let of = deliveries.values_mut().find(|one| one.pid == pid);
        if let Some(delivery) = of {
            delivery.told = digest(&(delivery.told, digest(what)));
        }
    }

    /// Random bytes for a process. They depend on the message and the delivery, not on the order of processes.
    pub fn random(&self, pid: Pid, bytes: &mut [u8]) {
        let mut deliveries = self.deliveries.borrow_mut();
        let of = deliveries.iter_mut().find(|(_, one)| one.pid == pid);
        let seed = of.map_or(0, |(name, delivery)| {
            delivery.draws += 1;
            digest(&(*name, delivery.tries, delivery.draws))
        });
        super::rng::Rng::new(seed, 0).fill(bytes);
    }

    /// What the checker keeps in addition to the current rows. It must be equal, too, because a later step
    /// could be judged differently otherwise.
    pub fn remember(&self, event: &Event) {
        match event {
            Event::Stored { record, .. } => {
                let text = serde_json::to_string(&**record).expect("a record is JSON");
                self.rows.set(digest(&(self.rows.get(), text)));
            }
            Event::Origin(call) => {
                let what = (call.attempt, call.status, call.acted, call.complete);
                self.origin
                    .set(digest(&(self.origin.get(), what, &call.answer)));
            }
            _ => {}
        }
    }
}

/// Removes a process from the list when it continues or is killed.
struct Leave<'a>(&'a Crossing, u64);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.parked.borrow_mut().remove(&self.1);
    }
}

/// The points at which a search injects faults into a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    None,
    Before,
    After,
}

impl ShardHost {
    /// In a search, a fault strikes a shard before a turn, or after a turn and before its output. All
    /// other points are equivalent to these.
    pub(super) fn perhaps_crash(&self, world: &World) -> Crash {
        if world.strike(&[Fault::ShardCrash]).is_none() {
            return Crash::None;
        }
        if !world.chance.searches() {
            let polls = world.poll_number();
            world.executor.kill_after(self.pid.get(), polls);
            return Crash::None;
        }
        if world.chance.pick(2) == 0 {
            self.crash();
            return Crash::Before;
        }
        world.executor.kill_after(self.pid.get(), 0);
        Crash::After
    }

    /// The state that decides the shard's future: its rows, its alarm and its memory.
    pub fn state(&self) -> u64 {
        let memory = format!("{:?}", self.shard.borrow());
        let alarms = (self.alarm.get().map(|at| at.0), self.stored_alarm.get());
        let rings = (self.ringing.get(), self.replaced.get(), self.failed.get());
        digest(&(self.sql.digest(), alarms, rings, memory))
    }
}

/// What can happen next before time advances.
enum Next {
    Effect(u64),
    Alarm(Rc<ShardHost>),
}

impl World {
    /// Runs one of the effects or alarms that are possible now, chosen by the search. Returns false if none
    /// is possible before time advances, or if the search knows everything that follows.
    pub fn cross(&self) -> bool {
        let options = self.crossing_options();
        if options.is_empty() {
            return false;
        }
        if !self.chance.fresh(&|| self.state()) {
            self.crossing.known.set(true);
            return false;
        }
        match &options[self.chance.pick(options.len())] {
            Next::Alarm(host) => host.ring(),
            Next::Effect(number) => {
                let parked = self.crossing.parked.borrow_mut();
                if let Some(parked) = parked.get(number) {
                    parked.released.set(true);
                    parked.waker.wake_by_ref();
                }
            }
        }
        true
    }

    fn crossing_options(&self) -> Vec<Next> {
        let parked = self.crossing.parked.borrow();
        let now = self.executor.now();
        let effects = parked
            .iter()
            .filter(|(_, parked)| {
                !parked.released.get() && self.executor.frozen_until(parked.pid) <= now
            })
            .map(|(number, _)| Next::Effect(*number));
        let clock = self.now().0;
        let shards = self.shards.borrow();
        let alarms = shards
            .iter()
            .filter(|shard| shard.due().is_some_and(|at| at <= clock))
            .map(|shard| Next::Alarm(Rc::clone(shard)));
        effects.chain(alarms).collect()
    }

    /// Everything that decides what can happen from here, and how it will be judged. Two worlds with
    /// the same digest have the same future, whatever their past, so one of them is enough.
    pub fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.executor.now(), self.now().0, self.responses.get()).hash(&mut hasher);
        for shard in self.shards.borrow().iter() {
            shard.state().hash(&mut hasher);
        }
        for key in self.objects.borrow().keys() {
            key.hash(&mut hasher);
        }
        for (name, one) in self.crossing.deliveries.borrow().iter() {
            (name, one.text, one.tries, one.consumed, one.until, one.told).hash(&mut hasher);
            if one.consumed {
                let thaws = self.executor.frozen_until(one.pid);
                thaws.max(self.executor.now()).hash(&mut hasher);
            }
        }
        self.executor.timers_at().hash(&mut hasher);
        self.crossing.named.get().hash(&mut hasher);
        (self.crossing.rows.get(), self.crossing.origin.get()).hash(&mut hasher);
        hasher.finish()
    }
}
