//! The shard's notes about itself: one row, written rarely.

use serde::{Deserialize, Serialize};

use crate::job::{Millis, Record, RowKey, UnixMillis};

use super::sql::{Param, Sql, SqlError};
use super::{Settings, Shard, ShardError, read_record, schema};

/// Version of the stored form.
const META_VERSION: u8 = 1;

/// Expiries are gathered: a class is looked at when its oldest row has been due for a sixteenth of
/// its retention, at most ten minutes, so that one alarm deletes many rows.
const EXPIRY_SLACK_SHARE: u64 = 16;
const EXPIRY_SLACK_MAX: Millis = Millis::from_secs(600);

/// The settled mark is moved only when that saves the next start this many rows.
const SETTLED_STEP: u64 = 1024;

/// What is stored, and beside it what is derived from the rows.
#[derive(Debug, Default)]
pub(super) struct Meta {
    pub(super) stored: Option<Stored>,
    /// For each class, when its oldest row should be looked at.
    expiries: Vec<(u64, UnixMillis)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    v: u8,
    shard: u16,
    /// Every job below this key has ended.
    settled: u64,
    classes: Vec<Class>,
}

/// A retention in use. Inside one class rows expire in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Class {
    /// The retention in milliseconds, as in the row.
    pub(super) retention: u64,
    /// No row of the class has a smaller key.
    pub(super) from: u64,
}

impl Meta {
    pub(super) fn load<S: Sql>(sql: &S) -> Result<Self, ShardError> {
        let rows = sql.run(schema::META_READ, &[])?;
        let stored = match rows
            .first()
            .and_then(|row| row.first())
            .and_then(|value| value.text())
        {
            None => None,
            Some(text) => {
                let stored: Stored = serde_json::from_str(text)
                    .map_err(|error| ShardError::Unreadable(error.to_string()))?;
                if stored.v > META_VERSION {
                    return Err(ShardError::Unreadable(format!("meta version {}", stored.v)));
                }
                Some(stored)
            }
        };
        Ok(Self {
            stored,
            expiries: Vec::new(),
        })
    }

    pub(super) fn number(&self) -> Option<u16> {
        self.stored.as_ref().map(|stored| stored.shard)
    }

    /// Every job below this key has ended.
    pub(super) fn settled(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| stored.settled)
    }

    /// The largest key that the notes mention: new keys must be above it.
    pub(super) fn last_key(&self) -> u64 {
        let classes = self.classes();
        classes
            .iter()
            .map(|class| class.from)
            .chain([self.settled()])
            .max()
            .unwrap_or(0)
    }

    pub(super) fn classes(&self) -> &[Class] {
        self.stored
            .as_ref()
            .map_or(&[], |stored| stored.classes.as_slice())
    }

    /// Whether rows of this retention were seen before.
    pub(super) fn knows_class(&self, retention: Millis) -> bool {
        let mut classes = self.classes().iter();
        classes.any(|class| class.retention == retention.0)
    }

    /// When the next row should be looked at for expiry.
    pub(super) fn next_expiry(&self) -> Option<UnixMillis> {
        self.expiries.iter().map(|(_, at)| *at).min()
    }

    /// Notes when a class has to be looked at; `None` when it has no rows left.
    pub(super) fn set_expiry(&mut self, retention: u64, at: Option<UnixMillis>) {
        self.expiries.retain(|(class, _)| *class != retention);
        self.expiries.extend(at.map(|at| (retention, at)));
    }

    fn is_looked_at_by(&self, retention: u64, at: UnixMillis) -> bool {
        let mut looks = self.expiries.iter();
        looks.any(|(class, look)| *class == retention && *look <= at)
    }
}

/// When a class should be looked at, given its oldest row.
pub(super) fn look_at(settings: &Settings, retention: u64, oldest: &Record) -> UnixMillis {
    let slack = Millis(retention / EXPIRY_SLACK_SHARE).min(EXPIRY_SLACK_MAX);
    oldest.expires.plus(settings.tombstone).plus(slack)
}

impl<S: Sql> Shard<S> {
    /// Makes sure that the class of a new job is known; writes only for a class not seen before.
    pub(super) fn ensure_class(&mut self, retention: Millis, key: RowKey) -> Result<(), SqlError> {
        if self.meta.knows_class(retention) {
            return Ok(());
        }
        let mut stored = self.notes();
        stored.classes.push(Class {
            retention: retention.0,
            from: key.0,
        });
        self.write_meta(stored)
    }

    /// Makes sure that an alarm, which knows no number, finds it here before anything else is stored.
    pub(super) fn ensure_number(&mut self) -> Result<(), SqlError> {
        if self.meta.stored.is_some() {
            return Ok(());
        }
        self.write_meta(self.notes())
    }

    fn notes(&self) -> Stored {
        self.meta.stored.clone().unwrap_or(Stored {
            v: META_VERSION,
            shard: self.number,
            settled: 0,
            classes: Vec::new(),
        })
    }

    /// After the commit of a new job: its class has something to expire by its time. A later look
    /// is for a row from a moment when the clock ran ahead; this one must not wait for that.
    pub(super) fn expect_expiry(&mut self, retention: Millis, record: &Record) {
        let at = look_at(&self.settings, retention.0, record);
        if !self.meta.is_looked_at_by(retention.0, at) {
            self.meta.set_expiry(retention.0, Some(at));
        }
    }

    /// At start: finds the oldest row of each class.
    pub(super) fn load_expiries(&mut self) -> Result<(), ShardError> {
        for class in self.meta.classes().to_vec() {
            let rows = self.sql.run(
                schema::JOBS_OF_CLASS,
                &[
                    Param::Int(class.from),
                    Param::Int(class.retention),
                    Param::Int(1),
                ],
            )?;
            if let Some([_, state]) = rows.first().map(Vec::as_slice) {
                let at = read_record(state).map_or(UnixMillis(0), |oldest| {
                    look_at(&self.settings, class.retention, &oldest)
                });
                self.meta.set_expiry(class.retention, Some(at));
            }
        }
        Ok(())
    }

    /// Moves the marks forward where that saves work: `emptied` are classes with the smallest key
    /// that they may still hold.
    pub(super) fn move_marks(&mut self, emptied: &[Class]) -> Result<(), SqlError> {
        let Some(mut stored) = self.meta.stored.clone() else {
            return Ok(());
        };
        let settled = self.schedule.first_key().map_or(self.next_key, |key| key.0);
        let worth_it = settled.saturating_sub(stored.settled) >= SETTLED_STEP
            || emptied.iter().any(|moved| {
                stored.classes.iter().any(|class| {
                    class.retention == moved.retention
                        && moved.from.saturating_sub(class.from) >= SETTLED_STEP
                })
            });
        if !worth_it {
            return Ok(());
        }
        stored.settled = settled.max(stored.settled);
        for moved in emptied {
            for class in &mut stored.classes {
                if class.retention == moved.retention {
                    class.from = class.from.max(moved.from);
                }
            }
        }
        self.write_meta(stored)
    }

    fn write_meta(&mut self, stored: Stored) -> Result<(), SqlError> {
        let text = serde_json::to_string(&stored).map_err(|error| SqlError(error.to_string()))?;
        self.sql.run(schema::META_WRITE, &[Param::Text(&text)])?;
        self.meta.stored = Some(stored);
        Ok(())
    }
}
