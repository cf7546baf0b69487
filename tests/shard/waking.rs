//! The schedule: what becomes due, when, and how often a message is sent again.

use raincheck::job::{JobSpec, Millis, Outcome, Refusal, Status};
use raincheck::shard::{Claim, Claimed, Finish, NewJob};

use super::support::jobs::{DEADLINE, LEASE, at, spec};
use super::{Bench, SETTINGS, any_head, ok, request};

fn long_lived() -> NewJob {
    let retention = Millis(1_000_000_000);
    NewJob {
        spec: JobSpec {
            deadline: retention,
            retention,
            ..spec()
        },
        ..request()
    }
}

#[test]
fn an_empty_shard_needs_no_alarm() {
    assert_eq!(Bench::new().shard.wake_at(), None);
}

#[test]
fn a_queued_job_is_sent_again_when_nobody_claimed_it_in_time() {
    let mut bench = Bench::new();
    let id = bench.job();
    assert_eq!(bench.shard.wake_at(), Some(at(SETTINGS.patience.0)));
    bench.now = at(SETTINGS.patience.0 - 1);
    assert!(bench.tick().sends.is_empty());
    bench.now = at(SETTINGS.patience.0);
    let sends = bench.tick().sends;
    assert_eq!(
        (sends.len(), sends[0].key, sends[0].delay),
        (1, id.key, Millis(0))
    );
}

#[test]
fn the_resend_interval_doubles_with_each_message_up_to_a_bound() {
    let mut bench = Bench::new();
    bench.accept(long_lived());
    let mut waits = Vec::new();
    for _ in 0..10 {
        let due = bench.shard.wake_at().unwrap();
        waits.push(due.since(bench.now).0 / SETTINGS.patience.0);
        bench.now = due;
        assert_eq!(bench.tick().sends.len(), 1);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]);
}

#[test]
fn a_claim_resets_the_resend_interval() {
    let mut bench = Bench::new();
    let id = bench.accept(long_lived());
    for _ in 0..5 {
        bench.now = bench.shard.wake_at().unwrap();
        bench.tick();
    }
    let (token, _) = bench.claim(id);
    bench.finish(id, token, Outcome::Unreachable);
    let due = bench.record(id).due().unwrap();
    assert_eq!(bench.shard.wake_at(), Some(due.plus(SETTINGS.patience)));
}

#[test]
fn a_job_whose_consumer_is_lost_is_settled_when_its_lease_ends() {
    let mut bench = Bench::new();
    let mut accept = request();
    accept.spec.plan.repeatable = true;
    let id = bench.accept(accept);
    bench.claim(id);
    assert_eq!(bench.shard.wake_at(), Some(at(LEASE.0)));
    bench.now = at(LEASE.0);
    let sends = bench.tick().sends;
    assert_eq!((sends.len(), sends[0].delay), (1, Millis(1_000)));
    assert_eq!(bench.record(id).status(), Status::Queued);
}

#[test]
fn a_renewed_lease_moves_the_alarm() {
    let mut bench = Bench::new();
    let id = bench.job();
    let (token, _) = bench.claim(id);
    bench.later(5_000);
    let claim = Claim {
        key: id.key,
        token,
        lease: LEASE,
        unsent: Vec::new(),
    };
    let ends = bench.shard.renew(&claim, bench.now, 0).unwrap().0;
    assert_eq!(ends, Some(at(5_000 + LEASE.0)));
    assert_eq!(bench.shard.wake_at(), ends);
}

#[test]
fn a_message_that_comes_too_early_is_followed_by_another_in_time() {
    let mut bench = Bench::new();
    let id = bench.accept(NewJob {
        spec: JobSpec {
            delay: Millis(20_000),
            ..spec()
        },
        ..request()
    });
    bench.later(5_000);
    let claim = Claim {
        key: id.key,
        token: 1,
        lease: LEASE,
        unsent: Vec::new(),
    };
    let (claimed, sends) = bench.shard.claim(&claim, bench.now, 0, any_head).unwrap();
    assert!(matches!(
        claimed,
        Claimed::Refused(Some(Refusal::TooEarly(_)))
    ));
    assert_eq!((sends.len(), sends[0].delay), (1, Millis(15_000)));
}

