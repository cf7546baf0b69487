//! Several origins, and the header fields that the gateway adds for them.

use std::time::Duration;

use serde_json::json;

use crate::client::Request;
use crate::gateway::{Gateway, Setup};
use crate::job::{Case, Job, assert_problem};
use crate::origin::Origin;
use crate::store::Store;

/// A secret that exists.
const TOKEN: &str = "t0ken-of-the-edge-tests";

/// A gateway whose default origin is nowhere, and whose others are the shared origin under a prefix: `with`
/// adds a header field from a secret, `without` one whose secret is missing.
fn start() -> Gateway {
    let shared = Origin::shared().url();
    let rule = |name: &str, origin: &str, more: &str| {
        format!(
            "[[rules]]\nname = \"{name}\"\nmethods = [\"*\"]\npath = \"/{name}/{{*rest}}\"\norigin = \"{origin}\"\n\
             deadline = \"1m\"\nbackoff = {{ initial = \"50ms\", jitter = 0 }}\n{more}\n"
        )
    };
    let passes = "defer = \"never\"";
    let text = format!(
        "origin = \"http://127.0.0.1:1\"\nretention = \"10m\"\n\
         [origins.with]\nurl = \"{shared}\"\nheaders = {{ X-Added = \"Bearer ${{ML_TOKEN}}\" }}\n\
         [origins.without]\nurl = \"{shared}\"\nheaders = {{ X-Added = \"${{ABSENT}}\" }}\n{}{}{}{}",
        rule("jobs-with", "with", ""),
        rule("jobs-without", "without", ""),
        rule("pass-with", "with", passes),
        rule("pass-without", "without", passes),
    );
    let setup = Setup {
        change: Some(|wrangler| wrangler["vars"]["ML_TOKEN"] = json!(TOKEN)),
        ..Setup::default()
    };
    Gateway::start_as(&text, setup)
}

#[tokio::test]
async fn each_rule_has_its_origin_with_header_fields_from_secrets_that_no_record_keeps() {
    let gateway = start();
    let request = |case: &Case, target: &str| {
        let request = case.post(target).field("X-Added", "the client's");
        request.field("X_Added", "evil").field("X.Added", "evil")
    };

    let case = Case::new();
    let job = Job::of(
        gateway.address,
        &gateway.send(request(&case, "/jobs-with/echo")).await,
    );
    job.succeeded().await;
    let passed = Case::new();
    let reply = gateway.send(request(&passed, "/pass-with/echo")).await;
    assert_eq!(reply.status, 200, "{reply}");
    for case in [case, passed] {
        let fields = case.seen_once().fields;
        let added: Vec<&str> = fields
            .iter()
            .filter(|(name, _)| name.replace(['_', '.'], "-") == "x-added")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(added, [format!("Bearer {TOKEN}")]);
    }
    let records = format!("{:?}", Store::of(&gateway).records());
    assert!(!records.contains(TOKEN), "{records}");
    assert!(records.contains("with"), "{records}");
}

#[tokio::test]
async fn a_missing_secret_is_named_only_in_the_log_and_its_jobs_wait() {
    let gateway = start();
    let case = Case::new();
    let reply = gateway.send(case.post("/pass-without/echo")).await;
    assert_problem(&reply, 503, "misconfigured");
    assert!(!reply.text().contains("ABSENT"), "{reply}");

    let receipt = gateway.send(case.post("/jobs-without/echo")).await;
    let job = Job::of(gateway.address, &receipt);
    let document = job
        .until(|document| document["attempt"].as_u64() >= Some(2))
        .await;
    assert!(document["error"].is_null(), "{document:#}");
    assert!(case.seen().is_empty());
    for _ in 0..100 {
        if gateway
            .log()
            .contains("the secret ABSENT for without is missing")
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{}", gateway.log());
}

#[tokio::test]
async fn requests_that_match_no_rule_go_to_the_default_origin() {
    let gateway = start();
    let case = Case::new();
    let reply = gateway.send(case.post("/elsewhere/echo")).await;
    assert_problem(&reply, 502, "origin_unreachable");
    let reply = gateway.send(Request::get("/jobs/x")).await;
    assert_problem(&reply, 404, "not_found");
    assert!(case.seen().is_empty());
}
