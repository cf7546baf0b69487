//! Every statement that the shard runs, in one place, and why each table is as it is.
//!
//! Rows written are what a job costs most (each counts, index rows too), so there is no index beside
//! the primary keys. `jobs.key` is a sequence number: new rows are appended to the end of the tree,
//! and "everything still active" and "everything of one retention class" are ranges of it.

/// Creates what is missing. Runs when the object starts; reads only, once the tables stand.
pub const CREATE: [&str; 4] = [
    // `active` and `class` (the retention in milliseconds) stand outside the JSON because the
    // start-up and expiry scans filter on them. The large columns come last so that scans stop
    // reading before them.
    "CREATE TABLE IF NOT EXISTS jobs (\
     key INTEGER PRIMARY KEY, active INTEGER NOT NULL, class INTEGER NOT NULL, \
     secret BLOB NOT NULL, state TEXT NOT NULL, request TEXT NOT NULL, \
     payload BLOB, response TEXT, body BLOB)",
    "CREATE TABLE IF NOT EXISTS keys (\
     hash TEXT PRIMARY KEY, job INTEGER NOT NULL, fingerprint TEXT NOT NULL, ends INTEGER NOT NULL\
     ) WITHOUT ROWID",
    // Objects in the bucket that are to be deleted at `due`, unless job `job` keeps one by then. A
    // `due` of 0 says that the object is being deleted, and nothing may come to name it any more.
    "CREATE TABLE IF NOT EXISTS sweeps (\
     object TEXT PRIMARY KEY, due INTEGER NOT NULL, job INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
];

/// Reads the shard's own notes.
pub const META_READ: &str = "SELECT value FROM meta WHERE name = 'shard'";
/// Writes them.
pub const META_WRITE: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('shard', ?)";

/// The last key in use.
pub const KEY_LAST: &str = "SELECT max(key) FROM jobs";
/// Active jobs from a key on, a page at a time.
pub const JOBS_ACTIVE: &str =
    "SELECT key, state FROM jobs WHERE key >= ? AND active = 1 ORDER BY key LIMIT ?";
/// Jobs of one retention class in a range of keys. The range bounds the rows that are read, the limit
/// only those that are returned.
pub const JOBS_OF_CLASS: &str =
    "SELECT key, state FROM jobs WHERE key >= ? AND key < ? AND class = ? ORDER BY key LIMIT ?";

/// Adds jobs, as many as [`jobs_insert`] is asked for; these are the values of one.
const JOB_VALUES: &str = "(?, 1, ?, ?, ?, ?, ?)";

/// Most jobs that one statement adds: a Durable Object binds at most 100 values to one
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>), and a job has six.
pub const JOBS_PER_INSERT: usize = 16;

/// Adds `count` jobs, at least one: all of them, or on an error none.
#[must_use]
pub fn jobs_insert(count: usize) -> String {
    let head = "INSERT INTO jobs (key, active, class, secret, state, request, payload) VALUES ";
    let mut statement = String::from(head);
    statement.push_str(JOB_VALUES);
    for _ in 1..count {
        statement.push_str(", ");
        statement.push_str(JOB_VALUES);
    }
    statement
}

/// Reads what a status needs.
pub const JOB_STATE: &str = "SELECT state, secret FROM jobs WHERE key = ?";
/// Reads what an attempt needs.
pub const JOB_WORK: &str = "SELECT state, secret, request, payload FROM jobs WHERE key = ?";
/// Reads what a result needs.
pub const JOB_RESULT: &str = "SELECT response, body FROM jobs WHERE key = ?";
/// Stores a state; nothing else changes.
pub const JOB_UPDATE: &str = "UPDATE jobs SET state = ?2, active = ?3 WHERE key = ?1";
/// Stores a state and drops the request's bytes.
pub const JOB_UPDATE_DROP: &str =
    "UPDATE jobs SET state = ?2, active = ?3, payload = NULL WHERE key = ?1";
/// Stores a state together with the result.
pub const JOB_FINISH: &str =
    "UPDATE jobs SET state = ?2, active = 0, response = ?3, body = ?4 WHERE key = ?1";
/// Stores a state together with the result, and drops the request's bytes.
pub const JOB_FINISH_DROP: &str = "UPDATE jobs SET state = ?2, active = 0, response = ?3, \
     body = ?4, payload = NULL WHERE key = ?1";
/// Forgets a job.
pub const JOB_DELETE: &str = "DELETE FROM jobs WHERE key = ?";

/// Finds an idempotency key.
pub const KEY_READ: &str = "SELECT job, fingerprint, ends FROM keys WHERE hash = ?";
/// Points an idempotency key at a job.
pub const KEY_WRITE: &str =
    "INSERT OR REPLACE INTO keys (hash, job, fingerprint, ends) VALUES (?, ?, ?, ?)";
/// Forgets an idempotency key, if it is still this job's.
pub const KEY_DELETE: &str = "DELETE FROM keys WHERE hash = ? AND job = ?";

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
