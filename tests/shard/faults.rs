//! Every statement of every call fails once: either all of the call is stored, or nothing.

use raincheck::job::{JobSpec, Millis, Secret, StoredBody};
use raincheck::shard::{Accepted, Claim, Finish, NewJob, ShardError, SqlError, Value};

use super::support::jobs::{FIRST, ID_KEY, LEASE, RETENTION, spec};
use super::{Bench, any_head, in_bucket, inline, ok, request, with_key, with_object};

/// More statements than any call of these tests runs.
const STATEMENTS_MAX: u32 = 60;

/// Prepares a bench, then runs `call` with the statement after `n` others failing, for every `n`
/// until the call gets through. Each failed call must leave the database as it was, and the shard
/// able to do the same call right after.
fn fails_at_every_statement(
    prepare: impl Fn() -> Bench,
    call: impl Fn(&mut Bench) -> Result<(), ShardError>,
) {
    let expected = {
        let mut bench = prepare();
        call(&mut bench).unwrap();
        bench.dump()
    };
    for n in 0..STATEMENTS_MAX {
        let mut bench = prepare();
        let before = bench.dump();
        bench.sql.fail_after.set(Some(n));
        let outcome = call(&mut bench);
        bench.sql.fail_after.set(None);
        if outcome.is_ok() {
            assert!(n > 0, "the call runs statements");
            return;
        }
        assert_eq!(bench.dump(), before, "statement {n} leaves nothing");
        let wake = bench.shard.wake_at();
        bench.reopen();
        assert_eq!(
            wake,
            bench.shard.wake_at(),
            "statement {n}: memory matches the rows"
        );
        let mut bench = prepare();
        bench.sql.fail_after.set(Some(n));
        assert!(call(&mut bench).is_err());
        bench.sql.fail_after.set(None);
        call(&mut bench).unwrap();
        assert_same(&bench.dump(), &expected, n);
    }
    panic!("the call never gets through");
}

#[track_caller]
fn assert_same(found: &[Vec<Value>], expected: &[Vec<Value>], n: u32) {
    assert_eq!(
        found, expected,
        "after statement {n} failed, the same call does the same"
    );
}

fn groups() -> [Vec<NewJob>; 2] {
    let other_class = NewJob {
        spec: JobSpec {
            retention: Millis(RETENTION.0 * 2),
            ..spec()
        },

        ..request()
    };
    let group = vec![
        with_key("a", "1"),
        with_object("requests/3/x"),
        other_class,
        with_key("a", "1"),
        with_key("b", "1"),
        request(),
    ];
    [vec![request()], group]
}

#[test]
fn a_group_is_accepted_whole_or_not_at_all() {
    for group in groups() {
        let prepare = || {
            let mut bench = Bench::new();
            for request in &group {
                bench.announce(request);
            }
            bench
        };
        fails_at_every_statement(prepare, |bench| {
            let accepted = bench.shard.accept(&group, bench.now)?;
            assert_eq!(accepted.len(), group.len());
            Ok(())
        });
    }
}

#[test]
fn a_group_with_known_keys_is_accepted_as_a_whole() {
    let prepare = || {
        let mut bench = Bench::new();
        bench.accept(with_key("a", "1"));
        bench.shard.intend("requests/3/x", None, bench.now).unwrap();
        bench
    };
    let [_, group] = groups();
    fails_at_every_statement(prepare, |bench| {
        bench.shard.accept(&group, bench.now).map(|_| ())
    });
}

#[test]
fn a_group_that_is_one_statement_is_accepted_whole_or_not_at_all() {
    let prepare = || {
        let mut bench = Bench::new();
        // Its partition is open from now on, so that only rows have to be written.
        bench.job();
        bench
    };
    let group = [request(), request()];
    fails_at_every_statement(prepare, |bench| {
        bench.shard.accept(&group, bench.now).map(|_| ())
    });
}

#[test]
fn a_group_that_is_several_statements_is_accepted_whole_or_not_at_all() {
    let prepare = || {
        let mut bench = Bench::new();
        bench.job();
        bench
    };
    let group: Vec<NewJob> = (0..40).map(|_| request()).collect();
    fails_at_every_statement(prepare, |bench| {
        bench.shard.accept(&group, bench.now).map(|_| ())
    });
}

