//! Partitions: jobs that expire at the same moment share a table, and go with it.
//!
//! A retention is cut into windows. All jobs that are accepted with it in one window expire together:
//! one retention after the end of the window. So each is kept at least as long as its retention, and
//! its expiry is one `DROP TABLE`, which writes no row.

use std::collections::BTreeMap;

use crate::job::{Millis, PARTITION_MAX, RowKey, SEQUENCE_MAX, UnixMillis};

use super::ShardError;
use super::schema;
use super::sql::{Sql, Value};

/// A window is this share of its retention, so a job is kept for at most a sixteenth longer than its
/// rule says, and a retention has some 17 tables at a time.
const WINDOW_SHARE: u64 = 16;

/// The shortest window: opening and closing a partition writes about six rows.
const WINDOW_MIN: Millis = Millis::from_secs(10);

/// The longest window: what a long retention may be exceeded by.
const WINDOW_MAX: Millis = Millis::from_secs(86_400);

/// A partition with so many rows takes no more. To drop them blocks a shard for some 15 ms, and requests
/// wait for it; see docs/benchmark.md.
const ROWS_MAX: u32 = 16_384;

/// A partition with so many bytes of bodies takes no more rows. Results that come later still go into
/// it. To drop so many takes some 40 ms.
const BYTES_MAX: u64 = 64 << 20;

/// A partition with fewer rows is read at a start rather than marked as settled: to read a thousand
/// rows costs what it costs to write the mark.
const SETTLED_ROWS: u32 = 1_024;

/// Where a partition stands. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It may take jobs, and may hold active ones.
    Open,
    /// Every job in it has ended, and it takes no more.
    Settled,
    /// It has expired: none of its jobs is served, and its objects are being deleted.
    Expired,
    /// Its table is gone; its ids are still answered 410.
    Dropped,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Open, Self::Settled, Self::Expired, Self::Dropped];

    /// The number that is stored.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Open => 0,
            Self::Settled => 1,
            Self::Expired => 2,
            Self::Dropped => 3,
        }
    }
}

/// What memory knows about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) retention: Millis,
    /// When all of its jobs expire.
    pub(super) expires: UnixMillis,
    pub(super) phase: Phase,
    /// A row may name an object in the bucket.
    pub(super) objects: bool,
    /// The next row's number. `None` when it was not looked up since the start.
    pub(super) next: Option<u32>,
    /// Bytes of bodies, as far as they were counted.
    pub(super) bytes: u64,
    /// Where the start goes on to read its active jobs. `None` when it has read all of them.
    pub(super) unread: Option<RowKey>,
    /// It was looked at and is settled, which is not worth a row.
    pub(super) quiet: bool,
    /// Where the deletion of its objects goes on. `None` when they are all gone.
    pub(super) emptying: Option<RowKey>,
    /// Its expiry failed, and is not tried again before.
    pub(super) put_off: UnixMillis,
}

impl Partition {
    fn takes_more(&self) -> bool {
        self.phase == Phase::Open
            && self.next.is_none_or(|next| next <= ROWS_MAX)
            && self.bytes < BYTES_MAX
    }

    /// Whether a mark in the catalogue saves the next start more than it costs.
    pub(super) fn is_worth_a_mark(&self) -> bool {
        self.next.is_some_and(|next| next > SETTLED_ROWS)
    }

    /// Whether no job that is accepted from now on can come into it.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        !self.takes_more() || expiry(self.retention, now) > self.expires
    }

    /// When something has to be done about it.
    fn due(&self, tombstone: Millis) -> UnixMillis {
        let due = match self.phase {
            Phase::Open | Phase::Settled | Phase::Expired => self.expires,
            // Later than the tombstone ends, so that one alarm forgets many.
            Phase::Dropped => self.expires.plus(tombstone).plus(window(self.retention)),
        };
        due.max(self.put_off)
    }
}

/// The window of a retention.
fn window(retention: Millis) -> Millis {
    Millis(retention.0 / WINDOW_SHARE).clamp(WINDOW_MIN, WINDOW_MAX)
}

/// When a job expires that is accepted now: a retention after the end of the window.
pub(super) fn expiry(retention: Millis, now: UnixMillis) -> UnixMillis {
    let window = window(retention);
    let into = now.0.checked_rem(window.0).unwrap_or(0);
    now.minus(Millis(into)).plus(window).plus(retention)
}

/// The partitions of a shard.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    partitions: BTreeMap<u32, Partition>,
    /// The partition that takes the jobs of a retention that expire at a time, where it is known.
    taking: BTreeMap<(Millis, UnixMillis), u32>,
    /// The number of the next partition.
    next: u32,
    /// What was there before the changes of the transaction under way, newest last.
    undo: Vec<(u32, Option<Partition>)>,
    /// When the next one is due.
    due: Option<UnixMillis>,
    tombstone: Millis,
}

impl Catalogue {
    /// Reads the catalogue. `next` is a number that no partition had before.
    pub(super) fn load<S: Sql>(sql: &S, next: u32, tombstone: Millis) -> Result<Self, ShardError> {
        let mut partitions = BTreeMap::new();
        for row in sql.run(schema::PARTITIONS, &[])? {
            let (number, partition) = read(&row)?;
            partitions.insert(number, partition);
        }
        let last = partitions.keys().next_back().copied().unwrap_or(0);
        let mut catalogue = Self {
            partitions,
            next: next.max(last.saturating_add(1)),
            ..Self::empty(tombstone)
        };
        catalogue.find_due();
        Ok(catalogue)
    }

