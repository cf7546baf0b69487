//! A long queue and a lost message: which jobs are sent again.

use raincheck::job::{JobId, JobSpec, Millis, Priority};
use raincheck::shard::{Accepted, JobMessage, NewJob};

use super::support::jobs::{DEADLINE, spec};
use super::{Bench, SETTINGS, ok, request};

/// A job whose deadline is far away, so that it does not fail while its queue is stalled.
fn patient(priority: Priority) -> NewJob {
    let span = Millis(DEADLINE.0 * 1_000);
    NewJob {
        spec: JobSpec {
            priority,
            deadline: span,
            retention: span,
            ..spec()
        },
        ..request()
    }
}

/// Accepts this many jobs, one each millisecond.
fn accept(bench: &mut Bench, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        bench.later(1);
        match &bench
            .shard
            .accept(&[patient(Priority::Normal)], bench.now)
            .unwrap()[0]
        {
            Accepted::Created(id, ..) => ids.push(*id),
            other => panic!("{other:?}"),
        }
    }
    ids
}

/// Advances time, fires each alarm that becomes due, and returns what was sent.
fn pass(bench: &mut Bench, span: Millis) -> Vec<JobMessage> {
    let end = bench.now.plus(span);
    let mut sends = Vec::new();
    while let Some(at) = bench.shard.wake_at().filter(|at| *at <= end) {
        bench.now = bench.now.max(at);
        sends.extend(bench.tick().sends);
    }
    bench.now = end;
    sends
}

#[test]
fn a_stalled_queue_gets_few_more_messages_however_long_it_is() {
    let mut bench = Bench::new();
    accept(&mut bench, 1_000);
    let sends = pass(&mut bench, Millis(SETTINGS.patience.0 * 40));
    assert!((1..=8).contains(&sends.len()), "{} messages", sends.len());
}

#[test]
fn a_slow_queue_gets_at_most_one_more_message_per_patience() {
    let mut bench = Bench::new();
    let ids = accept(&mut bench, 100);
    let mut sends = Vec::new();
    for id in ids {
        sends.extend(pass(&mut bench, Millis(SETTINGS.patience.0 / 10)));
        let (token, _) = bench.claim(id);
        bench.finish(id, token, ok());
    }
    assert!((1..=10).contains(&sends.len()), "{} messages", sends.len());
}

#[test]
fn a_job_that_a_later_one_has_passed_over_is_sent_again() {
    let mut bench = Bench::new();
    let ids = accept(&mut bench, 3);
    bench.claim(ids[2]);
    let sends = pass(&mut bench, Millis(SETTINGS.patience.0 + 10));
    let keys: Vec<_> = sends.iter().map(|send| send.key).collect();
    assert_eq!(keys, [ids[0].key, ids[1].key]);
}

#[test]
fn a_job_that_is_passed_over_while_it_waits_is_sent_again_at_once() {
    let mut bench = Bench::new();
    let ids = accept(&mut bench, 3);
    pass(&mut bench, Millis(SETTINGS.patience.0 * 3));
    bench.claim(ids[1]);
    let sends = pass(&mut bench, Millis(1));
    let keys: Vec<_> = sends.iter().map(|send| send.key).collect();
    assert_eq!(keys, [ids[0].key], "the last one may still be in its queue");
}

#[test]
fn a_claim_says_nothing_about_another_queue() {
    let mut bench = Bench::new();
    accept(&mut bench, 2);
    let high = bench.accept(patient(Priority::High));
    bench.claim(high);
    let sends = pass(&mut bench, Millis(SETTINGS.patience.0 + 10));
    assert_eq!(sends.len(), 1, "only a probe");
}

#[test]
fn when_all_messages_are_lost_one_probe_brings_all_of_them_back() {
    let mut bench = Bench::new();
    let ids = accept(&mut bench, 600);
    bench.later(SETTINGS.patience.0 * 10);
    bench.reopen();
    let sends = pass(&mut bench, Millis(1));
    let probe = ids.last().unwrap();
    assert_eq!((sends.len(), sends[0].key), (1, probe.key));
    let (token, _) = bench.claim(*probe);
    bench.finish(*probe, token, ok());
    let sends = pass(&mut bench, Millis(1));
    assert_eq!(sends.len(), 599);
}

#[test]
fn a_job_that_cannot_be_claimed_hides_no_other() {
    let mut bench = Bench::new();
    let ids = accept(&mut bench, 3);
    let sends = pass(&mut bench, Millis(SETTINGS.patience.0 * 8));
    let mut probed: Vec<_> = sends.iter().map(|send| send.key).collect();
    probed.sort();
    probed.dedup();
    assert_eq!(probed, ids.iter().map(|id| id.key).collect::<Vec<_>>());
}

#[test]
fn a_job_that_ended_while_queued_is_not_a_probe() {
    let mut bench = Bench::new();
    let ids = accept(&mut bench, 2);
    pass(&mut bench, Millis(SETTINGS.patience.0 + 10));
    for id in ids {
        bench.shard.cancel(&id, bench.now, 0).unwrap();
    }
    let sends = pass(&mut bench, Millis(SETTINGS.patience.0 * 40));
    assert_eq!(sends, []);
}
