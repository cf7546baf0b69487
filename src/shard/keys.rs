//! Idempotency keys. Keys first used in the same span of time share a table, a *generation*, which is
//! dropped as a whole.
//!
//! A generation takes keys for one span and is kept for another, because its last key may be valid that
//! long. A lookup reads every generation, including those of windows that are no longer configured.

use std::collections::BTreeSet;

use crate::job::{Millis, Record, RowKey, UnixMillis};

use super::insert::{Accepted, KeyClaim, NewJob, read_secret};
use super::sql::{Param, Sql, SqlError};
use super::{Shard, ShardError, read_record, schema};

/// The smallest class, a span of about a minute: a generation costs about four rows. Spans are powers of
/// two in milliseconds, so that many configured windows share few tables.
const CLASS_MIN: u32 = 16;

/// The largest class, a span of about four years; no window is as long.
const CLASS_MAX: u32 = 37;

/// A table of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation {
    /// Its span of time is 2 to this power, in milliseconds.
    class: u32,
    /// Which span since the epoch.
    number: u64,
}

impl Generation {
    /// The generation for a new key with this window. Its span is at least as long.
    fn of(window: Millis, now: UnixMillis) -> Self {
        let longest = u64::BITS.saturating_sub(window.0.saturating_sub(1).leading_zeros());
        let class = longest.clamp(CLASS_MIN, CLASS_MAX);
        let number = now.0.checked_shr(class).unwrap_or(0);
        Self { class, number }
    }

    /// Reads a table's name.
    fn parse(table: &str) -> Option<Self> {
        let (class, number) = table.strip_prefix("keys_")?.split_once('_')?;
        let class = class.parse().ok().filter(|class| *class <= CLASS_MAX)?;
        let number = number.parse().ok()?;
        Some(Self { class, number })
    }

    fn table(self) -> String {
        format!("keys_{}_{}", self.class, self.number)
    }

    /// When its last key has certainly expired: one span after it stopped taking keys.
    fn ends(self) -> UnixMillis {
        let span = 1_u64.checked_shl(self.class).unwrap_or(u64::MAX);
        UnixMillis(self.number.saturating_add(2).saturating_mul(span))
    }
}

/// The generations that exist.
#[derive(Debug, Default)]
pub(super) struct Generations {
    standing: BTreeSet<Generation>,
    /// Those created by the transaction under way.
    created: Vec<Generation>,
    /// Dropping one failed, and is not tried again before this.
    put_off: UnixMillis,
}

impl Generations {
    /// Finds the generations among the names of all tables.
    pub(super) fn among<'a>(tables: impl Iterator<Item = &'a str>) -> Self {
        Self {
            standing: tables.filter_map(Generation::parse).collect(),
            ..Self::default()
        }
    }

    /// When the next one is to be dropped.
    pub(super) fn due(&self) -> Option<UnixMillis> {
        let ends = self.standing.iter().map(|generation| generation.ends());
        ends.min().map(|at| at.max(self.put_off))
    }

    pub(super) fn put_off(&mut self, until: UnixMillis) {
        self.put_off = until;
    }

    /// The transaction was committed.
    pub(super) fn commit(&mut self) {
        self.created.clear();
    }

    /// The transaction was rolled back.
    pub(super) fn roll_back(&mut self) {
        for generation in self.created.drain(..) {
            self.standing.remove(&generation);
        }
    }
}

/// A row of a generation.
struct KeyRow {
    generation: Generation,
    job: RowKey,
    fingerprint: String,
    ends: UnixMillis,
}

impl<S: Sql> Shard<S> {
    /// Looks up the job of a key. Writes nothing.
    pub fn find_key(
        &self,
        claim: &KeyClaim,
        now: UnixMillis,
    ) -> Result<Option<Accepted>, ShardError> {
        let rows = self.key_rows(&claim.hash)?;
        let Some(row) = rows.iter().find(|row| now < row.ends) else {
            return Ok(None);
        };
        // A key whose job is gone does not count.
        let Some((state, secret)) = self.job_state(row.job)? else {
            return Ok(None);
        };
        if row.fingerprint != claim.fingerprint {
            return Ok(Some(Accepted::KeyReused));
        }
        let record = read_record(&state)?;
        let id = self.id(row.job, read_secret(&secret)?);
        Ok(Some(Accepted::Existing(id, Box::new(record))))
    }

    fn key_rows(&self, hash: &str) -> Result<Vec<KeyRow>, SqlError> {
        let mut found = Vec::new();
        for generation in self.generations.standing.iter().rev() {
            let statement = schema::key_read(&generation.table());
            for row in self.sql.run(&statement, &[Param::Text(hash)])? {
                let [job, fingerprint, ends] = row.as_slice() else {
                    continue;
                };
                found.push(KeyRow {
                    generation: *generation,
                    job: RowKey(job.int().unwrap_or_default()),
                    fingerprint: fingerprint.text().unwrap_or_default().to_owned(),
                    ends: UnixMillis(ends.int().unwrap_or_default()),
                });
            }
        }
        Ok(found)
    }

    /// Assigns a key to a new job. Call inside a transaction, after [`Self::find_key`] found nothing.
    pub(super) fn write_key(
        &mut self,
        claim: &KeyClaim,
        job: &NewJob,
        key: RowKey,
        now: UnixMillis,
    ) -> Result<(), SqlError> {
        let window = claim.window.min(job.spec.retention);
        let generation = Generation::of(window, now);
        for row in self.key_rows(&claim.hash)? {
            // An old row would become valid again if the clock went back.
            if row.generation != generation {
                self.delete_key(row.generation, &claim.hash, row.job)?;
            }
        }
        let table = generation.table();
        if !self.generations.standing.contains(&generation) {
            self.sql.run(&schema::keys_create(&table), &[])?;
            self.generations.standing.insert(generation);
            self.generations.created.push(generation);
        }
        let params = [
            Param::Text(&claim.hash),
            Param::Int(key.0),
            Param::Text(&claim.fingerprint),
            Param::Int(now.plus(window).0),
        ];
        self.sql.run(&schema::key_write(&table), &params)?;
        Ok(())
    }

    /// Deletes the key of a purged job, if it still belongs to it. Call inside a transaction.
    pub(super) fn forget_key(&self, key: RowKey, record: &Record) -> Result<(), SqlError> {
        let Some(idempotency) = &record.key else {
            return Ok(());
        };
        let mut standing = self.generations.standing.iter();
        standing.try_for_each(|generation| self.delete_key(*generation, &idempotency.hash, key))
    }

    fn delete_key(&self, generation: Generation, hash: &str, job: RowKey) -> Result<(), SqlError> {
        let statement = schema::key_delete(&generation.table());
        self.sql
            .run(&statement, &[Param::Text(hash), Param::Int(job.0)])?;
        Ok(())
    }

    /// Drops a generation whose keys have all expired. Returns whether there was one.
    pub(super) fn drop_keys(&mut self, now: UnixMillis) -> Result<bool, SqlError> {
        if self.generations.due().is_none_or(|due| now < due) {
            return Ok(false);
        }
        let mut standing = self.generations.standing.iter();
        let Some(over) = standing.find(|one| one.ends() <= now).copied() else {
            return Ok(false);
        };
        self.sql.run(&schema::keys_drop(&over.table()), &[])?;
        self.generations.standing.remove(&over);
        Ok(true)
    }
}
