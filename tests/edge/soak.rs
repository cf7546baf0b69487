//! A constant load of short-lived jobs for any length of time: memory, rows, objects and alarms must
//! not grow, and nothing may be left at the end.
//!
//! `npm run soak` runs the same for longer: `RAINCHECK_SOAK_SECONDS`, `RAINCHECK_SOAK_RATE` (jobs a
//! second), and `RAINCHECK_SOAK_REPORT` for a file that takes the figures.

#![expect(clippy::cast_precision_loss, reason = "the figures are far below 2⁵²")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::client::Request;
use crate::gateway::{Gateway, Setup, with_faulty_platform};
use crate::job::Case;
use crate::origin::Origin;
use crate::store::{Contents, Store};

/// The numbers of `npm test`.
const SECONDS: u64 = 20;
const RATE: u64 = 10;

/// Samples of one run, besides those after its end.
const SAMPLES: u64 = 40;

/// From this length on a run counts as long.
const LONG: u64 = 120;

/// Retention and deadline of the jobs: in a long run enough for a backlog on a busy machine.
const fn life(seconds: u64) -> u64 {
    if seconds < LONG { 20 } else { 60 }
}

/// How long a row exists after acceptance: retention and tombstone, and as long again for an alarm that is
/// late on a busy machine.
const fn row_life(seconds: u64) -> u64 {
    2 * (life(seconds) + 5)
}

/// A run of this many lives of a row is long enough to show whether the files grow.
const WINDOWS: u64 = 4;

/// An argument that only the Worker's own workerd has.
const OF_THE_WORKER: &str = "--inspector-addr";

/// After the load everything has to be gone within this time.
const GONE_MAX: Duration = Duration::from_mins(3);

/// How much more the second half may need than the first: for wake-ups and rows only chance, for
/// memory also garbage that is collected late.
const GROWTH_MAX: f64 = 1.3;

/// Memory that a short run may use in addition: code that is compiled late, caches that fill.
const MEMORY_SLACK: u64 = 64 * 1024 * 1024;

const RULES: &str = r#"
retention = "{life}s"
tombstone = "5s"
claim_patience = "2s"
shards = 2

[[rules]]
name = "always"
path = "/always/{*rest}"
attempts = 5
attempt_timeout = "10s"
deadline = "{life}s"
backoff = { initial = "500ms" }
"#;

/// A sample of the state.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    seconds: u64,
    accepted: u64,
    refused: u64,
    memory: u64,
    jobs: u64,
    partitions: u64,
    keys: u64,
    sweeps: u64,
    objects: u64,
    file_bytes: u64,
    alarms: u64,
}

impl Sample {
    /// How much is stored. The line of a partition is deleted last.
    const fn left(&self) -> u64 {
        self.jobs + self.partitions + self.keys + self.sweeps + self.objects
    }
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    succeeded: AtomicU64,
    ended_otherwise: AtomicU64,
}

