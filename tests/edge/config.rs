//! A gateway whose configuration is refused says so, and says which field.

use crate::client::Request;
use crate::gateway::Gateway;
use crate::job::{Case, assert_problem};
use crate::origin::Origin;
use crate::rules;

#[tokio::test]
async fn a_refused_configuration_is_a_problem_that_names_the_field() {
    let text = rules::plain(&Origin::shared().url()).replace("attempts = 3", "attempts = 0");
    let gateway = Gateway::start(&text);
    for target in ["/always/echo", "/pass/echo", "/jobs/x", "/jobs/x/result"] {
        let case = Case::new();
        let reply = gateway.send(case.post(target)).await;
        assert_problem(&reply, 503, "misconfigured");
        let text = reply.text();
        assert!(
            text.contains("rules[always].attempts") && text.contains('0'),
            "{reply}"
        );
        assert!(case.seen().is_empty());
    }
    for _ in 0..6 {
        let large = Request::post("/always/echo").body(vec![b'x'; 1_500_000]);
        assert_problem(&gateway.send(large).await, 503, "misconfigured");
    }
    let reply = gateway.send(Request::new("HEAD", "/pass/echo")).await;
    assert_eq!(reply.status, 503);
    let reply = gateway.send(Request::get("/pass/echo")).await;
    assert_eq!(reply.json()["field"], "rules[always].attempts");
}

/// Else the requests, with their credentials, would go to whoever answers by that name.
#[tokio::test]
async fn a_service_that_is_not_bound_is_a_problem_and_nothing_is_sent() {
    let text = rules::plain("x").replace("origin = \"x\"", "origin = { service = true }");
    let gateway = Gateway::start(&text);
    let reply = gateway.send(Request::get("/pass/echo")).await;
    assert_problem(&reply, 503, "misconfigured");
    assert_eq!(reply.json()["field"], "origin");
}
