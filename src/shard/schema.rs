//! Every statement that the shard runs, in one place, and why each table is as it is.
//!
//! Rows written are what a job costs most (each counts, index rows too). So there is no index beside
//! the primary keys, and no row is ever deleted for its age: dropping a table writes no row, whatever
//! was in it. Jobs that expire at the same moment share a table, and so do the idempotency keys of one
//! span of time.

/// Tells which of the tables that are looked for at a start stand: `meta`, and those of the
/// idempotency keys. It is the only statement that may run before [`CREATE`].
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
    // Objects in the bucket that are to be deleted at `due`, unless job `job` keeps one by then. A
    // `due` of 0 says that the object is being deleted, and nothing may come to name it any more.
    "CREATE TABLE sweeps (\
     object TEXT PRIMARY KEY, due INTEGER NOT NULL, job INTEGER) WITHOUT ROWID",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
];

/// Reads the shard's own notes.
pub const META_READ: &str = "SELECT value FROM meta WHERE name = 'shard'";
/// Writes them.
pub const META_WRITE: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('shard', ?)";

/// Reads the catalogue.
pub const PARTITIONS: &str = "SELECT number, retention, expires, phase, objects FROM partitions";
/// Adds a partition to it.
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
    // `active` stands outside the JSON because a start filters on it. The columns that can be large
    // come last, so that scans stop reading before them.
    format!(
        "CREATE TABLE jobs_{partition} (\
         key INTEGER PRIMARY KEY, active INTEGER NOT NULL, secret BLOB NOT NULL, \
         state TEXT NOT NULL, request TEXT NOT NULL, response TEXT, payload BLOB, body BLOB)"
    )
}

/// Drops the table of a partition, with all that is in it.
#[must_use]
pub fn jobs_drop(partition: u32) -> String {
    format!("DROP TABLE jobs_{partition}")
}

/// The last key in use.
#[must_use]
pub fn jobs_last(partition: u32) -> String {
    format!("SELECT max(key) FROM jobs_{partition}")
}

/// The active jobs in a range of keys. The range bounds the rows that are read.
#[must_use]
pub fn jobs_active(partition: u32) -> String {
    format!("SELECT key, state FROM jobs_{partition} WHERE key >= ? AND key < ? AND active = 1")
}

/// The bytes of the bodies in a range of keys. SQLite finds a length without reading the body.
#[must_use]
pub fn jobs_bytes(partition: u32) -> String {
    format!(
        "SELECT sum(ifnull(length(payload), 0) + ifnull(length(body), 0)) FROM jobs_{partition} \
         WHERE key >= ? AND key < ?"
    )
}

/// The states of the jobs in a range of keys, those of purged ones left out.
#[must_use]
pub fn jobs_states(partition: u32) -> String {
    format!("SELECT state FROM jobs_{partition} WHERE key >= ? AND key < ? AND state <> ''")
}

/// The values of one job in [`jobs_insert`].
const JOB_VALUES: &str = "(?, 1, ?, ?, ?, ?)";

/// Most jobs that one statement adds: a Durable Object binds at most 100 values to one
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>), and a job has five.
pub const JOBS_PER_INSERT: usize = 20;

/// Adds `count` jobs, at least one: all of them, or on an error none.
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

/// Reads what a status needs. A purged job is not there.
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

/// What a statement that stores a state changes beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The request's bytes go.
    pub drops_payload: bool,
    /// A response and its body come, as values 4 and 5.
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

/// Empties the row of a purged job. The row stays, so that its key is not given to another job.
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

/// Drops one.
#[must_use]
pub fn keys_drop(table: &str) -> String {
    format!("DROP TABLE {table}")
}

/// Finds an idempotency key.
#[must_use]
pub fn key_read(table: &str) -> String {
    format!("SELECT job, fingerprint, ends FROM {table} WHERE hash = ?")
}

/// Points an idempotency key at a job.
#[must_use]
pub fn key_write(table: &str) -> String {
    format!("INSERT OR REPLACE INTO {table} (hash, job, fingerprint, ends) VALUES (?, ?, ?, ?)")
}

/// Forgets an idempotency key, if it is still this job's.
#[must_use]
pub fn key_delete(table: &str) -> String {
    format!("DELETE FROM {table} WHERE hash = ? AND job = ?")
}

/// Notes an object for deletion; a later call moves the time.
pub const SWEEP_WRITE: &str = "INSERT OR REPLACE INTO sweeps (object, due, job) VALUES (?, ?, ?)";
/// Takes the note back.
pub const SWEEP_DELETE: &str = "DELETE FROM sweeps WHERE object = ?";
/// When an object is to be deleted.
pub const SWEEP_READ: &str = "SELECT due FROM sweeps WHERE object = ?";
/// What is due for deletion.
pub const SWEEPS_DUE: &str = "SELECT object, job, due FROM sweeps WHERE due <= ? LIMIT ?";
/// When the next one is due.
pub const SWEEP_NEXT: &str = "SELECT min(due) FROM sweeps";
