//! The invariants, as predicates over a history and the rows at its end. The numbers are those
//! of `docs/reliability.md`. I12 (webhooks, not implemented) and I13 (held requests) are not checked here.

mod answers;
mod records;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use raincheck::job::{FailureCode, Outcome, Record, RowKey, Status};

use super::fault::Fault;
use super::history::{Call, Entry, Event, Job, Wish};
use super::world::{TURNS_MAX, World};

/// A violation of an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, such as `I3`.
    pub rule: &'static str,
    pub text: String,
}

/// What is known about a job at some point of the history.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate observation"
)]
struct Known {
    record: Option<Rc<Record>>,
    wish: Option<Rc<Wish>>,
    location: String,
    calls: Vec<Rc<Call>>,
    erased: bool,
    /// A client with the id asked to erase it.
    purge_asked: bool,
    claim: Option<u64>,
    /// A request was handed to the platform.
    tried: bool,
    /// Since its lease began, a fault struck its consumer, or the clock was put forward.
    struck: bool,
    /// The clock was put back: the lease then ends later than its consumer computes.
    set_back: bool,
    /// Status by version, as stored.
    versions: BTreeMap<u32, Status>,
    /// The latest version that any client has seen.
    told: u32,
}

/// The walk over a history.
#[derive(Default)]
struct Check {
    violations: Vec<Violation>,
    jobs: HashMap<Job, Known>,
    /// A row was replaced by one that only a later build can read.
    later_rows: bool,
    /// The latest time that the clock has shown.
    latest: u64,
    objects: BTreeSet<String>,
    wishes: HashMap<u32, Rc<Wish>>,
    asked: HashMap<u32, answers::Question>,
    /// The reports of one call, which are recorded together.
    reports: Vec<records::Report>,
    /// A record was stored since the last report: the next report is of another call.
    recorded: bool,
    calm: bool,
}

/// Checks a whole history.
pub fn history(entries: &[Entry]) -> Vec<Violation> {
    let mut check = Check::default();
    for entry in entries {
        check.latest = check.latest.max(entry.clock);
        check.step(entry);
    }
    check.budget(entries);
    check.violations
}

impl Check {
    fn fail(&mut self, rule: &'static str, text: String) {
        self.violations.push(Violation { rule, text });
    }

