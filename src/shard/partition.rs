//! Partitions: jobs that expire at the same moment share a table, which is dropped as a whole.
//!
//! Each retention has windows of time. Jobs accepted with it in the same window expire together, one
//! retention after the end of the window. So each job is kept at least as long as its retention, and
//! expiry is one `DROP TABLE`, which writes no row.

use std::collections::BTreeMap;

use crate::job::{Millis, PARTITION_MAX, RowKey, SEQUENCE_MAX, UnixMillis};

use super::ShardError;
use super::schema;
use super::sql::{Sql, Value};

/// A window is this fraction of its retention (1/16). So a job is kept at most a sixteenth longer than its
/// rule says, and a retention has about 17 tables at a time.
const WINDOW_SHARE: u64 = 16;

/// The shortest window: opening and closing a partition writes about six rows.
const WINDOW_MIN: Millis = Millis::from_secs(10);

/// The longest window: a long retention may be exceeded by a day.
const WINDOW_MAX: Millis = Millis::from_secs(86_400);

/// Most rows of a partition. Dropping them blocks the shard's requests for about 40 ms; see
/// docs/benchmark.md.
const ROWS_MAX: u32 = 16_384;

/// A partition with this many bytes of heads and bodies takes no more rows; results of its jobs are still
/// stored in it.
const BYTES_MAX: u64 = 64 << 20;

/// Counted for each active job until it ends, for its result. So about 4,096 jobs of a partition are
/// active at a time at most. If each of them stored the largest result that a row takes (64 KiB), the partition
/// would grow to 256 MiB, whose drop blocks the shard for about 140 ms. Most results are smaller, and
/// reserving the most would open a partition for every thousand waiting jobs.
pub(super) const RESULT_RESERVE: u64 = 16 << 10;

/// A partition with fewer rows is not marked as settled but read at each start: reading a thousand rows
/// costs as much as writing the mark.
const SETTLED_ROWS: u32 = 1_024;

/// The phase of a partition. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It may take jobs, and may hold active ones.
    Open,
    /// Every job in it has ended, and it takes no more.
    Settled,
    /// It has expired: its jobs are no longer served, and its objects are being deleted.
    Expired,
    /// Its table is gone; its ids still get 410.
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

/// A partition in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) retention: Millis,
    /// When all of its jobs expire.
    pub(super) expires: UnixMillis,
    pub(super) phase: Phase,
    /// A row may name an object in the bucket.
    pub(super) objects: bool,
    /// The number of the next row. `None`: not looked up since the start.
    pub(super) next: Option<u32>,
    /// Bytes of heads and bodies as far as they have been counted, and what is reserved for results.
    pub(super) bytes: u64,
    /// Where the start resumes reading its active jobs. `None`: all are read.
    pub(super) unread: Option<RowKey>,
    /// It is settled, but too small for a mark in the catalogue.
    pub(super) quiet: bool,
    /// Where the deletion of its objects resumes. `None`: they are all gone.
    pub(super) emptying: Option<RowKey>,
    /// Its expiry failed, and is not tried again before this.
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

    /// Whether its window is over, or it takes no more rows.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        !self.takes_more() || expiry(self.retention, now) > self.expires
    }

    /// When it next needs work.
    fn due(&self, tombstone: Millis) -> UnixMillis {
        let due = match self.phase {
            Phase::Open | Phase::Settled | Phase::Expired => self.expires,
            // A window later than the tombstone ends, so that one alarm forgets many.
            Phase::Dropped => self.expires.plus(tombstone).plus(window(self.retention)),
        };
        due.max(self.put_off)
    }
}

/// The length of a stored text.
pub(super) fn len(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// The window of a retention.
fn window(retention: Millis) -> Millis {
    Millis(retention.0 / WINDOW_SHARE).clamp(WINDOW_MIN, WINDOW_MAX)
}

/// When a job that is accepted now expires: a retention after the end of the window.
pub(super) fn expiry(retention: Millis, now: UnixMillis) -> UnixMillis {
    let window = window(retention);
    let into = now.0.checked_rem(window.0).unwrap_or(0);
    now.minus(Millis(into)).plus(window).plus(retention)
}

/// The partitions of a shard.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    partitions: BTreeMap<u32, Partition>,
    /// The open partition for a retention and an expiry, if known.
    taking: BTreeMap<(Millis, UnixMillis), u32>,
    /// The number of the next partition.
    next: u32,
    /// The old values of what the transaction under way has changed, newest last.
    undo: Vec<(u32, Option<Partition>)>,
    /// When the next one needs work.
    due: Option<UnixMillis>,
    tombstone: Millis,
}

impl Catalogue {
    /// Reads the catalogue. `next` is a number above those of all forgotten partitions.
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

    /// A partition whose active jobs the start has yet to read, and where to resume.
    pub(super) fn unread(&self) -> Option<(u32, RowKey)> {
        let mut partitions = self.iter();
        partitions.find_map(|(number, partition)| Some((number, partition.unread?)))
    }

    /// An expired partition whose objects are to be deleted now, and where to resume.
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

    /// The partition for a new job with this retention and expiry. `None`: a new one is needed.
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

    /// Takes the next row of a partition. `next` is its number, in case the partition does not know it.
    pub(super) fn take_row(&mut self, number: u32, next: u32, bytes: u64) -> Option<RowKey> {
        let partition = self.changing(number)?;
        let sequence = partition.next.unwrap_or(next);
        if sequence > SEQUENCE_MAX {
            return None;
        }
        partition.next = Some(sequence.saturating_add(1));
        let reserved = bytes.saturating_add(RESULT_RESERVE);
        partition.bytes = partition.bytes.saturating_add(reserved);
        Some(RowKey::new(number, sequence))
    }

    /// Changes a partition inside a transaction. [`Self::roll_back`] undoes it.
    pub(super) fn changing(&mut self, number: u32) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(&number)?;
        if !self.undo.iter().any(|(known, _)| *known == number) {
            self.undo.push((number, Some(*partition)));
        }
        Some(partition)
    }

    /// The transaction was committed.
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

    /// Changes a partition after a commit.
    pub(super) fn change(&mut self, number: u32, change: impl FnOnce(&mut Partition)) {
        if let Some(partition) = self.partitions.get_mut(&number) {
            change(partition);
        }
        self.find_due();
    }

    /// Counts bytes of heads and bodies that were added and removed. This changes no due time.
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

    /// When the next partition needs work.
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
