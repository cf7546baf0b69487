//! Bodies in the bucket: objects that a record names are kept; all others are deleted.

use raincheck::job::{FailureCode, JobSpec, Millis, Outcome, Status, StoredBody};
use raincheck::shard::{Accepted, Claimed, Found, NewJob};

use super::support::jobs::{LIFE, RETENTION, at, spec};
use super::{Bench, SETTINGS, in_bucket, ok, with_key, with_object};

const REQUEST: &str = "requests/3/a";
const RESULT: &str = "results/3/a";

/// The objects that the alarm deletes now.
fn due(bench: &mut Bench) -> Vec<String> {
    bench.tick().sweeps
}

#[test]
fn an_object_that_no_record_comes_to_name_is_deleted_after_the_grace() {
    let mut bench = Bench::new();
    bench.shard.intend(REQUEST, None, bench.now).unwrap();
    bench.later(SETTINGS.orphan_grace.0 - 1);
    assert!(due(&mut bench).is_empty());
    bench.later(1);
    assert_eq!(
        bench.shard.wake_at(),
        Some(bench.now),
        "an alarm is set for it"
    );
    assert_eq!(due(&mut bench), [REQUEST]);
}

#[test]
fn the_grace_survives_a_restart() {
    let mut bench = Bench::new();
    bench.shard.intend(REQUEST, None, bench.now).unwrap();
    bench.reopen();
    bench.later(SETTINGS.orphan_grace.0);
    assert_eq!(bench.shard.wake_at(), Some(bench.now));
    assert_eq!(due(&mut bench), [REQUEST]);
}

#[test]
fn a_shard_that_has_only_a_note_about_an_object_knows_its_number_after_a_restart() {
    let mut bench = Bench::new();
    bench.shard.intend(REQUEST, None, bench.now).unwrap();
    bench.reopen();
    assert_eq!(bench.shard.number(), 3);
}

#[test]
fn an_object_that_an_accepted_job_names_is_safe() {
    let mut bench = Bench::new();
    bench.shard.intend(REQUEST, None, bench.now).unwrap();
    let id = bench.accept(with_object(REQUEST));
    assert_eq!(bench.count("sweeps"), 0);
    let (_, grant) = bench.claim(id);
    assert_eq!(
        grant.record.payload.unwrap().object.as_deref(),
        Some(REQUEST)
    );
}

#[test]
fn the_object_of_a_duplicate_is_an_orphan() {
    let mut bench = Bench::new();
    let accept = |object: &str| NewJob {
        spec: JobSpec {
            retention: Millis(RETENTION.0 * 1_000),
            ..spec()
        },
        key: with_key("k", "f").key,
        ..with_object(object)
    };
    bench.shard.intend(REQUEST, None, bench.now).unwrap();
    bench.accept(accept(REQUEST));
    bench.shard.intend("requests/3/b", None, bench.now).unwrap();
    bench
        .shard
        .accept(&[accept("requests/3/b")], bench.now)
        .unwrap();
    bench.later(SETTINGS.orphan_grace.0);
    assert_eq!(due(&mut bench), ["requests/3/b"]);
}

#[test]
fn success_and_cancel_drop_the_request_body_and_failure_keeps_it() {
    for (outcome, cancels, expected) in [
        (Some(ok()), false, true),
        (None, true, true),
        (
            Some(Outcome::Responded {
                status: 404,
                retry_after: None,
            }),
            false,
            false,
        ),
    ] {
        let mut bench = Bench::new();
        let id = bench.accept(with_object(REQUEST));
        if let Some(outcome) = outcome {
            let (token, _) = bench.claim(id);
            bench.finish(id, token, outcome);
        }
        if cancels {
            bench.shard.cancel(&id, bench.now, 0).unwrap();
        }
        assert_eq!(
            due(&mut bench) == [REQUEST],
            expected,
            "{:?}",
            bench.record(id).status()
        );
        assert_eq!(bench.record(id).payload.is_none(), expected);
    }
}

#[test]
fn the_object_of_a_stored_result_is_kept_until_its_job_is_deleted() {
    let mut bench = Bench::new();
    let id = bench.accept(with_key("k", "f"));
    let (token, _) = bench.claim(id);
    bench.shard.intend(RESULT, Some(id.key), bench.now).unwrap();
    let body = StoredBody::Object(in_bucket(RESULT));
    assert!(bench.finish_with(id, token, ok(), body).kept);
    assert_eq!(bench.count("sweeps"), 0);
    bench.now = at(LIFE.0 - 1);
    assert!(due(&mut bench).is_empty());
    bench.later(1);
    assert_eq!(due(&mut bench), [RESULT]);
    assert!(matches!(bench.found(id), Found::Expired));
}

