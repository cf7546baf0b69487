//! Rows of a later build: left alone, and in nobody's way.

use raincheck::job::{JobId, Status};
use raincheck::shard::{Accepted, Claim, Found, NewJob, Shard, ShardError, Sql as _};

use super::support::jobs::{DEADLINE, LEASE, RETENTION};
use super::{Bench, SETTINGS, any_head, request, with_key};

fn is_unreadable<T: std::fmt::Debug>(answer: &Result<T, ShardError>) -> bool {
    matches!(answer, Err(ShardError::Unreadable(_)))
}

/// A shard with one row of a later build between two of ours.
fn mixed() -> (Bench, [JobId; 3]) {
    let mut bench = Bench::new();
    let ids = [bench.job(), bench.job(), bench.job()];
    bench.make_newer(ids[1]);
    (bench, ids)
}

fn state_of(bench: &Bench, id: JobId) -> String {
    let sql = format!("SELECT state FROM jobs WHERE key = {}", id.key.0);
    bench.sql.run(&sql, &[]).unwrap()[0][0]
        .text()
        .unwrap()
        .to_owned()
}

#[test]
fn every_call_about_such_a_row_fails_and_changes_nothing() {
    let (mut bench, [_, id, _]) = mixed();
    let before = bench.dump();
    let claim = Claim {
        key: id.key,
        token: 1,
        lease: LEASE,
        unsent: None,
    };
    assert!(is_unreadable(&bench.shard.read(&id, bench.now)));
    assert!(is_unreadable(
        &bench.shard.claim(&claim, bench.now, 0, any_head)
    ));
    assert!(is_unreadable(&bench.shard.renew(&claim, bench.now, 0)));
    assert!(is_unreadable(&bench.shard.cancel(&id, bench.now, 0)));
    assert!(is_unreadable(&bench.shard.purge(&id, bench.now)));
    assert!(is_unreadable(
        &bench.shard.dead_letter(id.key, bench.now, 0)
    ));
    assert_eq!(bench.dump(), before);
}

#[test]
fn the_shard_opens_over_such_a_row_and_serves_the_others() {
    let (mut bench, [first, middle, last]) = mixed();
    bench.reopen();
    bench.succeed(first);
    bench.succeed(last);
    assert_eq!(bench.record(last).status(), Status::Succeeded);
    assert!(is_unreadable(&bench.shard.read(&middle, bench.now)));
    assert!(bench.job().key > last.key);
}

#[test]
fn the_alarm_goes_past_such_a_row_and_does_not_ring_for_it_without_end() {
    let (mut bench, [first, middle, last]) = mixed();
    let newer = state_of(&bench, middle);
    bench.later(DEADLINE.0);
    let tick = bench.tick();
    assert_eq!(tick.unreadable, 1);
    for id in [first, last] {
        assert_eq!(bench.record(id).status(), Status::Failed);
    }
    assert!(bench.shard.wake_at().unwrap() >= bench.now.plus(SETTINGS.patience));
    assert_eq!(state_of(&bench, middle), newer);
}

#[test]
fn after_a_restart_too() {
    let (mut bench, _) = mixed();
    bench.reopen();
    bench.later(DEADLINE.0);
    bench.ring();
    assert!(bench.shard.wake_at().unwrap() > bench.now);
}

#[test]
fn the_row_waits_for_its_build_and_then_goes_on() {
    let (mut bench, [_, middle, _]) = mixed();
    bench.reopen();
    bench.later(60_000);
    bench.ring();
    let ours = state_of(&bench, middle).replace("\"v\":200", "\"v\":1");
    bench.overwrite(middle, &ours);
    bench.reopen();
    bench.succeed(middle);
    assert_eq!(bench.record(middle).status(), Status::Succeeded);
}

#[test]
fn expiry_leaves_such_rows_and_takes_the_others_around_them() {
    let (mut bench, [first, middle, last]) = mixed();
    bench.succeed(first);
    bench.succeed(last);
    bench.later(RETENTION.0 + 1_000_000);
    bench.ring();
    assert_eq!(bench.count("jobs"), 1);
    assert!(is_unreadable(&bench.shard.read(&middle, bench.now)));
    assert!(matches!(bench.found(first), Found::Nothing));
}

#[test]
fn a_page_full_of_such_rows_does_not_make_the_alarm_ring_without_progress() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..300).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    let newer = "UPDATE jobs SET active = 0, state = replace(state, '\"v\":1', '\"v\":200')";
    bench.sql.run(newer, &[]).unwrap();
    bench.reopen();
    bench.later(RETENTION.0 + 1_000_000);
    bench.ring();
    assert_eq!(bench.count("jobs"), 300);
}

#[test]
fn such_a_row_on_a_full_page_does_not_make_the_rows_behind_the_page_wait() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..300).map(|_| request()).collect();
    bench.shard.accept(&group, bench.now).unwrap();
    let newer = "UPDATE jobs SET state = replace(state, '\"v\":1', '\"v\":200') WHERE key = 7";
    bench.sql.run(newer, &[]).unwrap();
    bench.later(RETENTION.0 + 1_000_000);
    bench.ring();
    assert_eq!(bench.count("jobs"), 1);
}

#[test]
fn a_key_that_stands_for_such_a_row_fails_alone() {
    let mut bench = Bench::new();
    let id = bench.accept(with_key("k", "f"));
    bench.make_newer(id);
    let refused = bench.shard.accept(&[with_key("k", "f")], bench.now);
    assert!(is_unreadable(&refused));
    let accepted = bench.shard.accept(&[request()], bench.now).unwrap();
    assert!(matches!(accepted[0], Accepted::Created(..)));
}

#[test]
fn notes_of_a_later_build_keep_the_whole_shard_shut() {
    let mut bench = Bench::new();
    bench.job();
    let newer = "UPDATE meta SET value = replace(value, '\"v\":1', '\"v\":2')";
    bench.sql.run(newer, &[]).unwrap();
    let opened = Shard::open(bench.sql.clone(), None, SETTINGS);
    assert!(matches!(opened, Err(ShardError::Unreadable(_))));
}

#[test]
fn a_row_that_is_no_json_is_treated_the_same() {
    let (mut bench, [first, middle, last]) = mixed();
    bench.overwrite(middle, "{");
    bench.reopen();
    bench.later(DEADLINE.0);
    bench.ring();
    assert_eq!(bench.record(first).status(), Status::Failed);
    assert_eq!(bench.record(last).status(), Status::Failed);
    assert_eq!(state_of(&bench, middle), "{");
}

#[test]
fn the_note_about_an_object_stays_while_the_row_that_may_name_it_cannot_be_read() {
    let mut bench = Bench::new();
    let id = bench.job();
    bench
        .shard
        .intend("results/3/a", Some(id.key), bench.now)
        .unwrap();
    let ours = state_of(&bench, id);
    bench.make_newer(id);
    bench.later(SETTINGS.orphan_grace.0);
    assert!(bench.tick().sweeps.is_empty(), "it may be kept");
    assert!(bench.shard.wake_at().unwrap() > bench.now);
    bench.overwrite(id, &ours);
    bench.later(SETTINGS.orphan_grace.0);
    let sweeps = bench.tick().sweeps;
    assert_eq!(sweeps.len(), 1, "nobody names it");
    assert_eq!(sweeps[0].object, "results/3/a");
}
