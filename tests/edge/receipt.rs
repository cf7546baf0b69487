//! The receipt: what a client gets the moment its request is durable.

use serde_json::Value;

use crate::client::Request;
use crate::gateway::Gateway;
use crate::job::{Case, Job, send};

#[tokio::test]
async fn a_receipt_has_every_field_of_the_contract() {
    let receipt = send(Case::new().post("/always/echo")).await;
    assert_eq!(receipt.status, 202, "{receipt}");
    let job = Job::of(Gateway::shared().address, &receipt);
    let status = format!("http://{}{}", Gateway::shared().address, job.path());
    assert_eq!(receipt.must("location"), format!("{status}/result"));
    assert_eq!(receipt.must("operation-location"), status);
    assert_eq!(receipt.must("content-location"), status);
    let links: Vec<&str> = receipt
        .fields
        .iter()
        .filter(|(name, _)| name == "link")
        .map(|(_, v)| v.as_str())
        .collect();
    let links = links.join(", ");
    assert!(
        links.contains(&format!("<{status}>; rel=\"status\"")),
        "{links}"
    );
    assert!(
        links.contains(&format!("<{status}>; rel=\"monitor\"")),
        "{links}"
    );
    assert!(
        receipt
            .must("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| seconds >= 1),
        "{receipt}"
    );
    assert!(receipt.must("vary").contains("Prefer"), "{receipt}");
    assert_eq!(receipt.must("cache-control"), "no-store");
    assert_eq!(receipt.must("content-type"), "application/json");
    assert_eq!(receipt.field("preference-applied"), None);
}

#[tokio::test]
async fn the_body_of_a_receipt_is_the_status_document() {
    let receipt = send(Case::new().post("/always/echo?ms=300")).await;
    let job = Job::of(Gateway::shared().address, &receipt);
    let document = receipt.json();
    assert_eq!(document["id"], job.id);
    assert_eq!(document["rule"], "always");
    assert_eq!(document["priority"], "normal");
    assert!(
        document["status"] == "queued" || document["status"] == "running",
        "{document:#}"
    );
    let later = job.ended().await;
    for member in [
        "id", "rule", "priority", "created", "expires", "deadline", "attempts",
    ] {
        assert_eq!(document[member], later[member], "{member}");
    }
}

#[tokio::test]
async fn a_receipt_does_not_wait_for_the_origin() {
    let job = Job::accepted(Case::new().post("/always/echo?ms=1500")).await;
    let document = job.document().await;
    assert!(document["finished"].is_null(), "{document:#}");
    job.succeeded().await;
}

#[tokio::test]
async fn every_job_has_its_own_id_that_reveals_nothing() {
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(Job::accepted(Case::new().post("/always/echo")).await.id);
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    // 120 random bits in base64url alone are 20 characters.
    for id in ids {
        let plain = id
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "-_".contains(char));
        assert!(id.len() >= 20 && plain, "{id}");
    }
}

#[tokio::test]
async fn a_preference_is_confirmed_only_if_it_was_honoured() {
    let async_ = |target: &str| Case::new().post(target).field("Prefer", "respond-async");
    let honoured = send(async_("/preferred/echo")).await;
    assert_eq!(honoured.status, 202, "{honoured}");
    assert_eq!(honoured.must("preference-applied"), "respond-async");
    let without = send(Case::new().post("/preferred/echo")).await;
    assert_eq!(
        (without.status, without.field("preference-applied")),
        (200, None),
        "{without}"
    );
    for passed in [async_("/never/echo"), async_("/elsewhere/echo")] {
        let passed = send(passed).await;
        assert_eq!(
            (passed.status, passed.field("preference-applied")),
            (200, None),
            "{passed}"
        );
    }
}

#[tokio::test]
async fn every_response_of_a_rules_route_varies_by_the_preference() {
    for request in [
        Case::new().post("/preferred/echo"),
        Case::new()
            .post("/preferred/echo")
            .field("Prefer", "respond-async"),
        Case::new().post("/preferred/echo?status=404"),
        Case::new().post("/always/echo"),
        Case::new().post("/keyed/echo"),
    ] {
        let reply = send(request).await;
        let vary: Vec<&str> = reply
            .fields
            .iter()
            .filter(|(name, _)| name == "vary")
            .map(|(_, v)| v.as_str())
            .collect();
        assert!(
            vary.join(",").to_ascii_lowercase().contains("prefer"),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn forwarded_fields_do_not_steer_the_urls_of_a_receipt() {
    for (name, value) in [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("Forwarded", "host=evil.example;proto=gopher"),
        ("X-Original-Url", "http://evil.example/"),
    ] {
        let receipt = send(Case::new().post("/always/echo").field(name, value)).await;
        Job::of(Gateway::shared().address, &receipt);
        let all = format!("{receipt}");
        assert!(
            !all.contains("evil") && !all.contains("gopher"),
            "{name}: {all}"
        );
    }
}

#[tokio::test]
async fn a_rule_decides_by_method_and_canonical_path() {
    for (target, deferred) in [
        ("/always/echo", true),
        ("/always/a/b/echo", true),
        ("/always//echo", true),
        ("/always/%65cho", true),
        ("/ALWAYS/echo", false),
        ("/alwaysx/echo", false),
        ("/never/echo", false),
    ] {
        let reply = send(Case::new().post(target)).await;
        assert_eq!(reply.status == 202, deferred, "{target}: {reply}");
    }
}

#[tokio::test]
async fn the_rule_or_the_client_chooses_the_queue() {
    for (target, field, wanted) in [
        ("/always/echo", "u=0", "normal"),
        ("/urgent/echo", "u=7", "high"),
        ("/choosy/echo", "u=0", "high"),
        ("/choosy/echo", "u=4", "normal"),
        ("/choosy/echo", "u=7, i", "low"),
        ("/choosy/echo", "nonsense", "normal"),
    ] {
        let receipt = send(Case::new().post(target).field("Priority", field)).await;
        let job = Job::of(Gateway::shared().address, &receipt);
        assert_eq!(receipt.json()["priority"], wanted, "{target} {field}");
        job.succeeded().await;
    }
}

#[tokio::test]
async fn a_deferred_get_is_a_job_as_well() {
    let case = Case::new();
    let job = Job::accepted(Request::get(&case.target("/always/echo"))).await;
    let echo: Value = job.succeeded().await.json();
    assert_eq!(
        (echo["method"].as_str(), echo["length"].as_u64()),
        (Some("GET"), Some(0))
    );
}
