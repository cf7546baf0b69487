//! A small pseudo-random generator (splitmix64): the same seed, the same world, on every platform.

use std::cell::Cell;

/// A stream of random numbers. The parts of a world use separate streams of one seed, so that removing
/// one part (as shrinking does) changes the others as little as possible.
#[derive(Debug)]
pub struct Rng {
    state: Cell<u64>,
    still: bool,
}

impl Rng {
    /// The stream with this number, of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let rng = Self {
            state: Cell::new(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93)),
            still: false,
        };
        rng.next();
        rng.next();
        rng
    }

    /// A stream that always returns the same numbers, for a search, which leaves nothing to chance.
    pub fn still(value: u64) -> Self {
        Self {
            state: Cell::new(value),
            still: true,
        }
    }

    /// 64 bits.
    pub fn next(&self) -> u64 {
        if self.still {
            return self.state.get();
        }
        let state = self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 for 0.
    pub fn below(&self, n: u64) -> u64 {
        self.next().checked_rem(n).unwrap_or(0)
    }

    /// A number from `low` to `high`.
    pub fn range(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True this many times in a thousand.
    pub fn chance(&self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// An element of a slice.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }

    /// Random bytes.
    pub fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}
