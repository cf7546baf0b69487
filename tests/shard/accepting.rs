//! Accepting jobs: one key, one job.

use raincheck::job::{
    IdKey, JobId, JobSpec, Millis, Outcome, PARTITION_MAX, ROW_KEY_MAX, RowKey, SEQUENCE_MAX,
    Secret, Status, StoredBody, UnixMillis,
};
use raincheck::shard::{
    Accepted, Claimed, Found, NewJob, Param, ShardError, Sql as _, can_redrive,
};

use super::support::jobs::{ID_KEY, RETENTION, at, spec};
use super::{Bench, request, with_body, with_key};

fn created(accepted: &Accepted) -> JobId {
    match accepted {
        Accepted::Created(id, ..) => *id,
        other => panic!("not created: {other:?}"),
    }
}

fn existing(accepted: &Accepted) -> JobId {
    match accepted {
        Accepted::Existing(id, _) => *id,
        other => panic!("not existing: {other:?}"),
    }
}

#[test]
fn an_accepted_job_can_be_read_by_its_id_and_only_by_that() {
    let mut bench = Bench::new();
    let id = bench.job();
    assert_eq!(id.shard, 3);
    assert_eq!(bench.record(id).status(), Status::Queued);
    let guess = JobId {
        secret: Secret::from_bytes([8; 16]),
        ..id
    };
    assert!(matches!(bench.found(guess), Found::Nothing));
    let beside = JobId {
        key: RowKey(id.key.0 + 1),
        ..id
    };
    assert!(matches!(bench.found(beside), Found::Nothing));
}

