//! Shrinks a failing history: fewer clients, fewer operations, fewer classes of faults.

use super::fault::Fault;
use super::run::try_run;
use super::world::Scenario;

/// The most histories that shrinking may run.
const RUNS_MAX: u32 = 3_000;

/// How many seeds are tried for a smaller world, beginning with the same one.
const SEEDS: u64 = 12;

/// The smallest scenario found that breaks the same invariant.
pub fn shrink(scenario: &Scenario, rule: &str) -> Scenario {
    let mut best = scenario.clone();
    let mut runs = 0;
    while runs < RUNS_MAX {
        let found = smaller(&best).into_iter().find_map(|candidate| {
            (0..SEEDS).find_map(|offset| {
                runs += 1;
                let seed = candidate.seed.wrapping_add(offset);
                let candidate = Scenario {
                    seed,
                    ..candidate.clone()
                };
                (runs < RUNS_MAX && breaks(&candidate, rule)).then_some(candidate)
            })
        });
        match found {
            Some(found) => best = found,
            None => break,
        }
    }
    best
}

fn breaks(scenario: &Scenario, rule: &str) -> bool {
    try_run(scenario)
        .violations
        .iter()
        .any(|violation| violation.rule == rule)
}

/// Scenarios one step smaller, the largest steps first.
fn smaller(from: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    if from.clients > 1 {
        candidates.push(Scenario {
            clients: from.clients / 2,
            ..from.clone()
        });
        candidates.push(Scenario {
            clients: from.clients - 1,
            ..from.clone()
        });
    }
    if from.operations > 1 {
        candidates.push(Scenario {
            operations: from.operations / 2,
            ..from.clone()
        });
        candidates.push(Scenario {
            operations: from.operations - 1,
            ..from.clone()
        });
    }
    let classes: Vec<u64> = Fault::ALL
        .iter()
        .map(|fault| fault.bit())
        .filter(|bit| from.faults & bit != 0)
        .collect();
    for half in classes.chunks(classes.len().div_ceil(2).max(1)) {
        let without = half.iter().fold(from.faults, |set, bit| set & !bit);
        candidates.push(Scenario {
            faults: without,
            ..from.clone()
        });
    }
    for bit in classes {
        candidates.push(Scenario {
            faults: from.faults & !bit,
            ..from.clone()
        });
    }
    candidates
}