#[test]
fn a_job_that_was_not_accepted_leaves_its_key_free() {
    let mut bench = Bench::new();
    bench.sql.fail_after.set(Some(3));
    assert!(
        bench
            .shard
            .accept(&[with_key("a", "1")], bench.now)
            .is_err()
    );
    bench.sql.fail_after.set(None);
    let accepted = bench
        .shard
        .accept(&[with_key("a", "2")], bench.now)
        .unwrap();
    assert!(matches!(accepted[0], Accepted::Created(..)));
}

#[test]
fn a_claim_is_granted_only_when_it_is_stored() {
    let prepare = || {
        let mut bench = Bench::new();
        bench.job();
        bench
    };
    fails_at_every_statement(prepare, |bench| {
        let claim = Claim {
            key: raincheck::job::RowKey(FIRST),
            token: 5,
            lease: LEASE,
            unsent: Vec::new(),
        };
        bench
            .shard
            .claim(&claim, bench.now, 0, any_head)
            .map(|_| ())
    });
}

#[test]
fn a_result_is_stored_with_the_end_of_its_job_or_not_at_all() {
    let bodies = [
        inline(b"done"),
        StoredBody::Object(in_bucket("results/3/x")),
    ];
    for body in bodies {
        let prepare = || {
            let mut bench = Bench::new();
            let id = bench.accept(with_object("requests/3/x"));
            bench
                .shard
                .intend("results/3/x", Some(id.key), bench.now)
                .unwrap();
            bench.claim(id);
            bench
        };
        fails_at_every_statement(prepare, |bench| {
            let finish = Finish {
                key: raincheck::job::RowKey(FIRST),
                token: bench.token,
                outcome: ok(),
                response: Some(("{}".to_owned(), body.clone())),
            };
            bench.shard.finish(&finish, bench.now, 0).map(|_| ())
        });
    }
}

#[test]
fn a_cancel_is_stored_whole_or_not_at_all() {
    let prepare = || {
        let mut bench = Bench::new();
        bench.accept(with_object("requests/3/x"));
        bench
    };
    fails_at_every_statement(prepare, |bench| {
        let key = raincheck::job::RowKey(FIRST);
        let secret = Secret::seal(&ID_KEY, 3, key, request().nonce);
        let id = raincheck::job::JobId {
            shard: 3,
            key,
            secret,
        };
        bench.shard.cancel(&id, bench.now, 0).map(|_| ())
    });
}

#[test]
fn a_job_is_purged_whole_or_not_at_all() {
    let prepare = || {
        let mut bench = Bench::new();
        let accept = NewJob {
            key: Some(super::key("a", "1")),
            ..with_object("requests/3/x")
        };
        let id = bench.accept(accept);
        bench.shard.cancel(&id, bench.now, 0).unwrap();
        bench
    };
    fails_at_every_statement(prepare, |bench| {
        let key = raincheck::job::RowKey(FIRST);
        let secret = Secret::seal(&ID_KEY, 3, key, request().nonce);
        let id = raincheck::job::JobId {
            shard: 3,
            key,
            secret,
        };
        bench.shard.purge(&id, bench.now).map(|_| ())
    });
}

#[test]
fn an_alarm_that_fails_at_any_point_completes_when_it_runs_again() {
    let prepare = || {
        let mut bench = Bench::new();
        bench.accept(with_key("a", "1"));
        let id = bench.accept(with_object("requests/3/x"));
        bench.succeed(id);
        bench.later(RETENTION.0 + 1_000_000);
        bench
    };
    for n in 0..STATEMENTS_MAX {
        let mut bench = prepare();
        bench.sql.fail_after.set(Some(n));
        let expired = bench.shard.expire(bench.now);
        let failed = bench.shard.tick(bench.now, 0).fault.is_some() || expired.is_err();
        bench.sql.fail_after.set(None);
        bench.ring();
        // What failed is postponed.
        bench.later(3_600_000);
        bench.ring();
        for table in ["jobs", "keys", "sweeps", "partitions"] {
            assert_eq!(bench.count(table), 0, "{table}");
        }
        if !failed {
            return;
        }
    }
    panic!("the alarm never gets through");
}

#[test]
fn an_error_names_the_rejected_statement_in_the_log() {
    let refused = ShardError::Sql(SqlError("disk full".to_owned())).to_string();
    assert!(refused.contains("disk full"), "{refused}");
    let unreadable = ShardError::Unreadable("record version 9".to_owned()).to_string();
    assert!(unreadable.contains("record version 9"), "{unreadable}");
    assert_ne!(ShardError::Exhausted.to_string(), "");
}