#[test]
fn a_new_job_wants_a_message_with_the_delay_that_was_asked_for() {
    let mut bench = Bench::new();
    let delayed = NewJob {
        spec: JobSpec {
            delay: Millis(5_000),
            ..spec()
        },

        ..request()
    };
    let accepted = bench.shard.accept(&[delayed], bench.now).unwrap();
    match &accepted[0] {
        Accepted::Created(id, record, send) => {
            assert_eq!((send.key, send.delay), (id.key, Millis(5_000)));
            assert_eq!(record.due(), Some(bench.now.plus(Millis(5_000))));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_key_and_request_find_the_same_job_at_every_age_inside_the_window() {
    let mut bench = Bench::new();
    let id = bench.accept(with_key("k", "f"));
    let again = |bench: &mut Bench| {
        existing(
            &bench
                .shard
                .accept(&[with_key("k", "f")], bench.now)
                .unwrap()[0],
        )
    };
    assert_eq!(again(&mut bench), id);
    bench.succeed(id);
    assert_eq!(again(&mut bench), id);
    bench.reopen();
    bench.later(RETENTION.0 / 2 - 1);
    assert_eq!(again(&mut bench), id);
    assert_eq!(bench.count("jobs"), 1);
}

#[test]
fn the_same_key_with_another_request_is_refused_and_leaves_nothing() {
    let mut bench = Bench::new();
    bench.accept(with_key("k", "f"));
    let before = bench.dump();
    let accepted = bench
        .shard
        .accept(&[with_key("k", "other")], bench.now)
        .unwrap();
    assert!(matches!(accepted[0], Accepted::KeyReused));
    assert_eq!(bench.dump(), before);
}

#[test]
fn from_the_end_of_its_window_a_key_makes_a_new_job() {
    let mut bench = Bench::new();
    let first = bench.accept(with_key("k", "f"));
    bench.later(RETENTION.0 / 2);
    let second = bench.accept(with_key("k", "other"));
    assert_ne!(first, second);
    assert_eq!(bench.count("keys"), 1);
    assert_eq!(bench.record(first).status(), Status::Queued);
}

#[test]
fn a_window_never_outlives_its_job() {
    let mut bench = Bench::new();
    let mut accept = with_key("k", "f");
    accept.key.as_mut().unwrap().window = Millis(u64::MAX);
    let id = bench.accept(accept);
    let record = bench.record(id);
    assert_eq!(record.key.unwrap().ends, record.created.plus(RETENTION));
    assert!(record.created.plus(RETENTION) <= record.expires);
}

#[test]
fn duplicates_inside_one_group_make_one_job() {
    let mut bench = Bench::new();
    let group: Vec<NewJob> = (0..50).map(|_| with_key("k", "f")).collect();
    let accepted = bench.shard.accept(&group, bench.now).unwrap();
    let id = created(&accepted[0]);
    assert!(accepted[1..].iter().all(|answer| existing(answer) == id));
    assert_eq!((bench.count("jobs"), bench.count("keys")), (1, 1));
}

#[test]
fn the_results_of_a_group_are_in_the_order_of_its_requests() {
    let mut bench = Bench::new();
    let group = [
        with_key("a", "1"),
        request(),
        with_key("a", "2"),
        with_key("a", "1"),
        request(),
    ];
    let accepted = bench.shard.accept(&group, bench.now).unwrap();
    let first = created(&accepted[0]);
    let second = created(&accepted[1]);
    assert!(matches!(accepted[2], Accepted::KeyReused));
    assert_eq!(existing(&accepted[3]), first);
    let last = created(&accepted[4]);
    assert!(first.key < second.key && second.key < last.key);
}

#[test]
fn a_canceled_job_keeps_its_key_and_a_purged_one_frees_it() {
    let mut bench = Bench::new();
    let id = bench.accept(with_key("k", "f"));
    bench.shard.cancel(&id, bench.now, 0).unwrap();
    let again = bench
        .shard
        .accept(&[with_key("k", "f")], bench.now)
        .unwrap();
    assert_eq!(existing(&again[0]), id);
    bench.shard.purge(&id, bench.now).unwrap();
    assert_eq!(bench.count("keys"), 0);
    assert_ne!(bench.accept(with_key("k", "f")), id);
}

#[test]
fn purging_the_old_holder_of_a_key_leaves_the_new_holder_its_key() {
    let mut bench = Bench::new();
    let old = bench.accept(with_key("k", "f"));
    bench.succeed(old);
    bench.later(RETENTION.0 / 2);
    let new = bench.accept(with_key("k", "f"));
    bench.shard.purge(&old, bench.now).unwrap();
    let again = bench
        .shard
        .accept(&[with_key("k", "f")], bench.now)
        .unwrap();
    assert_eq!(existing(&again[0]), new);
}

#[test]
fn looking_for_a_key_writes_nothing() {
    let mut bench = Bench::new();
    bench.accept(with_key("k", "f"));
    bench.sql.rows_written.set(0);
    let find = |hash: &str, fingerprint: &str| {
        bench
            .shard
            .find_key(&super::key(hash, fingerprint), bench.now)
            .unwrap()
    };
    assert!(matches!(find("k", "f"), Some(Accepted::Existing(..))));
    assert!(matches!(find("k", "g"), Some(Accepted::KeyReused)));
    assert!(find("other", "f").is_none());
    assert_eq!(bench.sql.rows_written.get(), 0);
}

#[test]
fn the_stored_request_comes_back_byte_for_byte() {
    let mut bench = Bench::new();
    let bytes: Vec<u8> = (0..=255).collect();
    let id = bench.accept(NewJob {
        payload: Some(StoredBody::Inline {
            bytes: bytes.clone(),
            sha256: "s".to_owned(),
        }),
        request: "{\"é\":\"\\u0000\"}".to_owned(),
        ..request()
    });
    let (_, grant) = bench.claim(id);
    assert_eq!(grant.request, "{\"é\":\"\\u0000\"}");
    assert_eq!(grant.payload, Some(bytes.clone()));
    let request = bench.shard.request(id.key).unwrap();
    assert_eq!(request, Some((grant.request, Some(bytes))));
    assert_eq!(bench.shard.request(RowKey(id.key.0 + 1)).unwrap(), None);
}

#[test]
fn the_stored_response_comes_back_byte_for_byte() {
    let mut bench = Bench::new();
    let bytes: Vec<u8> = (0..=255).collect();
    let id = bench.job();
    let (token, _) = bench.claim(id);
    assert_eq!(bench.shard.response(id.key).unwrap(), None);
    bench.finish_with(id, token, super::ok(), super::inline(&bytes));
    let response = bench.shard.response(id.key).unwrap();
    assert_eq!(response, Some(("{\"head\":1}".to_owned(), Some(bytes))));
    assert_eq!(bench.shard.response(RowKey(id.key.0 + 1)).unwrap(), None);
}

#[test]
fn only_a_job_that_failed_can_be_sent_again_as_a_new_one() {
    let mut bench = Bench::new();
    let ids = [bench.job(), bench.job(), bench.job(), bench.job()];
    let [_, succeeded, canceled, failed] = ids;
    bench.succeed(succeeded);
    bench.shard.cancel(&canceled, bench.now, 0).unwrap();
    let (token, _) = bench.claim(failed);
    bench.finish(failed, token, Outcome::TooLarge);
    let can = ids.map(|id| can_redrive(&bench.record(id)));
    assert_eq!(can, [false, false, false, true]);
}

#[test]
fn no_row_key_is_reused_while_its_row_exists() {
    let mut bench = Bench::new();
    let mut keys: Vec<RowKey> = Vec::new();
    for round in 0..5 {
        let id = bench.accept(with_body());
        assert!(keys.iter().all(|known| *known < id.key), "round {round}");
        keys.push(id.key);
        if round % 2 == 0 {
            bench.reopen();
        }
    }
    let middle = JobId {
        shard: 3,
        key: keys[2],
        secret: Secret::seal(&ID_KEY, 3, keys[2], request().nonce),
    };
    bench.succeed(middle);
    bench.shard.purge(&middle, bench.now).unwrap();
    bench.reopen();
    assert!(bench.job().key > keys[4]);
}

#[test]
fn a_shard_without_free_row_keys_says_so_and_keeps_its_jobs() {
    let mut bench = Bench::new();
    bench.job();
    let last = format!("\"next_partition\":{PARTITION_MAX}");
    let params = [Param::Text(&last)];
    let sql = "UPDATE meta SET value = replace(value, '\"next_partition\":1', ?)";
    bench.sql.run(sql, &params).unwrap();
    bench.reopen();
    let other = |retention| NewJob {
        spec: JobSpec {
            retention: Millis(retention),
            ..spec()
        },

        ..request()
    };
    let id = bench.accept(other(RETENTION.0 * 2));
    assert_eq!(id.key.0, ROW_KEY_MAX - u64::from(SEQUENCE_MAX) + 1);
    let before = bench.dump();
    let refused = bench.shard.accept(&[other(RETENTION.0 * 3)], bench.now);
    assert!(matches!(refused, Err(ShardError::Exhausted)));
    assert_eq!(bench.dump(), before);
}

#[test]
fn ids_are_genuine_only_with_the_key_and_the_row_of_their_shard() {
    let mut bench = Bench::new();
    let id = bench.job();
    assert!(id.secret.is_sealed(&ID_KEY, id.shard, id.key));
    let (other_key, other_row) = (IdKey([8; 32]), RowKey(id.key.0 + 1));
    assert!(!id.secret.is_sealed(&other_key, id.shard, id.key));
    assert!(!id.secret.is_sealed(&ID_KEY, id.shard + 1, id.key));
    assert!(!id.secret.is_sealed(&ID_KEY, id.shard, other_row));
    bench.reopen();
    let id = bench.job();
    assert!(
        id.secret.is_sealed(&ID_KEY, id.shard, id.key),
        "a start keeps the key"
    );
}

#[test]
fn keys_go_with_their_generation_and_not_before_their_window_ends() {
    let mut bench = Bench::new();
    let window = RETENTION.0 / 2;
    let mut stands: Vec<(UnixMillis, JobId)> = Vec::new();
    for step in 0..40 {
        bench.now = at(step * window / 4);
        bench.ring();
        let again = with_key("first", "f");
        if step < 4 {
            let accepted = bench.shard.accept(&[again], bench.now).unwrap();
            match stands.first() {
                Some((_, id)) => assert_eq!(existing(&accepted[0]), *id, "{step}"),
                None => stands.push((bench.now, created(&accepted[0]))),
            }
        }
        bench.accept(with_key(&format!("k{step}"), "f"));
        assert!(bench.sql.tables("keys_").len() <= 3, "{step}");
    }
    assert!(bench.count("keys") < 20);
}

/// A configuration may change the window, but a key keeps the window with which it was accepted.
#[test]
fn a_key_is_found_whatever_window_it_was_first_used_with() {
    let mut bench = Bench::new();
    let with_window = |window| {
        let mut accept = with_key("k", "f");
        accept.key.as_mut().unwrap().window = Millis(window);
        accept
    };
    let id = bench.accept(with_window(RETENTION.0));
    bench.reopen();
    for window in [1, 1_000, RETENTION.0 / 2, RETENTION.0] {
        let accepted = bench.shard.accept(&[with_window(window)], bench.now);
        assert_eq!(existing(&accepted.unwrap()[0]), id, "{window}");
    }
    assert_eq!(bench.count("keys"), 1);
}

#[test]
fn a_clock_that_goes_back_finds_the_newest_job_of_a_key() {
    let mut bench = Bench::new();
    let window = RETENTION.0 / 2;
    let first = bench.accept(with_key("k", "f"));
    // Far enough for another generation.
    bench.now = at(window + 60_000);
    let second = bench.accept(with_key("k", "f"));
    assert_ne!(first, second);
    for millis in [0, window - 1, window] {
        bench.now = at(millis);
        let again = bench.shard.accept(&[with_key("k", "f")], bench.now);
        assert_eq!(existing(&again.unwrap()[0]), second, "{millis}");
    }
    assert_eq!(bench.count("keys"), 1);
}

/// Clients can invent ids of a thousand shards.
#[test]
fn a_shard_that_is_only_read_writes_nothing_and_creates_nothing() {
    let mut bench = Bench::new();
    let key = RowKey(super::support::jobs::FIRST);
    let id = JobId {
        shard: 3,
        key,
        secret: Secret::from_bytes([1; 16]),
    };
    assert!(matches!(bench.found(id), Found::Nothing));
    assert!(matches!(bench.try_claim(id), Claimed::Refused(None)));
    let find = bench.shard.find_key(&super::key("k", "f"), bench.now);
    assert!(find.unwrap().is_none());
    assert!(matches!(
        bench.shard.cancel(&id, bench.now, 0),
        Ok(Found::Nothing)
    ));
    let gone = bench.shard.accept(&[super::with_object("o")], bench.now);
    assert!(matches!(gone.unwrap()[0], Accepted::ObjectGone));
    bench.ring();
    bench.reopen();
    assert_eq!(bench.sql.tables(""), [""; 0]);
}

/// A shard with one unfinished job fewer than its limit.
fn almost_full() -> Bench {
    let mut bench = Bench::new();
    bench.accept(with_key("k", "f"));
    let many = "WITH RECURSIVE n(i) AS (SELECT 4194306 UNION ALL SELECT i + 1 FROM n LIMIT 199998) \
                INSERT INTO jobs_1 (key, active, secret, state, request) \
                SELECT i, 1, x'00', '{', '' FROM n";
    bench.sql.run(many, &[]).unwrap();
    bench.reopen();
    assert_eq!(bench.shard.active(), 199_999);
    bench
}

/// Otherwise it would run out of memory.
#[test]
fn a_shard_with_too_many_unfinished_jobs_refuses_more_and_serves_those_it_has() {
    let mut bench = almost_full();
    let group = [request(), with_key("k", "f"), request(), with_body()];
    let accepted = bench.shard.accept(&group, bench.now).unwrap();
    let id = created(&accepted[0]);
    let known = existing(&accepted[1]);
    assert!(matches!(accepted[2], Accepted::Overloaded));
    assert!(matches!(accepted[3], Accepted::Overloaded));
    assert_eq!(bench.shard.active(), 200_000);
    let refused = bench.shard.accept(&[request()], bench.now).unwrap();
    assert!(matches!(refused[0], Accepted::Overloaded));
    bench.succeed(id);
    bench.succeed(known);
    let ids = [bench.job(), bench.job()];
    assert_eq!(bench.record(ids[1]).status(), Status::Queued);
}
