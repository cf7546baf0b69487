//! Expiry: 410, then 404, then nothing is left.

use raincheck::job::{JobId, JobSpec, Millis, RowKey, Secret, Status, StoredBody, UnixMillis};
use raincheck::shard::{Accepted, Found, NewJob, Purged};

use super::support::jobs::{DEADLINE, EMPTY_SHA256, LIFE, RETENTION, START, WINDOW, at, spec};
use super::{Bench, SETTINGS, request, with_body, with_key};

/// The longest that a forgotten partition stays in the catalogue.
const SLACK: Millis = WINDOW;

fn of_class(retention: u64) -> NewJob {
    NewJob {
        spec: JobSpec {
            retention: Millis(retention),
            ..spec()
        },

        ..request()
    }
}

fn kind<T>(found: &Found<T>) -> &'static str {
    match found {
        Found::Nothing => "nothing",
        Found::Expired => "expired",
        Found::Job(_) => "job",
    }
}

/// How many tables of jobs exist.
fn tables(bench: &Bench) -> usize {
    bench.sql.tables("jobs_").len()
}

#[test]
fn jobs_of_one_window_expire_together_and_not_before_their_retention() {
    let mut bench = Bench::new();
    for (millis, expires) in [
        (0, LIFE.0),
        (WINDOW.0 - 1, LIFE.0),
        (WINDOW.0, LIFE.0 + WINDOW.0),
    ] {
        bench.now = at(millis);
        let id = bench.job();
        assert_eq!(bench.record(id).expires, at(expires), "{millis}");
    }
    assert_eq!(tables(&bench), 2, "each window has a table");
}

#[test]
fn a_window_is_a_sixteenth_of_the_retention_from_ten_seconds_to_a_day() {
    let day = 86_400_000;
    let table = [
        (1, 10_000),
        (160_000, 10_000),
        (1_600_000, 100_000),
        (16 * day, day),
        (365 * day, day),
    ];
    for (retention, window) in table {
        let mut bench = Bench::new();
        let id = bench.accept(NewJob {
            spec: JobSpec {
                deadline: Millis(1),
                ..of_class(retention).spec
            },

            ..of_class(retention)
        });
        let kept = bench.record(id).expires.since(START).0;
        let most = retention + window;
        assert!(
            (retention + 1..=most).contains(&kept),
            "{retention}: {kept}"
        );
        bench.now = bench.record(id).expires.minus(Millis(retention));
        let next = bench.accept(of_class(retention));
        let apart = bench.record(next).expires.since(bench.record(id).expires);
        assert_eq!(apart, Millis(window), "{retention}");
    }
}

#[test]
fn a_job_expires_with_its_partition_and_is_forgotten_with_its_tombstone() {
    for rings in [false, true] {
        let mut bench = Bench::new();
        let id = bench.job();
        bench.succeed(id);
        let gone = LIFE.0 + SETTINGS.tombstone.0;
        let steps = [
            (LIFE.0 - 1, "job"),
            (LIFE.0, "expired"),
            (gone - 1, "expired"),
            (gone, "nothing"),
        ];
        for (millis, expected) in steps {
            bench.now = at(millis);
            if rings {
                bench.ring();
            }
            assert_eq!(kind(&bench.found(id)), expected, "{millis} {rings}");
        }
    }
}

/// Request, credentials, response and bodies are deleted at once; only the tombstone stays.
#[test]
fn an_expired_job_leaves_nothing_but_the_entry_of_its_partition() {
    let mut bench = Bench::new();
    let id = bench.accept(with_body());
    bench.succeed(id);
    assert_eq!(bench.shard.wake_at(), Some(at(LIFE.0)));
    bench.now = at(LIFE.0);
    bench.ring();
    assert_eq!(tables(&bench), 0);
    assert_eq!(bench.count("partitions"), 1);
    assert_eq!(kind(&bench.found(id)), "expired");
    bench.reopen();
    assert_eq!(kind(&bench.found(id)), "expired");
}

