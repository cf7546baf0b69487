//! Taking a job in: one key, one job.

use crate::job::{
    JobId, JobSpec, KeyRef, Millis, RECORD_VERSION, ROW_KEY_MAX, Record, RowKey, Secret, State,
    StoredBody, UnixMillis, wake,
};

use super::sql::{Param, Sql, SqlError};
use super::{Send, Shard, ShardError, read_record, schema, write_record};

/// A request that wants to become a job.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The unguessable part of the id, drawn by the caller.
    pub secret: Secret,
    /// What it is to be.
    pub spec: JobSpec,
    /// Its idempotency key.
    pub key: Option<KeyClaim>,
    /// The head of the request, opaque to the shard.
    pub request: String,
    /// The body of the request, if it has one.
    pub payload: Option<StoredBody>,
    /// The job that this one repeats.
    pub redrive_of: Option<String>,
}

/// An idempotency key as the shard sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyClaim {
    /// Hash of owner and key.
    pub hash: String,
    /// Hash of what the request says; the same key with another one is refused.
    pub fingerprint: String,
    /// How long the key stands for the job.
    pub window: Millis,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// A new job; the message is to be sent.
    Created(JobId, Box<Record>, Send),
    /// The key already stands for this job. An object that came with the request is not needed.
    Existing(JobId, Box<Record>),
    /// The key stands for a different request.
    KeyReused,
    /// The object that came with the request was not announced, or so long ago that it is being
    /// deleted. Nothing was taken in.
    ObjectGone,
}

/// A row to be added: its key, the request and the state.
type NewRow<'a> = (RowKey, &'a NewJob, String);

impl<S: Sql> Shard<S> {
    /// Takes a group of jobs in, in one commit: all of them, or on an error none.
    pub fn accept(
        &mut self,
        group: &[NewJob],
        now: UnixMillis,
    ) -> Result<Vec<Accepted>, ShardError> {
        let next_key = self.next_key;
        let stored_before = self.meta.stored.clone();
        let outcome = if self.is_plain(group) {
            self.accept_plain(group, now)
        } else {
            self.accept_mixed(group, now)
        };
        let answers = match outcome {
            Ok(answers) => answers,
            Err(error) => {
                self.next_key = next_key;
                self.meta.stored = stored_before;
                return Err(error);
            }
        };
        for (job, answer) in group.iter().zip(&answers) {
            if let Accepted::Created(id, record, _) = answer {
                self.schedule
                    .set(id.key, wake(record, self.settings.patience));
                self.expect_expiry(job.spec.retention, record);
            }
        }
        Ok(answers)
    }

    /// Whether nothing has to be written for these but their rows, and nothing has to be looked up: the
    /// common case. A statement then takes many of them.
    fn is_plain(&self, group: &[NewJob]) -> bool {
        !group.is_empty()
            && group.iter().all(|job| {
                job.key.is_none()
                    && !matches!(job.payload, Some(StoredBody::Object(_)))
                    && self.meta.knows_class(job.spec.retention)
            })
    }