#[test]
fn resources_stay_flat_under_constant_load_and_nothing_remains() {
    let seconds = number("RAINCHECK_SOAK_SECONDS").unwrap_or(SECONDS);
    let rate = number("RAINCHECK_SOAK_RATE").unwrap_or(RATE);
    let origin = Origin::start();
    let setup = Setup {
        change: Some(with_faulty_platform),
        ..Setup::default()
    };
    let rules = RULES.replace("{life}", &life(seconds).to_string());
    let gateway = Gateway::start_as(&format!("origin = {:?}\n{rules}", origin.url()), setup);
    let store = Store::of(&gateway);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let counters = Arc::new(Counters::default());
    let start = Instant::now();
    let load = runtime.spawn(send(gateway.address, rate, seconds, Arc::clone(&counters)));
    let mut samples = Vec::new();
    println!("seconds accepted refused memory_MiB jobs keys sweeps objects file_KiB alarms");
    for number in 1..=SAMPLES {
        let at = Duration::from_millis(seconds * 1000 * number / SAMPLES);
        std::thread::sleep(at.saturating_sub(start.elapsed()));
        samples.push(sample(start, &gateway, &store, &counters));
    }
    runtime.block_on(load).unwrap();
    let left = until_gone(start, &gateway, &store, &counters);
    let faults = judge(&samples, &left, rate, seconds);
    report(&samples, &left, &counters, rate, &faults);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Sends requests at a constant rate, whatever their outcome. Checks one in ten later.
async fn send(gateway: SocketAddr, rate: u64, seconds: u64, counters: Arc<Counters>) {
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..rate * seconds {
        pace.tick().await;
        while under_way.try_join_next().is_some() {}
        let counters = Arc::clone(&counters);
        under_way.spawn(async move { one(gateway, number, &counters).await });
    }
    under_way.join_all().await;
}

async fn one(gateway: SocketAddr, number: u64, counters: &Counters) {
    let large = if number.is_multiple_of(10) {
        100_000
    } else {
        500
    };
    // Small ones: the object of a response that is tried again leaves a note for two hours.
    let how = if number % 20 == 11 {
        "sequence?steps=503,200&"
    } else {
        "echo?"
    };
    let case = Case::new();
    let request = case
        .post(&format!("/always/{how}bytes={large}&ms={}", number % 100))
        .body(vec![b'x'; if number % 10 == 5 { 100_000 } else { 300 }]);
    let request = match number % 2 {
        0 => request.field("Idempotency-Key", &format!("\"{}\"", case.0)),
        _ => request,
    };
    let receipt = match request.try_send(gateway).await {
        Ok(reply) if reply.status == 202 => reply,
        _ => {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    counters.accepted.fetch_add(1, Ordering::Relaxed);
    if !number.is_multiple_of(10) {
        return;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let path = receipt
        .must("operation-location")
        .replace(&format!("http://{gateway}"), "");
    let succeeded = match Request::get(&path).try_send(gateway).await {
        Ok(reply) => reply.status == 200 && reply.json()["status"] == "succeeded",
        Err(_) => false,
    };
    let counter = if succeeded {
        &counters.succeeded
    } else {
        &counters.ended_otherwise
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

fn sample(start: Instant, gateway: &Gateway, store: &Store, counters: &Counters) -> Sample {
    let Contents {
        jobs,
        partitions,
        keys,
        sweeps,
        objects,
        bytes,
        ..
    } = store.contents();
    let sample = Sample {
        seconds: start.elapsed().as_secs(),
        accepted: counters.accepted.load(Ordering::Relaxed),
        refused: counters.refused.load(Ordering::Relaxed),
        memory: memory(gateway),
        jobs,
        partitions,
        keys,
        sweeps,
        objects,
        file_bytes: bytes,
        alarms: gateway.log().matches("alarm rings").count() as u64,
    };
    println!(
        "{:7} {:8} {:7} {:10} {jobs:4} {keys:4} {sweeps:6} {objects:7} {:8} {:6}",
        sample.seconds,
        sample.accepted,
        sample.refused,
        sample.memory / (1024 * 1024),
        bytes / 1024,
        sample.alarms,
    );
    sample
}

/// Resident memory of the workerd that runs the Worker. There is another, which belongs to
/// `wrangler dev` and is in front of it.
fn memory(gateway: &Gateway) -> u64 {
    let listed = Command::new("ps")
        .args(["-A", "-ww", "-o", "pid=,rss=,args="])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let of: HashMap<u32, u64> = text
        .lines()
        .filter(|line| line.contains("workerd serve") && line.contains(OF_THE_WORKER))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let processes = gateway.processes();
    let kibibytes: u64 = processes.iter().filter_map(|process| of.get(process)).sum();
    kibibytes * 1024
}

/// Waits until nothing is stored any more; returns the last sample.
fn until_gone(start: Instant, gateway: &Gateway, store: &Store, counters: &Counters) -> Sample {
    let end = Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(5));
        let sample = sample(start, gateway, store, counters);
        let alarms = store.contents().alarms;
        if (sample.left() == 0 && alarms == 0) || end.elapsed() > GONE_MAX {
            return sample;
        }
    }
}

fn judge(samples: &[Sample], left: &Sample, rate: u64, seconds: u64) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |right: bool, fault: String| {
        if !right {
            faults.push(fault);
        }
    };
    check(left.left() == 0, format!("left in the end: {left:?}"));
    let most = samples.iter().map(|sample| sample.jobs).max().unwrap();
    check(
        most <= rate * row_life(seconds),
        format!("{most} rows at {rate} jobs/s"),
    );
    check(
        left.accepted > rate * seconds / 2,
        format!("only {} accepted", left.accepted),
    );
    // The two halves of the run after its first fifth, in which everything warms up.
    let warm = &samples[samples.len() / 5..];
    let (first, second) = warm.split_at(warm.len() / 2);
    let mean = |half: &[Sample], of: fn(&Sample) -> u64| {
        half.iter().map(of).sum::<u64>() as f64 / half.len() as f64
    };
    let memory = |half| mean(half, |sample| sample.memory);
    let (before, after) = (memory(first), memory(second));
    check(
        after <= before * GROWTH_MAX || after - before <= MEMORY_SLACK as f64,
        format!("memory went from {before} to {after} bytes"),
    );
    // Rows exist for a fraction of such a run, so pages that a drop has freed must be used again.
    let file = |half| mean(half, |sample| sample.file_bytes);
    let (before, after) = (file(first), file(second));
    check(
        after <= before * GROWTH_MAX || seconds < WINDOWS * row_life(seconds),
        format!("the files went from {before} to {after} bytes"),
    );
    let (before, after) = (wakes_per_job(first), wakes_per_job(second));
    // A short run has too few of them to compare.
    check(
        after <= before * GROWTH_MAX || second.len() < 2 || seconds < LONG,
        format!("wake-ups per job went from {before} to {after}"),
    );
    faults
}

fn wakes_per_job(samples: &[Sample]) -> f64 {
    let [first, .., last] = samples else {
        return 0.0;
    };
    (last.alarms - first.alarms) as f64 / (last.accepted - first.accepted).max(1) as f64
}

fn report(samples: &[Sample], left: &Sample, counters: &Counters, rate: u64, faults: &[String]) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let figures: Value = json!({
        "rate": rate,
        "accepted": left.accepted,
        "refused": left.refused,
        "looked_at_and_succeeded": count(&counters.succeeded),
        "looked_at_and_not_succeeded": count(&counters.ended_otherwise),
        "alarms_per_job": wakes_per_job(samples),
        "samples": samples,
        "in_the_end": left,
        "faults": faults,
    });
    if let Some(path) = std::env::var_os("RAINCHECK_SOAK_REPORT") {
        std::fs::write(path, figures.to_string()).unwrap();
    }
    println!("{faults:#?}");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")),
    )
}
