//! All SQL statements of the shard, and the reasons for its tables.
//!
//! Rows written are the most expensive part of a job, and index rows count too. So there is no index
//! except the primary keys, and old rows are not deleted one by one: dropping a table writes no row,
//! whatever it holds. Jobs that expire at the same moment share a table, and so do the idempotency keys
//! of one span of time.

/// Lists which of `meta` and the tables of idempotency keys exist. It is the only statement that may run
/// before [`CREATE`].
pub const TABLES: &str = "SELECT name FROM sqlite_master \
     WHERE type = 'table' AND (name = 'meta' OR name GLOB 'keys_*')";

/// Creates the tables that every shard has, together with the first row that is written.
pub const CREATE: [&str; 3] = [
    // The catalogue of the tables `jobs_<number>`. All jobs of a partition have one retention and one
    // `expires`. `objects` says that a row may name an object in the bucket. The phases are those of
    // `partition.rs`.
    "CREATE TABLE partitions (\
     number INTEGER PRIMARY KEY, retention INTEGER NOT NULL, expires INTEGER NOT NULL, \
     phase INTEGER NOT NULL, objects INTEGER NOT NULL)",
    // Objects in the bucket that are to be deleted at `due`, unless job `job` names the object by then.
    // A `due` of 0: the object is being deleted, and no record may name it any more.
    "CREATE TABLE sweeps (\
     object TEXT PRIMARY KEY, due INTEGER NOT NULL, job INTEGER) WITHOUT ROWID",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
];

/// Reads the shard's own notes.
pub const META_READ: &str = "SELECT value FROM meta WHERE name = 'shard'";
/// Writes the shard's own notes.
pub const META_WRITE: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('shard', ?)";

/// Reads the catalogue.
pub const PARTITIONS: &str = "SELECT number, retention, expires, phase, objects FROM partitions";
/// Adds a partition to the catalogue.
pub const PARTITION_ADD: &str =
    "INSERT INTO partitions (number, retention, expires, phase, objects) VALUES (?, ?, ?, ?, ?)";
/// Moves a partition to another phase.
pub const PARTITION_PHASE: &str = "UPDATE partitions SET phase = ?2 WHERE number = ?1";
/// Notes that a row of a partition names an object.
pub const PARTITION_OBJECTS: &str = "UPDATE partitions SET objects = 1 WHERE number = ?";
/// Forgets a partition whose table is gone.
pub const PARTITION_FORGET: &str = "DELETE FROM partitions WHERE number = ?";

/// Creates the table of a partition.
#[must_use]
pub fn jobs_create(partition: u32) -> String {
    // `active` is a column of its own because a start filters on it. Large columns come last, so that
    // scans do not read them.
    format!(
        "CREATE TABLE jobs_{partition} (\
         key INTEGER PRIMARY KEY, active INTEGER NOT NULL, secret BLOB NOT NULL, \
         state TEXT NOT NULL, request TEXT NOT NULL, response TEXT, payload BLOB, body BLOB)"
    )
}

/// Drops the table of a partition.
#[must_use]
pub fn jobs_drop(partition: u32) -> String {
    format!("DROP TABLE jobs_{partition}")
}

/// The last key in use.
#[must_use]
pub fn jobs_last(partition: u32) -> String {
    format!("SELECT max(key) FROM jobs_{partition}")
}

/// The active jobs in a range of keys, which bounds the rows read.
#[must_use]
pub fn jobs_active(partition: u32) -> String {
    format!("SELECT key, state FROM jobs_{partition} WHERE key >= ? AND key < ? AND active = 1")
}

/// The bytes of the bodies in a range of keys. SQLite knows a length without reading the body.
#[must_use]
pub fn jobs_bytes(partition: u32) -> String {
    format!(
        "SELECT sum(ifnull(length(payload), 0) + ifnull(length(body), 0)) FROM jobs_{partition} \
         WHERE key >= ? AND key < ?"
    )
}

/// The states of the jobs in a range of keys, without purged ones.
#[must_use]
pub fn jobs_states(partition: u32) -> String {
    format!("SELECT state FROM jobs_{partition} WHERE key >= ? AND key < ? AND state <> ''")
}

