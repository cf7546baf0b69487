//! From retention to oblivion: 410, then 404, then nothing.

use raincheck::job::{JobId, JobSpec, Millis, Status, UnixMillis};
use raincheck::shard::{Found, NewJob, Purged, Sql as _};

use super::support::jobs::{DEADLINE, RETENTION, at, spec};
use super::{Bench, SETTINGS, SLACK, request, with_body, with_key};

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

#[test]
fn a_job_expires_with_its_retention_and_is_forgotten_with_its_tombstone() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.succeed(id);
    let gone = RETENTION.0 + SETTINGS.tombstone.0;
    let steps = [
        (RETENTION.0 - 1, "job"),
        (RETENTION.0, "expired"),
        (gone - 1, "expired"),
        (gone, "nothing"),
    ];
    for (millis, expected) in steps {
        bench.now = at(millis);
        assert_eq!(kind(&bench.found(id)), expected, "{millis}");
        assert_eq!(bench.count("jobs"), 1, "the row waits for company");
    }
}

#[test]
fn the_secret_is_asked_before_anything_is_told_about_an_expired_job() {
    let mut bench = Bench::new();
    let id = bench.job();
    let guess = JobId {
        secret: raincheck::job::Secret::from_random([1; 16]),
        ..id
    };
    bench.later(RETENTION.0);
    assert_eq!(kind(&bench.found(guess)), "nothing");
}

#[test]
fn an_expired_job_can_be_neither_canceled_nor_purged() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.succeed(id);
    bench.later(RETENTION.0);
    let before = bench.dump();
    assert_eq!(
        kind(&bench.shard.cancel(&id, bench.now, 0).unwrap()),
        "expired"
    );
    assert_eq!(kind(&bench.shard.purge(&id, bench.now).unwrap()), "expired");
    assert_eq!(bench.dump(), before);
}

#[test]
fn nothing_is_left_of_a_job_after_its_tombstone_and_the_slack() {
    let mut bench = Bench::new();
    let id = bench.accept(NewJob {
        payload: with_body().payload,
        ..with_key("k", "f")
    });
    bench.succeed(id);
    let last = bench.shard.wake_at().unwrap();
    assert_eq!(last, at(RETENTION.0).plus(SETTINGS.tombstone).plus(SLACK));
    bench.now = last;
    bench.ring();
    assert_eq!(
        [
            bench.count("jobs"),
            bench.count("keys"),
            bench.count("sweeps")
        ],
        [0; 3]
    );
    assert_eq!(bench.shard.wake_at(), None, "and no alarm stands");
    bench.reopen();
    assert_eq!(bench.shard.wake_at(), None);
}

#[test]
fn rows_go_class_by_class_and_no_class_waits_for_another() {
    let mut bench = Bench::new();
    let long = bench.accept(of_class(RETENTION.0 * 10));
    let short = bench.accept(of_class(RETENTION.0));
    let long_again = bench.accept(of_class(RETENTION.0 * 10));
    let short_again = bench.accept(of_class(RETENTION.0));
    for id in [long, short, long_again, short_again] {
        bench.succeed(id);
    }
    bench.later(RETENTION.0 + SETTINGS.tombstone.0 + SLACK.0);
    bench.ring();
    assert_eq!(bench.count("jobs"), 2);
    assert_eq!(bench.record(long).status(), Status::Succeeded);
    assert_eq!(bench.record(long_again).status(), Status::Succeeded);
    let next = at(RETENTION.0 * 10).plus(SETTINGS.tombstone);
    assert!(bench.shard.wake_at().unwrap() >= next);
}

