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

/// A mark is moved only when that saves the next start this many rows: reading them costs as much as
/// writing the mark.
const SETTLED_STEP: u64 = 1024;

/// Most keys among which a class is searched at once: a few milliseconds of SQLite. The rows of a class
/// may be few among a million of others.
const KEYS_PER_SEARCH: u64 = 4096;

/// What is stored, and beside it what is derived from the rows.
#[derive(Debug, Default)]
pub(super) struct Meta {
    pub(super) stored: Option<Stored>,
    /// For each class that has or had rows, the search for what has expired.
    searches: Vec<Search>,
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

/// The search of a class for rows that have expired, page by page in the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// The retention in milliseconds.
    pub(super) retention: u64,
    /// When it begins, or goes on; `None` when the class has no rows.
    pub(super) at: Option<UnixMillis>,
    /// Where its next page begins.
    pub(super) from: u64,
    /// The first row that it has passed by, and when the earliest of these is to be looked at.
    pub(super) passed: Option<(u64, UnixMillis)>,
}

impl Search {
    const fn new(class: Class) -> Self {
        Self {
            retention: class.retention,
            at: None,
            from: class.from,
            passed: None,
        }
    }

    /// Leaves a row where it is until it is to be looked at again.
    pub(super) fn pass(&mut self, key: RowKey, again: UnixMillis) {
        let passed = self.passed.map_or((key.0, again), |(first, at)| {
            (first.min(key.0), at.min(again))
        });
        self.passed = Some(passed);
    }

    /// The class has been searched up to where nothing can have expired; above `end` it has no rows.
    pub(super) fn finish(&mut self, end: u64) {
        let passed = self.passed.take();
        self.at = passed.map(|(_, at)| at);
        self.from = passed.map_or(end, |(first, _)| first);
    }

    /// No row of the class has a smaller key.
    fn mark(&self) -> u64 {
        self.passed.map_or(self.from, |(first, _)| first)
    }
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
            searches: Vec::new(),
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
        self.searches.iter().filter_map(|search| search.at).min()
    }

    /// The search that has been due for longest.
    pub(super) fn due_search(&self, now: UnixMillis) -> Option<Search> {
        let due = self.searches.iter().filter(|search| {
            let at = search.at;
            at.is_some_and(|at| at <= now)
        });
        due.min_by_key(|search| search.at).copied()
    }

    /// The search failed where it stands: it goes on later.
    pub(super) fn put_off(&mut self, search: Search, at: UnixMillis) {
        let known = self.search(search.retention).unwrap_or(search);
        self.set_search(Search {
            at: Some(at),
            ..known
        });
    }

    /// Puts a search in the place of the one of its class.
    pub(super) fn set_search(&mut self, search: Search) {
        self.searches
            .retain(|other| other.retention != search.retention);
        self.searches.push(search);
    }

    /// The search of a class; a class that has none yet is searched from its mark on.
    fn search(&self, retention: u64) -> Option<Search> {
        let of_class = |search: &&Search| search.retention == retention;
        let known = self.searches.iter().find(of_class).copied();
        let mut classes = self.classes().iter();
        known.or_else(|| {
            let class = classes.find(|class| class.retention == retention);
            class.copied().map(Search::new)
        })
    }
}

/// Some jobs of a class, in the order of their keys.
pub(super) struct Page {
    pub(super) jobs: Vec<(RowKey, Result<Record, ShardError>)>,
    /// The page says nothing of jobs from this key on.
    pub(super) end: u64,
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
        if let Some(mut search) = self.meta.search(retention.0) {
            search.at = Some(search.at.map_or(at, |sooner| sooner.min(at)));
            self.meta.set_search(search);
        }
    }

    /// Jobs of a class from a key on, at most so many; and the key from which on they were not looked for.
    pub(super) fn jobs_of_class(&self, search: Search, most: u64) -> Result<Page, SqlError> {
        let end = search.from.saturating_add(KEYS_PER_SEARCH);
        let params = [search.from, end, search.retention, most].map(Param::Int);
        let rows = self.sql.run(schema::JOBS_OF_CLASS, &params)?;
        let jobs: Vec<_> = rows
            .iter()
            .filter_map(|row| match row.as_slice() {
                [key, state] => Some((RowKey(key.int()?), read_record(state))),
                _ => None,
            })
            .collect();
        let full = u64::try_from(jobs.len()).is_ok_and(|count| count >= most);
        let last = jobs.last().filter(|_| full).map(|(key, _)| key.0);
        Ok(Page {
            end: last.map_or(end, |last| last.saturating_add(1)),
            jobs,
        })
    }

    /// At start: finds the oldest row of each class, or leaves it to the first alarm to find it.
    pub(super) fn load_expiries(&mut self) -> Result<(), ShardError> {
        for class in self.meta.classes().to_vec() {
            let mut search = Search::new(class);
            let page = self.jobs_of_class(search, 1)?;
            if let Some((key, oldest)) = page.jobs.first() {
                search.from = key.0;
                search.at = Some(oldest.as_ref().map_or(UnixMillis(0), |oldest| {
                    look_at(&self.settings, class.retention, oldest)
                }));
            } else if page.end < self.next_key {
                search.from = page.end;
                search.at = Some(UnixMillis(0));
            }
            self.meta.set_search(search);
        }
        Ok(())
    }

    /// Moves the marks forward where that saves work.
    pub(super) fn move_marks(&mut self) -> Result<(), SqlError> {
        let Some(mut stored) = self.meta.stored.clone() else {
            return Ok(());
        };
        let settled = self.schedule.first_key().map_or(self.next_key, |key| key.0);
        let mut saved = settled.saturating_sub(stored.settled);
        stored.settled = settled.max(stored.settled);
        for class in &mut stored.classes {
            if let Some(search) = self.meta.search(class.retention) {
                saved = saved.max(search.mark().saturating_sub(class.from));
                class.from = class.from.max(search.mark());
            }
        }
        if saved < SETTLED_STEP {
            return Ok(());
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
