//! Defects of the shard that the simulation has found, each with the shortest way to reproduce it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

#[path = "support/sqlite.rs"]
#[expect(clippy::arithmetic_side_effects, reason = "shared")]
mod sqlite;

use raincheck::job::{
    Backoff, BodyRef, IdKey, JobId, JobSpec, Millis, Plan, Priority, StoredBody, UnixMillis,
};
use raincheck::shard::{Accepted, NewJob, Param, Settings, Shard};
use sqlite::Sqlite;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const MINUTE: Millis = Millis(60_000);
const HOUR: Millis = Millis(3_600_000);
const DAY: Millis = Millis(86_400_000);

fn open(sql: &Sqlite) -> Shard<Sqlite> {
    open_as(sql, Some(0))
}

fn open_as(sql: &Sqlite, number: Option<u16>) -> Shard<Sqlite> {
    let settings = Settings {
        patience: MINUTE,
        tombstone: MINUTE,
        orphan_grace: HOUR,
    };
    Shard::open(sql.clone(), number, settings, IdKey([7; 32])).expect("the shard opens")
}

fn accept(shard: &mut Shard<Sqlite>, now: UnixMillis) -> JobId {
    accept_with(shard, now, None)
}

fn accept_with(shard: &mut Shard<Sqlite>, now: UnixMillis, payload: Option<StoredBody>) -> JobId {
    let backoff = Backoff {
        initial: MINUTE,
        factor_permille: 2000,
        max: HOUR,
        jitter_permille: 0,
    };
    let wish = NewJob {
        nonce: [7; 8],
        spec: JobSpec {
            rule: "rule".to_owned(),
            origin: String::new(),
            priority: Priority::Normal,
            plan: Plan {
                attempts: 1,
                backoff,
                retry_statuses: None,
                attempt_timeout: MINUTE,
                repeatable: false,
            },
            deadline: HOUR,
            retention: HOUR,
            delay: Millis(0),
            owner: String::new(),
        },
        key: None,
        request: "{}".to_owned(),
        payload,
        redrive_of: None,
    };
    match shard.accept(&[wish], now).expect("it is stored").pop() {
        Some(Accepted::Created(id, ..)) => id,
        other => panic!("{other:?}"),
    }
}

/// Rewrites every row in another version, as another build would.
fn rewrite(sql: &Sqlite, from: &str, to: &str) {
    let params = [Param::Text(from), Param::Text(to)];
    sql.in_all_jobs("UPDATE {} SET state = replace(state, ?, ?)", &params);
}

#[test]
fn an_expired_row_that_cannot_be_read_is_checked_again() {
    let sql = Sqlite::in_memory();
    let mut shard = open(&sql);
    let object = "requests/0/x";
    shard.intend(object, None, NOW).expect("it is noted");
    let body = BodyRef {
        len: 1,
        sha256: String::new(),
        object: Some(object.to_owned()),
    };
    accept_with(&mut shard, NOW, Some(StoredBody::Object(body)));
    rewrite(&sql, "\"v\":1", "\"v\":2");
    let later = NOW.plus(DAY);
    assert_eq!(shard.expire(later).expect("it goes on"), 1);
    let tick = shard.tick(later, 0);
    assert_eq!((tick.sweeps.len(), tick.unreadable), (0, 1));
    let again = shard.wake_at().expect("an alarm stands");
    assert!(again > later, "not at once");
    rewrite(&sql, "\"v\":2", "\"v\":1");
    let tick = shard.tick(again, 0);
    assert_eq!(tick.sweeps.len(), 1);
    shard.swept(&tick.sweeps).expect("it is stored");
    // The table, and its line in the catalogue.
    assert_eq!(shard.expire(again).expect("it goes on"), 2);
    assert_eq!(shard.wake_at(), None);
}

#[test]
fn a_shard_that_an_alarm_opened_before_its_first_job_knows_its_number() {
    let sql = Sqlite::in_memory();
    let mut shard = open_as(&sql, Some(5));
    shard
        .intend("requests/5/x", None, NOW)
        .expect("it is noted");
    let mut again = open_as(&sql, None);
    again.tick(NOW.plus(HOUR), 0);
    let id = accept(&mut again, NOW.plus(HOUR));
    assert_eq!(id.shard, 5, "an id that names another shard finds nothing");
}
