//! The shard's `Sql` port over rusqlite, for native tests.

use std::cell::Cell;
use std::rc::Rc;

use raincheck::shard::{Param, Sql, SqlError, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};

/// The beginning of a statement, and the key of its row.
pub type Refused = (&'static str, Option<u64>);

/// A database that clones of this handle share.
#[derive(Clone, Debug)]
pub struct Sqlite {
    connection: Rc<rusqlite::Connection>,
    /// Statements to let through before one fails; `None` for no fault.
    pub fail_after: Rc<Cell<Option<u32>>>,
    /// Statements that begin like this are refused, about one row if a key is given, otherwise all.
    pub refused: Rc<Cell<Option<Refused>>>,
    /// Rows written so far, as the platform counts them: rows changed (there are no indexes), two for a
    /// table that is created, and none for one that is dropped, whatever it held.
    pub rows_written: Rc<Cell<u64>>,
    /// The most rows that one statement has returned.
    pub rows_at_once: Rc<Cell<usize>>,
    /// The most steps that one statement has taken: they grow with the rows that it read.
    pub steps_at_once: Rc<Cell<i32>>,
}

impl Sqlite {
    /// An empty database in memory.
    pub fn in_memory() -> Self {
        Self::over(rusqlite::Connection::open_in_memory().expect("SQLite opens in memory"))
    }

    /// The database of a connection.
    pub fn over(connection: rusqlite::Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(64);
        Self {
            connection: Rc::new(connection),
            fail_after: Rc::default(),
            refused: Rc::default(),
            rows_written: Rc::default(),
            rows_at_once: Rc::default(),
            steps_at_once: Rc::default(),
        }
    }

    fn fault(&self, statement: &str, params: &[Param<'_>]) -> Result<(), SqlError> {
        if let Some((begin, key)) = self.refused.get() {
            let about = match params.first() {
                Some(Param::Int(n)) => Some(*n),
                _ => None,
            };
            if statement.starts_with(begin) && (key.is_none() || key == about) {
                return Err(SqlError("refused".to_owned()));
            }
        }
        match self.fail_after.get() {
            Some(0) => Err(SqlError("injected".to_owned())),
            Some(n) => {
                self.fail_after.set(Some(n - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The tables whose names begin like this.
    pub fn tables(&self, begin: &str) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
        let mut prepared = self.connection.prepare(sql).expect("a statement");
        let names = prepared.query_map([], |row| row.get(0)).expect("rows");
        let names = names.map(|name: rusqlite::Result<String>| name.expect("a name"));
        names.filter(|name| name.starts_with(begin)).collect()
    }

    /// Rows of a table, or of all tables of jobs or keys; purged jobs are none. Conditions may follow.
    #[allow(dead_code, reason = "not every test counts")]
    pub fn count(&self, what: &str) -> u64 {
        let (table, condition) = what.split_once(" WHERE ").unwrap_or((what, "1"));
        let (begin, living) = match table {
            "jobs" => ("jobs_", "state <> ''"),
            "keys" => ("keys_", "1"),
            table => (table, "1"),
        };
        let count = |table: String| -> u64 {
            let sql = format!("SELECT count(*) FROM {table} WHERE {living} AND {condition}");
            let rows = self
                .connection
                .query_row(&sql, [], |row| row.get::<_, i64>(0));
            u64::try_from(rows.expect("a number")).expect("a count")
        };
        self.tables(begin).into_iter().map(count).sum()
    }

    /// Runs a statement for each table of jobs; `{}` is replaced by the table's name.
    #[allow(dead_code, reason = "not every test reads the database directly")]
    pub fn in_all_jobs(&self, statement: &str, params: &[Param<'_>]) -> Vec<Vec<Value>> {
        let tables = self.tables("jobs_").into_iter();
        let run = |table: String| self.run(&statement.replace("{}", &table), params);
        tables
            .flat_map(|table| run(table).expect("it is a statement"))
            .collect()
    }

    /// Runs statements that return no rows.
    pub fn execute(&self, statement: &str) -> Result<(), SqlError> {
        self.connection
            .execute_batch(statement)
            .map_err(|error| SqlError(error.to_string()))
    }
}

struct Bound<'a>(Param<'a>);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Param::Null => ValueRef::Null,
            Param::Int(n) => ValueRef::Integer(i64::try_from(n).unwrap_or(i64::MAX)),
            Param::Text(text) => ValueRef::Text(text.as_bytes()),
            Param::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Sql for Sqlite {
    fn run(&self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Value>>, SqlError> {
        self.fault(statement, params)?;
        let error = |error: rusqlite::Error| SqlError(error.to_string());
        let mut prepared = self.connection.prepare_cached(statement).map_err(error)?;
        let columns = prepared.column_count();
        let bound = rusqlite::params_from_iter(params.iter().map(|param| Bound(*param)));
        if columns == 0 {
            let changed = prepared.execute(bound).map_err(error)?;
            // After a CREATE or DROP, SQLite tells the number of the statement before.
            let written = match statement.split(' ').next() {
                Some("CREATE") => 2,
                Some("DROP") => 0,
                _ => changed as u64,
            };
            self.rows_written.set(self.rows_written.get() + written);
            return Ok(Vec::new());
        }
        let mut rows = prepared.query(bound).map_err(error)?;
        let mut read = Vec::new();
        while let Some(row) = rows.next().map_err(error)? {
            let values = (0..columns).map(|index| match row.get_ref(index) {
                Ok(ValueRef::Integer(n)) => Value::Int(u64::try_from(n).unwrap_or_default()),
                Ok(ValueRef::Text(text)) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                Ok(ValueRef::Blob(bytes)) => Value::Blob(bytes.to_vec()),
                _ => Value::Null,
            });
            read.push(values.collect());
        }
        self.rows_at_once
            .set(self.rows_at_once.get().max(read.len()));
        drop(rows);
        let steps = prepared.reset_status(rusqlite::StatementStatus::VmStep);
        self.steps_at_once.set(self.steps_at_once.get().max(steps));
        Ok(read)
    }

    fn atomically(&self, body: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError> {
        self.execute("SAVEPOINT atomically")?;
        match body() {
            Ok(()) => self.execute("RELEASE atomically"),
            Err(error) => {
                self.execute("ROLLBACK TO atomically; RELEASE atomically")?;
                Err(error)
            }
        }
    }
}
