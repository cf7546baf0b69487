//! Power loss: node and workerd are killed with SIGKILL and restarted with what is on disk. Queue
//! messages live in memory here, so only a job's record survives.

use crate::client::Request;
use crate::gateway::Gateway;
use crate::job::{Case, Job};
use crate::origin::Origin;
use crate::pattern;
use crate::rules;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_accepted_before_a_kill_end_after_it() {
    let mut gateway = Gateway::start(&rules::plain(&Origin::shared().url()));
    // Ended before the kill.
    let done = Case::new();
    let key = format!("\"{}\"", done.0);
    let keyed = put(&done, "/always/echo?bytes=150000&seed=2", 10).field("Idempotency-Key", &key);
    let finished = Job::accepted_by(gateway.address, keyed.clone()).await;
    finished.succeeded().await;
    let document = finished.document().await;

    // Running, with the body once in the record and once in the bucket.
    let small = Case::new();
    let large = Case::new();
    let mut running = Vec::new();
    for (case, length) in [(&small, 100), (&large, 300_000)] {
        // Only the kill ends the first attempt.
        let request = put(case, "/always/sequence?steps=hang,200", length);
        running.push((
            case,
            length,
            Job::accepted_by(gateway.address, request).await,
        ));
    }
    let posted = Job::accepted_by(
        gateway.address,
        Case::new().post("/always/broken?when=after&how=hang"),
    )
    .await;
    for job in running.iter().map(|(_, _, job)| job).chain([&posted]) {
        job.until_status("running").await;
    }

    let accepted = just_accepted(&gateway).await;

    gateway.kill_hard();
    gateway.restart_on_same_state();

    assert_eq!(finished.document().await, document);
    assert_eq!(finished.result().await.body, pattern::bytes(2, 150_000));
    assert_eq!(
        Job::accepted_by(gateway.address, keyed).await.id,
        finished.id
    );
    assert_eq!(done.seen().len(), 1);
    for (case, length, job) in running {
        let echo = job.succeeded().await.json();
        assert_eq!(echo["sha256"], pattern::hash(1, length));
        let seen = case.seen();
        assert!((2..=3).contains(&seen.len()), "{seen:#?}");
        assert!(
            seen.iter()
                .all(|attempt| attempt.identity() == seen[0].identity()),
            "{seen:#?}"
        );
    }
    // The origin may have acted; the outcome is unknown.
    assert_eq!(posted.failed().await, "outcome_unknown");
    for (case, job) in accepted {
        assert_eq!(job.succeeded().await.status, 200);
        assert!((1..=3).contains(&case.seen().len()));
    }
}

fn put(case: &Case, target: &str, length: u64) -> Request {
    Request::new("PUT", &case.target(target)).body(pattern::bytes(1, length))
}

/// Jobs whose messages are lost with the kill.
async fn just_accepted(gateway: &Gateway) -> Vec<(Case, Job)> {
    let mut accepted = Vec::new();
    for _ in 0..20 {
        let case = Case::new();
        let job = Job::accepted_by(gateway.address, put(&case, "/always/echo", 10)).await;
        accepted.push((case, job));
    }
    accepted
}