#[test]
fn only_what_is_due_goes_and_the_next_look_is_for_the_next_row() {
    let mut bench = Bench::new();
    let first = bench.job();
    bench.succeed(first);
    bench.later(RETENTION.0 / 2);
    let second = bench.job();
    bench.succeed(second);
    bench.now = bench.shard.wake_at().unwrap();
    bench.ring();
    assert_eq!(bench.count("jobs"), 1);
    let due = at(RETENTION.0 / 2 + RETENTION.0)
        .plus(SETTINGS.tombstone)
        .plus(SLACK);
    assert_eq!(bench.shard.wake_at(), Some(due));
}

#[test]
fn the_alarm_for_an_older_row_leaves_a_younger_one_its_tombstone() {
    let mut bench = Bench::new();
    let first = bench.job();
    bench.succeed(first);
    bench.later(SLACK.0 + 1);
    let second = bench.job();
    bench.succeed(second);
    bench.now = bench.shard.wake_at().unwrap();
    bench.ring();
    assert!(matches!(bench.found(first), Found::Nothing));
    assert!(matches!(bench.found(second), Found::Expired));
}

#[test]
fn many_rows_go_in_bounded_steps_that_all_make_progress() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..1_000).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    bench.later(DEADLINE.0);
    bench.ring();
    bench.later(RETENTION.0 * 2);
    let steps: Vec<usize> = (0..4).map(|_| bench.expire()).collect();
    assert_eq!(steps, [256, 256, 256, 232]);
    assert_eq!(bench.count("jobs"), 0);
    // One more look finds the class empty.
    bench.ring();
    assert_eq!(bench.shard.wake_at(), None);
}

#[test]
fn a_restart_finds_when_the_next_row_expires() {
    let mut bench = Bench::new();
    for retention in [RETENTION.0 * 10, RETENTION.0] {
        let id = bench.accept(of_class(retention));
        bench.succeed(id);
    }
    let next = bench.shard.wake_at();
    assert_eq!(
        next,
        Some(at(RETENTION.0).plus(SETTINGS.tombstone).plus(SLACK))
    );
    bench.reopen();
    assert_eq!(bench.shard.wake_at(), next);
}

#[test]
fn many_rows_of_one_class_that_have_gone_hide_none_of_another() {
    let mut bench = Bench::new();
    let long = of_class(RETENTION.0 * 10);
    let kept = bench.accept(long.clone());
    bench.succeed(kept);
    bench.accept(NewJob {
        spec: JobSpec {
            deadline: long.spec.retention,
            ..long.spec
        },
        ..long
    });
    let group: Vec<NewJob> = (0..1_100).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    bench.later(RETENTION.0 * 2);
    bench.ring();
    assert_eq!(bench.count("jobs"), 2);
    bench.reopen();
    assert_eq!(bench.shard.active(), 1, "the one that has not ended");
    bench.later(RETENTION.0 * 10);
    bench.ring();
    assert_eq!(bench.count("jobs"), 0);
}

