//! One history: a world from a seed, run with faults, then without, until everything has ended.

use std::collections::BTreeMap;
use std::rc::Rc;

use raincheck::job::{RECORD_VERSION, Record};

use super::check::{self, Violation};
use super::client;
use super::fault::Fault;
use super::history::{Ask, Entry, Event};
use super::host::ORPHAN_GRACE;
use super::plan;
use super::rng::Rng;
use super::world::{Chance, Scenario, TURNS_MAX, World};

/// The result of a history.
pub struct Outcome {
    pub violations: Vec<Violation>,
    pub history: Vec<Entry>,
    pub tally: BTreeMap<&'static str, u64>,
}

/// How long faults may strike at most, in milliseconds: about as long as the clients need.
const STORM: u64 = 240_000;

/// How long after its deadline a job may take to end once faults have stopped. Covers the longest wait
/// of a re-sent message, an alarm that fires again after a failure, and a delivery.
const GRACE: u64 = 120_000;

/// The longest time until the last trace of a job is gone.
const FORGET: u64 =
    plan::RETENTION + plan::RETENTION / 16 + plan::TOMBSTONE + 2 * ORPHAN_GRACE.0 + GRACE;

/// Random choices from a seed. Each history has its own subset of the classes, each with its own rate.
struct Seeded {
    dice: Rng,
    strikes: Rng,
    rates: Vec<u64>,
    patience: u64,
}

impl Seeded {
    fn new(scenario: &Scenario) -> Self {
        let setup = Rng::new(scenario.seed, 10);
        let quiet = setup.chance(100);
        let rates = Fault::ALL.iter().map(|fault| {
            let in_use = setup.chance(450);
            let share = *setup.pick(&[200, 500, 1000]);
            let enabled = scenario.faults & fault.bit() != 0 && in_use && !quiet;
            if enabled {
                fault.rate() * share / 1000
            } else {
                0
            }
        });
        Self {
            rates: rates.collect(),
            dice: Rng::new(scenario.seed, 11),
            strikes: Rng::new(scenario.seed, 12),
            patience: *Rng::new(scenario.seed, 13).pick(&[3, 30, 600]),
        }
    }
}

impl Chance for Seeded {
    fn choose(&self, n: usize) -> usize {
        usize::try_from(self.dice.below(n as u64)).unwrap_or(0)
    }

    fn strike(&self, candidates: &[Fault]) -> Option<Fault> {
        let mut struck = None;
        for fault in candidates {
            if self.strikes.chance(self.rates[*fault as usize]) {
                struck = struck.or(Some(*fault));
            }
        }
        struck
    }

    fn latency(&self) -> u64 {
        self.dice.below(self.patience)
    }
}

/// Runs a history and checks it; a panic of the code under test is a violation too.
pub fn try_run(scenario: &Scenario) -> Outcome {
    let caught = std::panic::catch_unwind(|| run(scenario));
    caught.unwrap_or_else(|_| Outcome {
        violations: vec![Violation {
            rule: "panic",
            text: "it panicked".to_owned(),
        }],
        history: Vec::new(),
        tally: BTreeMap::new(),
    })
}

fn run(scenario: &Scenario) -> Outcome {
    let setup = Rng::new(scenario.seed, 3);
    let shards = if setup.chance(600) { 1 } else { 2 };
    let chance = Rc::new(Seeded::new(scenario));
    let world = World::new(scenario.seed, shards, plan::policy(shards), chance);
    for number in 0..scenario.clients {
        let dice = Rng::new(scenario.seed, 100 + u64::from(number));
        world.clients.set(world.clients.get() + 1);
        let within = Rc::clone(&world);
        let life = client::live(Rc::clone(&world), number, scenario.operations, dice);
        world.spawn(async move {
            life.await;
            within.clients.set(within.clients.get() - 1);
        });
    }
    spawn_weather(&world, scenario);
    world.run(STORM);
    calm(&world);
    while world.clients.get() > 0 && world.turns.get() <= TURNS_MAX {
        world.run(world.executor.now() + 10_000);
    }
    conclude(&world)
}

/// After faults have stopped: waits until every job has ended and is forgotten, then checks everything.
pub fn conclude(world: &Rc<World>) -> Outcome {
    let mut violations = audit(world);
    let forgotten = world.executor.now() + FORGET + behind(world);
    world.run(forgotten);
    violations.extend(check::leftovers(world));
    let history = world.history.take();
    violations.extend(check::history(&history));
    world.executor.clear();
    let mut tally = world.tally.take();
    check::count(&history, &mut tally);
    Outcome {
        violations,
        history,
        tally,
    }
}