/// The values of one job in [`jobs_insert`].
const JOB_VALUES: &str = "(?, 1, ?, ?, ?, ?)";

/// Most jobs that one statement adds: a statement in a Durable Object has at most 100 bound values
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>), and a job five.
pub const JOBS_PER_INSERT: usize = 20;

/// Adds `count` jobs (at least one): all of them, or none on an error.
#[must_use]
pub fn jobs_insert(partition: u32, count: usize) -> String {
    let mut statement = format!(
        "INSERT INTO jobs_{partition} (key, active, secret, state, request, payload) VALUES "
    );
    statement.push_str(JOB_VALUES);
    for _ in 1..count {
        statement.push_str(", ");
        statement.push_str(JOB_VALUES);
    }
    statement
}

/// Reads what a status needs. A purged job is not found.
#[must_use]
pub fn job_state(partition: u32) -> String {
    format!("SELECT state, secret FROM jobs_{partition} WHERE key = ? AND state <> ''")
}

/// Reads what an attempt needs.
#[must_use]
pub fn job_work(partition: u32) -> String {
    format!(
        "SELECT state, secret, request, payload FROM jobs_{partition} WHERE key = ? AND state <> ''"
    )
}

/// Reads what a result needs.
#[must_use]
pub fn job_result(partition: u32) -> String {
    format!("SELECT response, body FROM jobs_{partition} WHERE key = ? AND state <> ''")
}

/// What [`job_update`] changes beside the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The request's body is removed.
    pub drops_payload: bool,
    /// A response and its body are stored, as values 4 and 5.
    pub has_response: bool,
}

/// Stores a state; the values are key, state and whether the job is active.
#[must_use]
pub fn job_update(partition: u32, update: Update) -> String {
    let response = if update.has_response {
        ", response = ?4, body = ?5"
    } else {
        ""
    };
    let payload = if update.drops_payload {
        ", payload = NULL"
    } else {
        ""
    };
    format!("UPDATE jobs_{partition} SET state = ?2, active = ?3{response}{payload} WHERE key = ?1")
}

/// Empties the row of a purged job. The row stays, so that its key is not used again.
#[must_use]
pub fn job_purge(partition: u32) -> String {
    format!(
        "UPDATE jobs_{partition} SET active = 0, secret = x'', state = '', request = '', \
         response = NULL, payload = NULL, body = NULL WHERE key = ?1"
    )
}

/// Creates a table of idempotency keys.
#[must_use]
pub fn keys_create(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (hash TEXT PRIMARY KEY, job INTEGER NOT NULL, \
         fingerprint TEXT NOT NULL, ends INTEGER NOT NULL) WITHOUT ROWID"
    )
}

/// Drops a table of idempotency keys.
#[must_use]
pub fn keys_drop(table: &str) -> String {
    format!("DROP TABLE {table}")
}

/// Finds an idempotency key.
#[must_use]
pub fn key_read(table: &str) -> String {
    format!("SELECT job, fingerprint, ends FROM {table} WHERE hash = ?")
}

/// Assigns an idempotency key to a job.
#[must_use]
pub fn key_write(table: &str) -> String {
    format!("INSERT OR REPLACE INTO {table} (hash, job, fingerprint, ends) VALUES (?, ?, ?, ?)")
}

/// Deletes an idempotency key, if it still belongs to this job.
#[must_use]
pub fn key_delete(table: &str) -> String {
    format!("DELETE FROM {table} WHERE hash = ? AND job = ?")
}

/// Notes an object for deletion; a later call moves the time.
pub const SWEEP_WRITE: &str = "INSERT OR REPLACE INTO sweeps (object, due, job) VALUES (?, ?, ?)";
/// Removes the note.
pub const SWEEP_DELETE: &str = "DELETE FROM sweeps WHERE object = ?";
/// When an object is to be deleted.
pub const SWEEP_READ: &str = "SELECT due FROM sweeps WHERE object = ?";
/// The objects that are due for deletion.
pub const SWEEPS_DUE: &str = "SELECT object, job, due FROM sweeps WHERE due <= ? LIMIT ?";
/// When the next object is due.
pub const SWEEP_NEXT: &str = "SELECT min(due) FROM sweeps";
