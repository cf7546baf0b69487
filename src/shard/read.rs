//! Reads, cancels and purges jobs: what the holder of an id may do.

use crate::job::{Event, JobId, Record, RowKey, Status, UnixMillis, apply};

use super::commit::Committed;
use super::partition::Phase;
use super::sql::{Param, Sql, Value};
use super::upkeep::objects_of;
use super::{DOOMED, Shard, ShardError, read_record, schema};

/// What an id leads to.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// No job, or the id's secret is wrong.
    Nothing,
    /// A job that has expired and is not forgotten yet.
    Expired,
    /// A job.
    Job(T),
}

/// The result of a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Record, payload, result and key are erased.
    Erased,
    /// The job has not ended yet.
    StillActive,
}

/// A stored request or response: its head (opaque to the shard), and its body if that is in the row.
pub type HeadAndBody = (String, Option<Vec<u8>>);

impl<S: Sql> Shard<S> {
    /// Reads a job as it is committed. Time is not applied.
    pub fn read(&self, id: &JobId, now: UnixMillis) -> Result<Found<Record>, ShardError> {
        let Some(partition) = self.catalogue.get(id.key.partition()) else {
            return Ok(Found::Nothing);
        };
        if partition.phase >= Phase::Expired {
            let expires = partition.expires;
            let is_genuine = id.secret.is_sealed(&self.meta.id_key, self.number, id.key);
            return Ok(self.of_expired(is_genuine, expires, now));
        }
        let Some((state, secret)) = self.job_state(id.key)? else {
            return Ok(Found::Nothing);
        };
        if !id.secret.matches(secret.blob().unwrap_or_default()) {
            return Ok(Found::Nothing);
        }
        let record = read_record(&state)?;
        if now < record.expires {
            return Ok(Found::Job(record));
        }
        Ok(self.of_expired(true, record.expires, now))
    }

    /// What an id of an expired job leads to.
    fn of_expired<T>(&self, is_genuine: bool, expires: UnixMillis, now: UnixMillis) -> Found<T> {
        if is_genuine && now < expires.plus(self.settings.tombstone) {
            Found::Expired
        } else {
            Found::Nothing
        }
    }

    /// Reads the stored response of a job that has one.
    pub fn response(&self, key: RowKey) -> Result<Option<HeadAndBody>, ShardError> {
        let Some(partition) = self.served(key) else {
            return Ok(None);
        };
        let statement = schema::job_result(partition);
        let rows = self.sql.run(&statement, &[Param::Int(key.0)])?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mut columns = row.into_iter();
        let head = columns.next().unwrap_or(Value::Null);
        let body = columns.next().unwrap_or(Value::Null).into_blob();
        Ok(head.text().map(|head| (head.to_owned(), body)))
    }

    /// Reads the request of a job: its head, and its body if that is in the row.
    pub fn request(&self, key: RowKey) -> Result<Option<HeadAndBody>, ShardError> {
        let Some([_, _, head, body]) = self.job_work(key)? else {
            return Ok(None);
        };
        Ok(head.text().map(|head| (head.to_owned(), body.into_blob())))
    }

    /// Cancels a job. A job that has ended stays as it is.
    pub fn cancel(
        &mut self,
        id: &JobId,
        now: UnixMillis,
        random_permille: u16,
    ) -> Result<Found<Committed>, ShardError> {
        let record = match self.read(id, now)? {
            Found::Nothing => return Ok(Found::Nothing),
            Found::Expired => return Ok(Found::Expired),
            Found::Job(record) => record,
        };
        let step = apply(record, &Event::Cancel, now, random_permille);
        self.commit(id.key, step, None).map(Found::Job)
    }

    /// Purges a job that has ended, without waiting for its expiry.
    pub fn purge(&mut self, id: &JobId, now: UnixMillis) -> Result<Found<Purged>, ShardError> {
        match self.read(id, now)? {
            Found::Nothing => Ok(Found::Nothing),
            Found::Expired => Ok(Found::Expired),
            Found::Job(record) if !record.is_terminal() => Ok(Found::Job(Purged::StillActive)),
            Found::Job(record) => {
                self.erase(id.key, &record)?;
                Ok(Found::Job(Purged::Erased))
            }
        }
    }

    /// Empties a job's row, deletes its key, and notes its objects for deletion, in one commit.
    fn erase(&mut self, key: RowKey, record: &Record) -> Result<(), ShardError> {
        self.transaction(|shard| {
            let statement = schema::job_purge(key.partition());
            shard.sql.run(&statement, &[Param::Int(key.0)])?;
            shard.forget_key(key, record)?;
            let mut objects = objects_of(record);
            Ok(objects.try_for_each(|object| shard.write_sweep(object, DOOMED, None))?)
        })?;
        if objects_of(record).next().is_some() {
            self.sweep_noted(DOOMED);
        }
        Ok(())
    }
}

/// Whether a redrive may repeat this job.
#[must_use]
pub fn can_redrive(record: &Record) -> bool {
    record.status() == Status::Failed
}
