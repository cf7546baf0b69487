//! Tells whether work grows linearly or quadratically with its input.

use std::time::{Duration, Instant};

/// The smaller size. [`TIMES`] as much still fits into a processor's cache, so that time measures work.
const SMALL: usize = 125;

/// How many times as large the larger size is.
const TIMES: usize = 32;

/// How often both are measured at least, and at most if the machine is busy all the time.
const TRIES: [usize; 2] = [5, 50];

/// How much longer one large step takes than small ones of the same total size: about 1 if the work grows
/// linearly with the input, and about [`TIMES`] if it grows quadratically.
pub fn excess<I>(make: impl Fn(usize) -> I, step: impl Fn(&I)) -> f64 {
    let (small, large) = (make(SMALL), make(SMALL * TIMES));
    let time = |repeats: usize, input: &I| -> Duration {
        let start = Instant::now();
        (0..repeats).for_each(|_| step(input));
        start.elapsed()
    };
    let [fewest, most] = TRIES;
    let (mut once, mut together) = (Duration::MAX, Duration::MAX);
    for attempt in 1..=most {
        once = once.min(time(1, &large));
        together = together.min(time(TIMES, &small));
        if attempt >= fewest && once.as_secs_f64() / together.as_secs_f64() < LINEAR {
            break;
        }
    }
    once.as_secs_f64() / together.as_secs_f64()
}

/// More than the effect of chance and caches on linear work, and far less than [`TIMES`].
pub const LINEAR: f64 = 8.0;
