//! Seeded histories of a whole world, checked against the invariants. A seed that fails prints its
//! history and the command that runs it again; `npm run simulate` runs more of them.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that has found something shows it, and must fail"
)]

#[path = "simulation/mod.rs"]
mod simulation;

use simulation::campaign::campaign;
use simulation::command;

/// How many histories each run of the tests sees.
const HISTORIES: u64 = 20_000;

/// The first seed. Another start is another twenty thousand worlds; `npm run simulate` takes any.
const SEED: u64 = 1;

/// How many faults strike at most in the exhaustive search.
const FAULTS: u32 = 1;

/// Fewer histories than this would mean that choices are missing.
const FEWEST: u64 = 1_000;

#[test]
fn no_invariant_breaks_in_twenty_thousand_histories_under_every_fault() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let done = campaign(SEED, HISTORIES, threads, |_| {});
    let verdict = command::report(&done);
    assert_eq!(
        verdict,
        std::process::ExitCode::SUCCESS,
        "the output above says what broke"
    );
}

#[test]
fn no_invariant_breaks_in_any_history_of_one_job_two_workers_and_one_fault() {
    // Where repeating is not safe there are more ways to be wrong, and fewer histories.
    let (histories, broken) = simulation::exhaustive::search(FAULTS, false);
    if let Some(broken) = broken {
        for entry in &broken.history {
            println!("{entry}");
        }
        panic!("{:?}", broken.violations);
    }
    assert!(
        histories > FEWEST,
        "only {histories} histories: the search has not searched"
    );
}