#[test]
fn a_delay_longer_than_a_queue_allows_is_left_to_the_alarm() {
    let longest = Millis::from_secs(12 * 3600);
    let mut bench = Bench::new();
    let id = bench.accept(NewJob {
        spec: JobSpec {
            delay: Millis(longest.0 + 1),
            ..spec()
        },
        ..long_lived()
    });
    let claim = Claim {
        key: id.key,
        token: 1,
        lease: LEASE,
        unsent: Vec::new(),
    };
    let (_, sends) = bench.shard.claim(&claim, bench.now, 0, any_head).unwrap();
    assert_eq!(sends, []);
    bench.later(1);
    let (_, sends) = bench.shard.claim(&claim, bench.now, 0, any_head).unwrap();
    assert_eq!((sends.len(), sends[0].delay), (1, longest));
}

#[test]
fn a_message_about_an_unknown_job_is_harmless() {
    let mut bench = Bench::new();
    let key = raincheck::job::RowKey(999);
    let claim = Claim {
        key,
        token: 1,
        lease: LEASE,
        unsent: Vec::new(),
    };
    let (claimed, sends) = bench.shard.claim(&claim, bench.now, 0, any_head).unwrap();
    assert!(matches!(claimed, Claimed::Refused(None)) && sends.is_empty());
    assert_eq!(bench.shard.renew(&claim, bench.now, 0).unwrap().0, None);
    let finish = Finish {
        key,
        token: 1,
        outcome: ok(),
        response: None,
    };
    let finished = bench.shard.finish(&finish, bench.now, 0).unwrap();
    assert!(finished.is_none());
    assert!(
        bench
            .shard
            .dead_letter(key, bench.now, 0)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_dead_letter_sends_a_fresh_message_for_a_job_that_waits() {
    let mut bench = Bench::new();
    let id = bench.job();
    assert_eq!(
        bench.shard.dead_letter(id.key, bench.now, 0).unwrap().len(),
        1
    );
    bench.claim(id);
    assert!(
        bench
            .shard
            .dead_letter(id.key, bench.now, 0)
            .unwrap()
            .is_empty()
    );
    assert_eq!(bench.record(id).dead_letters, 2);
}

#[test]
fn a_restart_rebuilds_the_schedule_from_the_rows() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..5).map(|_| bench.job()).collect();
    bench.succeed(ids[0]);
    bench.claim(ids[1]);
    bench.shard.cancel(&ids[2], bench.now, 0).unwrap();
    let (active, wake) = (bench.shard.active(), bench.shard.wake_at());
    assert_eq!(active, 3);
    bench.reopen();
    assert_eq!(
        (bench.shard.active(), bench.shard.wake_at()),
        (active, wake)
    );
    assert_eq!(bench.shard.number(), 3, "and so is its number");
}

#[test]
fn a_start_schedules_all_active_rows_page_by_page() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..2_000).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    let wake = bench.shard.wake_at();
    bench.sql.rows_at_once.set(0);
    bench.reopen();
    assert_eq!(
        (bench.shard.active(), bench.shard.wake_at()),
        (group.len(), wake)
    );
    let most = bench.sql.rows_at_once.get();
    assert!(most <= 512, "{most} rows in memory at once");
}

#[test]
fn calls_are_served_between_the_pages_of_a_start() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..1_200).map(|_| bench.job()).collect();
    let other = ids[1_100];
    bench.start();
    let (token, _) = bench.claim(other);
    let new = bench.job();
    assert!(new.key > ids[1_199].key);
    bench.shard.load().unwrap();
    assert!(!bench.shard.is_loaded());
    assert!(bench.finish(other, token, ok()).kept);
    while !bench.shard.is_loaded() {
        bench.shard.load().unwrap();
    }
    assert_eq!(bench.shard.active(), 1_200, "1,199 old ones and a new one");
    assert_eq!(bench.record(new).status(), Status::Queued);
}

