//! Status documents, state by state.

use raincheck::job::{JobSpec, Millis, Outcome};
use raincheck::rpc::call::{AcceptCall, Call, RedriveCall, View, ViewCall};

use super::support::jobs::{DEADLINE, LIFE, spec};
use super::{Desk, accept, assert_transcript, transcript, view};

const TIMES: &str = r#""created":"2027-01-15T08:00:00.000Z""#;

fn document(desk: &mut Desk) -> serde_json::Value {
    let text = transcript(&desk.status());
    let (_, body) = text.split_once("\n\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_running_job() {
    assert_transcript(
        &Desk::new().claimed().status(),
        r#"
200
content-type: application/json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
etag: "v2"
retry-after: 1

{"id":"ID","status":"running","rule":"reports","priority":"normal","created":"2027-01-15T08:00:00.000Z","started":"2027-01-15T08:00:01.000Z","updated":"2027-01-15T08:00:01.000Z","expires":"2027-01-15T08:17:42.500Z","deadline":"2027-01-15T08:01:40.000Z","attempt":1,"attempts":3,"urls":{"get":"https://h/jobs/ID","result":"https://h/jobs/ID/result","cancel":"https://h/jobs/ID/cancel"}}"#,
    );
}

#[test]
fn a_job_that_waits_for_its_next_attempt_says_when() {
    let mut desk = Desk::new();
    desk.claimed().finished(Outcome::Unreachable, None);
    assert_transcript(
        &desk.status(),
        r#"
200
content-type: application/json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
etag: "v3"
retry-after: 1

{"id":"ID","status":"queued","rule":"reports","priority":"normal","created":"2027-01-15T08:00:00.000Z","started":"2027-01-15T08:00:01.000Z","updated":"2027-01-15T08:00:03.000Z","expires":"2027-01-15T08:17:42.500Z","deadline":"2027-01-15T08:01:40.000Z","attempt":1,"attempts":3,"not_acted":1,"next_attempt":"2027-01-15T08:00:04.000Z","urls":{"get":"https://h/jobs/ID","result":"https://h/jobs/ID/result","cancel":"https://h/jobs/ID/cancel"}}"#,
    );
}

#[test]
fn a_job_that_succeeded_with_small_json_shows_it() {
    let mut desk = Desk::new();
    desk.answered(
        201,
        &[("content-type", "application/json")],
        b"{\"rows\": [1, 2]}",
    );
    assert_transcript(
        &desk.status(),
        r#"
200
content-type: application/json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
etag: "v3"

{"id":"ID","status":"succeeded","rule":"reports","priority":"normal","created":"2027-01-15T08:00:00.000Z","started":"2027-01-15T08:00:01.000Z","updated":"2027-01-15T08:00:03.000Z","finished":"2027-01-15T08:00:03.000Z","expires":"2027-01-15T08:17:42.500Z","deadline":"2027-01-15T08:01:40.000Z","attempt":1,"attempts":3,"urls":{"get":"https://h/jobs/ID","result":"https://h/jobs/ID/result"},"resourceLocation":"https://h/jobs/ID/result","output":{"rows": [1, 2]}}"#,
    );
}

#[test]
fn a_job_that_failed_says_why() {
    let mut desk = Desk::new();
    desk.answered(404, &[], b"nope");
    assert_transcript(
        &desk.status(),
        r#"
200
content-type: application/json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
etag: "v3"

{"id":"ID","status":"failed","rule":"reports","priority":"normal","created":"2027-01-15T08:00:00.000Z","started":"2027-01-15T08:00:01.000Z","updated":"2027-01-15T08:00:03.000Z","finished":"2027-01-15T08:00:03.000Z","expires":"2027-01-15T08:17:42.500Z","deadline":"2027-01-15T08:01:40.000Z","attempt":1,"attempts":3,"urls":{"get":"https://h/jobs/ID","result":"https://h/jobs/ID/result"},"error":{"code":"origin_error","message":"The origin responded with an error (status 404).","type":"https://h/jobs/problems/origin_error","title":"The origin responded with an error","status":404}}"#,
    );
}

#[test]
fn a_cancel_and_later_reads_show_the_canceled_job() {
    let mut desk = Desk::new();
    let canceled = desk.call(Call::Cancel(view(View::Status)), b"");
    assert_transcript(
        &canceled,
        r#"
200
content-type: application/json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
etag: "v2"

{"id":"ID","status":"canceled","rule":"reports","priority":"normal","created":"2027-01-15T08:00:00.000Z","updated":"2027-01-15T08:00:00.000Z","finished":"2027-01-15T08:00:00.000Z","expires":"2027-01-15T08:17:42.500Z","deadline":"2027-01-15T08:01:40.000Z","attempt":0,"attempts":3,"urls":{"get":"https://h/jobs/ID","result":"https://h/jobs/ID/result"}}"#,
    );
    assert_eq!(desk.status(), canceled);
}

#[test]
fn every_failure_has_an_error_with_a_code_and_a_message() {
    let outcomes = [
        (Outcome::Unknown, "outcome_unknown", 500),
        (Outcome::Malformed, "origin_protocol_error", 502),
        (Outcome::TooLarge, "result_too_large", 502),
        (Outcome::NotStored, "result_not_stored", 500),
    ];
    for (outcome, code, status) in outcomes {
        let mut desk = Desk::new();
        desk.claimed().finished(outcome, None);
        let error = &document(&mut desk)["error"];
        assert_eq!(
            (error["code"].as_str(), error["status"].as_u64()),
            (Some(code), Some(status))
        );
        for name in ["message", "type", "title"] {
            assert!(
                error[name].as_str().is_some_and(|text| !text.is_empty()),
                "{code} {name}"
            );
        }
    }
}

#[test]
fn fields_that_do_not_apply_are_absent_and_never_null() {
    let mut desks = [Desk::new(), Desk::new(), Desk::new()];
    desks[1].answered(200, &[], b"x");
    desks[2].answered(400, &[], b"x");
    for desk in &mut desks {
        let document = document(desk);
        assert!(
            document
                .as_object()
                .unwrap()
                .values()
                .all(|value| !value.is_null())
        );
        let succeeded = document["status"] == "succeeded";
        assert_eq!(document.get("resourceLocation").is_some(), succeeded);
        assert_eq!(
            document.get("error").is_some(),
            document["status"] == "failed"
        );
    }
}

#[test]
fn only_small_json_of_a_success_is_shown_as_output() {
    let long = format!("\"{}\"", "x".repeat(16 * 1024));
    let cases: [(u16, &str, &str, bool); 9] = [
        (200, "application/json", "{}", true),
        (200, "application/problem+json; charset=utf-8", "[]", true),
        (200, "Application/JSON;x=y", "null", true),
        (200, "application/json", "{", false),
        (200, "application/json", "", false),
        (200, "text/plain", "{}", false),
        (200, "application/jsonl", "{}", false),
        (200, "application/json", &long, false),
        (400, "application/json", "{}", false),
    ];
    for (status, kind, body, shown) in cases {
        let mut desk = Desk::new();
        desk.answered(status, &[("content-type", kind)], body.as_bytes());
        let document = document(&mut desk);
        assert_eq!(document.get("output").is_some(), shown, "{status} {kind}");
    }
}

#[test]
fn the_history_is_shown_when_asked_for_and_has_its_own_tag() {
    let mut desk = Desk::new();
    desk.claimed().finished(Outcome::Unreachable, None);
    let call = ViewCall {
        include_attempts: true,
        ..view(View::Status)
    };
    let reply = desk.call(Call::View(call), b"");
    assert_eq!(reply.headers.get("etag"), Some("\"v3-attempts\""));
    let history = r#""history":[{"attempt":1,"started":"2027-01-15T08:00:01.000Z","duration_ms":2000,"error":"origin_unreachable"}]}"#;
    let text = transcript(&reply);
    assert!(text.ends_with(history) && text.contains(TIMES), "{text}");
}

#[test]
fn an_unchanged_document_is_not_sent_again() {
    let mut desk = Desk::new();
    let with = |tag: &str| {
        Call::View(ViewCall {
            if_none_match: Some(tag.to_owned()),
            ..view(View::Status)
        })
    };
    for tag in ["\"v1\"", "W/\"v1\"", "\"x\", \"v1\"", "*"] {
        let reply = desk.call(with(tag), b"");
        assert_transcript(
            &reply,
            "304\ncache-control: no-store\nx-content-type-options: nosniff\nreferrer-policy: no-referrer\netag: \"v1\"\nretry-after: 1\n\n",
        );
    }
    assert_eq!(desk.call(with("\"v2\""), b"").status, 200);
    desk.claimed();
    assert_eq!(desk.call(with("\"v1\""), b"").status, 200);
}

/// The version that a client decided upon.
fn if_match(tag: &str) -> ViewCall {
    ViewCall {
        if_match: Some(tag.to_owned()),
        ..view(View::Status)
    }
}

#[test]
fn if_match_allows_a_change_of_the_named_version_only() {
    let mut desk = Desk::new();
    for call in [
        Call::Cancel(if_match("\"v2\"")),
        Call::Cancel(if_match("W/\"v1\"")),
        Call::View(if_match("\"v2\"")),
    ] {
        let refused = desk.call(call, b"");
        assert_eq!(refused.status, 412);
        assert!(transcript(&refused).contains("\"code\":\"precondition_failed\""));
    }
    assert_eq!(document(&mut desk)["status"], "queued");
    let canceled = desk.call(Call::Cancel(if_match("\"v0\", \"v1-attempts\"")), b"");
    assert_eq!(canceled.status, 200);
    assert_eq!(desk.call(Call::Purge(if_match("\"v1\"")), b"").status, 412);
    assert_eq!(document(&mut desk)["status"], "canceled");
    assert_eq!(desk.call(Call::Purge(if_match("\"v2\"")), b"").status, 204);
    assert_eq!(desk.call(Call::Purge(if_match("\"v2\"")), b"").status, 404);
}

#[test]
fn a_redrive_with_if_match_applies_to_the_named_version_only() {
    let mut desk = Desk::new();
    desk.claimed().finished(Outcome::Malformed, None);
    for (tag, status) in [("\"v1\"", 412), ("\"v3\"", 202)] {
        let call = RedriveCall {
            view: if_match(tag),
            object: None,
        };
        assert_eq!(desk.call(Call::Redrive(call), b"").status, status, "{tag}");
    }
}

#[test]
fn if_none_match_prevents_a_change_of_the_named_version() {
    let mut desk = Desk::new();
    for (tag, status) in [("*", 412), ("\"v1\"", 412), ("\"v2\"", 200)] {
        let call = ViewCall {
            if_none_match: Some(tag.to_owned()),
            ..view(View::Status)
        };
        assert_eq!(desk.call(Call::Cancel(call), b"").status, status, "{tag}");
    }
}

#[test]
fn head_is_get_without_content() {
    let mut desk = Desk::new();
    let get = desk.status();
    let call = ViewCall {
        head: true,
        ..view(View::Status)
    };
    let head = desk.call(Call::View(call), b"");
    assert_eq!(head.content, raincheck::rpc::Content::Empty);
    for (name, value) in get.headers.iter() {
        assert_eq!(head.headers.get(name), Some(value), "{name}");
    }
    let length = transcript(&get).replace("ID", super::ID);
    let (_, body) = length.split_once("\n\n").unwrap();
    assert_eq!(
        head.headers.get("content-length"),
        Some(body.len().to_string().as_str())
    );
}

#[test]
fn a_delayed_job_tells_when_it_begins() {
    let mut desk = Desk::empty();
    desk.accept(AcceptCall {
        spec: JobSpec {
            delay: Millis(60_000),
            ..spec()
        },
        ..accept()
    });
    assert_eq!(
        document(&mut desk)["next_attempt"],
        "2027-01-15T08:01:00.000Z"
    );
}

#[test]
fn an_expired_job_is_gone_and_then_unknown() {
    let mut desk = Desk::new();
    desk.later(LIFE.0);
    assert_transcript(
        &desk.status(),
        r#"
410
content-type: application/problem+json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer

{"type":"/jobs/problems/job_expired","title":"The job has expired","status":410,"detail":"The job has expired","error":{"code":"job_expired","message":"The job has expired"},"retryable":false}"#,
    );
    desk.later(60_000);
    assert_transcript(
        &desk.status(),
        r#"
404
content-type: application/problem+json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer

{"type":"/jobs/problems/not_found","title":"Not found","status":404,"detail":"There is no such job.","error":{"code":"not_found","message":"There is no such job."},"retryable":false}"#,
    );
}

#[test]
fn the_alarm_ends_a_job_at_its_deadline_and_the_document_says_so() {
    let mut desk = Desk::new();
    desk.later(DEADLINE.0);
    desk.shard.tick(desk.now, 0);
    let document = document(&mut desk);
    assert_eq!(
        (&document["status"], &document["error"]["code"]),
        (&"failed".into(), &"deadline_exceeded".into())
    );
}
