//! The status document: GET and HEAD of a job's URL.

use serde_json::Value;

use crate::client::Request;
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem, send};

/// Reads a time of the contract: RFC 3339 in UTC. Such texts of equal length sort like the times.
fn time<'a>(document: &'a Value, member: &str) -> &'a str {
    let text = document[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member}: {document:#}"));
    assert!(
        chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "{member}: {text}"
    );
    assert!(text.ends_with('Z'), "{member}: {text}");
    text
}

fn millis(document: &Value, member: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time(document, member))
        .unwrap()
        .timestamp_millis()
}

/// Fields that do not apply are absent, never null.
fn assert_nothing_is_null(document: &Value) {
    let members = document.as_object().unwrap();
    assert!(
        members.values().all(|value| !value.is_null()),
        "{document:#}"
    );
}

#[tokio::test]
async fn a_job_that_succeeded_says_when_and_where_its_result_is() {
    let job = Job::accepted(Case::new().post("/always/echo?type=application/json")).await;
    let document = job.ended().await;
    let base = format!("http://{}{}", Gateway::shared().address, job.path());
    assert_eq!(document["id"], job.id);
    assert_eq!(document["status"], "succeeded");
    assert_eq!(
        (&document["attempt"], &document["attempts"]),
        (&1.into(), &3.into())
    );
    assert_eq!(document["resourceLocation"], format!("{base}/result"));
    assert_eq!(document["urls"]["get"], base);
    assert_eq!(document["urls"]["result"], format!("{base}/result"));
    assert!(document["urls"].get("cancel").is_none(), "{document:#}");
    assert!(millis(&document, "created") <= millis(&document, "started"));
    assert!(millis(&document, "started") <= millis(&document, "finished"));
    assert_eq!(
        millis(&document, "deadline") - millis(&document, "created"),
        120_000
    );
    // The retention of ten minutes, rounded up to the end of a window of a sixteenth.
    let kept = millis(&document, "expires") - millis(&document, "created");
    assert!((600_000..=637_500).contains(&kept), "{kept}");
    time(&document, "updated");
    assert_nothing_is_null(&document);
    assert!(
        document.get("error").is_none() && document.get("next_attempt").is_none(),
        "{document:#}"
    );
}

#[tokio::test]
async fn only_a_small_json_success_is_in_the_document() {
    let json = Case::new();
    let job = Job::accepted(json.post("/always/echo?type=application/json")).await;
    job.ended().await;
    assert_eq!(job.document().await["output"]["method"], "POST");
    for target in [
        "/always/echo?type=text/plain&bytes=10",
        "/always/echo?type=application/json&bytes=200000",
    ] {
        let job = Job::accepted(Case::new().post(target)).await;
        let document = job.ended().await;
        assert_eq!(document["status"], "succeeded");
        assert!(document.get("output").is_none(), "{target}: {document:#}");
    }
}

