//! Results: the origin's response, or the reason why there is none.

use raincheck::job::Outcome;
use raincheck::rpc::call::{Call, View, ViewCall};
use raincheck::rpc::head::ResponseHead;
use raincheck::rpc::{Content, Reply};

use super::support::jobs::object_body;
use super::{Desk, assert_transcript, head, transcript, view};

fn ask(desk: &mut Desk, change: impl FnOnce(&mut ViewCall)) -> Reply {
    let mut call = view(View::Result);
    change(&mut call);
    desk.call(Call::View(call), b"")
}

fn code(reply: &Reply) -> String {
    let text = transcript(reply);
    let (_, body) = text.split_once("\n\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_pending_result_is_the_status_document_and_points_to_itself() {
    let mut desk = Desk::new();
    desk.claimed();
    assert_transcript(
        &desk.result(),
        r#"
202
content-type: application/json
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
retry-after: 1
location: https://h/jobs/ID/result
raincheck-job-status: pending
link: <https://h/jobs/ID>; rel="status"

{"id":"ID","status":"running","rule":"reports","priority":"normal","created":"2027-01-15T08:00:00.000Z","started":"2027-01-15T08:00:01.000Z","updated":"2027-01-15T08:00:01.000Z","expires":"2027-01-15T08:17:42.500Z","deadline":"2027-01-15T08:01:40.000Z","attempt":1,"attempts":3,"urls":{"get":"https://h/jobs/ID","result":"https://h/jobs/ID/result","cancel":"https://h/jobs/ID/cancel"}}"#,
    );
}

#[test]
fn a_result_is_the_origins_status_fields_and_bytes() {
    let mut desk = Desk::new();
    let fields = [
        ("content-type", "text/csv"),
        ("x-own", "a=1"),
        ("x-own", "b=2"),
    ];
    desk.answered(200, &fields, b"a,b\n");
    assert_transcript(
        &desk.result(),
        r#"
200
content-type: text/csv
x-own: a=1
x-own: b=2
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
accept-ranges: bytes
content-length: 4
raincheck-job-status: succeeded
raincheck-result: origin
link: <https://h/jobs/ID>; rel="status"

a,b
"#,
    );
}

#[test]
fn a_failed_response_is_a_result_too() {
    let mut desk = Desk::new();
    desk.answered(422, &[("content-type", "text/plain")], b"no");
    assert_transcript(
        &desk.result(),
        r#"
422
content-type: text/plain
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
content-length: 2
raincheck-job-status: failed
raincheck-result: origin
link: <https://h/jobs/ID>; rel="status"

no"#,
    );
}

#[test]
fn bytes_that_are_not_text_come_back_unchanged() {
    let mut desk = Desk::new();
    let bytes: Vec<u8> = (0..=255).collect();
    desk.answered(200, &[], &bytes);
    assert_eq!(desk.result().content, Content::Bytes(bytes));
}

#[test]
fn a_final_202_of_the_origin_does_not_look_pending() {
    let mut desk = Desk::new();
    desk.answered(202, &[("content-type", "text/plain")], b"later");
    assert_transcript(
        &desk.result(),
        r#"
200
content-type: text/plain
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
raincheck-origin-status: 202
accept-ranges: bytes
content-length: 5
raincheck-job-status: succeeded
raincheck-result: origin
link: <https://h/jobs/ID>; rel="status"

later"#,
    );
}

#[test]
fn ranges_are_served() {
    let cases = [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("bytes=8-", 206, "bytes 8-9/10", "89"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=5-100", 206, "bytes 5-9/10", "56789"),
        ("bytes=0-0", 206, "bytes 0-0/10", "0"),
        ("bytes=2-1", 200, "", "0123456789"),
        ("items=0-3", 200, "", "0123456789"),
        ("bytes=0-1,4-5", 200, "", "0123456789"),
    ];
    for (range, status, content_range, body) in cases {
        let mut desk = Desk::new();
        desk.answered(200, &[("etag", "\"e\"")], b"0123456789");
        let reply = ask(&mut desk, |call| call.range = Some(range.to_owned()));
        assert_eq!(reply.status, status, "{range}");
        assert_eq!(
            reply.headers.get("content-range").unwrap_or(""),
            content_range,
            "{range}"
        );
        assert_eq!(
            reply.content,
            Content::Bytes(body.as_bytes().to_vec()),
            "{range}"
        );
        let length = body.len().to_string();
        assert_eq!(
            reply.headers.get("content-length"),
            Some(length.as_str()),
            "{range}"
        );
    }
}

#[test]
fn a_range_outside_the_result_gets_a_problem_with_the_length() {
    let mut desk = Desk::new();
    desk.answered(200, &[], b"0123456789");
    let reply = ask(&mut desk, |call| call.range = Some("bytes=10-".to_owned()));
    assert_eq!(
        (reply.status, reply.headers.get("content-range")),
        (416, Some("bytes */10"))
    );
    assert_eq!(code(&reply), "range_not_satisfiable");
}

#[test]
fn a_range_applies_only_to_the_version_that_it_names() {
    let cases = [("\"e\"", 206), ("\"other\"", 200), ("W/\"e\"", 200)];
    for (condition, status) in cases {
        let mut desk = Desk::new();
        desk.answered(200, &[("etag", "\"e\"")], b"0123456789");
        let reply = ask(&mut desk, |call| {
            call.range = Some("bytes=0-1".to_owned());
            call.if_range = Some(condition.to_owned());
        });
        assert_eq!(reply.status, status, "{condition}");
    }
    let mut desk = Desk::new();
    desk.answered(200, &[], b"0123456789");
    let reply = ask(&mut desk, |call| {
        call.range = Some("bytes=0-1".to_owned());
        call.if_range = Some("\"e\"".to_owned());
    });
    assert_eq!(reply.status, 200, "a result without a tag");
}

#[test]
fn a_range_of_a_failed_response_is_not_served() {
    let mut desk = Desk::new();
    desk.answered(404, &[], b"0123456789");
    let reply = ask(&mut desk, |call| call.range = Some("bytes=0-1".to_owned()));
    assert_eq!(
        (reply.status, reply.headers.get("accept-ranges")),
        (404, None)
    );
}

#[test]
fn a_result_that_the_client_has_is_not_sent_again() {
    let mut desk = Desk::new();
    let fields = [
        ("etag", "\"e\""),
        ("content-type", "text/csv"),
        ("cache-control", "max-age=9"),
    ];
    desk.answered(200, &fields, b"a,b\n");
    let reply = ask(&mut desk, |call| {
        call.if_none_match = Some("W/\"e\"".to_owned());
    });
    assert_transcript(
        &reply,
        r#"
304
etag: "e"
cache-control: no-store
x-content-type-options: nosniff
referrer-policy: no-referrer
raincheck-job-status: succeeded
raincheck-result: origin
link: <https://h/jobs/ID>; rel="status"

"#,
    );
    let other = ask(&mut desk, |call| {
        call.if_none_match = Some("\"x\"".to_owned());
    });
    assert_eq!(other.status, 200);
}

#[test]
fn head_of_a_result_is_get_without_content() {
    let mut desk = Desk::new();
    desk.answered(200, &[("content-type", "text/csv")], b"a,b\n");
    let get = desk.result();
    let head = ask(&mut desk, |call| call.head = true);
    assert_eq!((head.status, &head.headers), (get.status, &get.headers));
    assert_eq!(head.content, Content::Empty);
}

#[test]
fn a_body_in_the_bucket_is_named_with_the_requested_slice() {
    let mut desk = Desk::new();
    desk.answered_from_the_bucket(object_body("results/3/x", 100_000));
    let whole = desk.result();
    assert_eq!(whole.content, Content::Empty);
    assert_eq!(whole.headers.get("raincheck-object"), Some("results/3/x"));
    assert_eq!(whole.headers.get("raincheck-slice"), Some("0 100000"));
    assert_eq!(whole.headers.get("content-length"), Some("100000"));
    let part = ask(&mut desk, |call| {
        call.range = Some("bytes=10-19".to_owned());
    });
    assert_eq!(
        (part.status, part.headers.get("raincheck-slice")),
        (206, Some("10 10"))
    );
    let head = ask(&mut desk, |call| call.head = true);
    assert_eq!(
        (head.status, head.headers.get("raincheck-object")),
        (200, None)
    );
    assert_eq!(head.headers.get("content-length"), Some("100000"));
}

#[test]
fn a_job_without_a_response_gets_the_problem_that_says_why() {
    let outcomes = [
        (Outcome::Unknown, 500, "outcome_unknown"),
        (Outcome::Malformed, 502, "origin_protocol_error"),
        (Outcome::TooLarge, 502, "result_too_large"),
        (Outcome::NotStored, 500, "result_not_stored"),
    ];
    for (outcome, status, expected) in outcomes {
        let mut desk = Desk::new();
        desk.claimed().finished(outcome, None);
        let reply = desk.result();
        assert_eq!((reply.status, code(&reply).as_str()), (status, expected));
        let text = transcript(&reply);
        assert!(
            text.contains("\"retryable\":false"),
            "the job has ended for good: {text}"
        );
    }
}

#[test]
fn a_canceled_job_has_no_result() {
    let mut desk = Desk::new();
    desk.call(Call::Cancel(view(View::Status)), b"");
    let reply = desk.result();
    assert_eq!((reply.status, code(&reply).as_str()), (410, "job_canceled"));
}

#[test]
fn a_response_without_content_has_no_length() {
    for status in [204, 205, 304] {
        let mut desk = Desk::new();
        desk.answered(status, &[("x-own", "1")], b"");
        let reply = desk.result();
        assert_eq!((reply.status, reply.content), (status, Content::Empty));
        assert_eq!(reply.headers.get("content-length"), None);
        assert_eq!(reply.headers.get("x-own"), Some("1"));
    }
}

#[test]
fn a_purged_job_is_unknown() {
    let mut desk = Desk::new();
    desk.answered(200, &[], b"x");
    let purged = desk.call(Call::Purge(view(View::Status)), b"");
    assert_transcript(&purged, "204\n\n");
    assert_eq!(desk.result().status, 404);
    let again = desk.call(Call::Purge(view(View::Status)), b"");
    assert_eq!(again, desk.status(), "as if it had never existed");
}

#[test]
fn a_job_that_has_not_ended_is_not_purged() {
    let mut desk = Desk::new();
    let refused = desk.call(Call::Purge(view(View::Status)), b"");
    assert_eq!((refused.status, code(&refused).as_str()), (409, "conflict"));
}

const MODIFIED: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const BEFORE: &str = "Wed, 21 Oct 2015 07:27:59 GMT";

#[test]
fn dates_are_conditions_if_the_origin_sent_last_modified() {
    let mut desk = Desk::new();
    let fields = [("last-modified", MODIFIED), ("etag", "\"e\"")];
    desk.answered(200, &fields, b"x");
    let since = |desk: &mut Desk, date: &str, tag: Option<&str>| {
        let change = |call: &mut ViewCall| {
            call.if_modified_since = Some(date.to_owned());
            call.if_none_match = tag.map(str::to_owned);
        };
        ask(desk, change).status
    };
    assert_eq!(since(&mut desk, MODIFIED, None), 304);
    assert_eq!(since(&mut desk, BEFORE, None), 200);
    assert_eq!(since(&mut desk, "yesterday", None), 200, "no date");
    assert_eq!(
        since(&mut desk, MODIFIED, Some("\"x\"")),
        200,
        "the tag counts"
    );
    let unmodified = |desk: &mut Desk, date: &str, tag: Option<&str>| {
        let change = |call: &mut ViewCall| {
            call.if_unmodified_since = Some(date.to_owned());
            call.if_match = tag.map(str::to_owned);
        };
        ask(desk, change).status
    };
    assert_eq!(unmodified(&mut desk, MODIFIED, None), 200);
    assert_eq!(unmodified(&mut desk, BEFORE, None), 412);
    assert_eq!(
        unmodified(&mut desk, BEFORE, Some("\"e\"")),
        200,
        "the tag counts"
    );
    let mut undated = Desk::new();
    undated.answered(200, &[], b"x");
    assert_eq!(since(&mut undated, MODIFIED, None), 200);
    assert_eq!(unmodified(&mut undated, BEFORE, None), 200);
}

#[test]
fn the_result_of_a_head_keeps_the_origins_content_length() {
    let mut desk = Desk::new();
    let told = ResponseHead {
        to_head: true,
        ..head(200, &[("content-length", "1234")])
    };
    let outcome = Outcome::Responded {
        status: 200,
        retry_after: None,
    };
    desk.claimed().finished(outcome, Some(&(told, b"")));
    let reply = ask(&mut desk, |call| call.head = true);
    assert_eq!(
        (reply.status, reply.headers.get("content-length")),
        (200, Some("1234"))
    );
    assert_eq!(reply.content, Content::Empty);
    let get = ask(&mut desk, |call| call.range = Some("bytes=0-9".to_owned()));
    assert_eq!(get.status, 200);
    assert_eq!(
        get.headers.get("content-length"),
        Some("0"),
        "there is no content to send"
    );
    assert_eq!(
        get.headers.get("raincheck-origin-content-length"),
        Some("1234")
    );
}
