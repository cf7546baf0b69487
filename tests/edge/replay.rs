//! What the origin receives from an attempt.

use crate::client::Request;
use crate::job::{Case, Job};
use crate::pattern;

#[tokio::test]
async fn the_origin_gets_the_request_as_it_was_sent() {
    let case = Case::new();
    let target = case.target("/always/a%2Fb//c;p/echo?x=%20%C3%A9&y=a+b&empty=&");
    let body = pattern::bytes(1, 5_000);
    let request = Request::new("PATCH", &target)
        .field("Content-Type", "application/vnd.report+json; charset=utf-8")
        .field("X-Unknown", "kept, as it \"is\"")
        .field("Authorization", "Bearer secret")
        .field("Cookie", "a=1; b=2")
        .field("Accept", "text/csv")
        .field("Accept-Language", "de")
        .field("User-Agent", "edge-test")
        .body(body.clone());
    let job = Job::accepted(request).await;
    job.succeeded().await;
    let seen = case.seen_once();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PATCH", target.as_str())
    );
    assert_eq!(
        (seen.length, seen.sha256.as_deref()),
        (5_000, Some(pattern::sha256(&body).as_str()))
    );
    for (name, value) in [
        ("content-type", "application/vnd.report+json; charset=utf-8"),
        ("x-unknown", "kept, as it \"is\""),
        ("authorization", "Bearer secret"),
        ("cookie", "a=1; b=2"),
        ("accept", "text/csv"),
        ("accept-language", "de"),
        ("user-agent", "edge-test"),
        ("content-length", "5000"),
    ] {
        assert_eq!(seen.field(name), Some(value), "{name}: {seen:#?}");
    }
}

#[tokio::test]
async fn the_origin_learns_which_job_and_attempt_it_serves() {
    let case = Case::new();
    let job = Job::accepted(case.post("/always/echo")).await;
    job.succeeded().await;
    let seen = case.seen_once();
    assert_eq!(
        seen.field("raincheck-job"),
        Some(job.name_at_origin().as_str())
    );
    assert_eq!(seen.field("raincheck-attempt"), Some("1"));
    assert_eq!(
        seen.field("idempotency-key"),
        Some(format!("\"{}\"", job.name_at_origin()).as_str())
    );
    assert!(
        seen.field("via")
            .is_some_and(|via| via.ends_with("1.1 raincheck")),
        "{seen:#?}"
    );
    assert!(seen.field("traceparent").is_some(), "{seen:#?}");
}

#[tokio::test]
async fn the_clients_key_and_trace_reach_the_origin() {
    let case = Case::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = case
        .post("/always/echo")
        .field("Idempotency-Key", &format!("\"{}\"", case.0))
        .field("Traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))
        .field("Tracestate", "vendor=1");
    Job::accepted(request).await.succeeded().await;
    let seen = case.seen_once();
    assert_eq!(
        seen.field("idempotency-key"),
        Some(format!("\"{}\"", case.0).as_str())
    );
    assert!(
        seen.field("traceparent")
            .is_some_and(|it| it.contains(trace)),
        "{seen:#?}"
    );
    assert_eq!(seen.field("tracestate"), Some("vendor=1"));
}

#[tokio::test]
async fn a_client_cannot_pose_as_the_gateway() {
    let case = Case::new();
    let request = case
        .post("/always/echo")
        .field("Raincheck-Job", "forged")
        .field("Raincheck-Attempt", "77")
        .field("Raincheck-Complete", "https://evil.example/");
    let job = Job::accepted(request).await;
    job.succeeded().await;
    let seen = case.seen_once();
    assert_eq!(
        seen.field("raincheck-job"),
        Some(job.name_at_origin().as_str())
    );
    assert_eq!(seen.field("raincheck-attempt"), Some("1"));
    assert!(
        seen.fields.iter().all(|(_, value)| !value.contains("evil")),
        "{seen:#?}"
    );
}

#[tokio::test]
async fn fields_of_one_connection_are_not_replayed() {
    // Fields named by Connection cannot be tested here: the runtime removes Connection from every request.
    let case = Case::new();
    let request = case
        .post("/always/echo")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Authorization", "Basic x")
        .field("TE", "trailers");
    Job::accepted(request).await.succeeded().await;
    let seen = case.seen_once();
    for name in ["keep-alive", "proxy-authorization", "te"] {
        assert_eq!(seen.field(name), None, "{seen:#?}");
    }
}

#[tokio::test]
async fn a_chunked_body_arrives_whole() {
    for length in [0, 1, 4_097, 65_536, 300_000] {
        let case = Case::new();
        let body = pattern::bytes(length, length);
        Job::accepted(case.post("/always/echo").body(body).chunked())
            .await
            .succeeded()
            .await;
        let seen = case.seen_once();
        assert_eq!(seen.length, length);
        assert_eq!(seen.sha256, Some(pattern::hash(length, length)), "{length}");
    }
}

#[tokio::test]
async fn bodies_of_every_size_arrive_byte_for_byte() {
    for length in [0, 1, 65_535, 65_536, 65_537, 1_000_000, 20_000_000] {
        let case = Case::new();
        let job = Job::accepted(case.post("/always/echo").body(pattern::bytes(2, length))).await;
        assert_eq!(job.succeeded().await.status, 200);
        let seen = case.seen_once();
        assert_eq!(seen.length, length);
        assert_eq!(seen.sha256, Some(pattern::hash(2, length)), "{length}");
    }
}

#[tokio::test]
async fn all_attempts_of_a_job_are_the_same_request() {
    for (method, length) in [("POST", 100), ("PUT", 100_000)] {
        let case = Case::new();
        let target = case.target("/always/sequence?steps=503,429,200");
        let request = Request::new(method, &target).body(pattern::bytes(9, length));
        let job = Job::accepted(request).await;
        assert_eq!(job.succeeded().await.status, 200);
        let seen = case.seen();
        assert_eq!(seen.len(), 3, "{seen:#?}");
        for (number, attempt) in (1..).zip(&seen) {
            assert_eq!(attempt.identity(), seen[0].identity(), "attempt {number}");
            assert_eq!(
                attempt.field("raincheck-attempt"),
                Some(number.to_string().as_str())
            );
            assert_eq!(attempt.sha256, Some(pattern::hash(9, length)));
        }
        assert_eq!(job.document().await["attempt"], 3);
    }
}

#[tokio::test]
async fn every_method_is_replayed_as_itself() {
    for method in [
        "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "REPORT", "PROPFIND",
    ] {
        let case = Case::new();
        let reply = crate::job::send(case.request(method, "/always/echo")).await;
        if method == "OPTIONS" {
            // A rule for all methods does not match OPTIONS, which belongs to CORS.
            assert_eq!(reply.status, 200, "{reply}");
        } else {
            Job::of(crate::gateway::Gateway::shared().address, &reply)
                .succeeded()
                .await;
        }
        assert_eq!(case.seen_once().method, method);
    }
}

#[tokio::test]
async fn preferences_that_concern_only_the_gateway_stay_here() {
    let case = Case::new();
    let prefer = "respond-async, wait=0, handling=strict";
    let request = case.post("/always/echo").field("Prefer", prefer);
    Job::accepted(request).await.succeeded().await;
    let seen = case.seen_once();
    assert_eq!(seen.field("prefer"), Some("handling=strict"), "{seen:#?}");
}