#[test]
fn an_alarm_handles_a_bounded_number_of_jobs_and_the_next_handles_the_rest() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..600).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    bench.later(DEADLINE.0);
    let mut left = Vec::new();
    for _ in 0..3 {
        bench.tick();
        left.push(bench.shard.active());
    }
    assert_eq!(left, [344, 88, 0]);
}

#[test]
fn every_active_job_has_a_wake_up_by_its_deadline() {
    let mut bench = Bench::new();
    let id = bench.accept(NewJob {
        spec: JobSpec {
            delay: Millis(DEADLINE.0 - 1),
            ..spec()
        },
        ..request()
    });
    assert_eq!(bench.shard.wake_at(), Some(at(DEADLINE.0)));
    bench.now = at(DEADLINE.0);
    bench.ring();
    assert_eq!(bench.record(id).status(), Status::Failed);
}

#[test]
fn a_clock_that_goes_back_only_delays() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.claim(id);
    bench.now = at(0).minus(Millis(3_600_000));
    assert!(bench.tick().sends.is_empty());
    assert_eq!(bench.record(id).status(), Status::Running);
    bench.now = at(LEASE.0);
    bench.tick();
    assert_eq!(
        bench.record(id).status(),
        Status::Failed,
        "unknown, and not repeatable"
    );
}

#[test]
fn a_late_report_of_a_lost_consumer_changes_nothing() {
    let mut bench = Bench::new();
    let mut accept = request();
    accept.spec.plan.repeatable = true;
    let id = bench.accept(accept);
    let (old, _) = bench.claim(id);
    bench.now = at(LEASE.0);
    bench.tick();
    bench.later(1_000);
    let (new, _) = bench.claim(id);
    let late = bench.finish(id, old, ok());
    assert_eq!(
        (late.refused, late.kept),
        (Some(Refusal::StaleToken), false)
    );
    assert!(bench.finish(id, new, ok()).kept);
    assert_eq!(bench.record(id).attempt, 2);
}

#[test]
fn evictions_do_not_make_a_stuck_job_resend_more_often() {
    let mut bench = Bench::new();
    bench.accept(long_lived());
    let mut sent = 0;
    let end = bench.now.plus(Millis(SETTINGS.patience.0 * 1_000));
    while bench.now < end {
        bench.now = bench.shard.wake_at().unwrap();
        bench.reopen();
        sent += bench.tick().sends.len();
        assert!(bench.shard.wake_at().unwrap() > bench.now);
    }
    assert!(
        (8..=20).contains(&sent),
        "{sent} messages in a thousand patiences"
    );
}

#[test]
fn a_watcher_is_told_once_of_each_end() {
    let mut bench = Bench::new();
    let (succeeds, is_canceled, times_out) = (bench.job(), bench.job(), bench.job());
    let ended = |bench: &mut Bench| -> Vec<_> {
        let ended = bench.shard.take_ended().into_iter();
        ended.map(|ended| (ended.key, ended.failure)).collect()
    };
    assert_eq!(ended(&mut bench), []);
    bench.succeed(succeeds);
    assert_eq!(ended(&mut bench), [(succeeds.key, None)]);
    bench.shard.cancel(&is_canceled, bench.now, 0).unwrap();
    bench.later(DEADLINE.0);
    bench.ring();
    let why = "rule reports, deadline_exceeded, attempts: 0".to_owned();
    assert_eq!(
        ended(&mut bench),
        [(is_canceled.key, None), (times_out.key, Some(why))],
        "and the log of what failed"
    );
    assert_eq!(bench.shard.take_ended(), []);
}

#[test]
fn a_waiting_client_is_told_when_a_late_alarm_forgets_its_job() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench.later(365 * 86_400_000);
    bench.ring();
    let ended = bench.shard.take_ended();
    let keys: Vec<_> = ended.iter().map(|ended| ended.key).collect();
    assert_eq!((keys, bench.count("jobs")), (vec![id.key], 0));
}
