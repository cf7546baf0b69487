//! How long to wait before the next attempt.

use super::plan::{Backoff, Plan};
use super::time::Millis;

/// The shortest wait near the deadline, and between attempts beyond the plan's limit. With shorter ones, an
/// origin that is down would cost rows and messages without end.
pub const WAIT_MIN: Millis = Millis::from_secs(1);

/// The wait after attempt number `attempt` (from 1), with `left` until the deadline. `None` if no useful
/// attempt fits in any more.
///
/// It is that of [`wait`]; once the number of attempts reaches the plan's limit, at least [`WAIT_MIN`]. A
/// wait that would reach the deadline is cut to half of what is left, unless that is shorter than
/// [`WAIT_MIN`] or the backoff's first wait.
#[must_use]
pub fn next_wait(
    plan: &Plan,
    attempt: u32,
    random_permille: u16,
    at_least: Millis,
    left: Millis,
) -> Option<Millis> {
    let backoff = &plan.backoff;
    let wait = wait(backoff, attempt, random_permille, at_least);
    let wait = if attempt < plan.attempts {
        wait
    } else {
        wait.max(WAIT_MIN)
    };
    // A queue delays by whole seconds, rounded up, and the message must come before the deadline.
    if Millis::from_secs(wait.ceil_secs()) < left {
        return Some(wait);
    }
    let half = left.half();
    let shortest = backoff.initial.min(backoff.max).max(WAIT_MIN);
    (half >= shortest).then_some(half)
}

/// The wait after attempt number `attempt` (from 1) failed.
///
/// `random_permille` is a random number for the jitter (0 to 1000, larger values count as 1000). Jitter
/// shortens the wait, so that `Backoff::max` is never exceeded. `at_least` is what the origin asked for;
/// `Backoff::max` caps it too, so that no origin can park a job until its deadline.
#[must_use]
pub fn wait(backoff: &Backoff, attempt: u32, random_permille: u16, at_least: Millis) -> Millis {
    let mut full = backoff.initial.0.min(backoff.max.0);
    for _ in 1..attempt {
        let next = scale(full, u64::from(backoff.factor_permille)).min(backoff.max.0);
        // At the longest wait, or with a factor of one, all further waits are the same.
        if next == full {
            break;
        }
        full = next;
    }
    let random_share = scale(full, u64::from(backoff.jitter_permille.min(1000)));
    let taken_off = scale(random_share, u64::from(random_permille.min(1000)));
    Millis(
        full.saturating_sub(taken_off)
            .max(at_least.0.min(backoff.max.0)),
    )
}

/// `value × permille / 1000`, exact if it fits: the thousands are multiplied separately, so that a large
/// value does not saturate before the division.
const fn scale(value: u64, permille: u64) -> u64 {
    let thousands = (value / 1000).saturating_mul(permille);
    thousands.saturating_add((value % 1000).saturating_mul(permille) / 1000)
}
