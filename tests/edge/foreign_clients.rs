//! Unmodified clients of third parties.

use serde_json::Value;

use crate::gateway::{Gateway, node, repository};
use crate::job::Case;

/// Runs the poller of the Azure SDKs for a POST to `target`.
async fn azure(case: &Case, target: &str, cancel: &str) -> Value {
    let gateway = format!("http://{}", Gateway::shared().address);
    let script = repository().join("tests/edge/clients/azure-lro.mjs");
    let mut command = tokio::process::Command::new(node());
    command
        .arg(script)
        .args([gateway, case.target(target)])
        .args([cancel])
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{errors}"))
}

#[tokio::test]
async fn the_azure_poller_returns_the_result_of_a_successful_job() {
    let case = Case::new();
    let outcome = azure(&case, "/always/echo?ms=1500&type=application/json", "").await;
    assert_eq!(outcome["final"], "succeeded", "{outcome:#}");
    assert_eq!(outcome["result"]["body"], "{\"report\":7}", "{outcome:#}");
    assert_eq!(outcome["states"][0], "running", "{outcome:#}");
    assert_eq!(case.seen().len(), 1);
}

#[tokio::test]
async fn the_azure_poller_throws_the_error_of_a_job_that_fails() {
    let outcome = azure(&Case::new(), "/always/echo?status=500&ms=500", "").await;
    assert_eq!(outcome["final"], "failed", "{outcome:#}");
    let error = &outcome["error"];
    let told = error["code"] == "origin_error"
        || error["message"]
            .as_str()
            .unwrap_or("")
            .contains("origin_error");
    assert!(told, "{outcome:#}");
}

#[tokio::test]
async fn the_azure_poller_sees_that_a_job_was_canceled() {
    let outcome = azure(&Case::new(), "/always/echo?ms=8000", "cancel").await;
    assert_eq!(outcome["cancel"], 200, "{outcome:#}");
    assert_eq!(outcome["final"], "canceled", "{outcome:#}");
    assert!(
        outcome["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("canceled")),
        "{outcome:#}"
    );
}
