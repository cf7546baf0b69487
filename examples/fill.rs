//! Fills the file of a shard with jobs, for `npm run bench -- --only start`. Real accepts of a million jobs
//! would take too long, so the shard's own code writes them here, without the runtime.
//!
//! `fill FILE ENDED ACTIVE`: the file is one that the runtime created and has closed. The active jobs are
//! spread evenly among the ended ones, and the job in the middle is delayed by 30 days. All expire
//! after 31 days. Prints the number of rows and of tables.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for the benchmark, which stops at the first failure"
)]

#[allow(
    dead_code,
    reason = "this program needs only the specification of a job"
)]
#[path = "../tests/support/jobs.rs"]
mod jobs;
#[allow(dead_code, reason = "this program opens a file, and counts nothing")]
#[path = "../tests/support/sqlite.rs"]
mod sqlite;

use std::time::SystemTime;

use raincheck::http::Headers;
use raincheck::job::{JobSpec, Millis, Outcome, RowKey, StoredBody, UnixMillis};
use raincheck::rpc::head::{RequestHead, ResponseHead};
use raincheck::shard::{Accepted, Claim, Claimed, Finish, NewJob, Settings, Shard};
use rusqlite::Connection;
use sqlite::Sqlite;

/// As many as the shard commits at once under load.
const GROUP: u64 = 128;
/// Groups of one transaction of the file.
const GROUPS_PER_COMMIT: u64 = 64;

const DAY: Millis = Millis::from_secs(86_400);
const RETENTION: Millis = Millis(31 * DAY.0);
const DELAY: Millis = Millis(30 * DAY.0);
const LEASE: Millis = Millis::from_secs(60);

/// Bytes of a request's and of a response's body.
const BODY_BYTES: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, ended, active] = arguments.as_slice() else {
        panic!("usage: fill FILE ENDED ACTIVE");
    };
    let (ended, active): (u64, u64) = (ended.parse().unwrap(), active.parse().unwrap());
    let connection = Connection::open(file).unwrap();
    // A lost file is filled again.
    connection
        .execute_batch("PRAGMA synchronous = OFF")
        .unwrap();
    let database = Sqlite::over(connection);
    let mut filling = Filling::new(database.clone());
    let rows = ended + active + 1;
    let every = ended / active.max(1) + 1;
    let kind = |row: u64| match row {
        row if row == rows / 2 => Kind::Delayed,
        row if row % every == 0 => Kind::Queued,
        _ => Kind::Ended,
    };
    let mut next = 0;
    while next < rows {
        database.execute("BEGIN").unwrap();
        for _ in 0..GROUPS_PER_COMMIT {
            let end = rows.min(next + GROUP);
            filling.group((next..end).map(kind));
            next = end;
        }
        database.execute("COMMIT").unwrap();
    }
    let tables = database.tables("jobs_").len();
    println!("{rows} rows in {tables} tables");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ended,
    Queued,
    Delayed,
}

struct Filling {
    shard: Shard<Sqlite>,
    now: UnixMillis,
    request: String,
    response: String,
    body: StoredBody,
}

impl Filling {
    fn new(database: Sqlite) -> Self {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let settings = Settings {
            patience: Millis::from_secs(30),
            tombstone: DAY,
            orphan_grace: DAY,
        };
        let headers = |more: &str| {
            Headers::from_iter([
                ("content-type", "application/json"),
                ("accept", "*/*"),
                ("user-agent", "raincheck-bench"),
                ("x-padding", more),
            ])
        };
        let request = RequestHead {
            v: 1,
            method: "POST".to_owned(),
            target: "/reports".to_owned(),
            headers: headers("request"),
            key: None,
        };
        let response = ResponseHead {
            v: 1,
            status: 200,
            headers: headers("response"),
            length_unverified: false,
            to_head: false,
        };
        Self {
            shard: Shard::open(database, None, settings, jobs::ID_KEY).unwrap(),
            now: UnixMillis(u64::try_from(since_1970.as_millis()).unwrap()),
            request: serde_json::to_string(&request).unwrap(),
            response: serde_json::to_string(&response).unwrap(),
            body: StoredBody::Inline {
                bytes: vec![b'x'; BODY_BYTES],
                sha256: jobs::EMPTY_SHA256.to_owned(),
            },
        }
    }

    /// Accepts jobs in one commit, and runs those that are to be ended.
    fn group(&mut self, kinds: impl Iterator<Item = Kind>) {
        let kinds: Vec<Kind> = kinds.collect();
        let group: Vec<NewJob> = kinds.iter().map(|kind| self.job(*kind)).collect();
        let accepted = self.shard.accept(&group, self.now).unwrap();
        for (answer, kind) in accepted.iter().zip(kinds) {
            let Accepted::Created(id, ..) = answer else {
                panic!("not accepted: {answer:?}");
            };
            if kind == Kind::Ended {
                self.run(id.key);
            }
        }
        self.shard.take_ended();
    }

    fn job(&self, kind: Kind) -> NewJob {
        let delay = if kind == Kind::Delayed {
            DELAY
        } else {
            Millis(0)
        };
        NewJob {
            nonce: [1; 8],
            spec: JobSpec {
                deadline: RETENTION,
                retention: RETENTION,
                delay,
                ..jobs::spec()
            },
            key: None,
            request: self.request.clone(),
            payload: Some(self.body.clone()),
            redrive_of: None,
        }
    }

    /// The one attempt of a job, which succeeds.
    fn run(&mut self, key: RowKey) {
        let claim = Claim {
            key,
            token: jobs::TOKEN,
            lease: LEASE,
            unsent: Vec::new(),
        };
        let (claimed, _) = self.shard.claim(&claim, self.now, 0, |_| Some(())).unwrap();
        assert!(matches!(claimed, Claimed::Granted(_)), "{claimed:?}");
        let finish = Finish {
            key,
            token: jobs::TOKEN,
            outcome: Outcome::Responded {
                status: 200,
                retry_after: None,
            },
            response: Some((self.response.clone(), self.body.clone())),
        };
        let finished = self.shard.finish(&finish, self.now, 0).unwrap();
        assert!(
            finished.as_ref().is_some_and(|done| done.kept),
            "{finished:?}"
        );
    }
}