#[test]
fn an_object_of_a_purged_job_is_deleted() {
    let mut bench = Bench::new();
    let id = bench.accept(with_key("k", "f"));
    let (token, _) = bench.claim(id);
    bench.shard.intend(RESULT, Some(id.key), bench.now).unwrap();
    let body = StoredBody::Object(in_bucket(RESULT));
    assert!(bench.finish_with(id, token, ok(), body).kept);
    bench.shard.purge(&id, bench.now).unwrap();
    assert_eq!(due(&mut bench), [RESULT]);
}

/// A shard with an expired partition whose rows name more objects than one step deletes.
fn many_objects() -> (Bench, Vec<String>) {
    let mut bench = Bench::new();
    let name = |number| format!("requests/3/{number}");
    let objects: Vec<String> = (0..1_200).map(name).collect();
    for object in &objects {
        bench.accept(with_object(object));
    }
    bench.now = at(LIFE.0);
    (bench, objects)
}

#[test]
fn the_objects_of_a_partition_are_deleted_in_bounded_steps_and_then_its_table() {
    let (mut bench, objects) = many_objects();
    let mut deleted = Vec::new();
    for expected in [500, 500, 200] {
        assert_eq!(bench.sql.tables("jobs_").len(), 1);
        let step = due(&mut bench);
        assert_eq!(step.len(), expected);
        bench.shard.swept(&[]).unwrap();
        deleted.extend(step);
    }
    deleted.sort();
    let mut all = objects;
    all.sort();
    assert_eq!(deleted, all);
    bench.ring();
    assert_eq!(bench.sql.tables("jobs_").len(), 0);
}

#[test]
fn no_table_is_dropped_before_its_objects_despite_faults_and_restarts() {
    let (mut bench, _) = many_objects();
    assert_eq!(due(&mut bench).len(), 500);
    bench.shard.sweep_later(bench.now);
    assert!(due(&mut bench).is_empty(), "not at once");
    assert_eq!(
        bench.shard.wake_at(),
        Some(bench.now.plus(SETTINGS.patience))
    );
    bench.later(SETTINGS.patience.0);
    assert_eq!(due(&mut bench).len(), 500);
    bench.reopen();
    assert_eq!(bench.sql.tables("jobs_").len(), 1);
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(due(&mut bench).len());
        bench.shard.swept(&[]).unwrap();
    }
    assert_eq!(steps, [500, 500, 200, 0], "from the beginning");
}

/// Otherwise a job could be read although its objects are gone.
#[test]
fn once_the_objects_of_a_partition_are_being_deleted_no_clock_brings_its_jobs_back() {
    let mut bench = Bench::new();
    bench.accept(with_object(REQUEST));
    let id = bench.accept(with_key("k", "f"));
    bench.now = at(LIFE.0);
    bench.shard.expire(bench.now).unwrap();
    assert_eq!(
        bench.sql.tables("jobs_").len(),
        1,
        "only the objects are deleted yet"
    );
    bench.now = at(0);
    for _ in 0..2 {
        assert!(matches!(bench.found(id), Found::Expired));
        assert!(matches!(bench.try_claim(id), Claimed::Refused(None)));
        let find = bench.shard.find_key(&super::key("k", "f"), bench.now);
        assert!(find.unwrap().is_none());
        assert!(bench.shard.request(id.key).unwrap().is_none());
        bench.reopen();
    }
}

#[test]
fn a_sweep_checks_the_record_before_it_deletes() {
    let mut bench = Bench::new();
    let long = RETENTION.0 * 1_000;
    let id = bench.accept(NewJob {
        spec: JobSpec {
            retention: Millis(long),
            ..spec()
        },

        ..super::request()
    });
    let (token, _) = bench.claim(id);
    let body = StoredBody::Object(in_bucket(RESULT));
    bench.shard.intend(RESULT, Some(id.key), bench.now).unwrap();
    assert!(bench.finish_with(id, token, ok(), body).kept);
    bench.shard.intend(RESULT, Some(id.key), bench.now).unwrap();
    bench
        .shard
        .intend("results/3/other", Some(id.key), bench.now)
        .unwrap();
    bench.later(SETTINGS.orphan_grace.0);
    assert_eq!(due(&mut bench), ["results/3/other"]);
    assert_eq!(bench.record(id).status(), Status::Succeeded);
}

