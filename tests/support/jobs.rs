//! Default records and plans. Each test changes what it is about.

use raincheck::job::{
    Backoff, BodyRef, IdKey, JobSpec, Lease, Millis, Plan, Priority, RECORD_VERSION, Record, State,
    UnixMillis,
};
use raincheck::shard::Settings;

/// The times of a shard.
pub const SETTINGS: Settings = Settings {
    patience: Millis(30_000),
    tombstone: Millis(60_000),
    orphan_grace: Millis(7_200_000),
};

/// When the records of the tests are accepted: a round number, so that sums can be read.
pub const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// The deadline of the tests' records, from [`START`].
pub const DEADLINE: Millis = Millis(100_000);

/// The retention of the tests' records, from [`START`].
pub const RETENTION: Millis = Millis(1_000_000);

/// The window of the tests' retention: jobs accepted in the same window expire together. One begins at
/// [`START`].
pub const WINDOW: Millis = Millis(RETENTION.0 / 16);

/// When a job that is accepted at [`START`] expires, from [`START`].
pub const LIFE: Millis = Millis(RETENTION.0 + WINDOW.0);

/// The key of the ids of the tests' shards.
pub const ID_KEY: IdKey = IdKey([7; 32]);

/// The key of the first row of a shard.
pub const FIRST: u64 = (1 << 22) + 1;

/// The token of the lease that a [`running`] record holds.
pub const TOKEN: u64 = 7;

/// How long that lease lasts, from [`START`].
pub const LEASE: Millis = Millis(10_000);

/// SHA-256 of no bytes.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A point of time after [`START`], in milliseconds.
pub fn at(millis: u64) -> UnixMillis {
    START.plus(Millis(millis))
}

/// Three attempts, a second between them, without jitter, for a request that must not be repeated.
pub fn plan() -> Plan {
    Plan {
        attempts: 3,
        backoff: Backoff {
            initial: Millis(1_000),
            factor_permille: 2_000,
            max: Millis(5_000),
            jitter_permille: 0,
        },
        retry_statuses: None,
        attempt_timeout: Millis(8_000),
        repeatable: false,
    }
}

/// A body that is kept in the row.
pub fn inline_body(len: u64) -> BodyRef {
    BodyRef {
        len,
        sha256: EMPTY_SHA256.to_owned(),
        object: None,
    }
}

/// A body that is kept in the bucket.
pub fn object_body(object: &str, len: u64) -> BodyRef {
    BodyRef {
        len,
        sha256: EMPTY_SHA256.to_owned(),
        object: Some(object.to_owned()),
    }
}

/// The request from which the tests' records were accepted.
pub fn spec() -> JobSpec {
    JobSpec {
        rule: "reports".to_owned(),
        origin: String::new(),
        priority: Priority::Normal,
        plan: plan(),
        deadline: DEADLINE,
        retention: RETENTION,
        delay: Millis(0),
        owner: String::new(),
    }
}

/// A record right after it was accepted.
pub fn queued() -> Record {
    Record {
        v: RECORD_VERSION,
        version: 1,
        spec: spec(),
        created: START,
        updated: START,
        started: None,
        expires: START.plus(RETENTION),
        attempt: 0,
        not_acted: 0,
        key: None,
        payload: Some(inline_body(4)),
        state: State::Queued { due: START },
        history: Vec::new(),
        dead_letters: 0,
        redrive_of: None,
    }
}

/// A record whose first attempt is running, under the lease [`TOKEN`].
pub fn running() -> Record {
    let lease = Lease {
        token: TOKEN,
        began: START,
        ends: START.plus(LEASE),
    };
    Record {
        version: 2,
        attempt: 1,
        started: Some(START),
        state: State::Running { lease },
        ..queued()
    }
}
