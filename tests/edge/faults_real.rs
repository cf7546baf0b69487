//! Faults of the platform, as far as they can be injected around the real runtime: a frozen consumer,
//! an unreachable origin, queues that lose and repeat messages, dead letters, a full disk, an abandoned
//! alarm, records of other builds, shards and a bucket that do not respond.
//!
//! A clock that jumps would need another program in between; the simulation covers it.

mod disk;
mod hangs;
mod queues;
mod records;
mod relay;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Request;
use crate::gateway::{Gateway, Setup};
use crate::job::{Case, Job};
use crate::origin::Origin;
use crate::pattern;
use crate::store::Store;

use relay::Relay;

/// Longer than a short lease and its first renewals.
const PAST_THE_LEASE: Duration = Duration::from_secs(6);

/// `lease` for tests in which an attempt must lose it.
const SHORT: &str = "1s";

/// `lease` for tests in which none may be lost, however slow the machine.
const LONG: &str = "2m";

/// `{patience}` and `{lease}` are filled in.
const RULES: &str = r#"
retention = "1h"
claim_patience = "{patience}"
lease = "{lease}"
shards = 1

[[rules]]
name = "honours"
path = "/honours/{*rest}"
attempts = 100
attempt_timeout = "10s"
deadline = "30m"
backoff = { initial = "200ms", factor = 1, jitter = 0 }
origin_honours_key = true

[[rules]]
name = "once"
path = "/once/{*rest}"
attempts = 100
attempt_timeout = "10s"
deadline = "30m"
backoff = { initial = "200ms", factor = 1, jitter = 0 }
"#;

/// A gateway for these tests.
fn start(origin: SocketAddr, patience: &str, lease: &str, setup: Setup) -> Gateway {
    let rules = RULES
        .replace("{patience}", patience)
        .replace("{lease}", lease);
    Gateway::start_as(&format!("origin = \"http://{origin}\"\n{rules}"), setup)
}

/// Sends a request that asks for `bytes` of a pattern.
async fn accepted(gateway: &Gateway, case: &Case, target: &str, bytes: u64) -> Job {
    let request = request(case, target, bytes);
    Job::accepted_by(gateway.address, request).await
}

fn request(case: &Case, target: &str, bytes: u64) -> Request {
    case.post(&format!("{target}bytes={bytes}&seed=7"))
}

/// Waits for the job to succeed with those bytes.
async fn succeeds(job: &Job, bytes: u64) -> Value {
    let document = job.ended().await;
    assert_eq!(document["status"], "succeeded", "{document:#}");
    let result = job.result().await;
    assert_eq!(pattern::sha256(&result.body), pattern::hash(7, bytes));
    document
}

/// Asserts that all attempts of a case are the same request, and how many there are.
fn assert_attempts(case: &Case, attempts: usize) {
    let seen = case.seen();
    assert_eq!(seen.len(), attempts, "{seen:#?}");
    for other in &seen {
        assert_eq!(other.identity(), seen[0].identity());
    }
}

#[tokio::test]
async fn a_consumer_that_resumes_after_its_lease_changes_nothing() {
    let gateway = start(Origin::shared().address, "1s", SHORT, Setup::default());
    let (again, once) = (Case::new(), Case::new());
    let repeatable = accepted(&gateway, &again, "/honours/echo?ms=2000&", 100_000).await;
    let unique = accepted(&gateway, &once, "/once/echo?ms=2000&", 100).await;
    while again.seen().is_empty() || once.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.signal("STOP");
    tokio::time::sleep(PAST_THE_LEASE).await;
    gateway.signal("CONT");

    let document = succeeds(&repeatable, 100_000).await;
    assert_eq!(document["attempt"], 2, "{document:#}");
    assert_eq!(unique.failed().await, "outcome_unknown");
    let before = (repeatable.document().await, unique.document().await);
    // The stored response of the attempt that was too late must be deleted; that of the other must stay.
    let store = Store::of(&gateway);
    let mut objects = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        objects = store.contents().objects;
        if objects == 1 {
            break;
        }
    }
    assert_eq!(objects, 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = (repeatable.document().await, unique.document().await);
    assert_eq!(before, after);
    assert_attempts(&again, 2);
    assert_attempts(&once, 1);
    succeeds(&repeatable, 100_000).await;
}

#[tokio::test]
async fn jobs_wait_for_an_origin_that_refuses_connections_and_are_sent_once_when_it_is_back() {
    let relay = Relay::closed(Origin::shared().address);
    let gateway = start(relay.address, "1s", LONG, Setup::default());
    let mut jobs = Vec::new();
    for number in 0..20 {
        let case = Case::new();
        let target = ["/honours/echo?", "/once/echo?"][number % 2];
        let bytes = if number < 4 { 100_000 } else { 100 };
        let job = accepted(&gateway, &case, target, bytes).await;
        jobs.push((case, job, bytes));
    }
    for (case, job, _) in &jobs {
        let tried = |document: &Value| document["attempt"].as_u64() >= Some(3);
        job.until(tried).await;
        assert!(case.seen().is_empty());
    }
    relay.open();
    for (case, job, bytes) in &jobs {
        let document = succeeds(job, *bytes).await;
        assert!(document["attempt"].as_u64() > Some(3), "{document:#}");
        // After a refused connection the origin certainly did not act, so even a POST is sent again, and
        // the origin sees one request.
        assert_attempts(case, 1);
    }
}

/// Rules of a user who keeps the defaults for attempts and waits.
const PLAIN: &str = "[[rules]]\nname = \"once\"\npath = \"/once/{*rest}\"\n";

/// Accepts jobs while the origin is unreachable, and expects all of them to succeed once it is back after `outage`.
async fn survives(outage: Duration) {
    let relay = Relay::closed(Origin::shared().address);
    let gateway = Gateway::start(&format!("origin = \"http://{}\"\n{PLAIN}", relay.address));
    let mut jobs = Vec::new();
    for _ in 0..10 {
        let case = Case::new();
        let job = accepted(&gateway, &case, "/once/echo?", 100).await;
        jobs.push((case, job));
    }
    tokio::time::sleep(outage).await;
    relay.open();
    for (case, job) in &jobs {
        let document = job.until(|it| it["finished"].is_string()).await;
        assert_eq!(document["status"], "succeeded", "{document:#}");
        assert_eq!(
            document["not_acted"].as_u64().map(|refused| refused + 1),
            document["attempt"].as_u64(),
            "{document:#}"
        );
        assert_attempts(case, 1);
    }
}

#[tokio::test]
async fn an_outage_of_two_minutes_loses_no_job() {
    let short = survives(Duration::from_secs(20));
    let long = survives(Duration::from_mins(2));
    tokio::join!(short, long);
}

/// Sets a variable of the Worker.
fn set(wrangler: &mut Value, variable: &str, value: &str) {
    wrangler["vars"][variable] = json!(value);
}
