//! The alarm when the database fails: one failure does not block unrelated work.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use raincheck::job::{JobId, Millis, RowKey, Status, StoredBody, UnixMillis};
use raincheck::rpc::ports::Unavailable;
use raincheck::shard::{JobMessage, NewJob, Shard, ShardError, Sql as _, SqlError};
use raincheck::shard_service::alarm::{Alarmed, load, ring};

use super::support::jobs::{DEADLINE, EMPTY_SHA256, LEASE, RETENTION, at};
use super::support::sqlite::Sqlite;
use super::{Bench, request, with_object};

/// An object in which each turn is one transaction until it waits for the commit.
struct Object {
    shard: RefCell<Shard<Sqlite>>,
    sql: Sqlite,
    now: UnixMillis,
    alarm: Cell<Option<UnixMillis>>,
    alarms_set: Cell<u32>,
    refused: RefCell<Vec<String>>,
    /// It dies, or its database cannot be opened.
    opens: Opens,
}

#[derive(Clone, Copy, PartialEq)]
enum Opens {
    Well,
    Never,
    WithAnError,
}

impl Object {
    fn run(&self, statement: &str) {
        self.sql.run(statement, &[]).unwrap();
    }
}

impl Alarmed for Object {
    type Sql = Sqlite;

    fn now(&self) -> UnixMillis {
        self.now
    }

    fn random(&self, _bytes: &mut [u8]) {}

    async fn open(&self) -> Result<(), ShardError> {
        match self.opens {
            Opens::Well => Ok(()),
            Opens::Never => std::future::pending().await,
            Opens::WithAnError => Err(ShardError::Sql(SqlError("broken".to_owned()))),
        }
    }

    async fn breathe(&self) {}

    fn wake_at(&self) -> Option<UnixMillis> {
        self.shard.borrow().wake_at()
    }

    fn turn<T>(&self, act: impl FnOnce(&mut Shard<Sqlite>) -> T) -> Option<T> {
        Some(act(&mut self.shard.borrow_mut()))
    }

    async fn delete(&self, _objects: &[String]) -> Result<(), Unavailable> {
        Ok(())
    }

    fn standing(&self) -> Option<UnixMillis> {
        self.alarm.get()
    }

    async fn set_alarm(&self, at: UnixMillis) {
        self.alarm.set(Some(at));
        self.alarms_set.set(self.alarms_set.get() + 1);
    }

    async fn clear_alarm(&self) {
        self.alarm.set(None);
    }

    async fn committed(&self) {
        self.run("COMMIT");
        self.run("BEGIN");
    }

    fn unreadable(&self, _rows: usize) {}

    fn refused(&self, error: &ShardError) {
        self.refused.borrow_mut().push(error.to_string());
    }
}

fn object(bench: Bench, opens: Opens) -> Object {
    let object = Object {
        shard: RefCell::new(bench.shard),
        sql: bench.sql,
        now: bench.now,
        alarm: Cell::new(None),
        alarms_set: Cell::new(0),
        refused: RefCell::default(),
        opens,
    };
    object.run("BEGIN");
    object
}

fn ringing(object: &Object, is_retry: bool) -> Poll<Result<Vec<JobMessage>, ShardError>> {
    let ringing = pin!(ring(object, is_retry));
    ringing.poll(&mut Context::from_waker(Waker::noop()))
}

