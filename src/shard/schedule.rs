//! The schedule: when each active job needs a look. It is kept in memory and rebuilt from the active rows
//! when the object starts, which saves an index.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::{Millis, Priority, RowKey, SEQUENCE_MAX, UnixMillis};

use super::backlog::{Backlog, wait_again};

/// The wake-up times of all active jobs.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    by_time: BTreeSet<(UnixMillis, RowKey)>,
    backlog: Backlog,
    by_key: BTreeMap<RowKey, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: UnixMillis,
    resends: u8,
    /// Its queue and due time, while it is part of the backlog.
    waits: Option<(Priority, UnixMillis)>,
}

impl Schedule {
    /// Sets, moves or (with `None`) removes a job's wake-up. Resets its re-sends.
    pub fn set(&mut self, key: RowKey, at: Option<UnixMillis>) {
        self.remove(key);
        if let Some(at) = at {
            let (resends, waits) = (0, None);
            self.insert(key, Entry { at, resends, waits });
        }
    }

    /// Moves the wake-up of a job that is still not claimed, by [`wait_again`]. `waited` is the time that the
    /// job has been due.
    pub fn resent(
        &mut self,
        key: RowKey,
        now: UnixMillis,
        waited: Millis,
        patience: Millis,
        latest: UnixMillis,
    ) {
        let resends = self
            .remove(key)
            .map_or(0, |entry| entry.resends)
            .saturating_add(1);
        let wait = wait_again(patience, resends, waited);
        self.insert(
            key,
            Entry {
                at: now.plus(wait).min(latest),
                resends,
                waits: None,
            },
        );
    }

    /// Whether the message of a job that has waited longer than the patience is lost. If that is not known,
    /// the job joins the backlog.
    pub fn has_lost_message(&mut self, key: RowKey, priority: Priority, due: UnixMillis) -> bool {
        if self.backlog.is_passed(priority, (due, key)) {
            return true;
        }
        if let Some(entry) = self.by_key.get_mut(&key) {
            entry.waits = Some((priority, due));
            self.backlog.wait(priority, (due, key));
        }
        false
    }

    /// A job was claimed. The jobs that this passed over wake now.
    pub fn claimed(&mut self, key: RowKey, priority: Priority, due: UnixMillis, now: UnixMillis) {
        for passed in self.backlog.claimed(priority, (due, key)) {
            if let Some(entry) = self.remove(passed) {
                let (at, waits) = (now, None);
                self.insert(passed, Entry { at, waits, ..entry });
            }
        }
    }

    /// The jobs of the backlog to send now as probes, to see whether their queues move.
    pub fn probes(&mut self, now: UnixMillis, patience: Millis) -> Vec<(Priority, RowKey)> {
        if self.by_time.first().is_some_and(|(at, _)| *at <= now) {
            // The backlog is not complete yet.
            return Vec::new();
        }
        self.backlog.probes(now, patience)
    }

    /// The earliest wake-up.
    #[must_use]
    pub fn next(&self) -> Option<UnixMillis> {
        let first = self.by_time.first().map(|(at, _)| *at);
        [first, self.backlog.next()].into_iter().flatten().min()
    }

    /// Up to `most` due jobs, earliest first.
    #[must_use]
    pub fn due(&self, now: UnixMillis, most: usize) -> Vec<RowKey> {
        self.by_time
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(most)
            .map(|(_, key)| *key)
            .collect()
    }

    /// Whether a job of this partition is active.
    #[must_use]
    pub fn has_partition(&self, number: u32) -> bool {
        self.by_key.range(rows_of(number)).next().is_some()
    }

    /// Removes and returns the active jobs of a partition.
    pub fn remove_partition(&mut self, number: u32) -> Vec<RowKey> {
        let active = self.by_key.range(rows_of(number));
        let keys: Vec<RowKey> = active.map(|(key, _)| *key).collect();
        for key in &keys {
            self.remove(*key);
        }
        keys
    }

    /// How many jobs are active.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    fn insert(&mut self, key: RowKey, entry: Entry) {
        self.by_time.insert((entry.at, key));
        self.by_key.insert(key, entry);
    }

    fn remove(&mut self, key: RowKey) -> Option<Entry> {
        let entry = self.by_key.remove(&key)?;
        self.by_time.remove(&(entry.at, key));
        if let Some((priority, due)) = entry.waits {
            self.backlog.forget(priority, (due, key));
        }
        Some(entry)
    }
}

fn rows_of(partition: u32) -> std::ops::RangeInclusive<RowKey> {
    RowKey::new(partition, 0)..=RowKey::new(partition, SEQUENCE_MAX)
}
