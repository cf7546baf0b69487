//! After its retention a job is expired (410), then forgotten (404).

use std::time::{Duration, Instant};

use crate::client::Request;
use crate::job::{Case, Job, assert_problem};

#[tokio::test]
async fn a_job_expires_and_is_then_forgotten() {
    let mut jobs = Vec::new();
    for target in [
        "/brief/echo?bytes=10",
        "/brief/echo?bytes=100000",
        "/brief/echo?status=500&bytes=100000",
    ] {
        let job = Job::accepted(Case::new().post(target).body(vec![b'x'; 100_000])).await;
        job.ended().await;
        assert!(job.result().await.status != 410);
        jobs.push(job);
    }
    futures_util::future::join_all(jobs.iter().map(expires_and_is_forgotten)).await;
}

async fn expires_and_is_forgotten(job: &Job) {
    let start = Instant::now();
    let mut seen = Vec::new();
    loop {
        let reply = job.send(Request::get(&job.path())).await;
        if seen.last() != Some(&reply.status) {
            seen.push(reply.status);
        }
        match reply.status {
            410 => {
                assert_problem(&reply, 410, "job_expired");
                let result = job.result().await;
                assert!(matches!(result.status, 410 | 404), "{result}");
            }
            404 => break,
            _ => {}
        }
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_mins(1), "still there: {reply}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(seen.ends_with(&[410, 404]), "{seen:?}");
    assert_problem(&job.result().await, 404, "not_found");
}

#[tokio::test]
async fn a_job_that_still_runs_at_its_deadline_expires_too() {
    let job = Job::accepted(Case::new().post("/brief/broken?when=after&how=hang")).await;
    let start = Instant::now();
    while job.send(Request::get(&job.path())).await.status != 404 {
        assert!(start.elapsed() < Duration::from_mins(1), "still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