/// Fires the alarm of a bench once.
fn rung(bench: Bench) -> (Object, Vec<JobMessage>) {
    let object = object(bench, Opens::Well);
    match ringing(&object, false) {
        Poll::Ready(sends) => (object, sends.unwrap()),
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// Three repeatable jobs whose consumer is lost.
fn three_lapsed() -> (Bench, [JobId; 3]) {
    let mut bench = Bench::new();
    let mut accept = request();
    accept.spec.plan.repeatable = true;
    let ids = [0; 3].map(|_| bench.accept(accept.clone()));
    for id in ids {
        bench.claim(id);
    }
    bench.later(LEASE.0);
    (bench, ids)
}

fn keys(sends: &[JobMessage]) -> Vec<RowKey> {
    sends.iter().map(|send| send.key).collect()
}

/// The platform retries a failed alarm only a few times.
#[test]
fn an_alarm_that_failed_before_sets_the_next_one_first() {
    let (bench, _) = three_lapsed();
    let now = bench.now;
    let object = object(bench, Opens::Never);
    assert!(ringing(&object, true).is_pending());
    assert!(object.alarm.get().unwrap() > now);
}

#[test]
fn an_alarm_whose_database_cannot_be_opened_is_set_again() {
    let (bench, _) = three_lapsed();
    let now = bench.now;
    let object = object(bench, Opens::WithAnError);
    assert!(matches!(ringing(&object, false), Poll::Ready(Err(_))));
    assert!(object.alarm.get().unwrap() > now);
}

/// Each alarm that is set is billed as a row.
#[test]
fn an_alarm_sets_one_alarm_or_none_if_nothing_is_left_to_do() {
    let (bench, _) = three_lapsed();
    let (object, _) = rung(bench);
    assert_eq!(object.alarms_set.get(), 1);

    let (object, _) = rung(Bench::new());
    assert_eq!((object.alarms_set.get(), object.alarm.get()), (0, None));
}

#[test]
fn an_alarm_set_meanwhile_is_cleared_if_nothing_is_left_to_do() {
    let object = object(Bench::new(), Opens::Well);
    assert!(matches!(ringing(&object, true), Poll::Ready(Ok(_))));
    assert_eq!((object.alarms_set.get(), object.alarm.get()), (1, None));
}

#[test]
fn a_job_whose_update_fails_does_not_block_others_and_is_retried() {
    let (mut bench, [first, middle, last]) = three_lapsed();
    let refusal = Some(("UPDATE", Some(middle.key.0)));
    bench.sql.refused.set(refusal);
    let tick = bench.shard.tick(bench.now, 0);
    assert_eq!(keys(&tick.sends), [first.key, last.key]);
    assert!(tick.fault.is_some());
    assert_eq!(bench.record(middle).status(), Status::Running);
    assert!(bench.shard.wake_at().unwrap() > bench.now, "not at once");
    bench.sql.refused.set(None);
    bench.now = bench.now.plus(Millis(60_000));
    assert!(keys(&bench.tick().sends).contains(&middle.key));
    assert_eq!(bench.record(middle).status(), Status::Queued);
}

#[test]
fn an_alarm_sends_messages_and_reports_rejected_updates() {
    let (bench, [first, middle, last]) = three_lapsed();
    bench.sql.refused.set(Some(("UPDATE", Some(middle.key.0))));
    let now = bench.now;
    let (object, sends) = rung(bench);
    assert_eq!(keys(&sends), [first.key, last.key]);
    assert_eq!(*object.refused.borrow(), ["database: refused"]);
    assert!(object.alarm.get().unwrap() > now);
}

#[test]
fn expired_jobs_are_gone_even_if_the_rest_of_the_alarm_rolls_back() {
    let mut bench = Bench::new();
    let old = bench.job();
    bench.succeed(old);
    bench.later(RETENTION.0 * 2);
    let id = bench.job();
    bench.claim(id);
    bench.later(LEASE.0);
    let (object, _) = rung(bench);
    // The database was full, and rolled back everything that was not committed.
    object.run("ROLLBACK");
    let table = format!("jobs_{}", id.key.partition());
    assert_eq!(object.sql.tables("jobs_"), [table.as_str()]);
    let sql = format!("SELECT key, active FROM {table}");
    let rows = object.sql.run(&sql, &[]).unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row[0].int(), row[1].int()))
        .collect();
    assert_eq!(rows, [(Some(id.key.0), Some(1))]);
}

