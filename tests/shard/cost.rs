//! What a job costs in rows written: the largest part of its price.

use raincheck::job::{JobSpec, Millis, Outcome};
use raincheck::shard::{Accepted, NewJob, Sql as _};

use super::support::jobs::{LEASE, RETENTION, spec};
use super::{Bench, request, with_body, with_key, with_object};

fn long() -> NewJob {
    let retention = Millis(RETENTION.0 * 100);
    NewJob {
        spec: JobSpec {
            deadline: retention,
            retention,
            ..spec()
        },
        ..request()
    }
}

/// Rows written by a whole successful life, after the shard has seen its first job.
fn rows_of_a_life(accept: NewJob) -> u64 {
    let mut bench = Bench::new();
    bench.job();
    bench.sql.rows_written.set(0);
    let id = bench.accept(accept);
    bench.succeed(id);
    bench.later(RETENTION.0 + 1_000_000);
    let before = bench.count("jobs");
    let others = bench.sql.rows_written.get();
    bench.ring();
    assert_eq!((before, bench.count("jobs")), (2, 0));
    // The first job costs the alarm a row of its own: its deletion.
    others + (bench.sql.rows_written.get() - others) - 1
}

#[test]
fn a_successful_job_costs_four_rows() {
    assert_eq!(rows_of_a_life(request()), 4);
    assert_eq!(rows_of_a_life(with_body()), 4);
}

#[test]
fn a_key_costs_two_rows_more() {
    assert_eq!(rows_of_a_life(with_key("k", "f")), 6);
}

#[test]
fn an_object_costs_the_notes_that_delete_it() {
    let rows = rows_of_a_life(with_object("requests/3/x"));
    assert_eq!(
        rows, 8,
        "four, the note before the upload, the note at success, and taking them back"
    );
}

#[test]
fn the_first_job_of_a_retention_writes_one_note_and_later_ones_none() {
    let mut bench = Bench::new();
    bench.job();
    assert_eq!(bench.sql.rows_written.replace(0), 2);
    bench.job();
    assert_eq!(bench.sql.rows_written.replace(0), 1);
    bench.accept(NewJob {
        spec: JobSpec {
            retention: Millis(RETENTION.0 * 2),
            ..spec()
        },
        ..request()
    });
    assert_eq!(bench.sql.rows_written.replace(0), 2);
}

#[test]
fn a_group_of_plain_requests_is_one_statement() {
    let mut bench = Bench::new();
    bench.job();
    bench.sql.fail_after.set(Some(1));
    let group = [request(), with_body(), request()];
    assert_eq!(
        bench.shard.accept(&group, bench.now).unwrap().len(),
        group.len()
    );
}

#[test]
fn a_large_group_of_plain_requests_takes_a_statement_for_every_sixteen() {
    let mut bench = Bench::new();
    bench.job();
    bench.sql.fail_after.set(Some(3));
    let group: Vec<NewJob> = (0..48).map(|_| request()).collect();
    let accepted = bench.shard.accept(&group, bench.now).unwrap();
    let keys: Vec<u64> = accepted
        .iter()
        .filter_map(|accepted| match accepted {
            Accepted::Created(id, ..) => Some(id.key.0),
            _ => None,
        })
        .collect();
    assert_eq!(
        keys,
        (2..50).collect::<Vec<_>>(),
        "in the order of the requests"
    );
}

#[test]
fn a_refused_claim_report_or_renewal_writes_nothing() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.claim(id);
    bench.sql.rows_written.set(0);
    bench.try_claim(id);
    let stale = bench.finish(id, 1, Outcome::Unreachable);
    assert!(stale.refused.is_some());
    let renewal = raincheck::shard::Claim {
        key: id.key,
        token: 1,
        lease: LEASE,
        unsent: None,
    };
    assert_eq!(bench.shard.renew(&renewal, bench.now, 0).unwrap().0, None);
    assert_eq!(bench.sql.rows_written.get(), 0);
}

