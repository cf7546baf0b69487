//! Shards and a bucket that do not respond: no request waits for them for ever.

use crate::client::{Reply, Request};
use crate::gateway::{Gateway, Setup, with_faulty_platform};
use crate::job::{Case, Job, assert_problem};
use crate::origin::Origin;
use crate::pattern;
use crate::store::Store;

use super::{LONG, assert_attempts, set, start, succeeds};

async fn send(gateway: &Gateway, case: &Case, length: u64) -> Reply {
    let target = case.target("/honours/echo?bytes=100000&seed=7");
    let request = Request::new("POST", &target).field("Idempotency-Key", &case.0);
    // A shard waits for a body longer than it takes to answer.
    gateway
        .send(if length == 0 {
            request
        } else {
            request.body(pattern::bytes(1, length))
        })
        .await
}

#[track_caller]
fn assert_unavailable(reply: &Reply) {
    assert_problem(reply, 503, "storage_unavailable");
    assert_eq!(reply.must("retry-after"), "1");
    assert_eq!(reply.json()["retryable"], true);
}

#[tokio::test]
async fn storage_that_does_not_answer_is_a_503_and_a_job_runs_all_the_same() {
    let setup = Setup {
        change: Some(|wrangler| {
            with_faulty_platform(wrangler);
            set(wrangler, "TEST_FAULT", "storage-hangs");
        }),
        ..Setup::default()
    };
    let gateway = start(Origin::shared().address, "1h", LONG, setup);
    let (small, large) = (Case::new(), Case::new());

    // The first accept is not answered, and it hangs before it acts.
    assert_unavailable(&send(&gateway, &small, 0).await);
    assert_eq!(Store::of(&gateway).contents().jobs, 0);
    let job = Job::of(gateway.address, &send(&gateway, &small, 0).await);
    // Nor is the first look at a job, and the first claim.
    assert_unavailable(&gateway.send(Request::get(&job.path())).await);
    job.until_status("succeeded").await;
    // The body of the result is in the bucket.
    assert_unavailable(&job.result().await);
    succeeds(&job, 100_000).await;
    assert_attempts(&small, 1);

    // The note of an object, then the bucket itself.
    for _ in 0..2 {
        assert_unavailable(&send(&gateway, &large, 100_000).await);
        let left = Store::of(&gateway).contents();
        // The result of the first job, and nothing of the second.
        assert_eq!((left.jobs, left.objects), (1, 1));
    }
    // The consumer meets a bucket that does not answer, too, and then the shard at the end.
    let job = Job::of(gateway.address, &send(&gateway, &large, 100_000).await);
    succeeds(&job, 100_000).await;
    assert_attempts(&large, 1);

    let log = gateway.log();
    for name in [
        "shard accept",
        "shard view",
        "shard claim",
        "shard intend",
        "bucket put requests",
        "bucket get requests",
        "bucket get results",
    ] {
        assert!(log.contains(&format!("hangs: {name}")), "{name}");
    }
}
