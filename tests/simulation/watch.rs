//! The shard's `Sql` port, which records committed job rows in the history.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use raincheck::shard::{Param, Sql, SqlError, Value};

use super::crossing::digest;
use super::history::tag_of;
use super::sqlite::Sqlite;

/// A change of a job's row: its key, the tag of its id, and its state as JSON unless it was deleted.
pub type Change = (u64, u32, Option<String>);

/// Values of one job in the statement that adds jobs: key, secret, state, request, payload.
const JOB_VALUES: usize = 5;

/// A database whose changes are recorded.
#[derive(Clone)]
pub struct Watched {
    pub inner: Sqlite,
    changes: Rc<RefCell<Vec<Change>>>,
    /// The tag of the job in each row: a key may be used again once its row is gone.
    tags: Rc<RefCell<HashMap<u64, u32>>>,
    /// A digest of all rows; `None` if something was written since it was computed.
    digest: Rc<Cell<Option<u64>>>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("rows")
    }
}

impl Watched {
    pub fn new() -> Self {
        Self {
            inner: Sqlite::in_memory(),
            changes: Rc::default(),
            tags: Rc::default(),
            digest: Rc::default(),
        }
    }

    /// A digest of all rows.
    pub fn digest(&self) -> u64 {
        if let Some(known) = self.digest.get() {
            return known;
        }
        let tables = self.inner.tables("").into_iter();
        let rows = tables.map(|table| (self.rows(&format!("SELECT * FROM {table}")), table));
        let taken = digest(&format!("{:?}", rows.collect::<Vec<_>>()));
        self.digest.set(Some(taken));
        taken
    }

    /// The tag of the job in a row; 0 when there is none.
    pub fn tag(&self, key: u64) -> u32 {
        self.tags.borrow().get(&key).copied().unwrap_or(0)
    }

    /// Takes what was committed since the last call.
    pub fn take(&self) -> Vec<Change> {
        self.changes.take()
    }

    /// Columns of the rows of all jobs that meet a condition.
    pub fn all_jobs(&self, columns: &str, condition: &str) -> Vec<Vec<Value>> {
        let tables = self.inner.tables("jobs_").into_iter();
        let rows = |table| {
            let sql = format!("SELECT {columns} FROM {table} WHERE state <> '' AND {condition}");
            self.rows(&sql)
        };
        tables.flat_map(rows).collect()
    }

    /// The rows of a statement; none while the tables do not exist yet.
    pub fn rows(&self, statement: &str) -> Vec<Vec<Value>> {
        let before = self.inner.fail_after.replace(None);
        let rows = self.inner.run(statement, &[]).unwrap_or_default();
        self.inner.fail_after.set(before);
        rows
    }
}

impl Sql for Watched {
    fn run(&self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Value>>, SqlError> {
        if !statement.starts_with("SELECT") {
            self.digest.set(None);
        }
        let dropped = statement.strip_prefix("DROP TABLE jobs_");
        let erased = dropped
            .map(|number| self.rows(&format!("SELECT key FROM jobs_{number} WHERE state <> ''")));
        let rows = self.inner.run(statement, params)?;
        for row in erased.unwrap_or_default() {
            let key = row[0].int().unwrap_or_default();
            self.changes.borrow_mut().push((key, self.tag(key), None));
        }
        let text = |param: Option<&Param<'_>>| match param {
            Some(Param::Text(text)) => Some((*text).to_owned()),
            _ => None,
        };
        if statement.starts_with("INSERT INTO jobs_") {
            for row in params.chunks(JOB_VALUES) {
                if let [Param::Int(key), Param::Blob(secret), ..] = row {
                    let tag = tag_of(secret);
                    self.tags.borrow_mut().insert(*key, tag);
                    let state = text(row.get(2));
                    self.changes.borrow_mut().push((*key, tag, state));
                }
            }
            return Ok(rows);
        }
        if !statement.starts_with("UPDATE jobs_") {
            return Ok(rows);
        }
        // A statement without a state empties the row of a purged job.
        let state = text(params.get(1));
        if let Some(Param::Int(key)) = params.first() {
            self.changes
                .borrow_mut()
                .push((*key, self.tag(*key), state));
        }
        Ok(rows)
    }

    fn atomically(&self, body: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError> {
        let mark = self.changes.borrow().len();
        let outcome = self.inner.atomically(body);
        if outcome.is_err() {
            self.changes.borrow_mut().truncate(mark);
        }
        outcome
    }
}
