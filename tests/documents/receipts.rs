//! Receipts.

use raincheck::job::{JobSpec, Millis};
use raincheck::rpc::call::{AcceptCall, Call, PayloadCall};

use super::support::jobs::spec;
use super::{Desk, accept, assert_transcript, with_key};

#[test]
fn a_receipt_is_complete() {
    assert_transcript(
        &Desk::empty().accept(accept()),
        r#"
202
content-type: application/json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
etag: "v1"
retry-after: 1
location: https://h/jobs/ID/result
operation-location: https://h/jobs/ID
content-location: https://h/jobs/ID
link: <https://h/jobs/ID>; rel="status", <https://h/jobs/ID>; rel="monitor"
vary: Prefer

{"id":"ID","status":"queued","rule":"reports","priority":"normal","created":"2027-01-15T08:00:00.000Z","updated":"2027-01-15T08:00:00.000Z","expires":"2027-01-15T08:17:42.500Z","deadline":"2027-01-15T08:01:40.000Z","attempt":0,"attempts":3,"urls":{"get":"https://h/jobs/ID","result":"https://h/jobs/ID/result","cancel":"https://h/jobs/ID/cancel"}}"#,
    );
}

#[test]
fn an_applied_preference_is_confirmed() {
    let preferred = AcceptCall {
        preferred: true,
        ..accept()
    };
    let reply = Desk::empty().accept(preferred);
    assert_eq!(
        reply.headers.get("preference-applied"),
        Some("respond-async")
    );
    assert_eq!(
        Desk::empty()
            .accept(accept())
            .headers
            .get("preference-applied"),
        None
    );
}

#[test]
fn a_caller_that_holds_the_request_is_told_the_job() {
    let held = AcceptCall {
        held: true,
        ..accept()
    };
    let reply = Desk::empty().accept(held);
    assert_eq!(reply.headers.get("raincheck-held"), Some(super::ID));
}

#[test]
fn a_receipt_with_a_key_says_when_the_key_expires() {
    let mut desk = Desk::empty();
    let first = desk.accept(with_key());
    let body = super::transcript(&first);
    assert!(
        body.contains(r#""idempotency_expires":"2027-01-15T08:08:20.000Z""#),
        "{body}"
    );
}

#[test]
fn the_receipt_of_a_repeated_request_differs_only_in_the_jobs_progress() {
    let mut desk = Desk::empty();
    let first = desk.accept(with_key());
    assert_eq!(
        desk.accept(with_key()),
        first,
        "nothing happened in between"
    );
    desk.answered(200, &[], b"done");
    let later = desk.accept(with_key());
    assert_eq!(later.status, 202);
    for name in [
        "location",
        "operation-location",
        "content-location",
        "link",
        "vary",
    ] {
        assert_eq!(later.headers.get(name), first.headers.get(name), "{name}");
    }
    assert_eq!(later.headers.get("retry-after"), Some("1"));
    assert!(super::transcript(&later).contains(r#""status":"succeeded""#));
}

#[test]
fn another_request_with_the_same_key_gets_a_problem() {
    let mut desk = Desk::empty();
    desk.accept(with_key());
    let other = AcceptCall {
        target: "/other".to_owned(),
        ..with_key()
    };
    assert_transcript(
        &desk.accept(other),
        r#"
422
content-type: application/problem+json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
vary: Prefer

{"type":"/jobs/problems/idempotency_key_reused","title":"The Idempotency-Key belongs to another request","status":422,"detail":"The Idempotency-Key was used for a request with another method, target or body.","error":{"code":"idempotency_key_reused","message":"The Idempotency-Key was used for a request with another method, target or body."},"field":"Idempotency-Key","retryable":false}"#,
    );
}

#[test]
fn a_body_whose_length_differs_from_the_announced_one_makes_no_job() {
    let mut desk = Desk::empty();
    let call = AcceptCall {
        payload: PayloadCall::Inline(Some(5)),
        ..accept()
    };
    let reply = desk.call(Call::Accept(Box::new(call)), b"body");
    assert_eq!(reply.status, 400);
    assert!(super::transcript(&reply).contains(r#""code":"body_incomplete""#));
    assert_eq!(desk.shard.active(), 0);
}

#[test]
fn a_lookup_that_finds_nothing_says_so_and_creates_nothing() {
    let mut desk = Desk::empty();
    let lookup = || AcceptCall {
        lookup: true,
        ..with_key()
    };
    assert_eq!(desk.accept(lookup()).status, 204);
    assert_eq!(desk.shard.active(), 0);
    let first = desk.accept(with_key());
    assert_eq!(desk.accept(lookup()), first);
}

#[test]
fn each_request_of_a_group_gets_its_own_response() {
    use raincheck::shard_service::accept_group;
    let mut desk = Desk::empty();
    let broken = AcceptCall {
        payload: PayloadCall::Inline(Some(5)),
        ..accept()
    };
    let lookup = AcceptCall {
        lookup: true,
        ..with_key()
    };
    let calls = [accept(), broken, lookup, with_key(), with_key()];
    let group = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let random = &mut |bytes: &mut [u8]| bytes.fill(9);
    let handled = accept_group(&mut desk.shard, group, desk.now, random);
    let statuses: Vec<u16> = handled.iter().map(|handled| handled.reply.status).collect();
    assert_eq!(statuses, [202, 400, 204, 202, 202]);
    let sends: Vec<usize> = handled.iter().map(|handled| handled.sends.len()).collect();
    assert_eq!(sends, [1, 0, 0, 1, 0], "each new job wants one message");
    assert_eq!(handled[3].reply, handled[4].reply);
    assert_eq!(desk.shard.active(), 2);
}

#[test]
fn a_key_of_a_later_build_fails_only_its_own_request_in_a_group() {
    use raincheck::shard::Sql as _;
    use raincheck::shard_service::accept_group;
    let mut desk = Desk::empty();
    desk.accept(with_key());
    desk.sql
        .run("UPDATE jobs_1 SET state = '{\"v\":2}'", &[])
        .unwrap();
    let group = [accept(), with_key(), accept()];
    let group = group.into_iter().map(|call| (call, Vec::new())).collect();
    let random = &mut |bytes: &mut [u8]| bytes.fill(9);
    let handled = accept_group(&mut desk.shard, group, desk.now, random);
    let statuses: Vec<u16> = handled.iter().map(|handled| handled.reply.status).collect();
    assert_eq!(statuses, [202, 503, 202]);
    assert!(handled[1].fault.is_some() && handled[0].fault.is_none());
}

#[test]
fn retry_after_grows_with_age_and_with_the_time_until_the_job_is_due() {
    for (delay, expected) in [(0, "1"), (500, "1"), (7_001, "8"), (90_000, "30")] {
        let delayed = AcceptCall {
            spec: JobSpec {
                delay: Millis(delay),
                ..spec()
            },
            ..accept()
        };
        let reply = Desk::empty().accept(delayed);
        assert_eq!(reply.headers.get("retry-after"), Some(expected), "{delay}");
    }
    for (age, expected) in [(0, "1"), (16_000, "2"), (79_000, "10")] {
        let mut desk = Desk::new();
        let reply = desk.later(age).status();
        assert_eq!(reply.headers.get("retry-after"), Some(expected), "{age}");
    }
}
