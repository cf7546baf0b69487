//! Cancelling, and erasing.

use std::time::Duration;

use crate::client::Request;
use crate::job::{Case, Job, assert_problem};

async fn cancel(job: &Job) -> serde_json::Value {
    let reply = job.send(Request::new("DELETE", &job.path())).await;
    assert_eq!(reply.status, 200, "{reply}");
    reply.json()
}

#[tokio::test]
async fn a_running_job_is_canceled_at_once_and_its_late_response_changes_nothing() {
    let case = Case::new();
    let job = Job::accepted(case.post("/always/echo?ms=1500")).await;
    job.until_status("running").await;
    let document = cancel(&job).await;
    assert_eq!(document["status"], "canceled");
    assert!(document["finished"].is_string(), "{document:#}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(job.document().await, document);
    assert_problem(&job.result().await, 410, "job_canceled");
    assert_eq!(case.seen().len(), 1);
}

#[tokio::test]
async fn a_job_that_was_canceled_between_attempts_is_never_retried() {
    let case = Case::new();
    let job = Job::accepted(case.post("/always/sequence?steps=503:2,200")).await;
    job.until(|it| it["attempt"] == 1 && it["status"] == "queued")
        .await;
    assert_eq!(cancel(&job).await["status"], "canceled");
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(case.seen().len(), 1);
    assert_eq!(job.document().await["status"], "canceled");
}

#[tokio::test]
async fn a_job_can_be_canceled_the_moment_it_is_accepted() {
    for _ in 0..10 {
        let job = Job::accepted(Case::new().post("/always/echo?ms=200")).await;
        let document = cancel(&job).await;
        assert_eq!(document["status"], "canceled", "{document:#}");
    }
}

#[tokio::test]
async fn post_to_the_cancel_url_does_the_same() {
    let job = Job::accepted(Case::new().post("/always/echo?ms=1000")).await;
    let reply = job
        .send(Request::new("POST", &format!("{}/cancel", job.path())))
        .await;
    assert_eq!(
        (reply.status, &reply.json()["status"]),
        (200, &"canceled".into()),
        "{reply}"
    );
    assert_eq!(reply.json()["id"], job.id);
}

#[tokio::test]
async fn a_job_that_has_ended_never_changes() {
    for (target, status) in [
        ("/always/echo", "succeeded"),
        ("/always/echo?status=400", "failed"),
    ] {
        let job = Job::accepted(Case::new().post(target)).await;
        let before = job.ended().await;
        assert_eq!(before["status"], status);
        assert_eq!(cancel(&job).await, before);
        let reply = job
            .send(Request::new("POST", &format!("{}/cancel", job.path())))
            .await;
        assert_eq!(reply.json(), before);
        assert_eq!(job.document().await, before);
    }
    let job = Job::accepted(Case::new().post("/always/echo?ms=1000")).await;
    let first = cancel(&job).await;
    assert_eq!(cancel(&job).await, first);
}

/// Within two seconds, plus a margin for a busy machine. Otherwise the next renewal of the lease would notice
/// it, after half a minute.
const ABORTED_WITHIN: Duration = Duration::from_secs(6);

#[tokio::test]
async fn cancelling_aborts_the_attempt_at_the_origin() {
    // Before the attempt watches its job, and after.
    for ran in [0, 4] {
        let case = Case::new();
        let job = Job::accepted(case.post("/always/broken?when=after&how=hang")).await;
        job.until_status("running").await;
        tokio::time::sleep(Duration::from_secs(ran)).await;
        cancel(&job).await;
        let start = std::time::Instant::now();
        while case.seen_once().left.is_none() {
            assert!(
                start.elapsed() < ABORTED_WITHIN,
                "the origin is still being waited for"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn purging_erases_an_ended_job_at_once() {
    for target in [
        "/always/echo?bytes=10",
        "/always/echo?bytes=100000",
        "/always/echo?status=500",
    ] {
        let job = Job::accepted(Case::new().post(target)).await;
        job.ended().await;
        let reply = job
            .send(Request::new(
                "DELETE",
                &format!("{}?purge=true", job.path()),
            ))
            .await;
        assert!((200..300).contains(&reply.status), "{reply}");
        assert_problem(&job.send(Request::get(&job.path())).await, 404, "not_found");
        assert_problem(&job.result().await, 404, "not_found");
    }
}

#[tokio::test]
async fn a_job_that_has_not_ended_cannot_be_erased() {
    let job = Job::accepted(Case::new().post("/always/echo?ms=1000")).await;
    let purge = Request::new("DELETE", &format!("{}?purge=true", job.path()));
    assert_problem(&job.send(purge).await, 409, "conflict");
    assert_eq!(job.succeeded().await.status, 200);
}
