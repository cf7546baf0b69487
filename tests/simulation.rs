//! Seeded histories of a whole world, checked against the invariants. A seed that fails prints its
//! history and the command that runs it again; `npm run simulate` runs more of them.

#[path = "simulation/mod.rs"]
mod simulation;

use simulation::campaign::campaign;
use simulation::command;

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
