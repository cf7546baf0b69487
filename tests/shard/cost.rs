//! What a job costs in rows written: the largest part of its price.

use raincheck::job::{JobSpec, Millis, Outcome, StoredBody};
use raincheck::shard::{Accepted, NewJob, Sql as _};

use super::support::jobs::{DEADLINE, FIRST, LEASE, LIFE, RETENTION, WINDOW, at, spec};
use super::{Bench, request, with_body, with_key, with_object};

/// Rows written by a whole successful job in an existing partition. The first job of the partition pays for that one.
fn rows_of_a_life(accept: &NewJob) -> u64 {
    let mut bench = Bench::new();
    let long = NewJob {
        spec: JobSpec {
            retention: Millis(RETENTION.0 * 10),
            ..spec()
        },

        ..request()
    };
    for company in [accept, &long] {
        let id = bench.accept(company.clone());
        bench.succeed(id);
    }
    bench.ring();
    bench.sql.rows_written.set(0);
    let mut again = accept.clone();
    if let Some(key) = &mut again.key {
        key.hash.push('2');
    }
    if let Some(StoredBody::Object(body)) = &mut again.payload {
        body.object = Some("requests/3/y".to_owned());
    }
    let id = bench.accept(again);
    bench.succeed(id);
    bench.ring();
    let rows = bench.sql.rows_written.replace(0);
    bench.now = at(LIFE.0);
    let (before, partitions) = (bench.count("jobs"), bench.count("partitions"));
    bench.ring();
    assert_eq!((before, bench.count("jobs")), (3, 1));
    // The end of a partition costs one row, whatever its contents.
    assert_eq!(bench.count("partitions"), partitions);
    assert_eq!(bench.sql.rows_written.get(), expiry_of(accept));
    rows
}

/// Rows that the expiry of a partition costs: the change of its phase, twice where it has objects.
fn expiry_of(accept: &NewJob) -> u64 {
    if matches!(accept.payload, Some(StoredBody::Object(_))) {
        2
    } else {
        1
    }
}

#[test]
fn a_successful_job_costs_three_rows() {
    assert_eq!(rows_of_a_life(&request()), 3);
    assert_eq!(rows_of_a_life(&with_body()), 3);
}

#[test]
fn a_key_costs_one_row_more() {
    assert_eq!(rows_of_a_life(&with_key("k", "f")), 4);
}

#[test]
fn an_object_costs_the_notes_that_delete_it() {
    let rows = rows_of_a_life(&with_object("requests/3/x"));
    assert_eq!(
        rows, 7,
        "three, the note before the upload, the note at success, and taking them back"
    );
}

/// The budget of a job in an existing partition, without alarms, which the benchmark counts.
#[test]
fn a_thousand_jobs_of_a_day_cost_at_most_3_1_rows_each() {
    let mut bench = Bench::new();
    let day = Millis(86_400_000);
    let accept = NewJob {
        spec: JobSpec {
            retention: day,
            ..spec()
        },

        ..request()
    };
    for minute in 0..1_000 {
        bench.now = at(minute * 60_000);
        let id = bench.accept(accept.clone());
        bench.succeed(id);
        bench.tick();
    }
    bench.later(3 * day.0);
    bench.ring();
    assert_eq!(bench.count("partitions"), 0);
    let rows = bench.sql.rows_written.get();
    assert!((3_000..=3_100).contains(&rows), "{rows}");
}

#[test]
fn the_first_job_of_a_window_opens_its_partition_and_later_ones_write_their_rows_only() {
    let mut bench = Bench::new();
    bench.job();
    assert_eq!(
        bench.sql.rows_written.replace(0),
        6 + 1 + 3 + 1,
        "the tables of the shard, its notes, the partition, the job"
    );
    bench.job();
    assert_eq!(bench.sql.rows_written.replace(0), 1);
    let other = NewJob {
        spec: JobSpec {
            retention: Millis(RETENTION.0 * 2),
            ..spec()
        },

        ..request()
    };
    bench.accept(other.clone());
    assert_eq!(bench.sql.rows_written.replace(0), 4);
    bench.accept(other);
    assert_eq!(bench.sql.rows_written.replace(0), 1);
}