/// Events that belong to no process: clock changes and deploys.
fn spawn_weather(world: &Rc<World>, scenario: &Scenario) {
    let within = Rc::clone(world);
    let dice = Rng::new(scenario.seed, 4);
    world.spawn(async move {
        for _ in 0..4 {
            within.sleep(dice.range(1_000, 60_000)).await;
            match within.strike(&[Fault::ClockForward, Fault::ClockBack, Fault::ClockYear]) {
                Some(Fault::ClockForward) => within.move_clock(step(&dice)),
                Some(Fault::ClockBack) => within.move_clock(-step(&dice)),
                Some(_) => within.move_clock(if dice.chance(500) { YEAR } else { -YEAR }),
                None => {}
            }
        }
    });
    let within = Rc::clone(world);
    let dice = Rng::new(scenario.seed, 5);
    world.spawn(async move {
        for _ in 0..3 {
            within.sleep(dice.range(1_000, 60_000)).await;
            if within.strike(&[Fault::LaterRow]).is_some() {
                redeploy(&within, &dice).await;
            }
        }
    });
}

const YEAR: i64 = 365 * 24 * 3600 * 1000;

fn step(dice: &Rng) -> i64 {
    *dice.pick(&[1_500, 15_000, 120_000, 1_200_000])
}

/// A later build writes some rows: with an additional field, or in a version that this build rejects. After
/// a while every Worker is of the later build, and the rows can be read again.
async fn redeploy(world: &Rc<World>, dice: &Rng) {
    let mine = format!("\"v\":{RECORD_VERSION},");
    let later = format!("\"v\":{},\"later\":true,", RECORD_VERSION + 1);
    let read = |wanted: &str| -> Vec<(Rc<super::host::ShardHost>, u64, String)> {
        let mut found = Vec::new();
        for shard in world.shards.borrow().iter() {
            for row in shard.sql.all_jobs("key, state", "1") {
                let (Some(key), Some(state)) = (row[0].int(), row[1].text()) else {
                    continue;
                };
                if state.contains(wanted) {
                    found.push((Rc::clone(shard), key, state.to_owned()));
                }
            }
        }
        found
    };
    if dice.chance(500) {
        for shard in world.shards.borrow().iter() {
            shard.crash();
        }
    }
    for (shard, key, state) in read(&mine) {
        match dice.below(3) {
            0 => {
                world.unread.borrow_mut().insert((shard.number, key));
                shard.rewrite(key, &state.replacen(&mine, &later, 1));
            }
            1 => shard.rewrite(
                key,
                &state.replacen(&mine, &format!("{mine}\"later\":true,"), 1),
            ),
            _ => {}
        }
    }
    world.sleep(dice.range(500, 40_000)).await;
    for (shard, key, state) in read(&later) {
        let state = state.replacen(&later, &mine, 1);
        // No claim could take over leases that lapsed meanwhile.
        let record = serde_json::from_str::<Record>(&state).ok();
        let lease = record.as_ref().and_then(Record::lease);
        if lease.is_some_and(|lease| lease.ends <= world.now()) {
            let (shard, keys) = (shard.number, vec![key]);
            world.log(Event::Struck { shard, keys });
        }
        shard.rewrite(key, &state);
    }
    // A new build restarts every object.
    for shard in world.shards.borrow().iter() {
        shard.crash();
    }
}

/// Stops faults and waits for clients and consumers to end.
pub fn calm(world: &Rc<World>) {
    world.stormy.set(false);
    world.executor.calm();
    world.log(Event::Calm);
}

/// How far the clock is behind the latest time that it has shown. What was postponed by that time is
/// still postponed.
fn behind(world: &World) -> u64 {
    let history = world.history.borrow();
    let latest = history.iter().map(|entry| entry.clock).max().unwrap_or(0);
    latest.saturating_sub(world.now().0)
}

/// Checks each job once faults have stopped: it has ended by its deadline plus a grace, and can be
/// read with its id.
fn audit(world: &Rc<World>) -> Vec<Violation> {
    let settled = world.executor.now() + plan::DEADLINE + GRACE;
    world.run(settled);
    let mut violations = check::unsettled(world, GRACE);
    // Rows that could not be read while the clock was ahead are tried again by that clock's time. The final
    // check shows that they end then, because nothing may be left of them.
    if behind(world) > 0 {
        let unread = world.unread.borrow();
        violations.retain(|(row, _)| !unread.contains(row));
    }
    let violations: Vec<Violation> = violations.into_iter().map(|(_, found)| found).collect();
    let within = Rc::clone(world);
    world.spawn(async move {
        let dice = Rng::new(0, 6);
        let known = within.known.borrow().clone();
        for id in known {
            client::ask(&within, id, Ask::Status, &dice).await;
            client::ask(&within, id, Ask::Result, &dice).await;
        }
    });
    let answered = world.executor.now() + 60_000;
    world.run(answered);
    violations
}
