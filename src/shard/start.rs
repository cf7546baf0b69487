//! The start: rebuilds the schedule from the active jobs, page by page.
//!
//! Settled partitions are not read, however many jobs they hold. Calls are served between the pages; a job
//! that a call changes is scheduled then, and read again with its page.

use crate::job::{RowKey, UnixMillis, wake};

use super::partition::RESULT_RESERVE;
use super::sql::{Param, Sql};
use super::{Shard, ShardError, first_int, read_record, schema};

/// Rows of a page: they take a few milliseconds to read. A state takes about 2 KB of memory meanwhile, so a
/// page is a small part of the isolate's 128 MB.
const ROWS_PER_PAGE: u64 = 512;

impl<S: Sql> Shard<S> {
    /// Whether all active jobs are scheduled. Until then [`Self::wake_at`] may be too late.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.catalogue.unread().is_none()
    }

    /// Schedules the active jobs of the next page. Call it until [`Self::is_loaded`].
    pub fn load(&mut self) -> Result<(), ShardError> {
        let Some((number, from)) = self.catalogue.unread() else {
            return Ok(());
        };
        let next = self.next_row(number)?;
        let end = RowKey(from.0.saturating_add(ROWS_PER_PAGE));
        let range = [from.0, end.0].map(Param::Int);
        let active = self.sql.run(&schema::jobs_active(number), &range)?;
        let bytes = first_int(&self.sql.run(&schema::jobs_bytes(number), &range)?);
        for row in &active {
            if let [key, state] = row.as_slice() {
                let key = RowKey(key.int().unwrap_or_default());
                // A later build's row must not stop the others. Alarms look at it, from the first one on,
                // until it can be read.
                let wake = read_record(state).map_or(Some(UnixMillis(0)), |record| {
                    wake(&record, self.settings.patience)
                });
                self.schedule.set(key, wake);
            }
        }
        let active = u64::try_from(active.len()).unwrap_or(u64::MAX);
        let reserved = active.saturating_mul(RESULT_RESERVE);
        let bytes = bytes.unwrap_or(0).saturating_add(reserved);
        self.catalogue.change(number, |partition| {
            partition.next = Some(partition.next.unwrap_or(next));
            partition.bytes = partition.bytes.saturating_add(bytes);
            partition.unread = (end.sequence() < next).then_some(end);
        });
        Ok(())
    }
}