    fn accept_plain(
        &mut self,
        group: &[NewJob],
        now: UnixMillis,
    ) -> Result<Vec<Accepted>, ShardError> {
        let mut rows = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            let key = self.take_key()?;
            let record = new_record(job, now);
            rows.push((key, job, write_record(&record)?));
            answers.push(self.created(key, job, record));
        }
        self.insert(&rows)?;
        Ok(answers)
    }

    fn accept_mixed(
        &mut self,
        group: &[NewJob],
        now: UnixMillis,
    ) -> Result<Vec<Accepted>, ShardError> {
        let mut answers = Vec::with_capacity(group.len());
        let mut failure = None;
        let sql = self.sql.clone();
        let outcome = sql.atomically(&mut || {
            for job in group {
                match self.accept_one(job, now) {
                    Ok(answer) => answers.push(answer),
                    Err(error) => {
                        failure = Some(error);
                        return Err(SqlError("rolled back".to_owned()));
                    }
                }
            }
            Ok(())
        });
        match outcome {
            Ok(()) => Ok(answers),
            Err(error) => Err(failure.unwrap_or(ShardError::Sql(error))),
        }
    }

    fn accept_one(&mut self, job: &NewJob, now: UnixMillis) -> Result<Accepted, ShardError> {
        if let Some(claim) = &job.key
            && let Some(known) = self.find_key(claim, now)?
        {
            return Ok(known);
        }
        let object = job.payload.as_ref().and_then(StoredBody::object);
        if let Some(object) = object
            && !self.may_name(object)?
        {
            return Ok(Accepted::ObjectGone);
        }
        let key = self.take_key()?;
        let record = new_record(job, now);
        self.ensure_class(job.spec.retention, key)?;
        if let Some(object) = object {
            self.sql.run(schema::SWEEP_DELETE, &[Param::Text(object)])?;
        }
        self.insert(&[(key, job, write_record(&record)?)])?;
        if let Some(claim) = &job.key {
            let ends = now.plus(claim.window.min(job.spec.retention));
            self.sql.run(
                schema::KEY_WRITE,
                &[
                    Param::Text(&claim.hash),
                    Param::Int(key.0),
                    Param::Text(&claim.fingerprint),
                    Param::Int(ends.0),
                ],
            )?;
        }
        Ok(self.created(key, job, record))
    }

    fn take_key(&mut self) -> Result<RowKey, ShardError> {
        if self.next_key > ROW_KEY_MAX {
            return Err(ShardError::Exhausted);
        }
        let key = RowKey(self.next_key);
        self.next_key = self.next_key.saturating_add(1);
        Ok(key)
    }

    fn created(&self, key: RowKey, job: &NewJob, record: Record) -> Accepted {
        let send = Send {
            priority: job.spec.priority,
            delay: job.spec.delay,
            key,
        };
        Accepted::Created(self.id(key, job.secret), Box::new(record), send)
    }

    /// Adds rows: all of them, or on an error none. One statement needs no transaction of its own, which
    /// would cost as much again.
    fn insert(&self, rows: &[NewRow<'_>]) -> Result<(), SqlError> {
        if rows.len() <= schema::JOBS_PER_INSERT {
            return self.insert_by_one_statement(rows);
        }
        self.sql.atomically(&mut || {
            rows.chunks(schema::JOBS_PER_INSERT)
                .try_for_each(|rows| self.insert_by_one_statement(rows))
        })
    }

    fn insert_by_one_statement(&self, rows: &[NewRow<'_>]) -> Result<(), SqlError> {
        let mut params = Vec::with_capacity(rows.len().saturating_mul(6));
        for (key, job, state) in rows {
            params.extend([
                Param::Int(key.0),
                Param::Int(job.spec.retention.0),
                Param::Blob(job.secret.0.as_bytes()),
                Param::Text(state),
                Param::Text(&job.request),
                Param::blob_or_null(job.payload.as_ref().and_then(StoredBody::bytes)),
            ]);
        }
        self.sql.run(&schema::jobs_insert(rows.len()), &params)?;
        Ok(())
    }

    /// Looks whether a key already stands for a job, without taking anything in.
    pub fn find_key(
        &self,
        claim: &KeyClaim,
        now: UnixMillis,
    ) -> Result<Option<Accepted>, ShardError> {
        let rows = self
            .sql
            .run(schema::KEY_READ, &[Param::Text(&claim.hash)])?;
        let Some([job, fingerprint, ends]) = rows.first().map(Vec::as_slice) else {
            return Ok(None);
        };
        if ends.int().is_none_or(|ends| UnixMillis(ends) <= now) {
            return Ok(None);
        }
        let key = RowKey(job.int().unwrap_or_default());
        let rows = self.sql.run(schema::JOB_STATE, &[Param::Int(key.0)])?;
        // A key whose job was erased stands for nothing.
        let Some([state, secret]) = rows.first().map(Vec::as_slice) else {
            return Ok(None);
        };
        if fingerprint.text() != Some(claim.fingerprint.as_str()) {
            return Ok(Some(Accepted::KeyReused));
        }
        let record = read_record(state)?;
        let id = self.id(key, read_secret(secret)?);
        Ok(Some(Accepted::Existing(id, Box::new(record))))
    }

    /// Notes that an object is about to be written to the bucket, before any record names it: if
    /// none does by the end of the grace, it is deleted.
    pub fn intend(
        &mut self,
        object: &str,
        job: Option<RowKey>,
        now: UnixMillis,
    ) -> Result<(), ShardError> {
        let due = now.plus(self.settings.orphan_grace);
        self.ensure_number()?;
        self.write_sweep(object, due, job)?;
        self.sweep_noted(due);
        Ok(())
    }
}

fn new_record(job: &NewJob, now: UnixMillis) -> Record {
    let spec = &job.spec;
    Record {
        v: RECORD_VERSION,
        version: 1,
        spec: spec.clone(),
        created: now,
        updated: now,
        started: None,
        expires: now.plus(spec.retention),
        attempt: 0,
        not_acted: 0,
        key: job.key.as_ref().map(|claim| KeyRef {
            hash: claim.hash.clone(),
            ends: now.plus(claim.window.min(spec.retention)),
        }),
        payload: job.payload.as_ref().map(StoredBody::reference),
        state: State::Queued {
            due: now.plus(spec.delay),
        },
        history: Vec::new(),
        dead_letters: 0,
        redrive_of: job.redrive_of.clone(),
    }
}

pub(super) fn read_secret(value: &super::Value) -> Result<Secret, ShardError> {
    value
        .blob()
        .and_then(|bytes| uuid::Uuid::from_slice(bytes).ok())
        .map(Secret)
        .ok_or_else(|| ShardError::Unreadable("secret is not 16 bytes".to_owned()))
}
