//! Inserts jobs: one key, one job.

use crate::job::{
    JobId, JobSpec, KeyRef, Millis, Record, RowKey, Secret, StoredBody, UnixMillis, wake,
};

use super::partition::{Phase, expiry, len};
use super::sql::{Param, Sql, SqlError};
use super::{JobMessage, Shard, ShardError, schema, write_record};

/// Most active jobs of a shard. The schedule takes 87 bytes of memory for each (measured natively after a
/// start with 10⁶), so 17 MB of an isolate's 128 MB, which several shards may share. Above it a shard rejects
/// new jobs, because running out of memory would fail all calls under way.
const ACTIVE_MAX: usize = 200_000;

/// A request to be accepted as a job.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Random bytes from the caller, which make the id unguessable.
    pub nonce: [u8; 8],
    /// The description of the job.
    pub spec: JobSpec,
    /// Its idempotency key.
    pub key: Option<KeyClaim>,
    /// The head of the request, opaque to the shard.
    pub request: String,
    /// The body of the request, if it has one.
    pub payload: Option<StoredBody>,
    /// The job that this one repeats, in a redrive.
    pub redrive_of: Option<String>,
}

/// An idempotency key as the shard sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyClaim {
    /// Hash of owner and key.
    pub hash: String,
    /// Hash of method, target and body. The same key with another fingerprint is rejected.
    pub fingerprint: String,
    /// How long the key identifies the job.
    pub window: Millis,
}

/// The outcome of an accept.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// A new job, and the message to send.
    Created(JobId, Box<Record>, JobMessage),
    /// The key belongs to this job already. The object of the request, if any, is not used.
    Existing(JobId, Box<Record>),
    /// The key belongs to a different request.
    KeyReused,
    /// The shard has too many active jobs. The object of the request, if any, is not used.
    Overloaded,
    /// The object of the request was not announced, or so long ago that it is being deleted. No job was
    /// created.
    ObjectGone,
}

/// A row to be added: its key, the secret of its id, the request and the state.
type NewRow<'a> = (RowKey, Secret, &'a NewJob, String);

impl<S: Sql> Shard<S> {
    /// Inserts a group of jobs in one commit: all of them, or none on an error.
    pub fn accept(
        &mut self,
        group: &[NewJob],
        now: UnixMillis,
    ) -> Result<Vec<Accepted>, ShardError> {
        let answers = match self.plain_partitions(group, now) {
            Some(partitions) => {
                self.all_or_nothing(|shard| shard.accept_plain(group, &partitions, now))?
            }
            None => self.transaction(|shard| shard.accept_mixed(group, now))?,
        };
        for answer in &answers {
            if let Accepted::Created(id, record, _) = answer {
                self.schedule
                    .set(id.key, wake(record, self.settings.patience));
            }
        }
        Ok(answers)
    }

    /// The partition of each job, if the group needs no lookup and no write except its rows. This is the common
    /// case, in which one statement inserts many rows.
    fn plain_partitions(&mut self, group: &[NewJob], now: UnixMillis) -> Option<Vec<u32>> {
        let mut partitions = Vec::with_capacity(group.len());
        for job in group {
            if job.key.is_some() || matches!(job.payload, Some(StoredBody::Object(_))) {
                return None;
            }
            let expires = expiry(job.spec.retention, now);
            partitions.push(self.catalogue.taking(job.spec.retention, expires)?);
        }
        (!group.is_empty() && self.has_room(group.len())).then_some(partitions)
    }

    fn has_room(&self, jobs: usize) -> bool {
        self.active().saturating_add(jobs) <= ACTIVE_MAX
    }

    fn accept_plain(
        &mut self,
        group: &[NewJob],
        partitions: &[u32],
        now: UnixMillis,
    ) -> Result<Vec<Accepted>, ShardError> {
        let mut rows = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        for (job, partition) in group.iter().zip(partitions) {
            let key = self.take_key(*partition, job)?;
            let record = new_record(job, now);
            let secret = self.secret(key, job);
            rows.push((key, secret, job, write_record(&record)?));
            answers.push(self.created(key, secret, job, record));
        }
        self.insert(rows)?;
        Ok(answers)
    }