#[test]
fn a_failed_expiry_is_postponed_and_blocks_nothing() {
    let (mut bench, ids) = three_lapsed();
    bench.later(RETENTION.0 * 2);
    bench.sql.refused.set(Some(("DROP", None)));
    let now = bench.now;
    let (object, _) = rung(bench);
    let ended = object.shard.borrow_mut().take_ended();
    let ended: Vec<_> = ended.iter().map(|ended| ended.key).collect();
    assert_eq!(ended, ids.map(|id| id.key));
    assert_eq!(*object.refused.borrow(), ["database: refused"]);
    assert!(object.alarm.get().unwrap() > now);
    object.sql.refused.set(None);
    let again = object.alarm.get().unwrap();
    assert!(object.shard.borrow_mut().expire(again).unwrap() > 0);
    assert_eq!(object.sql.tables("jobs_").len(), 0);
}

#[test]
fn expiry_frees_space_in_a_full_shard() {
    let mut bench = Bench::new();
    bench.sql.run("PRAGMA max_page_count = 100", &[]).unwrap();
    let large = NewJob {
        payload: Some(StoredBody::Inline {
            bytes: vec![b'x'; 3_000],
            sha256: EMPTY_SHA256.to_owned(),
        }),
        ..request()
    };
    let mut count = 0;
    while bench
        .shard
        .accept(std::slice::from_ref(&large), bench.now)
        .is_ok()
    {
        count += 1;
    }
    assert!(count > 20, "{count}");
    bench.later(RETENTION.0 * 2);
    assert!(bench.expire() > 0);
    assert_eq!(bench.count("jobs"), 0);
    for _ in 0..20 {
        bench.accept(large.clone());
    }
}

/// Notes about objects cannot be written then; the objects are deleted without them.
#[test]
fn expiry_frees_space_in_a_full_shard_whose_jobs_have_objects() {
    let mut bench = Bench::new();
    bench.sql.run("PRAGMA max_page_count = 100", &[]).unwrap();
    let mut count = 0;
    loop {
        let object = format!("requests/3/{count}/{}", "x".repeat(2_000));
        let group = [with_object(&object)];
        if bench.shard.intend(&object, None, bench.now).is_err()
            || bench.shard.accept(&group, bench.now).is_err()
        {
            break;
        }
        count += 1;
    }
    assert!(count > 20, "{count}");
    bench.later(RETENTION.0 * 2);
    bench.ring();
    assert_eq!(bench.count("jobs"), 0);
    bench.accept(with_object("requests/3/y"));
}

/// A shard with many active jobs, whose object is starting.
fn starting(opens: Opens) -> Object {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..2_000).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    bench.start();
    assert_eq!(bench.shard.active(), 0);
    bench.later(DEADLINE.0);
    object(bench, opens)
}

#[test]
fn an_alarm_concludes_nothing_before_all_active_jobs_are_read() {
    let object = starting(Opens::Well);
    assert!(matches!(ringing(&object, false), Poll::Ready(Ok(_))));
    let ended = object.shard.borrow_mut().take_ended().len();
    assert_eq!((ended, object.shard.borrow().active()), (2_000, 0));
}

#[test]
fn an_alarm_is_set_while_a_start_reads_active_jobs() {
    for standing in [None, Some(at(1))] {
        let object = starting(Opens::Well);
        object.alarm.set(standing);
        let loading = pin!(load(&object));
        let done = loading.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(done, Poll::Ready(Ok(()))));
        assert_eq!(object.shard.borrow().active(), 2_000);
        assert!(object.alarm.get().is_some());
        assert_eq!(object.alarms_set.get(), u32::from(standing.is_none()));
    }
}

#[test]
fn a_start_that_cannot_read_its_jobs_sets_the_alarm_again() {
    let object = starting(Opens::Well);
    object.sql.refused.set(Some(("SELECT key, state", None)));
    assert!(matches!(ringing(&object, false), Poll::Ready(Err(_))));
    assert!(object.alarm.get().unwrap() > object.now);
}
