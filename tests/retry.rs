//! The waits between attempts, as properties over every backoff.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "the numbers are bounded by their strategies"
)]

use proptest::prelude::*;
use raincheck::job::{Backoff, Millis, Plan, WAIT_MIN, next_wait, wait};

/// More attempts than the configuration allows.
const ATTEMPTS: u32 = 200;

fn backoff() -> impl Strategy<Value = Backoff> {
    let span = prop_oneof![0_u64..100_000, any::<u64>()];
    (span.clone(), 1_000_u32..=100_000, span, 0_u32..=1_000).prop_map(
        |(initial, factor_permille, max, jitter_permille)| Backoff {
            initial: Millis(initial),
            factor_permille,
            max: Millis(max),
            jitter_permille,
        },
    )
}

fn without_jitter(backoff: Backoff) -> Backoff {
    Backoff {
        jitter_permille: 0,
        ..backoff
    }
}

#[test]
fn a_wait_in_whole_seconds_is_rounded_up() {
    for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
        assert_eq!(Millis(millis).ceil_secs(), seconds, "{millis}");
    }
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_the_longest(
        backoff in backoff(), attempt in 0..=ATTEMPTS, draw in any::<u16>(), asked in any::<u64>()
    ) {
        prop_assert!(wait(&backoff, attempt, draw, Millis(asked)) <= backoff.max);
    }

    #[test]
    fn the_origin_gets_the_wait_that_it_asks_for_up_to_the_longest(
        backoff in backoff(), attempt in 0..=ATTEMPTS, draw in any::<u16>(), asked in any::<u64>()
    ) {
        let waited = wait(&backoff, attempt, draw, Millis(asked));
        prop_assert!(waited >= Millis(asked).min(backoff.max));
    }

    #[test]
    fn an_origin_never_makes_the_wait_shorter(
        backoff in backoff(), attempt in 0..=ATTEMPTS, draw in any::<u16>(), asked in any::<u64>()
    ) {
        let waited = wait(&backoff, attempt, draw, Millis(asked));
        prop_assert!(waited >= wait(&backoff, attempt, draw, Millis(0)));
    }

    #[test]
    fn without_jitter_waits_never_shrink_and_the_draw_does_not_matter(
        backoff in backoff(), attempt in 1..ATTEMPTS, draw in any::<u16>()
    ) {
        let backoff = without_jitter(backoff);
        let this = wait(&backoff, attempt, draw, Millis(0));
        prop_assert_eq!(this, wait(&backoff, attempt, 0, Millis(0)));
        prop_assert!(this <= wait(&backoff, attempt + 1, draw, Millis(0)));
    }

    #[test]
    fn jitter_takes_off_at_most_its_share(
        backoff in backoff(), attempt in 1..=ATTEMPTS, draw in 0_u16..=1_000
    ) {
        let full = wait(&without_jitter(backoff), attempt, 0, Millis(0)).0;
        let waited = wait(&backoff, attempt, draw, Millis(0)).0;
        let share = u128::from(full) * u128::from(backoff.jitter_permille) / 1_000;
        prop_assert!(waited <= full);
        prop_assert!(u128::from(full - waited) <= share);
    }

    #[test]
    fn a_larger_draw_never_waits_longer(
        backoff in backoff(), attempt in 1..=ATTEMPTS, draw in 0_u16..1_000
    ) {
        let waited = wait(&backoff, attempt, draw, Millis(0));
        prop_assert!(wait(&backoff, attempt, draw + 1, Millis(0)) <= waited);
    }

    #[test]
    fn a_random_number_above_a_thousand_counts_as_a_thousand(
        backoff in backoff(), attempt in 1..=ATTEMPTS, draw in 1_000_u16..
    ) {
        let waited = wait(&backoff, attempt, draw, Millis(0));
        prop_assert_eq!(waited, wait(&backoff, attempt, 1_000, Millis(0)));
    }
}

#[test]
fn waits_are_the_initial_one_times_powers_of_the_factor() {
    let backoff = Backoff {
        initial: Millis(100),
        factor_permille: 3_000,
        max: Millis(5_000),
        jitter_permille: 0,
    };
    let waits = (1..=6).map(|attempt| wait(&backoff, attempt, 0, Millis(0)).0);
    assert_eq!(
        waits.collect::<Vec<_>>(),
        [100, 300, 900, 2_700, 5_000, 5_000]
    );
}

#[test]
fn full_jitter_reaches_down_to_no_wait_and_half_jitter_to_half() {
    let with = |jitter_permille| Backoff {
        initial: Millis(1_000),
        factor_permille: 2_000,
        max: Millis(60_000),
        jitter_permille,
    };
    let waits = |jitter| [0, 500, 1_000].map(|draw| wait(&with(jitter), 1, draw, Millis(0)).0);
    assert_eq!(waits(1_000), [1_000, 500, 0]);
    assert_eq!(waits(500), [1_000, 750, 500]);
}

proptest! {
    #[test]
    fn the_next_attempt_begins_before_the_deadline_and_never_in_a_hurry(
        backoff in backoff(), attempt in 1..=ATTEMPTS, attempts in 1_u32..=100,
        draw in any::<u16>(), asked in any::<u64>(), left in any::<u64>()
    ) {
        let plan = plan(backoff, attempts);
        let usual = wait(&backoff, attempt, draw, Millis(asked));
        if let Some(next) = next_wait(&plan, attempt, draw, Millis(asked), Millis(left)) {
                prop_assert!(next < Millis(left));
                prop_assert!(next <= usual.max(WAIT_MIN));
                prop_assert!(attempt < attempts || next >= WAIT_MIN);
                prop_assert!(next >= usual || next >= backoff.initial.min(backoff.max));
        } else {
                let shortest = backoff.initial.min(backoff.max).max(WAIT_MIN);
                prop_assert!(Millis(left / 2) < shortest, "an attempt would have fitted");
        }
    }
}

#[test]
fn beyond_the_limit_of_attempts_no_wait_is_shorter_than_a_second() {
    let quick = Backoff {
        initial: Millis(100),
        factor_permille: 1_000,
        max: Millis(100),
        jitter_permille: 0,
    };
    let wait_after = |attempt| next_wait(&plan(quick, 3), attempt, 0, Millis(0), Millis(3_600_000));
    assert_eq!(
        [1, 2, 3, 4].map(wait_after),
        [100, 100, 1_000, 1_000].map(|millis| Some(Millis(millis)))
    );
}

fn plan(backoff: Backoff, attempts: u32) -> Plan {
    Plan {
        attempts,
        backoff,
        retry_statuses: None,
        attempt_timeout: Millis(1),
        repeatable: false,
    }
}
