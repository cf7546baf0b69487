//! A gateway with an invalid configuration says so, and names the mistake only in its log.

use std::time::Duration;

use serde_json::json;

use crate::client::Request;
use crate::gateway::{Gateway, Setup};
use crate::job::{Case, assert_problem};
use crate::origin::Origin;
use crate::rules;

/// Waits until the gateway has logged this: the log comes a moment after the response.
async fn logged(gateway: &Gateway, text: &str) {
    for _ in 0..100 {
        if gateway.log().contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not logged: {text}\n{}", gateway.log());
}

#[tokio::test]
async fn an_invalid_configuration_is_a_problem_without_details_and_a_log_line() {
    let text = rules::plain(&Origin::shared().url()).replace("attempts = 3", "attempts = 0");
    let gateway = Gateway::start(&text);
    for target in ["/always/echo", "/pass/echo", "/jobs/x", "/jobs/x/result"] {
        let case = Case::new();
        let reply = gateway.send(case.post(target)).await;
        assert_problem(&reply, 503, "misconfigured");
        assert!(!reply.text().contains("attempts"), "{reply}");
        assert!(reply.json().get("field").is_none(), "{reply}");
        assert!(case.seen().is_empty());
    }
    for _ in 0..6 {
        let large = Request::post("/always/echo").body(vec![b'x'; 1_500_000]);
        assert_problem(&gateway.send(large).await, 503, "misconfigured");
    }
    let reply = gateway.send(Request::new("HEAD", "/pass/echo")).await;
    assert_eq!(reply.status, 503);
    let expected =
        "misconfigured: rules[always].attempts: found 0; allowed: a whole number from 1 to 100";
    logged(&gateway, expected).await;
}

#[tokio::test]
async fn a_configuration_that_is_a_string_is_rejected_and_not_logged() {
    let gateway = Gateway::start("neither TOML nor a secret");
    let reply = gateway.send(Request::get("/pass/echo")).await;
    assert_problem(&reply, 503, "misconfigured");
    logged(&gateway, "RAINCHECK: found a string (not shown)").await;
    let told = gateway
        .log()
        .lines()
        .any(|line| line.contains("misconfigured") && line.contains("neither"));
    assert!(!told, "{}", gateway.log());
}

#[tokio::test]
async fn further_variables_add_rules_and_fields() {
    let setup = Setup {
        change: Some(|wrangler| {
            wrangler["vars"]["RAINCHECK_MORE"] = json!({
                "mount": "/later",
                "rules": [{ "name": "more", "path": "/more/{*rest}", "deadline": "1m" }],
            });
        }),
        ..Setup::default()
    };
    let gateway = Gateway::start_as(&rules::plain(&Origin::shared().url()), setup);
    for target in ["/always/echo", "/more/echo"] {
        let reply = gateway.send(Request::post(target)).await;
        assert_eq!(reply.status, 202, "{reply}\n{}", gateway.log());
        assert!(reply.must("location").contains("/later/"), "{reply}");
    }
}

/// Otherwise requests with credentials would go to any server with that name.
#[tokio::test]
async fn a_service_that_is_not_bound_is_a_problem_and_nothing_is_sent() {
    let text = rules::plain("x").replace("origin = \"x\"", "origin = { service = \"ORIGIN\" }");
    let gateway = Gateway::start(&text);
    let reply = gateway.send(Request::get("/pass/echo")).await;
    assert_problem(&reply, 503, "misconfigured");
    logged(&gateway, "but no such binding").await;
}
