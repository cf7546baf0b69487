//! The gateway is killed again and again under load (SIGKILL to node and to both of its workerd
//! processes), started with what is left on disk, and asked at the end for every job that it
//! accepted.
//!
//! `npm run kill` runs the same with other numbers: `RAINCHECK_KILLS`, `RAINCHECK_KILL_JOBS`,
//! `RAINCHECK_KILL_SEED`, and `RAINCHECK_KILL_REPORT` for a file that takes the figures.

mod check;
mod load;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::gateway::Gateway;
use crate::origin::Origin;

use check::Findings;
use load::Load;

/// The numbers of `npm test`.
const KILLS: usize = 10;
const JOBS: usize = 1000;

/// How many clients send at the same time.
const CLIENTS: usize = 12;

/// After a start the gateway lives at most this long (drawn at random each time).
const LIFE_MAX_MS: u64 = 1500;

/// Longest wait for the load between two kills. Only a gateway that accepts nothing takes longer.
const LOAD_MAX: Duration = Duration::from_mins(3);

/// Everything recovers within seconds here: messages that were lost with the process are sent again a second
/// after the start, and leases of lost attempts lapse after three.
const RULES: &str = r#"
retention = "1h"
claim_patience = "1s"
lease = "3s"
shards = 3

# Every attempt may be repeated, so every job has to succeed.
[[rules]]
name = "honours"
methods = ["POST"]
path = "/honours/{*rest}"
attempts = 100
attempt_timeout = "10s"
deadline = "30m"
backoff = { initial = "100ms", factor = 1, jitter = 0.5 }
origin_honours_key = true

# So may these, because of their method.
[[rules]]
name = "put"
methods = ["PUT"]
path = "/put/{*rest}"
attempts = 100
attempt_timeout = "10s"
deadline = "30m"
backoff = { initial = "100ms", factor = 1, jitter = 0.5 }

# An attempt that was cut off ends these with `outcome_unknown`.
[[rules]]
name = "once"
methods = ["POST"]
path = "/once/{*rest}"
attempts = 100
attempt_timeout = "10s"
deadline = "30m"
backoff = { initial = "100ms", factor = 1, jitter = 0.5 }
"#;

#[test]
fn repeated_kills_lose_no_accepted_job_and_end_none_twice() {
    let kills = number("RAINCHECK_KILLS").unwrap_or(KILLS);
    let jobs = number("RAINCHECK_KILL_JOBS").unwrap_or(JOBS);
    let seed = number("RAINCHECK_KILL_SEED").map_or_else(seed_of_the_moment, |seed| seed as u64);
    println!("{kills} kills, {jobs} jobs, seed {seed}");
    let start = Instant::now();
    let origin = Origin::start();
    let mut gateway = Gateway::start(&format!("origin = {:?}\n{RULES}", origin.url()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let load = Arc::new(Load::new(gateway.address, seed));
    load.start(&runtime, CLIENTS);
    let mut draw = load::Draw::new(seed);
    for kill in 1..=kills {
        // The clients stop at this kill's share of the jobs, so that all kills meet some.
        load.allow(jobs * kill / (kills + 1));
        let life = Duration::from_millis(draw.below(LIFE_MAX_MS));
        std::thread::sleep(life);
        gateway.kill_hard();
        gateway.restart_on_same_state();
        if kill % 10 == 0 {
            let accepted = load.accepted();
            println!(
                "{kill} kills, {accepted} jobs accepted, {:?}",
                start.elapsed()
            );
        }
        await_accepted(&load, jobs * kill / (kills + 1));
    }
    load.allow(jobs);
    await_accepted(&load, jobs);
    load.stop(&runtime);
    println!("{} jobs accepted, {:?}", load.accepted(), start.elapsed());

    let findings = runtime.block_on(check::everything(&load, &origin));
    report(&load, &findings, kills, seed, start.elapsed());
    let faults = findings.faults;
    let shown = &faults[..faults.len().min(20)];
    assert!(faults.is_empty(), "{} faults: {shown:#?}", faults.len());
    // A run that interrupted nothing would show nothing.
    assert!(findings.repeated_attempts > 0 && load.unanswered.load(Ordering::Relaxed) > 0);
}

fn await_accepted(load: &Load, jobs: usize) {
    let start = Instant::now();
    while load.accepted() < jobs {
        assert!(
            start.elapsed() < LOAD_MAX,
            "{} of {jobs} jobs were accepted; the last answer was {:?}",
            load.accepted(),
            load.last_refusal()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn report(load: &Load, findings: &Findings, kills: usize, seed: u64, took: Duration) {
    let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    let figures = json!({
        "seed": seed,
        "kills": kills,
        "jobs": load.accepted(),
        "succeeded": findings.succeeded,
        "outcome_unknown": findings.outcome_unknown,
        "lost": findings.lost,
        "changed_after_the_end": findings.changed,
        "compared_with_an_earlier_end": findings.compared,
        "wrong_results": findings.wrong_results,
        "other_faults": findings.faults.len() - findings.lost - findings.changed - findings.wrong_results,
        "faults": findings.faults.iter().take(20).collect::<Vec<_>>(),
        "requests_without_answer": count(&load.unanswered),
        "requests_repeated_with_their_key": count(&load.repeated),
        "answers_lost_after_the_commit": findings.replayed,
        "requests_at_the_origin": findings.origin_requests,
        "repeated_attempts": findings.repeated_attempts,
        "most_attempts": findings.most_attempts,
        "jobs_with_a_body_in_the_bucket": findings.large,
        "seconds": took.as_secs(),
    });
    println!("{figures:#}");
    if let Some(path) = std::env::var_os("RAINCHECK_KILL_REPORT") {
        std::fs::write(path, figures.to_string()).unwrap();
    }
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")),
    )
}

fn seed_of_the_moment() -> u64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    u64::from(now.subsec_nanos())
}
