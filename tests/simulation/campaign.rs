//! Many histories, on every core.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::check::Violation;
use super::fault::Fault;
use super::run::try_run;
use super::world::Scenario;

/// The scenario of a seed: small worlds, because most mistakes need only a few steps.
pub fn scenario(seed: u64) -> Scenario {
    let setup = super::rng::Rng::new(seed, 20);
    Scenario {
        seed,
        clients: u32::try_from(setup.range(1, 3)).unwrap_or(1),
        operations: u32::try_from(setup.range(2, 9)).unwrap_or(2),
        faults: Fault::every(),
    }
}

/// The result of a campaign.
#[derive(Default)]
pub struct Campaign {
    pub histories: u64,
    pub tally: BTreeMap<&'static str, u64>,
    /// The first histories that broke an invariant.
    pub failures: Vec<(Scenario, Vec<Violation>)>,
}

/// A campaign stops after this many broken histories.
const FAILURES_MAX: usize = 5;

/// Runs the seeds from `first` on. Calls `progress` regularly with the number of completed histories.
pub fn campaign(
    first: u64,
    histories: u64,
    threads: usize,
    progress: impl Fn(u64) + Sync,
) -> Campaign {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Campaign::default());
    let work = || {
        let mut mine = Campaign::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let broken = total.lock().map_or(0, |total| total.failures.len());
            if index >= histories || broken >= FAILURES_MAX {
                break;
            }
            let scenario = scenario(first.wrapping_add(index));
            let outcome = try_run(&scenario);
            mine.histories += 1;
            for (name, count) in outcome.tally {
                *mine.tally.entry(name).or_default() += count;
            }
            if !outcome.violations.is_empty() {
                let mut total = total.lock().expect("no thread panics with it");
                total.failures.push((scenario, outcome.violations));
            }
        }
        let mut total = total.lock().expect("no thread panics with it");
        total.histories += mine.histories;
        for (name, count) in mine.tally {
            *total.tally.entry(name).or_default() += count;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut rounds = 0_u32;
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            rounds += 1;
            if rounds.is_multiple_of(40) {
                progress(next.load(Ordering::Relaxed).min(histories));
            }
        }
    });
    total.into_inner().expect("no thread panics with it")
}
