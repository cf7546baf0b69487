//! Many job records in one SQLite database, their schedule, and the keys that name them.
//!
//! All code here is synchronous and runs natively: the Durable Object in `edge` calls it with the
//! platform's SQL, tests call it with rusqlite.
//!
//! Rules:
//!
//! 1. A record changes only through [`crate::job::apply`].
//! 2. A call commits all of its writes or none; memory changes only after the writes succeeded.
//! 3. The rows alone say what is due; memory is a cache of them.
//! 4. Messages are returned; the caller sends them after the commit.

mod backlog;
mod commit;
mod expire;
mod insert;
mod keys;
mod lease;
mod meta;
mod partition;
mod read;
mod schedule;
mod schema;
mod sql;
mod start;
mod transaction;
mod upkeep;

use std::fmt;

use crate::job::{
    IdKey, JobId, Millis, Priority, RECORD_VERSION, Record, RowKey, Secret, UnixMillis,
};

pub use commit::Committed;
pub use insert::{Accepted, KeyClaim, NewJob};
pub use lease::{Claim, Claimed, Finish, Grant};
pub use read::{Found, HeadAndBody, Purged, can_redrive};
pub use sql::{Param, Sql, SqlError, Value};
pub use upkeep::Tick;

use expire::Page;
use keys::Generations;
use meta::Meta;
use partition::{Catalogue, Phase};
use schedule::Schedule;

/// Times for all jobs of a shard, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a queued job waits for its claim before its message counts as late.
    pub patience: Millis,
    /// How long an expired job responds with 410 before it is forgotten.
    pub tombstone: Millis,
    /// How long an object that no record names stays in the bucket.
    pub orphan_grace: Millis,
}

/// The due time in the note of an object that is being deleted. It is written before the deletion begins,
/// and no record may name the object from then on, whatever the clock says.
const DOOMED: UnixMillis = UnixMillis(0);

/// A queue message to send: run job `key`, after `delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobMessage {
    /// The queue.
    pub priority: Priority,
    /// The delay before delivery.
    pub delay: Millis,
    /// The job.
    pub key: RowKey,
}

/// Why a call to the shard failed. The texts are for the log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardError {
    /// The database refused.
    Sql(SqlError),
    /// A row that this build cannot read.
    Unreadable(String),
    /// No row key is left: 2²⁶ partitions were opened.
    Exhausted,
}

impl From<SqlError> for ShardError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(error) => write!(f, "database: {}", error.0),
            Self::Unreadable(what) => write!(f, "unreadable row: {what}"),
            Self::Exhausted => f.write_str("no row key left"),
        }
    }
}

/// One shard over its database.
#[derive(Debug)]
pub struct Shard<S> {
    sql: S,
    number: u16,
    settings: Settings,
    meta: Meta,
    catalogue: Catalogue,
    generations: Generations,
    schedule: Schedule,
    sweep_next: Option<UnixMillis>,
    /// The rows of an expired partition whose objects are being deleted.
    emptying: Option<Page>,
    ended: Vec<Ended>,
}

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its row.
    pub key: RowKey,
    /// The log line of a failed job, without its id.
    pub failure: Option<String>,
}

impl Ended {
    fn of(key: RowKey, record: &Record) -> Self {
        let failure = record.failure().map(|failure| {
            let (rule, attempt) = (&record.spec.rule, record.attempt);
            let code = failure.code.as_str();
            format!("rule {rule}, {code}, attempts: {attempt}")
        });
        Self { key, failure }
    }
}

impl<S: Sql> Shard<S> {
    /// Opens the shard. Reads all but the active jobs, which [`Self::load`] reads. Writes nothing, also not
    /// to an empty database.
    ///
    /// `number` is the shard's number if the caller knows it: a request carries it, an alarm does not.
    /// `id_key` is 32 random bytes, used if the shard has no key yet. Both are stored with the first
    /// write.
    pub fn open(
        sql: S,
        number: Option<u16>,
        settings: Settings,
        id_key: IdKey,
    ) -> Result<Self, ShardError> {
        let tables = sql.run(schema::TABLES, &[])?;
        let names = || tables.iter().filter_map(|row| row.first()?.text());
        let is_new = !names().any(|name| name == "meta");
        let (meta, catalogue, sweep_next) = if is_new {
            (
                Meta::new(id_key),
                Catalogue::empty(settings.tombstone),
                None,
            )
        } else {
            let meta = Meta::load(&sql)?;
            let next = meta.next_partition();
            let catalogue = Catalogue::load(&sql, next, settings.tombstone)?;
            let sweep_next = first_int(&sql.run(schema::SWEEP_NEXT, &[])?);
            (meta, catalogue, sweep_next.map(UnixMillis))
        };
        Ok(Self {
            number: number.or(meta.number()).unwrap_or_default(),
            catalogue,
            generations: Generations::among(names()),
            sweep_next,
            schedule: Schedule::default(),
            emptying: None,
            ended: Vec::new(),
            sql,
            settings,
            meta,
        })
    }

