//! An origin that is another Worker, bound as a service.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Reply, Request};
use crate::gateway::{BESIDE, Gateway, Setup};
use crate::job::{Case, Job, assert_problem};
use crate::pattern;
use crate::rules;

/// Bodies of a row and of the bucket.
const BODIES: [u64; 2] = [1_000, 200_000];

/// A gateway in front of `service.mjs`.
async fn start() -> Gateway {
    let text = rules::plain("x").replace("origin = \"x\"", "origin = { service = \"ORIGIN\" }");
    let setup = Setup {
        change: Some(|wrangler| {
            wrangler["services"] = json!([{ "binding": "ORIGIN", "service": BESIDE }]);
        }),
        beside: Some("tests/edge/service.mjs"),
        ..Setup::default()
    };
    let gateway = Gateway::start_as(&text, setup);
    // The two Workers may find each other only after the first of them responds.
    for _ in 0..100 {
        let reply = gateway.send(Request::get("/pass/ready")).await;
        if reply.field("x-service").is_some() {
            return gateway;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the service is not connected:\n{}", gateway.log());
}

/// Asserts that the service received the request as it was sent.
fn assert_seen(reply: &Reply, target: &str, length: u64) -> Value {
    assert_eq!((reply.status, reply.must("x-service")), (201, "bound"));
    let seen = reply.json();
    assert_eq!(seen["method"], "PUT", "{seen:#}");
    let url = seen["url"].as_str().unwrap();
    assert!(url.ends_with(target), "{seen:#}");
    assert_eq!(seen["fields"]["x-word"], "a b", "{seen:#}");
    assert_eq!(seen["fields"]["via"], "1.1 raincheck", "{seen:#}");
    assert_eq!(seen["length"], length, "{seen:#}");
    assert_eq!(seen["sha256"], pattern::hash(5, length), "{seen:#}");
    seen
}

#[tokio::test]
async fn a_bound_service_gets_jobs_and_passed_through_requests() {
    let gateway = start().await;
    for length in BODIES {
        let request = |target: &str| {
            Request::new("PUT", target)
                .field("X-Word", "a b")
                .body(pattern::bytes(5, length))
        };
        let target = Case::new().target("/pass/a%2Fb/echo?status=201");
        let reply = gateway.send(request(&target)).await;
        let seen = assert_seen(&reply, &target, length);
        assert!(seen["fields"]["raincheck-job"].is_null(), "{seen:#}");

        let target = Case::new().target("/always/a%2Fb/echo?status=201");
        let job = Job::accepted_by(gateway.address, request(&target)).await;
        let seen = assert_seen(&job.succeeded().await, &target, length);
        assert_eq!(
            seen["fields"]["raincheck-job"],
            job.name_at_origin(),
            "{seen:#}"
        );
        assert_eq!(seen["fields"]["raincheck-attempt"], "1", "{seen:#}");
        assert_eq!(job.document().await["attempt"], 1);
    }
    // It may have acted before it failed.
    let job = Job::accepted_by(gateway.address, Request::post("/always/echo?throws")).await;
    assert_eq!(job.failed().await, "outcome_unknown");
    let reply = gateway.send(Request::post("/pass/echo?throws")).await;
    assert_problem(&reply, 502, "origin_unreachable");
}