#[test]
fn the_secret_is_checked_before_an_expired_job_is_revealed() {
    let mut bench = Bench::new();
    let id = bench.job();
    let other = bench.job();
    let secret = |secret| JobId { secret, ..id };
    let beside = RowKey(other.key.0 + 1);
    let guesses = [
        secret(Secret::from_bytes([1; 16])),
        secret(other.secret),
        JobId { key: beside, ..id },
    ];
    bench.now = at(LIFE.0);
    for rings in [false, true] {
        if rings {
            bench.ring();
        }
        assert_eq!(kind(&bench.found(id)), "expired");
        for guess in guesses {
            assert_eq!(kind(&bench.found(guess)), "nothing", "{rings}");
        }
    }
}

#[test]
fn an_expired_job_can_be_neither_canceled_nor_purged() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.succeed(id);
    bench.now = at(LIFE.0);
    for rings in [false, true] {
        if rings {
            bench.ring();
        }
        let before = bench.dump();
        assert_eq!(
            kind(&bench.shard.cancel(&id, bench.now, 0).unwrap()),
            "expired"
        );
        assert_eq!(kind(&bench.shard.purge(&id, bench.now).unwrap()), "expired");
        assert_eq!(bench.dump(), before);
    }
}

#[test]
fn nothing_is_left_of_a_job_after_its_tombstone_and_the_slack() {
    let mut bench = Bench::new();
    let id = bench.accept(NewJob {
        payload: with_body().payload,
        ..with_key("k", "f")
    });
    bench.succeed(id);
    bench.now = at(LIFE.0);
    bench.ring();
    let last = at(LIFE.0).plus(SETTINGS.tombstone).plus(SLACK);
    bench.now = last;
    bench.ring();
    for table in ["jobs", "keys", "sweeps", "partitions"] {
        assert_eq!(bench.count(table), 0, "{table}");
    }
    assert_eq!(bench.sql.tables("keys_").len(), 0);
    assert_eq!(bench.shard.wake_at(), None, "and no alarm is set");
    bench.reopen();
    assert_eq!(bench.shard.wake_at(), None);
}

#[test]
fn jobs_of_one_retention_do_not_wait_for_another() {
    let mut bench = Bench::new();
    let long = bench.accept(of_class(RETENTION.0 * 10));
    let short = bench.accept(of_class(RETENTION.0));
    let long_again = bench.accept(of_class(RETENTION.0 * 10));
    let short_again = bench.accept(of_class(RETENTION.0));
    for id in [long, short, long_again, short_again] {
        bench.succeed(id);
    }
    bench.now = at(LIFE.0);
    bench.ring();
    assert_eq!(bench.count("jobs"), 2);
    assert_eq!(bench.record(long).status(), Status::Succeeded);
    assert_eq!(bench.record(long_again).status(), Status::Succeeded);
}

#[test]
fn only_the_due_partition_is_dropped_and_the_next_alarm_is_for_the_next_one() {
    let mut bench = Bench::new();
    let first = bench.job();
    bench.succeed(first);
    bench.now = at(WINDOW.0);
    let second = bench.job();
    bench.succeed(second);
    bench.now = bench.shard.wake_at().unwrap();
    bench.ring();
    assert_eq!(kind(&bench.found(first)), "expired");
    assert_eq!(bench.record(second).status(), Status::Succeeded);
    assert_eq!(bench.shard.wake_at(), Some(at(LIFE.0 + WINDOW.0)));
}

#[test]
fn one_alarm_forgets_the_partitions_of_many_windows() {
    let mut bench = Bench::new();
    for window in 0..5 {
        bench.now = at(WINDOW.0 * window);
        let id = bench.job();
        bench.succeed(id);
    }
    bench.now = at(LIFE.0 + WINDOW.0 * 4);
    bench.ring();
    assert_eq!(tables(&bench), 0);
    bench.later(SETTINGS.tombstone.0 + SLACK.0);
    let rings_before = bench.count("partitions");
    assert_eq!(bench.expire(), usize::try_from(rings_before).unwrap());
    assert_eq!(bench.count("partitions"), 0);
}

