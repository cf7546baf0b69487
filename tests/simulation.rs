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

/// How many histories `cargo test` alone runs: a few seconds' worth. `npm test` runs more.
const HISTORIES: u64 = 3_000;

/// The environment variable that sets another number.
const VARIABLE: &str = "RAINCHECK_HISTORIES";

/// The first seed. `npm run simulate` can start at any other.
const SEED: u64 = 1;

fn histories() -> u64 {
    std::env::var(VARIABLE).map_or(HISTORIES, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{VARIABLE} is {text:?}, not a number"))
    })
}

#[test]
fn no_invariant_breaks_in_thousands_of_histories_under_every_fault() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let done = campaign(SEED, histories(), threads, |_| {});
    println!("{} histories", done.histories);
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
fn no_invariant_breaks_in_any_such_history_if_retries_are_safe() {
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
    assert!(done.ends.len() > 100, "the search ended too early: {done}");
}

#[test]
fn a_search_that_visits_each_state_once_finds_every_end() {
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