#[test]
fn a_group_of_two_retentions_is_a_statement_for_each() {
    let mut bench = Bench::new();
    let other = NewJob {
        spec: JobSpec {
            retention: Millis(RETENTION.0 * 2),
            ..spec()
        },

        ..request()
    };
    bench.job();
    bench.accept(other.clone());
    bench.sql.fail_after.set(Some(2));
    let group = [request(), other.clone(), request(), other];
    let accepted = bench.shard.accept(&group, bench.now).unwrap();
    let partitions: Vec<u32> = accepted
        .iter()
        .filter_map(|accepted| match accepted {
            Accepted::Created(id, ..) => Some(id.key.partition()),
            _ => None,
        })
        .collect();
    assert_eq!(partitions, [1, 2, 1, 2]);
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
fn a_large_group_of_plain_requests_takes_a_statement_for_every_twenty() {
    let mut bench = Bench::new();
    bench.job();
    bench.sql.fail_after.set(Some(3));
    let group: Vec<NewJob> = (0..60).map(|_| request()).collect();
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
        (FIRST + 1..FIRST + 61).collect::<Vec<_>>(),
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
        unsent: Vec::new(),
    };
    assert_eq!(bench.shard.renew(&renewal, bench.now, 0).unwrap().0, None);
    assert_eq!(bench.sql.rows_written.get(), 0);
}

#[test]
fn reads_and_idle_alarms_write_nothing() {
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
        "and only memory records that"
    );
}

/// A shard whose first partition is over and full of jobs that have ended.
fn ended(count: usize) -> Bench {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..count).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    bench.now = at(DEADLINE.0);
    bench.ring();
    assert_eq!(bench.shard.active(), 0);
    bench.sql.rows_written.set(0);
    bench
}

#[test]
fn a_partition_whose_jobs_have_ended_is_marked_once_and_no_start_reads_it() {
    let mut bench = ended(1_100);
    bench.tick();
    assert_eq!(bench.sql.rows_written.get(), 0, "it was marked before");
    assert_eq!(
        bench.rows("SELECT phase FROM partitions")[0][0].int(),
        Some(1)
    );
    bench.start();
    assert!(bench.shard.is_loaded());
    let id = bench.job();
    assert_eq!(
        id.key.partition(),
        2,
        "and the full partition takes no more jobs"
    );
}

#[test]
fn a_mark_that_would_save_little_is_not_written() {
    let mut bench = ended(1_000);
    bench.tick();
    assert_eq!(
        bench.rows("SELECT phase FROM partitions")[0][0].int(),
        Some(0)
    );
    bench.start();
    assert!(!bench.shard.is_loaded());
}

#[test]
fn a_partition_that_may_take_jobs_or_holds_an_active_one_is_not_marked() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..1_100).map(|_| request()).collect();
    let accepted = bench.shard.accept(&group, bench.now).unwrap();
    for accepted in &accepted[1..] {
        if let Accepted::Created(id, ..) = accepted {
            bench.shard.cancel(id, bench.now, 0).unwrap();
        }
    }
    for millis in [0, WINDOW.0 - 1, WINDOW.0, WINDOW.0 * 2] {
        bench.now = at(millis);
        bench.shard.tick(bench.now, 0);
        let phase = bench.rows("SELECT phase FROM partitions")[0][0].int();
        let is_open = millis < DEADLINE.0;
        assert_eq!(phase, Some(u64::from(!is_open)), "{millis}");
    }
}

#[test]
fn a_rejected_mark_blocks_nothing_and_is_retried() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..1_100).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    bench.sql.run("UPDATE jobs_1 SET active = 0", &[]).unwrap();
    bench.now = at(WINDOW.0);
    bench.reopen();
    bench.sql.refused.set(Some(("UPDATE partitions", None)));
    assert!(bench.shard.tick(bench.now, 0).fault.is_some());
    bench.sql.refused.set(None);
    bench.tick();
    assert_eq!(
        bench.rows("SELECT phase FROM partitions")[0][0].int(),
        Some(1)
    );
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