/// Accepts jobs, 128 at a time, and cancels them if they should end. Returns how many rows each table has.
fn filled(jobs: usize, they_end: bool) -> Vec<u64> {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..128).map(|_| request()).collect();
    for _ in 0..jobs / 128 {
        let accepted = bench.shard.accept(&group, bench.now).unwrap();
        for accepted in accepted.iter().filter(|_| they_end) {
            let Accepted::Created(id, ..) = accepted else {
                panic!("it is a new job: {accepted:?}");
            };
            bench.shard.cancel(id, bench.now, 0).unwrap();
        }
    }
    let tables = bench.sql.tables("jobs_").into_iter();
    let rows = tables.map(|table| bench.rows(&format!("SELECT count(*) FROM {table}"))[0][0].int());
    rows.map(Option::unwrap).collect()
}

#[test]
fn a_partition_is_bounded_in_rows() {
    assert_eq!(filled(130 * 128, true), [16_384, 256]);
}

#[test]
fn a_partition_keeps_room_for_the_results_of_its_active_jobs() {
    let rows = filled(40 * 128, false);
    assert_eq!(rows.len(), 2);
    // Their results may have 64 KiB each: 256 MiB.
    assert!(rows[0] <= 4_096, "{rows:?}");
    assert!(rows[0] > 3_500, "{rows:?}");
}

#[test]
fn a_start_keeps_room_for_the_results_of_active_jobs() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..128).map(|_| request()).collect();
    for number in 0..40 {
        if number == 20 {
            bench.reopen();
        }
        bench.shard.accept(&group, bench.now).unwrap();
    }
    let rows = bench.rows("SELECT count(*) FROM jobs_1")[0][0].int();
    assert!(rows.is_some_and(|rows| rows <= 4_096), "{rows:?}");
}

#[test]
fn a_partition_is_bounded_in_bytes() {
    let large = |bytes| NewJob {
        payload: Some(StoredBody::Inline {
            bytes: vec![0; bytes],
            sha256: EMPTY_SHA256.to_owned(),
        }),
        ..request()
    };
    for starts_anew in [false, true] {
        let mut bench = Bench::new();
        let first = bench.accept(large(60 << 20));
        assert_eq!(bench.job().key.partition(), first.key.partition());
        if starts_anew {
            bench.reopen();
        }
        // Results count as well.
        let (token, _) = bench.claim(first);
        let body = super::inline(&vec![0; 70 << 20]);
        bench.finish_with(first, token, super::ok(), body);
        assert_eq!(bench.job().key.partition(), first.key.partition() + 1);
        // The request's body is deleted when its job succeeds, which makes room.
        let second = bench.accept(large(60 << 20));
        bench.accept(large(10 << 20));
        bench.succeed(second);
        assert_eq!(bench.job().key.partition(), second.key.partition());
    }
}

#[test]
fn after_a_start_the_open_partition_is_continued() {
    let mut bench = Bench::new();
    let first = bench.job();
    bench.succeed(first);
    for _ in 0..2 {
        bench.shard.purge(&first, bench.now).unwrap();
        bench.start();
        let id = bench.job();
        assert_eq!(id.key.partition(), first.key.partition());
    }
    assert_eq!(bench.job().key, RowKey(first.key.0 + 3));
}

#[test]
fn a_partition_number_is_never_reused() {
    let mut bench = Bench::new();
    let first = bench.job();
    bench.later(RETENTION.0 * 3);
    bench.ring();
    bench.ring();
    assert_eq!(bench.count("partitions"), 0);
    bench.reopen();
    let second = bench.job();
    assert!(second.key.partition() > first.key.partition());
    assert_eq!(kind(&bench.found(first)), "nothing");
}

#[test]
fn a_restart_finds_when_the_next_partition_expires() {
    let mut bench = Bench::new();
    for retention in [RETENTION.0 * 10, RETENTION.0] {
        let id = bench.accept(of_class(retention));
        bench.succeed(id);
    }
    let next = bench.shard.wake_at();
    assert_eq!(next, Some(at(LIFE.0)));
    bench.reopen();
    assert_eq!(bench.shard.wake_at(), next);
    bench.now = at(LIFE.0);
    bench.ring();
    let next = bench.shard.wake_at();
    bench.reopen();
    assert_eq!(bench.shard.wake_at(), next, "also of its tombstone");
}

