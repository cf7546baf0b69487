//! Preferences (RFC 7240): how long a client is willing to wait.

use std::time::{Duration, Instant};

use crate::client::Request;
use crate::gateway::Gateway;
use crate::job::{Case, Job, send};

fn preferring(target: &str, prefer: &str) -> Request {
    Case::new().post(target).field("Prefer", prefer)
}

#[tokio::test]
async fn a_job_that_ends_in_time_gets_the_origins_own_response() {
    for (target, prefer) in [
        ("/always/echo?status=201&bytes=5&ms=200", "wait=20"),
        (
            "/preferred/echo?status=201&bytes=5&ms=200",
            "respond-async, wait=20",
        ),
        (
            "/preferred/echo?status=201&bytes=5&ms=200",
            "wait=20, respond-async",
        ),
        (
            "/preferred/echo?status=201&bytes=5",
            "WAIT=\"20\", Respond-Async",
        ),
    ] {
        let case = Case::new();
        let reply = send(case.post(target).field("Prefer", prefer)).await;
        assert_eq!(
            (reply.status, reply.body.len()),
            (201, 5),
            "{prefer}: {reply}"
        );
        assert!(
            reply.must("link").contains("rel=\"status\""),
            "{prefer}: {reply}"
        );
        let both = prefer.to_lowercase().contains("respond-async");
        let honoured = if both {
            "respond-async, wait=20"
        } else {
            "wait=20"
        };
        assert_eq!(reply.must("preference-applied"), honoured, "{prefer}");
        assert_eq!(case.seen_once().field("raincheck-attempt"), Some("1"));
    }
}

#[tokio::test]
async fn a_job_that_does_not_end_in_time_gets_a_receipt() {
    for (target, prefer) in [
        ("/always/echo?ms=3000", "wait=1"),
        ("/preferred/echo?ms=3000", "respond-async, wait=1"),
        ("/always/echo?ms=3000", "wait=0"),
    ] {
        let reply = send(preferring(target, prefer)).await;
        let honoured = prefer != "wait=0";
        assert_eq!(
            reply.field("preference-applied"),
            honoured.then_some(prefer),
            "{reply}"
        );
        let job = Job::of(Gateway::shared().address, &reply);
        assert!(job.document().await["finished"].is_null(), "{prefer}");
        assert_eq!(job.succeeded().await.status, 200);
    }
}

#[tokio::test]
async fn a_failed_response_in_time_is_the_origins_own_response_too() {
    let reply = send(preferring("/always/echo?status=422&bytes=7", "wait=20")).await;
    assert_eq!((reply.status, reply.body.len()), (422, 7), "{reply}");
}

#[tokio::test]
async fn a_rule_can_hold_requests_by_itself() {
    let reply = send(Case::new().post("/held/echo?status=203&bytes=5&ms=100")).await;
    assert_eq!((reply.status, reply.body.len()), (203, 5), "{reply}");
    let reply = send(Case::new().post("/held/echo?ms=4000")).await;
    Job::of(Gateway::shared().address, &reply).succeeded().await;
}

#[tokio::test]
async fn other_preferences_are_tolerated() {
    for prefer in [
        "wait",
        "respond-sync",
        "return=minimal",
        "handling=strict; foo",
        "",
        ",,",
        "wait=x",
        "wait=-1",
    ] {
        let reply = send(preferring("/always/echo", prefer)).await;
        assert_eq!(reply.status, 202, "{prefer}: {reply}");
        let reply = send(preferring("/preferred/echo", prefer)).await;
        assert_eq!(reply.status, 200, "{prefer}: {reply}");
    }
}

#[tokio::test]
async fn the_first_of_two_equal_preferences_wins() {
    let reply = send(preferring(
        "/always/echo?ms=2500&bytes=5",
        "wait=0, wait=20",
    ))
    .await;
    assert_eq!(reply.status, 202, "{reply}");
    let reply =
        send(preferring("/always/echo?ms=300&bytes=5", "wait=20").field("Prefer", "wait=0")).await;
    assert_eq!((reply.status, reply.body.len()), (200, 5), "{reply}");
}

#[tokio::test]
async fn a_status_read_can_wait_for_the_end() {
    let job = Job::accepted(Case::new().post("/always/echo?ms=800")).await;
    let reply = job
        .send(Request::get(&job.path()).field("Prefer", "wait=20"))
        .await;
    assert_eq!(
        (reply.status, &reply.json()["status"]),
        (200, &"succeeded".into()),
        "{reply}"
    );
    let job = Job::accepted(Case::new().post("/always/echo?ms=800&bytes=5")).await;
    let reply = job
        .send(Request::get(&job.result_path()).field("Prefer", "wait=20"))
        .await;
    assert_eq!((reply.status, reply.body.len()), (200, 5), "{reply}");
    assert_eq!(reply.must("preference-applied"), "wait=20");
    let job = Job::accepted(Case::new().post("/always/echo?ms=4000")).await;
    let start = Instant::now();
    let reply = job
        .send(Request::get(&job.path()).field("Prefer", "wait=1"))
        .await;
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "it did not wait"
    );
    assert!(reply.json()["finished"].is_null(), "{reply}");
    job.ended().await;
}
