//! Many job records in one SQLite database, their schedule, and the keys that name them.
//!
//! Everything here is synchronous and runs natively; the Durable Object in `edge` calls it with the
//! platform's SQL, the tests with rusqlite.
//!
//! Rules:
//!
//! 1. A record changes only through [`crate::job::apply`].
//! 2. A call either commits all that it writes or fails and leaves what was there; memory changes
//!    only after the writes succeeded.
//! 3. Whatever becomes due is found from the rows alone: the memory is a cache of them.
//! 4. What must be sent is returned; sending it is the caller's, after the commit.

mod commit;
mod insert;
mod lease;
mod meta;
mod read;
mod schedule;
mod schema;
mod sql;
mod upkeep;

use std::fmt;

use crate::job::{
    JobId, Millis, Priority, RECORD_VERSION, Record, RowKey, Secret, UnixMillis, wake,
};

pub use insert::{Accepted, KeyClaim, NewJob};
pub use lease::{Claim, Claimed, Finish, Finished, Grant};
pub use read::{Canceled, Found, Purged, StoredResponse, can_redrive};
pub use sql::{Param, Sql, SqlError, Value};
pub use upkeep::{Sweep, Tick};

use meta::Meta;
use schedule::Schedule;

/// Active jobs that a start reads at once. A state takes some 2 KB while it is read, so that a page is a
/// small part of the isolate's 128 MB however many jobs wait; their schedule takes some 100 bytes each.
const JOBS_PER_PAGE: usize = 512;

/// Times that hold for all jobs of a shard; from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a queued job waits for its claim before its message is sent again.
    pub patience: Millis,
    /// How long an expired job still answers 410 before its row is deleted.
    pub tombstone: Millis,
    /// How long an object that no record names may lie in the bucket before it is deleted.
    pub orphan_grace: Millis,
}

/// The time in a note about an object that is being deleted. The note is written before the deletion
/// begins, so that no record comes to name what is about to go; no clock takes it back.
const DOOMED: UnixMillis = UnixMillis(0);

/// A queue message to send: run job `key`, after `delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The queue.
    pub priority: Priority,
    /// Not to be delivered earlier.
    pub delay: Millis,
    /// The job.
    pub key: RowKey,
}

/// Why the shard could not do what was asked. The texts are for the log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardError {
    /// The database refused.
    Sql(SqlError),
    /// A row holds what this build cannot read.
    Unreadable(String),
    /// No key is left; 2⁴⁸ jobs were accepted.
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
    next_key: u64,
    schedule: Schedule,
    sweep_next: Option<UnixMillis>,
    ended: Vec<Ended>,
}

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its row.
    pub key: RowKey,
    /// Where it failed: what the log says of it.
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
    /// Opens the shard: creates what is missing and rebuilds the schedule from the active rows.
    ///
    /// `number` is the shard's number where the caller knows it (a request carries it, an alarm
    /// does not); it is kept with the data from the first job on.
    pub fn open(sql: S, number: Option<u16>, settings: Settings) -> Result<Self, ShardError> {
        for statement in schema::CREATE {
            sql.run(statement, &[])?;
        }
        let meta = Meta::load(&sql)?;
        let last = first_int(&sql.run(schema::KEY_LAST, &[])?).unwrap_or(0);
        let mut shard = Self {
            number: number.or(meta.number()).unwrap_or_default(),
            next_key: last.max(meta.last_key()).saturating_add(1),
            sweep_next: first_int(&sql.run(schema::SWEEP_NEXT, &[])?).map(UnixMillis),
            schedule: Schedule::default(),
            ended: Vec::new(),
            sql,
            settings,
            meta,
        };
        shard.load_schedule()?;
        shard.load_expiries()?;
        // A mark that cannot be written, because the database is full, only saves less.
        let _ = shard.move_marks();
        Ok(shard)
    }

    /// When the alarm should ring: the earliest thing that time alone makes due. `None` when the
    /// shard holds nothing at all.
    #[must_use]
    pub fn wake_at(&self) -> Option<UnixMillis> {
        [
            self.schedule.next(),
            self.sweep_next,
            self.meta.next_expiry(),
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

    /// The jobs that have ended since the last call: whoever waits for one is to be told.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// The shard's number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The database, for a caller that has to look beside the shard (tests do).
    pub const fn sql(&self) -> &S {
        &self.sql
    }

    fn load_schedule(&mut self) -> Result<(), ShardError> {
        let mut next = Some(self.meta.settled());
        while let Some(from) = next {
            next = self.load_page(from)?;
        }
        Ok(())
    }

    /// Schedules a page of active jobs; returns where the next one begins, unless this was the last.
    fn load_page(&mut self, from: u64) -> Result<Option<u64>, ShardError> {
        let most = u64::try_from(JOBS_PER_PAGE).unwrap_or(u64::MAX);
        let params = [Param::Int(from), Param::Int(most)];
        let rows = self.sql.run(schema::JOBS_ACTIVE, &params)?;
        let mut last = None;
        for row in &rows {
            if let [key, state] = row.as_slice() {
                let key = RowKey(key.int().unwrap_or_default());
                // A later build's row must not keep the others from being served; the first alarm
                // looks at it, and so does one every now and then until it can be read.
                let wake = read_record(state).map_or(Some(UnixMillis(0)), |record| {
                    wake(&record, self.settings.patience)
                });
                self.schedule.set(key, wake);
                last = Some(key);
            }
        }
        let full = rows.len() >= JOBS_PER_PAGE;
        Ok(last.filter(|_| full).map(|key| key.0.saturating_add(1)))
    }

    fn id(&self, key: RowKey, secret: Secret) -> JobId {
        JobId {
            shard: self.number,
            key,
            secret,
        }
    }

    /// Writes a note that `object` is to be deleted at `due`. Call inside a transaction; tell
    /// [`Self::sweep_noted`] once it is committed.
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

    /// Whether an object may come to be named by a record: it was announced, and is not being deleted.
    fn may_name(&self, object: &str) -> Result<bool, SqlError> {
        let rows = self.sql.run(schema::SWEEP_READ, &[Param::Text(object)])?;
        Ok(first_int(&rows).is_some_and(|due| UnixMillis(due) != DOOMED))
    }

    fn sweep_noted(&mut self, due: UnixMillis) {
        self.sweep_next = Some(self.sweep_next.map_or(due, |next| next.min(due)));
    }
}

/// Reads a stored record. Fails on another version: a newer build wrote it, and guessing would be
/// worse than waiting for that build.
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