    pub(super) fn empty(tombstone: Millis) -> Self {
        Self {
            next: 1,
            tombstone,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Partition> {
        self.partitions.get(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Partition)> {
        self.partitions
            .iter()
            .map(|(number, partition)| (*number, partition))
    }

    /// A partition whose active jobs the start has still to read, and where it goes on.
    pub(super) fn unread(&self) -> Option<(u32, RowKey)> {
        let mut partitions = self.iter();
        partitions.find_map(|(number, partition)| Some((number, partition.unread?)))
    }

    /// An expired partition whose objects are to be deleted now, and where that goes on.
    pub(super) fn emptying(&self, now: UnixMillis) -> Option<(u32, RowKey)> {
        let mut partitions = self.iter();
        partitions.find_map(|(number, partition)| {
            let from = partition.emptying.filter(|_| now >= partition.put_off)?;
            Some((number, from))
        })
    }

    /// The number that the next partition gets.
    pub(super) const fn next_number(&self) -> u32 {
        self.next
    }

    /// The partition for a job of this retention that expires then, unless a new one is needed.
    pub(super) fn taking(&mut self, retention: Millis, expires: UnixMillis) -> Option<u32> {
        let fits = |partition: &Partition| {
            partition.takes_more()
                && partition.retention == retention
                && partition.expires == expires
        };
        let known = self.taking.get(&(retention, expires)).copied();
        if let Some(number) = known
            && self.get(number).is_some_and(fits)
        {
            return Some(number);
        }
        let mut newest_first = self.partitions.iter().rev();
        let number = *newest_first.find(|(_, partition)| fits(partition))?.0;
        self.taking.insert((retention, expires), number);
        Some(number)
    }

    /// Adds a partition. Its number is [`Self::next_number`].
    pub(super) fn open(
        &mut self,
        retention: Millis,
        expires: UnixMillis,
    ) -> Result<u32, ShardError> {
        let number = self.next;
        if number > PARTITION_MAX {
            return Err(ShardError::Exhausted);
        }
        self.undo.push((number, None));
        let partition = Partition {
            retention,
            expires,
            phase: Phase::Open,
            objects: false,
            next: Some(RowKey::first_of(number).sequence()),
            bytes: 0,
            unread: None,
            quiet: false,
            emptying: None,
            put_off: UnixMillis(0),
        };
        self.next = number.saturating_add(1);
        self.partitions.insert(number, partition);
        self.taking.insert((retention, expires), number);
        let due = partition.due(self.tombstone);
        self.due = Some(self.due.map_or(due, |sooner| sooner.min(due)));
        Ok(number)
    }

    /// Takes the next row of a partition. `next` is its number where the partition does not know it.
    pub(super) fn take_row(&mut self, number: u32, next: u32, bytes: u64) -> Option<RowKey> {
        let partition = self.changing(number)?;
        let sequence = partition.next.unwrap_or(next);
        if sequence > SEQUENCE_MAX {
            return None;
        }
        partition.next = Some(sequence.saturating_add(1));
        partition.bytes = partition.bytes.saturating_add(bytes);
        Some(RowKey::new(number, sequence))
    }

    /// Changes a partition inside a transaction: [`Self::roll_back`] takes it back.
    pub(super) fn changing(&mut self, number: u32) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(&number)?;
        if !self.undo.iter().any(|(known, _)| *known == number) {
            self.undo.push((number, Some(*partition)));
        }
        Some(partition)
    }

    /// The transaction stands.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// The transaction was rolled back.
    pub(super) fn roll_back(&mut self) {
        while let Some((number, before)) = self.undo.pop() {
            if let Some(partition) = before {
                self.partitions.insert(number, partition);
            } else {
                self.next = self.next.min(number);
                self.partitions.remove(&number);
            }
        }
        self.find_due();
    }

    /// Changes a partition after the transaction stands.
    pub(super) fn change(&mut self, number: u32, change: impl FnOnce(&mut Partition)) {
        if let Some(partition) = self.partitions.get_mut(&number) {
            change(partition);
        }
        self.find_due();
    }

    /// Counts bytes of bodies that came and went. It changes nothing that is due.
    pub(super) fn count_bytes(&mut self, number: u32, more: u64, less: u64) {
        if let Some(partition) = self.partitions.get_mut(&number) {
            partition.bytes = partition.bytes.saturating_add(more).saturating_sub(less);
        }
    }

    /// Forgets partitions. Their numbers are not given again.
    pub(super) fn forget(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.partitions.remove(number);
        }
        self.find_due();
    }

    /// When the next partition is due.
    pub(super) const fn due(&self) -> Option<UnixMillis> {
        self.due
    }

    fn find_due(&mut self) {
        let tombstone = self.tombstone;
        let all = self.partitions.values();
        self.due = all.map(|partition| partition.due(tombstone)).min();
        let partitions = &self.partitions;
        self.taking
            .retain(|_, number| partitions.get(number).is_some_and(Partition::takes_more));
    }
}

/// Reads a row of the catalogue.
fn read(row: &[Value]) -> Result<(u32, Partition), ShardError> {
    let unreadable = || ShardError::Unreadable("a partition of a later build".to_owned());
    let [number, retention, expires, phase, objects] = row else {
        return Err(unreadable());
    };
    let number = number.int().and_then(|number| u32::try_from(number).ok());
    let phase = Phase::ALL
        .into_iter()
        .find(|known| phase.int() == Some(known.number()));
    let (Some(number), Some(phase)) = (number, phase) else {
        return Err(unreadable());
    };
    let first = RowKey::first_of(number);
    let partition = Partition {
        retention: Millis(retention.int().unwrap_or_default()),
        expires: UnixMillis(expires.int().unwrap_or_default()),
        phase,
        objects: objects.int() != Some(0),
        next: None,
        bytes: 0,
        unread: (phase == Phase::Open).then_some(first),
        quiet: false,
        emptying: (phase == Phase::Expired).then_some(first),
        put_off: UnixMillis(0),
    };
    Ok((number, partition))
}