#[test]
fn a_restart_with_nothing_but_tombstones_finds_when_they_end() {
    let mut bench = Bench::new();
    let id = bench.accept(request());
    bench.succeed(id);
    bench.now = at(LIFE.0);
    bench.ring();
    let next = bench.shard.wake_at();
    assert!(next.is_some());
    bench.reopen();
    assert_eq!(bench.shard.wake_at(), next);
}

#[test]
fn a_job_is_expired_for_its_readers_before_the_alarm_drops_its_table() {
    let mut bench = Bench::new();
    let id = bench.accept(request());
    bench.succeed(id);
    bench.now = bench.record(id).expires;
    assert_eq!(kind(&bench.shard.read(&id, bench.now).unwrap()), "expired");
    assert_eq!(kind(&bench.shard.purge(&id, bench.now).unwrap()), "expired");
    bench.now = UnixMillis(bench.now.0 - 1);
    assert_eq!(kind(&bench.shard.read(&id, bench.now).unwrap()), "job");
}

#[test]
fn a_job_accepted_after_many_have_expired_is_kept_for_the_full_retention() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..1_100).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    bench.later(RETENTION.0 * 2);
    bench.ring();
    assert_eq!(bench.count("jobs"), 0);
    bench.reopen();
    let id = bench.job();
    bench.reopen();
    assert_eq!(bench.shard.active(), 1, "a restart finds it");
    bench.succeed(id);
    bench.later(RETENTION.0 * 2);
    bench.ring();
    assert_eq!(bench.count("jobs"), 0, "and so does its expiry");
}

#[test]
fn a_partition_from_a_clock_that_ran_ahead_delays_no_other() {
    let mut bench = Bench::new();
    for millis in [1_000_000_000, 0] {
        bench.now = at(millis);
        let id = bench.job();
        bench.succeed(id);
    }
    for (millis, left) in [(0, 1), (1_000_000_000, 0)] {
        bench.now = at(millis + LIFE.0);
        assert!(bench.shard.wake_at().unwrap() <= bench.now, "{left}");
        bench.ring();
        assert_eq!(bench.count("jobs"), left);
    }
}

#[test]
fn only_jobs_that_can_no_longer_be_read_are_dropped() {
    let mut bench = Bench::new();
    let (mut ids, mut latest, mut dropped) = (Vec::new(), START, 0);
    for step in 0..300 {
        // The clock leaps ahead and back while jobs are accepted.
        bench.now = at((step * 7_919_000) % (LIFE.0 * 3) + step * 10_000);
        latest = latest.max(bench.now);
        let id = bench.job();
        ids.push((bench.record(id).expires, id));
        bench.ring();
        for (expires, id) in &ids {
            let is_read = matches!(bench.found(*id), Found::Job(_));
            assert!(is_read || *expires <= latest, "step {step}");
            dropped += u64::from(!is_read);
        }
        ids.retain(|(expires, _)| *expires > latest);
    }
    assert!(dropped > 100, "{dropped}");
}

#[test]
fn a_partition_is_kept_until_its_last_millisecond_is_over() {
    let mut bench = Bench::new();
    let id = bench.job();
    let expires = bench.record(id).expires;
    bench.now = UnixMillis(expires.0 - 1);
    bench.ring();
    assert_eq!((kind(&bench.found(id)), tables(&bench)), ("job", 1));
    bench.now = expires;
    bench.ring();
    assert_eq!((kind(&bench.found(id)), tables(&bench)), ("expired", 0));
}

#[test]
fn a_clock_that_goes_back_and_forth_fills_the_same_two_partitions() {
    let mut bench = Bench::new();
    for turn in 0..10 {
        bench.now = at(if turn % 2 == 0 { WINDOW.0 } else { 0 });
        let id = bench.job();
        let kept = bench.record(id).expires.since(bench.now);
        assert!(kept >= RETENTION, "{turn}");
    }
    assert_eq!(tables(&bench), 2);
}