    /// When the alarm should fire: the earliest work that time alone makes due. `None` if the shard is
    /// empty.
    #[must_use]
    pub fn wake_at(&self) -> Option<UnixMillis> {
        [
            self.schedule.next(),
            self.sweep_next,
            self.catalogue.due(),
            self.generations.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How many jobs are queued or running.
    #[must_use]
    pub fn active(&self) -> usize {
        self.schedule.len()
    }

    /// The jobs that have ended since the last call. Their watchers are to be told.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// The shard's number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The partition of a job, unless it has expired.
    fn served(&self, key: RowKey) -> Option<u32> {
        let number = key.partition();
        let partition = self.catalogue.get(number)?;
        (partition.phase < Phase::Expired).then_some(number)
    }

    /// State and secret of a job.
    fn job_state(&self, key: RowKey) -> Result<Option<(Value, Value)>, SqlError> {
        let Some(partition) = self.served(key) else {
            return Ok(None);
        };
        let statement = schema::job_state(partition);
        let rows = self.sql.run(&statement, &[Param::Int(key.0)])?;
        Ok(rows.into_iter().next().and_then(|row| {
            let [state, secret] = <[Value; 2]>::try_from(row).ok()?;
            Some((state, secret))
        }))
    }

    /// The columns that an attempt needs: state, secret, request, payload.
    fn job_work(&self, key: RowKey) -> Result<Option<[Value; 4]>, SqlError> {
        let Some(partition) = self.served(key) else {
            return Ok(None);
        };
        let statement = schema::job_work(partition);
        let rows = self.sql.run(&statement, &[Param::Int(key.0)])?;
        let row = rows.into_iter().next();
        Ok(row.and_then(|row| <[Value; 4]>::try_from(row).ok()))
    }

    /// The number of the next row of a partition.
    fn next_row(&self, number: u32) -> Result<u32, SqlError> {
        if let Some(next) = self.catalogue.get(number).and_then(|known| known.next) {
            return Ok(next);
        }
        let last = first_int(&self.sql.run(&schema::jobs_last(number), &[])?);
        let first = RowKey::first_of(number).sequence();
        Ok(last.map_or(first, |last| RowKey(last).sequence().saturating_add(1)))
    }

    fn id(&self, key: RowKey, secret: Secret) -> JobId {
        JobId {
            shard: self.number,
            key,
            secret,
        }
    }

    /// Writes a note that `object` is to be deleted at `due`. Call inside a transaction, and
    /// [`Self::sweep_noted`] after the commit.
    fn write_sweep(
        &self,
        object: &str,
        due: UnixMillis,
        job: Option<RowKey>,
    ) -> Result<(), SqlError> {
        let job = job.map_or(Param::Null, |key| Param::Int(key.0));
        self.sql.run(
            schema::SWEEP_WRITE,
            &[Param::Text(object), Param::Int(due.0), job],
        )?;
        Ok(())
    }

    /// Whether a record may name an object: it was announced and is not being deleted.
    fn may_name(&self, object: &str) -> Result<bool, SqlError> {
        if self.meta.stored.is_none() {
            return Ok(false);
        }
        let rows = self.sql.run(schema::SWEEP_READ, &[Param::Text(object)])?;
        Ok(first_int(&rows).is_some_and(|due| UnixMillis(due) != DOOMED))
    }

    fn sweep_noted(&mut self, due: UnixMillis) {
        self.sweep_next = Some(self.sweep_next.map_or(due, |next| next.min(due)));
    }
}

/// Reads a stored record. Fails on a newer version: it is better to wait for that build than to
/// misread its record.
fn read_record(state: &Value) -> Result<Record, ShardError> {
    let text = state
        .text()
        .ok_or_else(|| ShardError::Unreadable("state is not text".to_owned()))?;
    let record: Record =
        serde_json::from_str(text).map_err(|error| ShardError::Unreadable(error.to_string()))?;
    if record.v > RECORD_VERSION {
        return Err(ShardError::Unreadable(format!(
            "record version {}",
            record.v
        )));
    }
    Ok(record)
}

fn write_record(record: &Record) -> Result<String, ShardError> {
    serde_json::to_string(record).map_err(|error| ShardError::Unreadable(error.to_string()))
}

fn first_int(rows: &[Vec<Value>]) -> Option<u64> {
    rows.first()
        .and_then(|row| row.first())
        .and_then(Value::int)
}