#[test]
fn a_failed_deletion_is_retried_later_and_not_at_once() {
    let mut bench = Bench::new();
    bench.shard.intend(REQUEST, None, bench.now).unwrap();
    bench.later(SETTINGS.orphan_grace.0);
    let tick = bench.tick();
    bench.shard.sweep_later(bench.now);
    assert_eq!(
        bench.shard.wake_at(),
        Some(bench.now.plus(SETTINGS.patience))
    );
    bench.later(SETTINGS.patience.0);
    assert_eq!(bench.tick().sweeps, tick.sweeps);
    bench.shard.swept(&tick.sweeps).unwrap();
    assert_eq!((bench.count("sweeps"), bench.shard.wake_at()), (0, None));
}

#[test]
fn many_objects_are_deleted_in_bounded_steps() {
    let mut bench = Bench::new();
    for number in 0..1_200 {
        bench
            .shard
            .intend(&format!("requests/3/{number}"), None, bench.now)
            .unwrap();
    }
    bench.later(SETTINGS.orphan_grace.0);
    let mut steps = Vec::new();
    for _ in 0..3 {
        let tick = bench.tick();
        bench.shard.swept(&tick.sweeps).unwrap();
        steps.push(tick.sweeps.len());
    }
    assert_eq!(steps, [500, 500, 200]);
    assert_eq!(bench.count("sweeps"), 0);
}

#[test]
fn no_record_can_name_an_object_that_is_being_deleted() {
    for deleted in [false, true] {
        let mut bench = Bench::new();
        bench.shard.intend(REQUEST, None, bench.now).unwrap();
        bench.later(SETTINGS.orphan_grace.0);
        let tick = bench.tick();
        if deleted {
            bench.shard.swept(&tick.sweeps).unwrap();
        }
        // Also if the clock goes back meanwhile.
        let earlier = bench.now.minus(SETTINGS.orphan_grace);
        for now in [bench.now, earlier] {
            let accepted = bench.shard.accept(&[with_object(REQUEST)], now).unwrap();
            assert!(matches!(accepted[..], [Accepted::ObjectGone]));
        }
        assert_eq!(bench.count("jobs"), 0);
    }
}

#[test]
fn a_result_that_is_being_deleted_counts_as_not_stored() {
    let mut bench = Bench::new();
    let id = bench.accept(NewJob {
        spec: JobSpec {
            deadline: Millis(SETTINGS.orphan_grace.0 * 4),
            retention: Millis(SETTINGS.orphan_grace.0 * 4),
            ..spec()
        },

        ..super::request()
    });
    bench.shard.intend(RESULT, Some(id.key), bench.now).unwrap();
    bench.later(SETTINGS.orphan_grace.0);
    let (token, _) = bench.claim(id);
    assert_eq!(due(&mut bench), [RESULT]);
    let body = StoredBody::Object(in_bucket(RESULT));
    assert!(!bench.finish_with(id, token, ok(), body).kept);
    let record = bench.record(id);
    let failure = record.failure().map(|failure| failure.code);
    assert_eq!(
        (record.result(), failure),
        (None, Some(FailureCode::ResultNotStored))
    );
}

#[test]
fn a_clock_that_jumps_ahead_deletes_no_object_of_a_running_upload() {
    for comes in [true, false] {
        let mut bench = Bench::new();
        bench.shard.intend(REQUEST, None, bench.now).unwrap();
        bench.later(SETTINGS.orphan_grace.0 * 1_000);
        assert!(due(&mut bench).is_empty(), "an upload may just have begun");
        let again = bench.now.plus(SETTINGS.orphan_grace);
        assert_eq!(bench.shard.wake_at(), Some(again));
        if comes {
            let accepted = bench
                .shard
                .accept(&[with_object(REQUEST)], bench.now)
                .unwrap();
            assert!(matches!(accepted[..], [Accepted::Created(..)]));
        } else {
            bench.later(SETTINGS.orphan_grace.0);
            assert_eq!(due(&mut bench), [REQUEST]);
        }
    }
}

#[test]
fn an_alarm_up_to_five_minutes_late_is_not_a_clock_jump() {
    for (late, expected) in [(300_000, 1), (300_001, 0)] {
        let mut bench = Bench::new();
        bench.shard.intend(REQUEST, None, bench.now).unwrap();
        bench.later(SETTINGS.orphan_grace.0 + late);
        assert_eq!(due(&mut bench).len(), expected, "{late}");
    }
}
