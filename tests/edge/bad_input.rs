//! Bad bodies and ids get the documented problem. Nothing is stored or sent to the origin, and the gateway
//! still works. Bad heads are tested in their own file.

use crate::bad_heads::assert_runtimes_own;
use crate::client::{Exchange, Reply, Request};
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem, send};
use crate::pattern;

/// Asserts that a job still succeeds.
pub async fn assert_still_works() {
    let reply = Job::accepted(Case::new().post("/always/echo"))
        .await
        .succeeded()
        .await;
    assert_eq!(reply.status, 200);
}

/// The runtime itself rejects a target with such a character.
#[track_caller]
fn assert_unknown(id: &str, reply: &Reply) {
    if id.contains('<') {
        assert_eq!(reply.status, 400, "{reply}");
        assert_runtimes_own(id, reply);
    } else {
        assert_problem(reply, 404, "not_found");
    }
}

#[tokio::test]
async fn job_ids_of_any_kind_are_not_found() {
    let long = "j".repeat(10_000);
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    let prefix = job.id[..job.id.len() - 1].to_owned();
    let longer = format!("{}A", job.id);
    let lower = job.id.to_ascii_lowercase();
    for id in [
        "0",
        "j",
        "J",
        "null",
        "undefined",
        "-1",
        "%",
        "%zz",
        "*",
        "'",
        "\"",
        "<script>",
        "%F0%9F%92%A9",
        "a%2Fb",
        "a;b",
        "a=b",
        "{id}",
        "j%00",
        "jAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "j________________________________",
        "j--------------------------------",
        "j================================",
        long.as_str(),
        prefix.as_str(),
        longer.as_str(),
        lower.as_str(),
    ] {
        for path in ["", "/result", "/cancel", "/events"] {
            let method = if path == "/cancel" { "POST" } else { "GET" };
            let reply = send(Request::new(method, &format!("/jobs/{id}{path}"))).await;
            assert_unknown(id, &reply);
        }
        let reply = send(Request::new("DELETE", &format!("/jobs/{id}?purge=true"))).await;
        assert_unknown(id, &reply);
    }
    assert_eq!(job.succeeded().await.status, 200);
}

#[tokio::test]
async fn a_body_at_the_limit_is_accepted_and_a_larger_one_is_rejected() {
    for chunked in [false, true] {
        let with = |case: &Case, length| {
            let request = case.post("/limited/echo").body(pattern::bytes(1, length));
            if chunked { request.chunked() } else { request }
        };
        let case = Case::new();
        Job::accepted(with(&case, 1000)).await.succeeded().await;
        for length in [1001, 70_000, 3_000_000] {
            let case = Case::new();
            let reply = send(with(&case, length)).await;
            assert_problem(&reply, 413, "payload_too_large");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            assert!(case.seen().is_empty(), "chunked {chunked}, {length}");
        }
    }
    assert_still_works().await;
}

/// The runtime closes the connection while the client is still sending, and the client then often loses the
/// response. Therefore each is sent several times.
#[tokio::test]
async fn a_client_that_reads_only_after_sending_still_gets_the_rejection() {
    let long = format!("/always/{}", "x".repeat(20_000));
    for (target, status) in [
        ("/limited/echo", 413),
        ("/keyed/echo", 400),
        (long.as_str(), 414),
        ("/jobs/unknown", 405),
        ("/jobs/unknown/cancel", 404),
    ] {
        for chunked in [false, true, false, true, false, true] {
            let request = Request::new("POST", target).body(pattern::bytes(1, 1_500_000));
            let request = if chunked { request.chunked() } else { request };
            let reply = send(request).await;
            assert_eq!(reply.status, status, "{target}, chunked {chunked}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_still_gets_the_rejection() {
    let request = Request::new("POST", &Case::new().target("/limited/echo"))
        .field("Content-Length", "1500000");
    let mut exchange = Exchange::open(&request, Gateway::shared().address)
        .await
        .unwrap();
    exchange.write(&pattern::bytes(1, 1000)).await.unwrap();
    let reply = exchange.read_head().await.unwrap();
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn a_deferred_get_with_a_body_is_rejected() {
    let case = Case::new();
    let reply = send(case.get("/always/echo").body("body")).await;
    assert_problem(&reply, 400, "bad_request");
    assert!(case.seen().is_empty());
}

#[tokio::test]
async fn a_body_that_ends_early_makes_no_job() {
    for length in [1_000, 200_000] {
        let case = Case::new();
        let request = Request::new("POST", &case.target("/always/echo"))
            .field("Content-Length", &length.to_string());
        let mut exchange = Exchange::open(&request, Gateway::shared().address)
            .await
            .unwrap();
        exchange
            .write(&pattern::bytes(1, length / 2))
            .await
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(exchange);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(case.seen().is_empty(), "{length}");
    }
    assert_still_works().await;
}
