//! Expiry: the objects of an expired partition are deleted, then its table is dropped.

use crate::job::{Millis, RowKey, UnixMillis};

use super::partition::Phase;
use super::sql::{Param, Sql, SqlError};
use super::upkeep::{Tick, objects_of};
use super::{Ended, Shard, ShardError, read_record, schema};

/// Rows of an expired partition whose objects are deleted in one call. Each names at most two objects, and
/// an R2 delete call takes 1,000 keys.
const ROWS_PER_PAGE: u64 = 500;

/// Most partitions that one call forgets: each costs a deleted row.
const FORGOTTEN_MAX: usize = 256;

/// When to look again at a partition with an unreadable row. A later build wrote that, and its deploy is
/// under way; until then each look is an alarm.
const UNREADABLE_AGAIN: Millis = Millis::from_secs(600);

/// Rows of an expired partition whose objects are being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    partition: u32,
    /// Where the next page begins; `None` when this is the last.
    next: Option<RowKey>,
}

impl<S: Sql> Shard<S> {
    /// Drops an expired partition and an expired table of keys, forgets old tombstones, and returns how many
    /// changes it made. If work is left, the alarm fires again at once; what the database refuses is put off.
    ///
    /// Commit it before [`Self::tick`]: it makes room in a full database.
    pub fn expire(&mut self, now: UnixMillis) -> Result<usize, ShardError> {
        let again = now.plus(self.settings.patience);
        let keys = self.drop_keys(now).map(usize::from).map_err(|error| {
            self.generations.put_off(again);
            ShardError::Sql(error)
        });
        let partition = self.expire_partition(now, again);
        let forgotten = self.forget_partitions(now, again);
        Ok(keys?.saturating_add(partition?).saturating_add(forgotten?))
    }

    /// Forgets partitions whose tombstones are over.
    fn forget_partitions(
        &mut self,
        now: UnixMillis,
        again: UnixMillis,
    ) -> Result<usize, ShardError> {
        if self.catalogue.due().is_none_or(|due| now < due) {
            return Ok(0);
        }
        let tombstone = self.settings.tombstone;
        let over = self.catalogue.iter().filter(|(_, partition)| {
            partition.phase == Phase::Dropped
                && now >= partition.expires.plus(tombstone)
                && now >= partition.put_off
        });
        let numbers: Vec<u32> = over.map(|(number, _)| number).take(FORGOTTEN_MAX).collect();
        if numbers.is_empty() {
            return Ok(0);
        }
        let next = self.catalogue.next_number();
        // The catalogue then no longer shows the highest number that was used.
        let is_last = numbers.last() == next.checked_sub(1).as_ref();
        let forgotten = self.transaction(|shard| {
            for number in &numbers {
                let params = [Param::Int(u64::from(*number))];
                shard.sql.run(schema::PARTITION_FORGET, &params)?;
            }
            if is_last {
                shard.write_meta(next)?;
            }
            Ok(())
        });
        if let Err(error) = forgotten {
            for number in numbers {
                self.catalogue
                    .change(number, |partition| partition.put_off = again);
            }
            return Err(error);
        }
        self.catalogue.forget(&numbers);
        Ok(numbers.len())
    }

    /// Moves the partition that has been due longest to its next phase: first its jobs are no longer served,
    /// and once its objects are deleted, its table is dropped.
    fn expire_partition(
        &mut self,
        now: UnixMillis,
        again: UnixMillis,
    ) -> Result<usize, ShardError> {
        let due = self.catalogue.iter().filter(|(_, partition)| {
            partition.phase < Phase::Dropped
                && partition.emptying.is_none()
                && partition.unread.is_none()
                && now >= partition.expires.max(partition.put_off)
        });
        let Some((number, partition)) = due.min_by_key(|(_, partition)| partition.expires) else {
            return Ok(0);
        };
        let has_objects = partition.objects && partition.phase < Phase::Expired;
        let phase = if has_objects {
            Phase::Expired
        } else {
            Phase::Dropped
        };
        if let Err(error) = self.write_phase(number, phase) {
            self.catalogue
                .change(number, |partition| partition.put_off = again);
            return Err(error.into());
        }
        self.catalogue.change(number, |partition| {
            partition.phase = phase;
            partition.emptying = has_objects.then(|| RowKey::first_of(number));
        });
        for key in self.schedule.remove_partition(number) {
            // No alarm fired since its deadline. Its watchers are told now.
            self.ended.push(Ended { key, failure: None });
        }
        Ok(1)
    }

