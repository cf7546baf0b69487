//! The alarm's repairs and sweeps. Each call does a bounded amount of work and can be repeated.

use crate::job::{Event, Millis, Record, RowKey, UnixMillis};

use super::sql::{Param, Sql, SqlError};
use super::{DOOMED, JobMessage, Shard, ShardError, read_record, schema};

/// Most jobs of one tick: a few milliseconds of SQLite, so that requests do not wait. If jobs are left, the
/// alarm fires again at once.
const JOBS_PER_TICK: usize = 256;

/// Most objects that one tick deletes: an R2 delete call takes up to 1,000 keys.
const SWEEPS_PER_TICK: usize = 500;

/// If a note is later than this, the clock has jumped or the alarm was late. The upload of its object may
/// then have begun only a moment ago, so the note is put off by another grace.
const SWEEP_LATE: Millis = Millis::from_secs(300);

/// What the caller does after a tick.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// Messages to send.
    pub sends: Vec<JobMessage>,
    /// Keys of objects to delete; call [`Shard::swept`] when that is done.
    pub sweeps: Vec<String>,
    /// Rows that could not be read. They are left alone and tried again later.
    pub unreadable: usize,
    /// The first error of the database. What failed is put off; all else is done.
    pub fault: Option<ShardError>,
}

impl Tick {
    pub(super) fn note(&mut self, error: ShardError) {
        if matches!(error, ShardError::Unreadable(_)) {
            // A newer build's row.
            self.unreadable = self.unreadable.saturating_add(1);
        } else {
            self.fault.get_or_insert(error);
        }
    }
}

impl<S: Sql> Shard<S> {
    /// Does all due work except [`Self::expire`]: settles jobs, re-sends lost messages, and returns the objects
    /// to delete.
    ///
    /// If the database refuses a job's change, the job stays as it was, in its row and in memory, and is
    /// tried again later. Other jobs are not affected.
    pub fn tick(&mut self, now: UnixMillis, random_permille: u16) -> Tick {
        let mut tick = Tick::default();
        for key in self.schedule.due(now, JOBS_PER_TICK) {
            match self.wake(key, now, random_permille) {
                Ok(sends) => tick.sends.extend(sends),
                Err(error) => {
                    // The others go on, and the alarm must not fire at once for ever.
                    let (patience, never) = (self.settings.patience, UnixMillis(u64::MAX));
                    self.schedule.resent(key, now, Millis(0), patience, never);
                    tick.note(error);
                }
            }
        }
        if self.is_loaded() {
            let probes = self.schedule.probes(now, self.settings.patience);
            tick.sends
                .extend(probes.into_iter().map(|(priority, key)| JobMessage {
                    priority,
                    delay: Millis(0),
                    key,
                }));
        }
        match self.due_sweeps(now) {
            Ok(sweeps) => tick.sweeps = sweeps,
            Err(error) => {
                self.sweep_later(now);
                tick.note(error.into());
            }
        }
        if tick.sweeps.is_empty() {
            tick.sweeps = self.next_objects(now, &mut tick);
        }
        if let Err(error) = self.settle(now) {
            tick.note(error.into());
        }
        tick
    }

    /// The objects were deleted; a missing one counts as deleted.
    pub fn swept(&mut self, objects: &[String]) -> Result<(), ShardError> {
        if let Some(page) = self.emptying.take() {
            self.emptied(page);
            return Ok(());
        }
        for object in objects {
            self.sql.run(schema::SWEEP_DELETE, &[Param::Text(object)])?;
        }
        Ok(self.load_sweep_next()?)
    }

    /// The objects could not be deleted. A later alarm tries again.
    pub fn sweep_later(&mut self, now: UnixMillis) {
        if let Some(page) = self.emptying.take() {
            return self.emptying_failed(page, now);
        }
        self.sweep_next = Some(now.plus(self.settings.patience));
    }

    fn wake(
        &mut self,
        key: RowKey,
        now: UnixMillis,
        random_permille: u16,
    ) -> Result<Vec<JobMessage>, ShardError> {
        let Some(mut done) = self.apply_event(key, &Event::Elapsed, now, random_permille)? else {
            self.schedule.set(key, None);
            return Ok(Vec::new());
        };
        let patience = self.settings.patience;
        let unclaimed = done.record.due().filter(|due| now >= due.plus(patience));
        if let Some(due) = unclaimed
            && done.sends.is_empty()
        {
            let (priority, delay) = (done.record.spec.priority, Millis(0));
            let (waited, deadline) = (now.since(due), done.record.deadline());
            self.schedule.resent(key, now, waited, patience, deadline);
            if self.schedule.has_lost_message(key, priority, due) {
                done.sends.push(JobMessage {
                    priority,
                    delay,
                    key,
                });
            }
        }
        Ok(done.sends)
    }

    fn due_sweeps(&mut self, now: UnixMillis) -> Result<Vec<String>, SqlError> {
        if self.sweep_next.is_none_or(|next| next > now) {
            return Ok(Vec::new());
        }
        let most = u64::try_from(SWEEPS_PER_TICK).unwrap_or(u64::MAX);
        let rows = self
            .sql
            .run(schema::SWEEPS_DUE, &[Param::Int(now.0), Param::Int(most)])?;
        let mut sweeps = Vec::with_capacity(rows.len());
        for row in &rows {
            let [object, job, due] = row.as_slice() else {
                continue;
            };
            let object = object.text().unwrap_or_default();
            let due = due.int().map_or(DOOMED, UnixMillis);
            if self.goes(object, job.int().map(RowKey), due, now)? {
                sweeps.push(object.to_owned());
            }
        }
        if sweeps.is_empty() {
            self.load_sweep_next()?;
        }
        Ok(sweeps)
    }

    /// Whether to delete an object whose note is due. If so, the note is marked first.
    fn goes(
        &self,
        object: &str,
        job: Option<RowKey>,
        due: UnixMillis,
        now: UnixMillis,
    ) -> Result<bool, SqlError> {
        if due == DOOMED {
            return Ok(true);
        }
        let keeps = match job {
            Some(key) => self.job_keeps(key, object)?,
            None => Some(false),
        };
        if keeps == Some(true) {
            self.sql.run(schema::SWEEP_DELETE, &[Param::Text(object)])?;
            return Ok(false);
        }
        if keeps.is_none() || now.since(due) > SWEEP_LATE {
            self.write_sweep(object, now.plus(self.settings.orphan_grace), job)?;
            return Ok(false);
        }
        self.write_sweep(object, DOOMED, None)?;
        Ok(true)
    }

    /// Whether a job's record names this object. `None` if the record cannot be read.
    fn job_keeps(&self, key: RowKey, object: &str) -> Result<Option<bool>, SqlError> {
        let Some((state, _)) = self.job_state(key)? else {
            return Ok(Some(false));
        };
        let record = read_record(&state).ok();
        Ok(record.map(|record| objects_of(&record).any(|kept| kept == object)))
    }

    fn load_sweep_next(&mut self) -> Result<(), SqlError> {
        let rows = self.sql.run(schema::SWEEP_NEXT, &[])?;
        self.sweep_next = super::first_int(&rows).map(UnixMillis);
        Ok(())
    }
}

/// The objects in the bucket that a record names.
pub(super) fn objects_of(record: &Record) -> impl Iterator<Item = &str> {
    [record.payload.as_ref(), record.result()]
        .into_iter()
        .filter_map(|body| body.and_then(|body| body.object.as_deref()))
}
