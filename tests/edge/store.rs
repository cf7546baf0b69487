//! The gateway's state on disk, as the local runtime lays it out: a SQLite file per shard, one for
//! the alarms of all, one for the bucket's objects.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};
use serde_json::Value;

use crate::gateway::Gateway;

/// The file with the alarms of all objects of a class.
const ALARMS: &str = "metadata.sqlite";

/// The state of one gateway.
pub struct Store {
    shards: PathBuf,
    bucket: PathBuf,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Rows of jobs.
    pub jobs: u64,
    /// Partitions that are not forgotten.
    pub partitions: u64,
    /// Rows of idempotency keys.
    pub keys: u64,
    /// Notes about objects that are to be deleted.
    pub sweeps: u64,
    /// Alarms that are set.
    pub alarms: u64,
    /// Objects in the bucket.
    pub objects: u64,
    /// Bytes of the shards' files.
    pub bytes: u64,
}

impl Store {
    /// Where a gateway keeps its state.
    pub fn of(gateway: &Gateway) -> Self {
        let state = gateway.state().join("v3");
        Self {
            shards: state.join("do/raincheck-ShardObject"),
            bucket: state.join("r2/miniflare-R2BucketObject"),
        }
    }

    /// Counts everything. Works while the gateway runs.
    pub fn contents(&self) -> Contents {
        let mut contents = Contents {
            alarms: count(&self.shards.join(ALARMS), "_cf_ALARM"),
            ..Contents::default()
        };
        for file in databases(&self.shards) {
            let all = |begin| {
                tables(&file, begin)
                    .into_iter()
                    .map(|table| count(&file, &table))
            };
            contents.jobs += all("jobs_").sum::<u64>();
            contents.keys += all("keys_").sum::<u64>();
            contents.partitions += count(&file, "partitions");
            contents.sweeps += count(&file, "sweeps");
            contents.bytes += fs::metadata(&file).map_or(0, |file| file.len());
        }
        for file in databases(&self.bucket) {
            contents.objects += count(&file, "_mf_objects");
        }
        contents
    }

    /// The stored records of all jobs.
    pub fn records(&self) -> Vec<Value> {
        let mut records = Vec::new();
        for file in databases(&self.shards) {
            let sql = read(&file);
            for table in tables(&file, "jobs_") {
                let select = format!("SELECT state FROM {table} ORDER BY key");
                let mut query = sql.prepare(&select).unwrap();
                let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
                let record = |text: String| serde_json::from_str::<Value>(&text).unwrap();
                records.extend(rows.map(|text| record(text.unwrap())));
            }
        }
        records
    }

    /// Changes all records, while the gateway is stopped.
    pub fn rewrite(&self, change: impl Fn(&mut Value)) {
        for file in databases(&self.shards) {
            let sql = Connection::open(&file).unwrap();
            for table in tables(&file, "jobs_") {
                let select = format!("SELECT key, state FROM {table}");
                let mut query = sql.prepare(&select).unwrap();
                let rows = query.query_map([], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
                });
                let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
                for (key, text) in rows {
                    let mut record = serde_json::from_str(&text).unwrap();
                    change(&mut record);
                    let update = format!("UPDATE {table} SET state = ?2 WHERE key = ?1");
                    let changed = sql.execute(&update, params![key, record.to_string()]);
                    assert_eq!(changed.unwrap(), 1);
                }
            }
        }
    }

    /// Deletes every alarm, while the gateway is stopped, as the platform does after too many
    /// failures.
    pub fn forget_alarms(&self) {
        let alarms = Connection::open(self.shards.join(ALARMS)).unwrap();
        assert!(alarms.execute("DELETE FROM _cf_ALARM", []).unwrap() > 0);
        for file in databases(&self.shards) {
            // The object's own note of its alarm.
            let sql = Connection::open(&file).unwrap();
            sql.execute("DELETE FROM _cf_METADATA WHERE key = 1", [])
                .unwrap();
        }
    }
}

fn databases(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "sqlite"))
        .filter(|path| path.file_name().is_some_and(|name| name != ALARMS))
        .collect()
}

fn read(file: &Path) -> Connection {
    let sql = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    sql.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    sql
}

/// The tables whose names begin like this.
fn tables(file: &Path, begin: &str) -> Vec<String> {
    let sql = read(file);
    let select = "SELECT name FROM sqlite_master WHERE type = 'table'";
    let mut query = sql.prepare(select).unwrap();
    let names = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let names = names.map(Result::unwrap);
    names.filter(|name| name.starts_with(begin)).collect()
}

/// Rows of a table; none where there is no such file or table yet.
fn count(file: &Path, table: &str) -> u64 {
    if !file.exists() {
        return 0;
    }
    let counted = read(file).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
        row.get::<_, i64>(0)
    });
    counted.map_or(0, |rows| u64::try_from(rows).unwrap())
}