#[test]
fn a_job_after_many_that_are_forgotten_lives_as_long_as_they_did() {
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

/// A shard whose jobs have ended: two of a short retention, and between them many of a long one.
fn rare_among_many() -> Bench {
    let mut bench = Bench::new();
    bench.job();
    let long = of_class(RETENTION.0 * 10);
    for _ in 0..12 {
        let group: Vec<NewJob> = (0..1_000).map(|_| long.clone()).collect();
        bench.shard.accept(&group, bench.now).unwrap();
    }
    bench.job();
    bench.sql.run("UPDATE jobs SET active = 0", &[]).unwrap();
    bench.reopen();
    bench
}

#[test]
fn an_alarm_does_not_read_all_rows_to_find_the_few_of_a_class() {
    let mut bench = rare_among_many();
    bench.sql.steps_at_once.set(0);
    assert_eq!(bench.count("jobs WHERE class < 0"), 0);
    let all = bench.sql.steps_at_once.replace(0);
    bench.later(RETENTION.0 * 2);
    bench.ring();
    assert_eq!(bench.count("jobs WHERE key IN (1, 12002)"), 0);
    let most = bench.sql.steps_at_once.replace(0);
    assert!(
        most * 3 < all * 2,
        "{most} steps; to look at every row takes {all}"
    );
    bench.later(RETENTION.0 * 10);
    bench.ring();
    assert_eq!(bench.count("jobs"), 0);
}

#[test]
fn a_start_does_not_read_all_rows_to_find_a_class_that_has_none_left() {
    let mut bench = rare_among_many();
    let short = "DELETE FROM jobs WHERE key IN (1, 12002)";
    bench.sql.run(short, &[]).unwrap();
    assert_eq!(bench.count("jobs WHERE class < 0"), 0);
    let all = bench.sql.steps_at_once.replace(0);
    bench.reopen();
    bench.ring();
    let most = bench.sql.steps_at_once.replace(0);
    assert!(
        most * 3 < all * 2,
        "{most} steps; to look at every row takes {all}"
    );
    let next = at(RETENTION.0 * 10).plus(SETTINGS.tombstone);
    assert!(bench.shard.wake_at().unwrap() >= next);
}

#[test]
fn an_alarm_for_one_class_looks_at_no_other() {
    let mut bench = Bench::new();
    let long = bench.accept(of_class(RETENTION.0 * 10));
    bench.succeed(long);
    let short = bench.job();
    bench.succeed(short);
    bench.later(RETENTION.0 * 2);
    let looks = "SELECT key, state FROM jobs WHERE key >=";
    bench.sql.refused.set(Some((looks, Some(long.key.0))));
    bench.ring();
    assert_eq!(bench.count("jobs"), 1);
}

/// A job that succeeded when the clock ran ahead, and one from after it went back.
fn ahead_and_behind() -> Bench {
    let mut bench = Bench::new();
    for millis in [1_000_000_000, 0] {
        bench.now = at(millis);
        let id = bench.job();
        bench.succeed(id);
    }
    bench
}

#[test]
fn a_row_from_when_the_clock_ran_ahead_does_not_shield_the_rows_behind_it() {
    let mut bench = ahead_and_behind();
    bench.later(RETENTION.0 / 2);
    let young = bench.job();
    bench.succeed(young);
    let gone = Millis(RETENTION.0 + SETTINGS.tombstone.0 + SLACK.0);
    for (created, left) in [(0, 2), (RETENTION.0 / 2, 1), (1_000_000_000, 0)] {
        let due = at(created).plus(gone);
        assert_eq!(bench.shard.wake_at(), Some(due), "{left}");
        bench.now = due;
        bench.ring();
        assert_eq!(bench.count("jobs"), left);
    }
}

#[test]
fn after_a_restart_the_next_job_takes_the_shielded_rows_along() {
    let mut bench = ahead_and_behind();
    bench.reopen();
    let next = bench.job();
    bench.succeed(next);
    bench.now = bench.shard.wake_at().unwrap();
    bench.ring();
    assert_eq!(bench.count("jobs"), 1);
}

#[test]
fn a_clock_that_goes_back_brings_nothing_back_and_ends_nothing_early() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.succeed(id);
    bench.now = UnixMillis(1);
    assert_eq!(kind(&bench.found(id)), "job");
    assert_eq!(bench.expire(), 0);
    let tick = bench.tick();
    assert_eq!((tick.sends.len(), tick.sweeps.len()), (0, 0));
    bench.now = at(RETENTION.0);
    assert_eq!(kind(&bench.found(id)), "expired");
}

#[test]
fn a_year_ahead_everything_goes_cleanly() {
    let mut bench = Bench::new();
    bench.accept(with_key("a", "1"));
    let running = bench.job();
    bench.claim(running);
    bench.later(365 * 86_400_000);
    bench.ring();
    assert_eq!(
        [
            bench.count("jobs"),
            bench.count("keys"),
            bench.count("sweeps")
        ],
        [0; 3]
    );
    assert_eq!((bench.shard.active(), bench.shard.wake_at()), (0, None));
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
