//! Which shard takes a job.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::job::{Millis, UnixMillis};

/// For so long, what one isolate accepts without a key goes to one shard. A busy isolate's requests then
/// meet there and share a commit and a message, which is most of what an accept costs; spread one by one
/// they would each have their own. Short, so that no shard gets more at once than the commits of a few
/// dozen milliseconds take up, and over seconds all get the same.
const TURN: Millis = Millis(50);

/// A number that an isolate drew at random when it started: two isolates do not crowd one shard for longer
/// than a turn.
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

/// The shard of an idempotency key: the same for the same number of shards, always and everywhere.
pub(super) fn of_key(hash: &[u8; 32], shards: u16) -> u16 {
    let [a, b, c, d, ..] = *hash;
    one_of(shards, u64::from(u32::from_be_bytes([a, b, c, d])))
}

fn one_of(shards: u16, number: u64) -> u16 {
    u16::try_from(number.checked_rem(u64::from(shards)).unwrap_or(0)).unwrap_or(0)
}