    fn step(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Sent { op, wish } => {
                self.wishes.insert(*op, Rc::clone(wish));
            }
            Event::Answered {
                op,
                status,
                job,
                location,
                alarm,
            } => {
                self.answered(*op, *status, *job, location, *alarm);
            }
            Event::Asked {
                op,
                ask,
                job,
                genuine,
            } => self.asked(*op, *ask, *job, *genuine),
            Event::Told { .. } => self.told(&entry.event),
            Event::Claim { job, token } => {
                self.reports.clear();
                self.jobs.entry(*job).or_default().claim = Some(*token);
            }
            Event::Report {
                job,
                token,
                outcome,
                object,
            } => {
                if std::mem::take(&mut self.recorded) {
                    self.reports.clear();
                }
                self.reports.push(records::Report {
                    job: *job,
                    token: *token,
                    object: object.clone(),
                    head_only: matches!(outcome, Outcome::HeadOnly { .. }),
                });
            }
            Event::Stored { job, record } => {
                self.recorded = true;
                self.stored(*job, record, entry.clock);
            }
            Event::Erased { job } => self.erased(*job, entry.clock),
            Event::Tried { job } => self.jobs.entry(*job).or_default().tried = true,
            Event::Struck { shard, keys } => {
                for (job, known) in &mut self.jobs {
                    known.struck |= job.0 == *shard && keys.contains(&job.1);
                }
            }
            Event::Origin(call) => self.at_origin(call),
            Event::Object { key, stored } => self.object(key, *stored),
            Event::Fault(name) if *name == Fault::LaterRow.name() => self.later_rows = true,
            Event::Calm => self.calm = true,
            Event::Clock(by) => {
                self.reports.clear();
                for known in self.jobs.values_mut() {
                    known.struck |= *by > 0;
                    known.set_back |= *by < 0;
                }
            }
            Event::Rang { .. } => self.reports.clear(),
            Event::Fault(_) => {}
        }
    }

    fn object(&mut self, key: &str, stored: bool) {
        if stored {
            self.objects.insert(key.to_owned());
            return;
        }
        self.objects.remove(key);
        let keeper = self.jobs.iter().find(|(_, known)| {
            let record = known.record.as_ref().filter(|_| !known.erased);
            // From its expiry on, no client can read the job, whatever the clock shows later.
            let record = record.filter(|record| self.latest < record.expires.0);
            record.is_some_and(|record| {
                let names = |body: Option<&raincheck::job::BodyRef>| {
                    body.is_some_and(|body| body.object.as_deref() == Some(key))
                };
                names(record.payload.as_ref()) || names(record.result())
            })
        });
        if let Some((job, _)) = keeper {
            let text = format!("{key} was deleted while {job:?} names it");
            self.fail("I10", text);
        }
    }

    /// I15: what a job costs in wake-ups. The budget covers its attempts, re-sent messages while
    /// faults hold its messages back, sweeps and expiry, and repetitions of a failed alarm.
    fn budget(&mut self, entries: &[Entry]) {
        let rings = entries
            .iter()
            .filter(|entry| matches!(entry.event, Event::Rang { .. }))
            .count();
        let jobs = self.jobs.len();
        let faults = entries
            .iter()
            .filter(|entry| matches!(entry.event, Event::Fault(_)))
            .count();
        let budget = 12 + 16 * jobs + 4 * faults;
        if rings > budget {
            self.fail(
                "I15",
                format!("{rings} alarms for {jobs} jobs and {faults} faults"),
            );
        }
    }
}

/// Once faults have stopped: jobs that have not ended although their deadline and a grace have passed (I1), by shard and key.
pub fn unsettled(world: &World, grace: u64) -> Vec<((u16, u64), Violation)> {
    let now = world.now().0;
    let mut violations = Vec::new();
    for shard in world.shards.borrow().iter() {
        // Rows of an expired partition are not served. They stay until their objects are deleted.
        let expired = shard
            .sql
            .rows("SELECT number FROM partitions WHERE phase >= 2");
        let is_expired = |key: u64| {
            let number = RowKey(key).partition();
            expired
                .iter()
                .any(|row| row[0].int() == Some(u64::from(number)))
        };
        for row in shard.sql.all_jobs("key, state", "active = 1") {
            if row[0].int().is_none_or(is_expired) {
                continue;
            }
            let state = row[1].text().unwrap_or_default();
            let Ok(record) = serde_json::from_str::<Record>(state) else {
                continue;
            };
            if record.deadline().0 + grace <= now {
                let text = format!(
                    "({}, {:?}) is still {:?}",
                    shard.number,
                    row[0],
                    record.status()
                );
                let key = row[0].int().unwrap_or_default();
                violations.push(((shard.number, key), Violation { rule: "I1", text }));
            }
        }
    }
    violations
}

/// At the end: nothing may be left (I15).
pub fn leftovers(world: &World) -> Vec<Violation> {
    let mut left = Vec::new();
    if world.turns.get() > TURNS_MAX {
        left.push("something that never comes to rest".to_owned());
    }
    for shard in world.shards.borrow().iter() {
        for table in shard.leftovers() {
            left.push(format!("shard {}: rows in {table}", shard.number));
        }
        if let Some(at) = shard.stored_alarm() {
            left.push(format!("shard {}: an alarm at {at}", shard.number));
        }
    }
    // If the clock leaps past the grace during an upload, the note about it expires too early; for
    // that, operations.md has a lifecycle rule of the bucket.
    let objects = world.objects.borrow();
    left.extend(objects.keys().map(|key| format!("object {key}")));
    if world.messages.get() > 0 {
        left.push(format!("{} messages", world.messages.get()));
    }
    left.into_iter()
        .map(|text| Violation { rule: "I15", text })
        .collect()
}

