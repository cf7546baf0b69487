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
use simulation::exhaustive::{Scope, search};

/// How many histories each run of the tests sees.
const HISTORIES: u64 = 20_000;

/// The first seed. Another start is another twenty thousand worlds; `npm run simulate` takes any.
const SEED: u64 = 1;

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
fn no_invariant_breaks_in_any_history_of_one_job_two_workers_and_two_faults() {
    exhaust(false);
}

#[test]
fn nor_in_any_of_them_where_repeating_is_safe() {
    exhaust(true);
}

/// Follows every history of two workers and two faults.
fn exhaust(repeatable: bool) {
    let done = search(Scope {
        faults: 2,
        repeatable,
        once: true,
    });
    println!("repeating is safe: {repeatable}; {done}");
    if let Some((history, violations)) = &done.broken {
        for entry in history {
            println!("{entry}");
        }
        panic!("{violations:?}");
    }
    assert_eq!(done.unstruck(2), [""; 0], "faults that did not strike");
    assert!(done.ends.len() > 100, "the search has not searched: {done}");
}

#[test]
fn a_search_that_follows_no_state_twice_misses_no_end() {
    for repeatable in [false, true] {
        let [short, whole] = [true, false].map(|once| {
            search(Scope {
                faults: 1,
                repeatable,
                once,
            })
        });
        assert!(short.steps < whole.steps, "{short}; {whole}");
        assert!(short.ends == whole.ends, "{short}; {whole}");
    }
}