#[test]
fn reading_and_ringing_with_nothing_to_do_write_nothing() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.sql.rows_written.set(0);
    bench.record(id);
    bench.tick();
    bench.later(30_000);
    assert_eq!(bench.tick().sends.len(), 1, "a lost message is sent again");
    assert_eq!(
        bench.sql.rows_written.get(),
        0,
        "and that is remembered in memory only"
    );
}

#[test]
fn the_settled_mark_moves_rarely_and_then_spares_the_next_start_the_old_rows() {
    let mut bench = Bench::new();
    let count = 2_000;
    for _ in 0..count {
        let id = bench.accept(long());
        bench.shard.cancel(&id, bench.now, 0).unwrap();
    }
    // A short-lived job lets the expiry come by and look.
    let id = bench.job();
    bench.succeed(id);
    bench.sql.rows_written.set(0);
    bench.later(RETENTION.0 + 1_000_000);
    bench.ring();
    assert_eq!(
        bench.sql.rows_written.get(),
        2,
        "one row expired, one note moved"
    );
    let meta = bench.sql.clone();
    let rows = meta.run("SELECT value FROM meta", &[]).unwrap();
    let mark = format!("\"settled\":{}", count + 2);
    assert!(rows[0][0].text().unwrap().contains(&mark), "{rows:?}");
    bench.reopen();
    assert!(bench.job().key.0 > count, "and keys go on above it");
    let beneath = "UPDATE jobs SET active = 1, state = '{' WHERE key = 1";
    bench.sql.run(beneath, &[]).unwrap();
    bench.reopen();
    assert_eq!(bench.shard.active(), 1, "what is beneath it is not read");
}

#[test]
fn a_start_that_finds_many_ended_jobs_writes_one_note_and_spares_them_the_next_one() {
    let mut bench = Bench::new();
    let count = 2_000;
    for _ in 0..count {
        let id = bench.accept(long());
        bench.shard.cancel(&id, bench.now, 0).unwrap();
    }
    for notes in [1, 0] {
        bench.sql.rows_written.set(0);
        bench.reopen();
        assert_eq!(bench.sql.rows_written.get(), notes);
    }
    let ended = "UPDATE jobs SET active = 1, state = '{' WHERE key <= 2000";
    bench.sql.run(ended, &[]).unwrap();
    bench.reopen();
    assert_eq!(bench.shard.active(), 0, "what has ended is not read");
    assert!(bench.job().key.0 > count);
}

#[test]
fn a_start_whose_note_is_refused_serves_all_the_same() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..2_000).map(|_| long()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    let ended = "UPDATE jobs SET active = 0 WHERE key < 2000";
    bench.sql.run(ended, &[]).unwrap();
    bench.sql.refused.set(Some(("INSERT", None)));
    bench.reopen();
    assert_eq!(bench.shard.active(), 1);
}

#[test]
fn a_mark_that_would_spare_little_is_not_moved() {
    let mut bench = Bench::new();
    bench.accept(long());
    for _ in 0..1_100 {
        let id = bench.accept(long());
        bench.shard.cancel(&id, bench.now, 0).unwrap();
    }
    // The first of a class of its own, so nothing before it has to be spared.
    let id = bench.job();
    bench.succeed(id);
    bench.later(RETENTION.0 + 1_000_000);
    bench.sql.rows_written.set(0);
    bench.ring();
    assert_eq!(bench.sql.rows_written.get(), 1, "only the row that expired");
}

#[test]
fn a_start_reads_no_job_that_has_ended() {
    let mut bench = Bench::new();
    let succeeded = bench.accept(with_body());
    bench.succeed(succeeded);
    let canceled = bench.job();
    bench.shard.cancel(&canceled, bench.now, 0).unwrap();
    let failed = bench.job();
    let (token, _) = bench.claim(failed);
    bench.finish(failed, token, Outcome::TooLarge);
    bench.job();
    assert_eq!(bench.count("jobs"), 4);
    assert_eq!(bench.count("jobs WHERE active = 1"), 1);
}
