//! Reading, canceling and erasing: what somebody who holds the id may do.

use crate::job::{Event, JobId, Record, RowKey, Secret, Status, UnixMillis, apply};

use super::sql::{Param, Sql, Value};
use super::{Send, Shard, ShardError, read_record, schema};

/// What is behind an id.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// Nothing, or nothing that this id opens.
    Nothing,
    /// A job that has expired and will be forgotten soon.
    Expired,
    /// A job.
    Job(T),
}

/// A canceled (or already ended) job.
#[derive(Clone, Debug)]
pub struct Canceled {
    /// The record as it stands.
    pub record: Record,
    /// Messages to send (time may have changed the job before the cancel came).
    pub sends: Vec<Send>,
}

/// What came of the wish to erase a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// It is gone: record, payload, result and key.
    Erased,
    /// It has not ended yet.
    StillActive,
}

/// A stored response: head (opaque to the shard) and, where it is kept in the row, body.
pub type StoredResponse = (String, Option<Vec<u8>>);

impl<S: Sql> Shard<S> {
    /// Reads a job. Time is not applied here: the answer is what is committed.
    pub fn read(&self, id: &JobId, now: UnixMillis) -> Result<Found<Record>, ShardError> {
        let rows = self.sql.run(schema::JOB_STATE, &[Param::Int(id.key.0)])?;
        let Some([state, secret]) = rows.first().map(Vec::as_slice) else {
            return Ok(Found::Nothing);
        };
        self.open_record(id.secret, state, secret, now)
    }

    /// Reads the stored response of a job that has one.
    pub fn response(&self, key: RowKey) -> Result<Option<StoredResponse>, ShardError> {
        let rows = self.sql.run(schema::JOB_RESULT, &[Param::Int(key.0)])?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mut columns = row.into_iter();
        let head = columns.next().unwrap_or(Value::Null);
        let body = columns.next().unwrap_or(Value::Null).into_blob();
        Ok(head.text().map(|head| (head.to_owned(), body)))
    }

    /// Reads the request of a job: its head, and its body where that is kept in the row.
    pub fn request(&self, key: RowKey) -> Result<Option<StoredResponse>, ShardError> {
        let rows = self.sql.run(schema::JOB_WORK, &[Param::Int(key.0)])?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mut columns = row.into_iter().skip(2);
        let head = columns.next().unwrap_or(Value::Null);
        let body = columns.next().unwrap_or(Value::Null).into_blob();
        Ok(head.text().map(|head| (head.to_owned(), body)))
    }

    /// Cancels a job that has not ended; one that has stays as it is.
    pub fn cancel(
        &mut self,
        id: &JobId,
        now: UnixMillis,
        random_permille: u16,
    ) -> Result<Found<Canceled>, ShardError> {
        let record = match self.read(id, now)? {
            Found::Nothing => return Ok(Found::Nothing),
            Found::Expired => return Ok(Found::Expired),
            Found::Job(record) => record,
        };
        let step = apply(record, &Event::Cancel, now, random_permille);
        let done = self.commit(id.key, step, None)?;
        Ok(Found::Job(Canceled {
            record: done.record,
            sends: done.sends,
        }))
    }

    /// Erases a job that has ended, now instead of at its expiry.
    pub fn purge(&mut self, id: &JobId, now: UnixMillis) -> Result<Found<Purged>, ShardError> {
        match self.read(id, now)? {
            Found::Nothing => Ok(Found::Nothing),
            Found::Expired => Ok(Found::Expired),
            Found::Job(record) if !record.is_terminal() => Ok(Found::Job(Purged::StillActive)),
            Found::Job(record) => {
                self.erase(&[(id.key, record)])?;
                Ok(Found::Job(Purged::Erased))
            }
        }
    }

    fn open_record(
        &self,
        claimed: Secret,
        state: &Value,
        secret: &Value,
        now: UnixMillis,
    ) -> Result<Found<Record>, ShardError> {
        if !claimed.matches(secret.blob().unwrap_or_default()) {
            return Ok(Found::Nothing);
        }
        let record = read_record(state)?;
        if now < record.expires {
            Ok(Found::Job(record))
        } else if now < record.expires.plus(self.settings.tombstone) {
            Ok(Found::Expired)
        } else {
            // Its row is only waiting to be deleted with others.
            Ok(Found::Nothing)
        }
    }
}

/// Whether a redrive may repeat this job.
#[must_use]
pub fn can_redrive(record: &Record) -> bool {
    record.status() == Status::Failed
}