    fn write_phase(&self, number: u32, phase: Phase) -> Result<(), SqlError> {
        let params = [u64::from(number), phase.number()].map(Param::Int);
        if phase != Phase::Dropped {
            self.sql.run(schema::PARTITION_PHASE, &params)?;
            return Ok(());
        }
        self.sql.atomically(&mut || {
            self.sql.run(&schema::jobs_drop(number), &[])?;
            self.sql.run(schema::PARTITION_PHASE, &params)?;
            Ok(())
        })
    }

    /// The objects of the next page of an expired partition. Call [`Self::swept`] once they are deleted.
    pub(super) fn next_objects(&mut self, now: UnixMillis, tick: &mut Tick) -> Vec<String> {
        let Some((number, from)) = self.catalogue.emptying(now) else {
            return Vec::new();
        };
        let states = self.next_row(number).and_then(|next| {
            let end = RowKey(from.0.saturating_add(ROWS_PER_PAGE));
            let range = [from.0, end.0].map(Param::Int);
            let rows = self.sql.run(&schema::jobs_states(number), &range)?;
            Ok((rows, (end.sequence() < next).then_some(end)))
        });
        let (rows, next) = match states {
            Ok(states) => states,
            Err(error) => {
                self.put_off_emptying(number, now.plus(self.settings.patience));
                tick.note(error.into());
                return Vec::new();
            }
        };
        let mut objects = Vec::new();
        for row in &rows {
            match row.first().map(read_record) {
                Some(Ok(record)) => objects.extend(objects_of(&record).map(str::to_owned)),
                Some(Err(error)) => {
                    // It may name an object, which would stay in the bucket for ever.
                    self.put_off_emptying(number, now.plus(UNREADABLE_AGAIN));
                    tick.note(error);
                    return Vec::new();
                }
                None => {}
            }
        }
        let page = Page {
            partition: number,
            next,
        };
        if objects.is_empty() {
            self.emptied(page);
        } else {
            self.emptying = Some(page);
        }
        objects
    }

    /// The objects of a page are gone.
    pub(super) fn emptied(&mut self, page: Page) {
        self.catalogue.change(page.partition, |partition| {
            partition.emptying = page.next;
        });
    }

    /// The objects of a page could not be deleted.
    pub(super) fn emptying_failed(&mut self, page: Page, now: UnixMillis) {
        self.put_off_emptying(page.partition, now.plus(self.settings.patience));
    }

    fn put_off_emptying(&mut self, number: u32, until: UnixMillis) {
        self.catalogue
            .change(number, |partition| partition.put_off = until);
    }

    /// Marks full or past partitions as settled once all their jobs have ended, so that a start need not read
    /// them.
    pub(super) fn settle(&mut self, now: UnixMillis) -> Result<(), SqlError> {
        let settled: Vec<(u32, bool)> = self
            .catalogue
            .iter()
            .filter(|(number, partition)| {
                partition.phase == Phase::Open
                    && !partition.quiet
                    && partition.unread.is_none()
                    && partition.is_over(now)
                    && !self.schedule.has_partition(*number)
            })
            .map(|(number, partition)| (number, partition.is_worth_a_mark()))
            .collect();
        for (number, is_worth_a_mark) in settled {
            if is_worth_a_mark {
                self.write_phase(number, Phase::Settled)?;
            }
            self.catalogue.change(number, |partition| {
                if is_worth_a_mark {
                    partition.phase = Phase::Settled;
                }
                partition.quiet = true;
            });
        }
        Ok(())
    }
}