#[tokio::test]
async fn a_job_that_failed_answers_200_with_the_error() {
    let job = Job::accepted(Case::new().post("/always/echo?status=404")).await;
    let document = job.ended().await;
    assert_eq!(document["status"], "failed");
    assert_eq!(document["error"]["code"], "origin_error");
    assert_eq!(document["error"]["status"], 404);
    for member in ["message", "type", "title"] {
        assert!(
            document["error"][member]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{document:#}"
        );
    }
    assert!(document.get("resourceLocation").is_none() && document.get("output").is_none());
    assert_nothing_is_null(&document);
}

#[tokio::test]
async fn a_job_between_two_attempts_says_when_the_next_is() {
    let job = Job::accepted(Case::new().post("/patient/echo?status=503")).await;
    let document = job
        .until(|it| it["attempt"] == 1 && it["status"] == "queued")
        .await;
    assert!(
        time(&document, "next_attempt") > time(&document, "created"),
        "{document:#}"
    );
    assert!(
        document.get("finished").is_none() && document.get("error").is_none(),
        "{document:#}"
    );
    assert_nothing_is_null(&document);
    job.send(Request::new("DELETE", &job.path())).await;
}

#[tokio::test]
async fn a_running_job_says_running_and_retry_after() {
    let job = Job::accepted(Case::new().post("/always/echo?ms=1500")).await;
    job.until_status("running").await;
    let reply = job.send(Request::get(&job.path())).await;
    assert_eq!(reply.json()["attempt"], 1);
    let cancel = format!("http://{}{}/cancel", Gateway::shared().address, job.path());
    assert_eq!(reply.json()["urls"]["cancel"], cancel);
    assert!(
        reply
            .must("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| seconds >= 1),
        "{reply}"
    );
    assert_nothing_is_null(&reply.json());
    job.ended().await;
    let reply = job.send(Request::get(&job.path())).await;
    assert_eq!(reply.field("retry-after"), None);
}

#[tokio::test]
async fn the_entity_tag_names_the_version() {
    let job = Job::accepted(Case::new().post("/always/echo?ms=1000")).await;
    let before = job.send(Request::get(&job.path())).await;
    let running = before.must("etag").to_owned();
    assert!(
        running.starts_with('"') && running.ends_with('"'),
        "strong: {running}"
    );
    job.ended().await;
    let after = job.send(Request::get(&job.path())).await;
    let etag = after.must("etag").to_owned();
    assert_ne!(etag, running);
    for (field, status) in [
        (etag.clone(), 304),
        (format!("W/{etag}"), 304),
        (format!("\"other\", {etag}"), 304),
        ("*".to_owned(), 304),
        (running, 200),
        ("\"other\"".to_owned(), 200),
    ] {
        let reply = job
            .send(Request::get(&job.path()).field("If-None-Match", &field))
            .await;
        assert_eq!(reply.status, status, "{field}: {reply}");
        assert_eq!(reply.must("etag"), etag);
        assert_eq!(reply.body.is_empty(), status == 304);
    }
}

#[tokio::test]
async fn head_is_get_without_the_content() {
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    job.ended().await;
    let get = job.send(Request::get(&job.path())).await;
    let head = job.send(Request::new("HEAD", &job.path())).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-type", "etag", "cache-control"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
}

#[tokio::test]
async fn the_document_is_json_that_no_cache_keeps() {
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    let reply = job.send(Request::get(&job.path())).await;
    assert_eq!(reply.must("content-type"), "application/json");
    assert!(reply.must("cache-control").contains("no-"), "{reply}");
    assert_eq!(reply.field("location"), None);
}

#[tokio::test]
async fn unsupported_methods_get_405_with_the_supported_ones() {
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    for (method, path, allowed) in [
        ("POST", "", "GET, HEAD, DELETE"),
        ("PUT", "", "GET, HEAD, DELETE"),
        ("REPORT", "", "GET, HEAD, DELETE"),
        ("POST", "/result", "GET, HEAD"),
        ("DELETE", "/result", "GET, HEAD"),
        ("GET", "/cancel", "POST"),
        ("DELETE", "/cancel", "POST"),
    ] {
        let reply = job
            .send(Request::new(method, &format!("{}{path}", job.path())))
            .await;
        assert_problem(&reply, 405, "method_not_allowed");
        assert_eq!(reply.must("allow"), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn ids_that_name_no_job_cannot_be_told_apart() {
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    // Well-formed and unknown: another letter in the middle of the random part.
    let middle = job.id.len() - 8;
    let other = if &job.id[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    let unknown = format!("{}{other}{}", &job.id[..middle], &job.id[middle + 1..]);
    let first = send(Request::get(&format!("/jobs/{unknown}"))).await;
    assert_problem(&first, 404, "not_found");
    let plain = |reply: &crate::client::Reply| {
        let fields = reply
            .fields
            .iter()
            .filter(|(name, _)| name != "date")
            .cloned();
        (reply.status, fields.collect::<Vec<_>>(), reply.body.clone())
    };
    for id in ["x", "jAAAA", "j0000000000000000000000000000000", "-", "%00"] {
        let reply = send(Request::get(&format!("/jobs/{id}"))).await;
        assert_eq!(plain(&reply), plain(&first), "{id}: {reply}");
    }
    for path in ["/result", "/cancel"] {
        let method = if path == "/cancel" { "POST" } else { "GET" };
        let reply = send(Request::new(method, &format!("/jobs/{unknown}{path}"))).await;
        assert_problem(&reply, 404, "not_found");
    }
}

#[tokio::test]
async fn the_mount_is_the_gateways_own() {
    for path in ["/jobs", "/jobs/", "/jobs/a/b", "/jobs/a/result/c"] {
        let case = Case::new();
        let reply = send(case.get(path)).await;
        assert_problem(&reply, 404, "not_found");
        assert!(case.seen().is_empty(), "{path}");
    }
}