#[test]
fn a_clock_that_goes_back_revives_nothing_and_ends_nothing_early() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.succeed(id);
    bench.now = UnixMillis(1);
    assert_eq!(kind(&bench.found(id)), "job");
    assert_eq!(bench.expire(), 0);
    let tick = bench.tick();
    assert_eq!((tick.sends.len(), tick.sweeps.len()), (0, 0));
    bench.now = at(LIFE.0);
    bench.ring();
    bench.now = UnixMillis(1);
    assert_eq!(kind(&bench.found(id)), "expired");
}

#[test]
fn everything_expires_cleanly_when_the_clock_is_a_year_ahead() {
    let mut bench = Bench::new();
    bench.accept(with_key("a", "1"));
    let running = bench.job();
    bench.claim(running);
    bench.later(365 * 86_400_000);
    bench.ring();
    bench.ring();
    for table in ["jobs", "keys", "sweeps", "partitions"] {
        assert_eq!(bench.count(table), 0, "{table}");
    }
    assert_eq!((bench.shard.active(), bench.shard.wake_at()), (0, None));
}

#[test]
fn calls_for_a_job_of_a_dropped_partition_find_no_job() {
    let mut bench = Bench::new();
    let id = bench.job();
    let (token, _) = bench.claim(id);
    bench.now = at(LIFE.0);
    bench.ring();
    assert_eq!(bench.shard.active(), 0);
    assert!(matches!(
        bench.try_claim(id),
        raincheck::shard::Claimed::Refused(None)
    ));
    let finished = bench.try_finish(id, token, super::ok(), super::inline(b"done"));
    assert!(finished.is_none());
    assert_eq!(bench.shard.response(id.key).unwrap(), None);
    assert_eq!(bench.shard.request(id.key).unwrap(), None);
}

#[test]
fn only_a_job_that_has_ended_is_purged() {
    let mut bench = Bench::new();
    let id = bench.job();
    let purged = bench.shard.purge(&id, bench.now).unwrap();
    assert!(matches!(purged, Found::Job(Purged::StillActive)));
    bench.succeed(id);
    let purged = bench.shard.purge(&id, bench.now).unwrap();
    assert!(matches!(purged, Found::Job(Purged::Erased)));
    assert_eq!(kind(&bench.found(id)), "nothing");
    assert_eq!(kind(&bench.shard.purge(&id, bench.now).unwrap()), "nothing");
}

#[test]
fn the_row_of_a_purged_job_is_empty_and_cannot_be_found() {
    let mut bench = Bench::new();
    let id = bench.accept(with_body());
    bench.succeed(id);
    bench.shard.purge(&id, bench.now).unwrap();
    let empty = "length(secret) + length(state) + length(request) + active = 0 \
                 AND response IS NULL AND payload IS NULL AND body IS NULL";
    let sql = format!("SELECT count(*) FROM jobs_1 WHERE {empty}");
    let rows = bench.rows(&sql);
    assert_eq!(rows[0][0].int(), Some(1));
    assert!(matches!(
        bench.try_claim(id),
        raincheck::shard::Claimed::Refused(None)
    ));
    assert_eq!(bench.shard.response(id.key).unwrap(), None);
    assert_eq!(bench.shard.request(id.key).unwrap(), None);
}

#[test]
fn an_alarm_ends_active_jobs_before_it_drops_their_partition() {
    let mut bench = Bench::new();
    let id = bench.accept(NewJob {
        spec: JobSpec {
            deadline: RETENTION,
            ..spec()
        },

        ..request()
    });
    bench.now = bench.shard.wake_at().unwrap();
    while bench.now < at(RETENTION.0) {
        bench.ring();
        bench.now = bench.shard.wake_at().unwrap();
    }
    bench.ring();
    assert_eq!(bench.record(id).status(), Status::Failed);
    assert!(bench.now.plus(Millis(1)) < at(LIFE.0));
    assert!(RETENTION > DEADLINE);
}
