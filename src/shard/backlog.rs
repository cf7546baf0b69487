//! Tells a lost message from one that waits in a long queue.
//!
//! A queue delivers messages roughly in the order in which their jobs were due. So once a job is claimed,
//! the waiting jobs of that priority that were due earlier have been passed over: their messages are lost
//! and are sent again. As long as nothing is claimed, the queue may only be slow, and re-sending all messages
//! would add load when there is already too much. Then only one probe is sent, for the job that was due last:
//! if that is claimed, all the others have been passed over.
//!
//! Nothing of this is stored. After a restart the object finds the waiting jobs in its rows, and probes.

use std::collections::{BTreeSet, HashMap};

use crate::job::{Millis, Priority, RowKey, UnixMillis};

/// A job's place in its queue: when it was due, then its key.
pub(super) type Place = (UnixMillis, RowKey);

/// After this many unclaimed messages the wait stops growing, at patience × 2⁷: about an hour with the default
/// patience. It bounds the wake-ups that one stuck job can cause.
const DOUBLINGS_MAX: u8 = 7;

/// The wait after a job's message or a probe was sent `times` and not claimed: it doubles each time. A restart
/// forgets the count, so the wait is also at least `waited`, the time that the job has been due; restarts then
/// do not send a stuck job's message more often.
pub(super) fn wait_again(patience: Millis, times: u8, waited: Millis) -> Millis {
    let doubled = |times: u8| {
        let factor = 1_u64.checked_shl(u32::from(times)).unwrap_or(1);
        patience.times(factor)
    };
    let wait = doubled(times.min(DOUBLINGS_MAX));
    wait.max(waited).min(doubled(DOUBLINGS_MAX))
}

/// What the shard knows of its queues.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queues: HashMap<Priority, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// The latest place that was claimed.
    reached: Option<Place>,
    /// Jobs that have waited longer than the patience and were not passed over.
    waiting: BTreeSet<Place>,
    /// The latest probe, unless something was claimed after it.
    probed: Option<Place>,
    /// How many probes were not claimed.
    unclaimed: u8,
    /// When the next probe may be sent.
    next: UnixMillis,
}

impl Backlog {
    /// A job was claimed. Returns the waiting jobs that this passed over.
    pub fn claimed(&mut self, priority: Priority, place: Place) -> Vec<RowKey> {
        let queue = self.queues.entry(priority).or_default();
        queue.reached = queue.reached.max(Some(place));
        (queue.probed, queue.unclaimed) = (None, 0);
        let behind = queue.waiting.split_off(&place);
        let passed = std::mem::replace(&mut queue.waiting, behind);
        passed.into_iter().map(|(_, key)| key).collect()
    }

    /// Whether a job has been passed over.
    pub fn is_passed(&self, priority: Priority, place: Place) -> bool {
        let queue = self.queues.get(&priority);
        queue.is_some_and(|queue| queue.reached.is_some_and(|reached| place < reached))
    }

    /// A job has waited longer than the patience.
    pub fn wait(&mut self, priority: Priority, place: Place) {
        let queue = self.queues.entry(priority).or_default();
        queue.waiting.insert(place);
    }

    /// A job no longer waits.
    pub fn forget(&mut self, priority: Priority, place: Place) {
        if let Some(queue) = self.queues.get_mut(&priority) {
            queue.waiting.remove(&place);
        }
    }

    /// The jobs to send as probes now, at most one per queue.
    ///
    /// An unclaimed probe is followed by one for the job before it, so that a job which cannot be claimed
    /// does not hide the others.
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
        self.unclaimed = self.unclaimed.saturating_add(1);
        let wait = wait_again(patience, self.unclaimed, now.since(due));
        self.next = now.plus(wait);
        Some(key)
    }
}
