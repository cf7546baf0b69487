//! Rows of a later build are left alone and block nothing else.

use raincheck::job::{JobId, JobSpec, Millis, Status};
use raincheck::shard::{Accepted, Claim, Found, NewJob, Shard, ShardError, Sql as _};

use super::support::jobs::{DEADLINE, ID_KEY, LEASE, LIFE, at, spec};
use super::{Bench, SETTINGS, any_head, request, with_key, with_object};

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
    let sql = format!("SELECT state FROM jobs_1 WHERE key = {}", id.key.0);
    bench.rows(&sql)[0][0].text().unwrap().to_owned()
}

#[test]
fn every_call_about_an_unreadable_row_fails_without_changes() {
    let (mut bench, [_, id, _]) = mixed();
    let before = bench.dump();
    let claim = Claim {
        key: id.key,
        token: 1,
        lease: LEASE,
        unsent: Vec::new(),
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
fn a_shard_with_an_unreadable_row_opens_and_serves_the_others() {
    let (mut bench, [first, middle, last]) = mixed();
    bench.reopen();
    bench.succeed(first);
    bench.succeed(last);
    assert_eq!(bench.record(last).status(), Status::Succeeded);
    assert!(is_unreadable(&bench.shard.read(&middle, bench.now)));
    assert!(bench.job().key > last.key);
}

#[test]
fn an_unreadable_row_does_not_make_the_alarm_loop() {
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
fn key_order_is_kept_after_a_restart() {
    let (mut bench, _) = mixed();
    bench.reopen();
    bench.later(DEADLINE.0);
    bench.ring();
    assert!(bench.shard.wake_at().unwrap() > bench.now);
}

#[test]
fn an_unreadable_row_continues_once_a_build_can_read_it() {
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
fn a_partition_without_objects_is_dropped_with_its_unreadable_rows() {
    let (mut bench, [first, middle, _]) = mixed();
    bench.succeed(first);
    bench.now = at(LIFE.0);
    bench.ring();
    assert_eq!(bench.count("jobs"), 0);
    assert!(matches!(bench.found(middle), Found::Expired));
    let keys: Vec<_> = bench
        .shard
        .take_ended()
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert!(keys.contains(&middle.key), "waiting clients are notified");
}

/// A row of a later build may name an object, which would stay in the bucket forever.
#[test]
fn a_partition_with_objects_waits_for_the_build_that_can_read_its_rows() {
    let mut bench = Bench::new();
    let ours = bench.accept(with_object("requests/3/a"));
    let newer = bench.accept(with_object("requests/3/b"));
    let text = state_of(&bench, newer);
    bench.make_newer(newer);
    bench.now = at(LIFE.0);
    bench.ring();
    assert_eq!(bench.count("jobs"), 2, "the table still exists");
    for id in [ours, newer] {
        assert!(
            matches!(bench.found(id), Found::Expired),
            "and is not served"
        );
    }
    assert_eq!(bench.shard.wake_at(), Some(bench.now.plus(Millis(600_000))));
    bench.overwrite(newer, &text);
    bench.later(600_000);
    assert_eq!(bench.tick().sweeps, ["requests/3/a", "requests/3/b"]);
    bench.ring();
    assert_eq!(bench.sql.tables("jobs_").len(), 0);
}

#[test]
fn a_key_of_an_unreadable_row_fails_only_its_own_request() {
    let mut bench = Bench::new();
    let id = bench.accept(with_key("k", "f"));
    bench.make_newer(id);
    let refused = bench.shard.accept(&[with_key("k", "f")], bench.now);
    assert!(is_unreadable(&refused));
    let accepted = bench.shard.accept(&[request()], bench.now).unwrap();
    assert!(matches!(accepted[0], Accepted::Created(..)));
}

#[test]
fn a_shard_with_notes_of_a_later_build_does_not_open() {
    let mut bench = Bench::new();
    bench.job();
    let newer = "UPDATE meta SET value = replace(value, '\"v\":1', '\"v\":2')";
    bench.sql.run(newer, &[]).unwrap();
    let opened = Shard::open(bench.sql.clone(), None, SETTINGS, ID_KEY);
    assert!(matches!(opened, Err(ShardError::Unreadable(_))));
}

#[test]
fn a_row_that_is_not_json_is_treated_as_unreadable() {
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
    let retention = Millis(SETTINGS.orphan_grace.0 * 4);
    let id = bench.accept(NewJob {
        spec: JobSpec {
            retention,
            ..spec()
        },

        ..request()
    });
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
    assert_eq!(sweeps.len(), 1, "no record names it");
    assert_eq!(sweeps[0], "results/3/a");
}