    fn accept_mixed(
        &mut self,
        group: &[NewJob],
        now: UnixMillis,
    ) -> Result<Vec<Accepted>, ShardError> {
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            let answer = self.accept_one(job, now, answers.len())?;
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Inserts a job; `others` jobs precede it in the same commit.
    fn accept_one(
        &mut self,
        job: &NewJob,
        now: UnixMillis,
        others: usize,
    ) -> Result<Accepted, ShardError> {
        if let Some(claim) = &job.key
            && let Some(known) = self.find_key(claim, now)?
        {
            return Ok(known);
        }
        if !self.has_room(others.saturating_add(1)) {
            return Ok(Accepted::Overloaded);
        }
        let object = job.payload.as_ref().and_then(StoredBody::object);
        if let Some(object) = object
            && !self.may_name(object)?
        {
            return Ok(Accepted::ObjectGone);
        }
        self.ensure_tables()?;
        let partition = self.partition_for(job.spec.retention, now)?;
        let key = self.take_key(partition, job)?;
        if let Some(object) = object {
            self.sql.run(schema::SWEEP_DELETE, &[Param::Text(object)])?;
            self.note_objects(partition)?;
        }
        let record = new_record(job, now);
        let secret = self.secret(key, job);
        self.insert(vec![(key, secret, job, write_record(&record)?)])?;
        if let Some(claim) = &job.key {
            self.write_key(claim, job, key, now)?;
        }
        Ok(self.created(key, secret, job, record))
    }

    /// The partition for a new job. Opens one if necessary.
    fn partition_for(&mut self, retention: Millis, now: UnixMillis) -> Result<u32, ShardError> {
        let expires = expiry(retention, now);
        if let Some(number) = self.catalogue.taking(retention, expires) {
            return Ok(number);
        }
        let number = self.catalogue.open(retention, expires)?;
        self.sql.run(&schema::jobs_create(number), &[])?;
        let number_of_phase = Phase::Open.number();
        let params = [
            u64::from(number),
            retention.0,
            expires.0,
            number_of_phase,
            0,
        ]
        .map(Param::Int);
        self.sql.run(schema::PARTITION_ADD, &params)?;
        Ok(number)
    }

    /// Notes that a row of a partition names an object, so that expiry looks for objects.
    pub(super) fn note_objects(&mut self, number: u32) -> Result<(), SqlError> {
        if let Some(partition) = self.catalogue.changing(number)
            && !partition.objects
        {
            partition.objects = true;
            let params = [Param::Int(u64::from(number))];
            self.sql.run(schema::PARTITION_OBJECTS, &params)?;
        }
        Ok(())
    }

    fn take_key(&mut self, partition: u32, job: &NewJob) -> Result<RowKey, ShardError> {
        let next = self.next_row(partition)?;
        let head = len(&job.request);
        let body = job.payload.as_ref().map_or(0, StoredBody::inline_len);
        let bytes = head.saturating_add(body);
        let key = self.catalogue.take_row(partition, next, bytes);
        key.ok_or(ShardError::Exhausted)
    }

    fn secret(&self, key: RowKey, job: &NewJob) -> Secret {
        Secret::seal(&self.meta.id_key, self.number, key, job.nonce)
    }

    fn created(&self, key: RowKey, secret: Secret, job: &NewJob, record: Record) -> Accepted {
        let send = JobMessage {
            priority: job.spec.priority,
            delay: job.spec.delay,
            key,
        };
        Accepted::Created(self.id(key, secret), Box::new(record), send)
    }

    /// Inserts rows: all of them, or none on an error. A single statement needs no transaction, which would
    /// double its cost.
    fn insert(&self, mut rows: Vec<NewRow<'_>>) -> Result<(), SqlError> {
        rows.sort_by_key(|(key, ..)| *key);
        let same = |a: &NewRow<'_>, b: &NewRow<'_>| a.0.partition() == b.0.partition();
        let tables = rows.chunk_by(same);
        let statements: Vec<_> = tables
            .flat_map(|rows| rows.chunks(schema::JOBS_PER_INSERT))
            .collect();
        if let [rows] = statements.as_slice() {
            return self.insert_by_one_statement(rows);
        }
        self.sql.atomically(&mut || {
            let mut statements = statements.iter();
            statements.try_for_each(|rows| self.insert_by_one_statement(rows))
        })
    }

    fn insert_by_one_statement(&self, rows: &[NewRow<'_>]) -> Result<(), SqlError> {
        let Some((first, ..)) = rows.first() else {
            return Ok(());
        };
        let mut params = Vec::with_capacity(rows.len().saturating_mul(5));
        for (key, secret, job, state) in rows {
            params.extend([
                Param::Int(key.0),
                Param::Blob(secret.0.as_bytes()),
                Param::Text(state),
                Param::Text(&job.request),
                Param::blob_or_null(job.payload.as_ref().and_then(StoredBody::bytes)),
            ]);
        }
        let statement = schema::jobs_insert(first.partition(), rows.len());
        self.sql.run(&statement, &params)?;
        Ok(())
    }

    /// Notes that an object is about to be written to the bucket. If no record names it by the end of the
    /// grace, it is deleted.
    pub fn intend(
        &mut self,
        object: &str,
        job: Option<RowKey>,
        now: UnixMillis,
    ) -> Result<(), ShardError> {
        let due = now.plus(self.settings.orphan_grace);
        self.transaction(|shard| {
            // An alarm does not know the shard's number and reads it from this row.
            shard.ensure_tables()?;
            Ok(shard.write_sweep(object, due, job)?)
        })?;
        self.sweep_noted(due);
        Ok(())
    }
}

fn new_record(job: &NewJob, now: UnixMillis) -> Record {
    let spec = &job.spec;
    Record {
        key: job.key.as_ref().map(|claim| KeyRef {
            hash: claim.hash.clone(),
            ends: now.plus(claim.window.min(spec.retention)),
        }),
        payload: job.payload.as_ref().map(StoredBody::reference),
        redrive_of: job.redrive_of.clone(),
        ..Record::new(spec.clone(), now, expiry(spec.retention, now))
    }
}

pub(super) fn read_secret(value: &super::Value) -> Result<Secret, ShardError> {
    value
        .blob()
        .and_then(|bytes| uuid::Uuid::from_slice(bytes).ok())
        .map(Secret)
        .ok_or_else(|| ShardError::Unreadable("secret is not 16 bytes".to_owned()))
}
