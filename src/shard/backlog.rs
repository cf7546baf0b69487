//! Telling a lost message from one that waits in a long queue.
//!
//! A queue hands its messages out roughly in the order in which their jobs were due. So a job has been
//! passed over once another one of its priority that was due later is claimed: its message is lost, and is
//! sent again. While nothing of the kind happens, the queue may only be slow, and sending all of its
//! messages again would add load exactly when there is too much. Then one job is sent again as a probe, the
//! one that was due last: when it is claimed, all before it have been passed over.
//!
//! Nothing of this is stored. An object that starts anew finds the waiting jobs in its rows, and probes.

use std::collections::{BTreeSet, HashMap};

use crate::job::{Millis, Priority, RowKey, UnixMillis};

/// A job's place in its queue: when it was due, and its key where several were due at once.
pub(super) type Place = (UnixMillis, RowKey);

/// After so many probes in vain the time between two of them stops growing: patience × 2⁷, about an hour
/// with the default patience.
const DOUBLINGS_MAX: u8 = 7;

/// What the shard knows of its queues.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queues: HashMap<Priority, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// The latest place that was claimed.
    reached: Option<Place>,
    /// Jobs that have waited for longer than the patience, and were not passed over.
    waiting: BTreeSet<Place>,
    /// The latest probe, unless something was claimed after it.
    probed: Option<Place>,
    /// How many probes were in vain.
    in_vain: u8,
    /// When the next probe may be sent.
    next: UnixMillis,
}

impl Backlog {
    /// A job was claimed. Returns the waiting jobs that it has passed over.
    pub fn claimed(&mut self, priority: Priority, place: Place) -> Vec<RowKey> {
        let queue = self.queues.entry(priority).or_default();
        queue.reached = queue.reached.max(Some(place));
        (queue.probed, queue.in_vain) = (None, 0);
        let behind = queue.waiting.split_off(&place);
        let passed = std::mem::replace(&mut queue.waiting, behind);
        passed.into_iter().map(|(_, key)| key).collect()
    }

    /// Whether a job has been passed over.
    pub fn is_passed(&self, priority: Priority, place: Place) -> bool {
        let queue = self.queues.get(&priority);
        queue.is_some_and(|queue| queue.reached.is_some_and(|reached| place < reached))
    }

    /// A job has waited for longer than the patience.
    pub fn wait(&mut self, priority: Priority, place: Place) {
        let queue = self.queues.entry(priority).or_default();
        queue.waiting.insert(place);
    }

    /// A job waits no more.
    pub fn forget(&mut self, priority: Priority, place: Place) {
        if let Some(queue) = self.queues.get_mut(&priority) {
            queue.waiting.remove(&place);
        }
    }

    /// The jobs to send as probes now, one of a queue at most.
    ///
    /// A probe that is not claimed is followed by one for the job before it, so that a job which nobody can
    /// claim hides no other.
    pub fn probes(&mut self, now: UnixMillis, patience: Millis) -> Vec<(Priority, RowKey)> {
        let queues = self.queues.iter_mut();
        queues
            .filter_map(|(priority, queue)| Some((*priority, queue.probe(now, patience)?)))
            .collect()
    }

    /// When the next probe may be sent. `None` while no job waits.
    pub fn next(&self) -> Option<UnixMillis> {
        let queues = self.queues.values();
        let waiting = queues.filter(|queue| !queue.waiting.is_empty());
        waiting.map(|queue| queue.next).min()
    }
}

impl Queue {
    fn probe(&mut self, now: UnixMillis, patience: Millis) -> Option<RowKey> {
        if now < self.next {
            return None;
        }
        let earlier = self
            .probed
            .and_then(|probed| self.waiting.range(..probed).next_back());
        let place = *earlier.or_else(|| self.waiting.last())?;
        let (due, key) = place;
        self.probed = Some(place);
        self.in_vain = self.in_vain.saturating_add(1).min(DOUBLINGS_MAX);
        let doubled = |times: u8| {
            let factor = 1_u64.checked_shl(u32::from(times)).unwrap_or(1);
            Millis(patience.0.saturating_mul(factor))
        };
        // As with a job's own wake-ups: an object that forgets the count with each start must not send a
        // stuck job's message any oftener.
        let wait = doubled(self.in_vain).max(now.since(due));
        self.next = now.plus(wait.min(doubled(DOUBLINGS_MAX)));
        Some(key)
    }
}
