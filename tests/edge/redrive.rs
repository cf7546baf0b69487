//! An operator redrives a failed job.

use crate::client::{Reply, Request};
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem};
use crate::pattern;
use crate::rules::OPERATOR;

async fn redrive(job: &Job, token: &str) -> Reply {
    let request = Request::new("POST", &format!("{}/redrive", job.path()));
    let request = match token {
        "" => request,
        token => request.field("Authorization", &format!("Bearer {token}")),
    };
    job.send(request).await
}

#[tokio::test]
async fn a_redrive_makes_a_new_job_of_the_same_request() {
    for length in [100, 200_000] {
        let case = Case::new();
        let target = case.target("/always/sequence?steps=500");
        let request = Request::new("PATCH", &target)
            .field("X-Kept", "yes")
            .body(pattern::bytes(1, length));
        let job = Job::accepted(request).await;
        assert_eq!(job.failed().await, "origin_error");
        let failed = job.document().await;

        let receipt = redrive(&job, OPERATOR).await;
        let again = Job::of(Gateway::shared().address, &receipt);
        assert_ne!(again.id, job.id);
        assert_eq!(again.failed().await, "origin_error");
        assert_eq!(again.document().await["redrive_of"], job.id);
        assert_eq!(job.document().await, failed);
        let seen = case.seen();
        assert_eq!(seen.len(), 2);
        for attempt in seen {
            assert_eq!(
                (attempt.method.as_str(), attempt.target.as_str()),
                ("PATCH", target.as_str())
            );
            assert_eq!(attempt.sha256, Some(pattern::hash(1, length)), "{length}");
            assert_eq!(attempt.field("x-kept"), Some("yes"));
        }
    }
}

#[tokio::test]
async fn only_an_operator_can_redrive_and_only_a_failed_job() {
    let case = Case::new();
    let failed = Job::accepted(case.post("/always/echo?status=500")).await;
    failed.failed().await;
    for token in ["", "wrong", "operator"] {
        assert_problem(&redrive(&failed, token).await, 401, "unauthorized");
    }
    assert_eq!(case.seen().len(), 1);
    let done = Job::accepted(Case::new().post("/always/echo")).await;
    done.succeeded().await;
    assert_problem(&redrive(&done, OPERATOR).await, 409, "conflict");
}