/// What a campaign must have seen in addition to every class of faults.
pub const SIGHTS: [&str; 21] = [
    "accepted",
    "succeeded",
    "failed",
    "canceled",
    "retried",
    "lapsed",
    "purged",
    "expired",
    "redriven",
    "stale report",
    "same key",
    "other fingerprint",
    "deadline",
    "outcome unknown",
    "renewed",
    "dead-letter",
    "large payload",
    "large result",
    "frozen",
    "killed",
    "answer not taken",
];

/// Counts what occurred in a history.
pub fn count(entries: &[Entry], tally: &mut BTreeMap<&'static str, u64>) {
    let mut last: HashMap<Job, Rc<Record>> = HashMap::new();
    let mut receipts: BTreeSet<Job> = BTreeSet::new();
    let mut purges: BTreeSet<Job> = BTreeSet::new();
    let mut see = |what: &'static str| *tally.entry(what).or_default() += 1;
    see("histories");
    for entry in entries {
        match &entry.event {
            Event::Answered { status: 422, .. } => see("other fingerprint"),
            Event::Answered { job: Some(job), .. } if !receipts.insert(*job) => see("same key"),
            Event::Asked {
                ask: super::history::Ask::Purge,
                job,
                ..
            } => {
                purges.insert(*job);
            }
            Event::Erased { job } if purges.contains(job) => see("purged"),
            Event::Erased { .. } => see("expired"),
            Event::Report { job, token, .. } => {
                let lease = last.get(job).and_then(|record| record.lease());
                if lease.is_none_or(|lease| lease.token != *token) {
                    see("stale report");
                }
            }
            Event::Fault(name @ ("frozen" | "killed")) => see(name),
            Event::Stored { job, record } => {
                for sight in sights(last.get(job).map(Rc::as_ref), record, entry.clock) {
                    see(sight);
                }
                last.insert(*job, Rc::clone(record));
            }
            _ => {}
        }
    }
}

fn sights(before: Option<&Record>, record: &Record, clock: u64) -> Vec<&'static str> {
    let mut seen = Vec::new();
    let large =
        |body: Option<&raincheck::job::BodyRef>| body.is_some_and(|body| body.object.is_some());
    let Some(before) = before else {
        seen.push("accepted");
        if large(record.payload.as_ref()) {
            seen.push("large payload");
        }
        return seen;
    };
    match record.status() {
        Status::Succeeded => seen.push("succeeded"),
        Status::Failed => seen.push("failed"),
        Status::Canceled => seen.push("canceled"),
        Status::Queued if before.status() == Status::Running => seen.push("retried"),
        Status::Running if before.status() == Status::Running => seen.push("renewed"),
        _ => {}
    }
    if before.lease().is_some_and(|lease| lease.ends.0 <= clock) {
        seen.push("lapsed");
    }
    if large(record.result()) {
        seen.push("large result");
    }
    match record.failure().map(|failure| failure.code) {
        Some(FailureCode::DeadlineExceeded) => seen.push("deadline"),
        Some(FailureCode::OutcomeUnknown) => seen.push("outcome unknown"),
        _ => {}
    }
    seen
}

/// What a campaign has not seen although it should have.
pub fn unseen(tally: &BTreeMap<&'static str, u64>, faults: u64) -> Vec<&'static str> {
    let classes = Fault::ALL
        .iter()
        .filter(|fault| faults & fault.bit() != 0)
        .map(|f| f.name());
    let sights = SIGHTS.into_iter().filter(|_| faults == Fault::every());
    classes
        .chain(sights)
        .filter(|name| !tally.contains_key(name))
        .collect()
}
