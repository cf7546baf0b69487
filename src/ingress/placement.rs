//! Which shard takes a job.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::job::{Millis, UnixMillis};

/// How long one isolate sends the requests without a key to the same shard. The requests of a busy isolate
/// then share a commit and a message, which are most of the cost of an accept. It is short, so that no shard
/// falls behind its commits, and over seconds all shards get the same load.
const TURN: Millis = Millis(50);

/// A random number drawn when the isolate starts, so that two isolates share a shard for one turn at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolate(pub u64);

impl Isolate {
    /// The shard whose turn it is.
    pub(super) fn shard(self, now: UnixMillis, shards: u16) -> u16 {
        let turn = now.0.checked_div(TURN.0).unwrap_or(0);
        let mut hasher = DefaultHasher::new();
        (self.0, turn).hash(&mut hasher);
        one_of(shards, hasher.finish())
    }
}

/// The shard of an idempotency key. It depends only on the hash and the number of shards.
pub(super) fn of_key(hash: &[u8; 32], shards: u16) -> u16 {
    let [a, b, c, d, ..] = *hash;
    one_of(shards, u64::from(u32::from_be_bytes([a, b, c, d])))
}

fn one_of(shards: u16, number: u64) -> u16 {
    u16::try_from(number.checked_rem(u64::from(shards)).unwrap_or(0)).unwrap_or(0)
}
