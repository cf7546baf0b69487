//! State on disk that another build wrote, or that has lost its alarm.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Request;
use crate::gateway::{Gateway, Setup};
use crate::job::{Case, Job};
use crate::origin::Origin;
use crate::store::Store;

use super::{LONG, Relay, accepted, assert_attempts, start, succeeds};

/// Members that a record needs not have: what later builds add must be among them.
const OPTIONAL: [&str; 6] = [
    "started",
    "owner",
    "key",
    "history",
    "dead_letters",
    "redrive_of",
];

/// Longer than anything that would happen by itself here.
const QUIET: Duration = Duration::from_secs(5);

/// A gateway with jobs that cannot be sent yet, killed.
async fn with_waiting_jobs(relay: &Relay, targets: &[&str]) -> (Gateway, Vec<(Case, Job)>) {
    let mut gateway = start(relay.address, "1s", LONG, Setup::default());
    let mut jobs = Vec::new();
    for target in targets {
        let case = Case::new();
        let job = accepted(&gateway, &case, target, 100).await;
        job.until(|document| document["attempt"].as_u64() >= Some(1))
            .await;
        jobs.push((case, job));
    }
    gateway.kill_hard();
    (gateway, jobs)
}

#[tokio::test]
async fn a_record_of_an_older_build_ends_and_one_of_a_newer_build_is_left_alone() {
    let relay = Relay::closed(Origin::shared().address);
    let (mut gateway, jobs) = with_waiting_jobs(&relay, &["/honours/echo?", "/once/echo?"]).await;
    let [(old_case, old), (new_case, new)] = jobs.as_slice() else {
        panic!("two jobs");
    };
    let store = Store::of(&gateway);
    store.rewrite(|record| {
        if record["spec"]["rule"] == "honours" {
            record["v"] = json!(0);
            for member in OPTIONAL {
                record.as_object_mut().unwrap().remove(member);
            }
        } else {
            record["v"] = json!(99);
        }
    });
    let of_the_newer = |records: Vec<Value>| records.into_iter().find(|it| it["v"] == 99).unwrap();
    let before = of_the_newer(store.records());
    relay.open();
    gateway.restart_on_same_state();
    succeeds(old, 100).await;
    assert_attempts(old_case, 1);
    let reply = new.send(Request::get(&new.path())).await;
    assert!(reply.status >= 500, "{reply}");
    tokio::time::sleep(QUIET).await;
    assert_eq!(of_the_newer(store.records()), before);
    assert!(new_case.seen().is_empty());

    // The newer build is back.
    gateway.kill_hard();
    store.rewrite(|record| record["v"] = json!(1));
    gateway.restart_on_same_state();
    succeeds(new, 100).await;
    assert_attempts(new_case, 1);
}

#[tokio::test]
async fn a_shard_whose_alarm_the_platform_gave_up_sets_one_at_the_next_request() {
    let relay = Relay::closed(Origin::shared().address);
    let (mut gateway, jobs) = with_waiting_jobs(&relay, &["/once/echo?", "/honours/echo?"]).await;
    let store = Store::of(&gateway);
    store.forget_alarms();
    relay.open();
    gateway.restart_on_same_state();
    tokio::time::sleep(QUIET).await;
    // Or else this would not be the test of an alarm that is gone.
    assert_eq!(store.contents().alarms, 0);
    for (case, _) in &jobs {
        assert!(case.seen().is_empty());
    }
    // Any request to the shard; it need not be about those jobs.
    accepted(&gateway, &Case::new(), "/honours/echo?", 1).await;
    for (case, job) in &jobs {
        succeeds(job, 100).await;
        assert_attempts(case, 1);
    }
}
