//! Several origins, and the header fields that the gateway adds for them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::json;

use crate::client::Request;
use crate::gateway::{Gateway, Setup};
use crate::job::{Case, Job, assert_problem};
use crate::origin::Origin;
use crate::store::Store;

/// A secret that exists.
const TOKEN: &str = "t0ken-of-the-edge-tests";

/// A gateway whose default origin is unreachable, and whose others are the shared origin under a prefix: `with`
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
         [origins.nowhere]\nurl = \"https://nowhere.invalid\"\n\
         [origins.plain]\nurl = \"https://{}\"\n\
         [origins.without]\nurl = \"{shared}\"\nheaders = {{ X-Added = \"${{ABSENT}}\" }}\n{}{}{}{}{}{}{}",
        speaks_no_tls(),
        rule("jobs-with", "with", ""),
        rule("jobs-without", "without", ""),
        rule("pass-with", "with", passes),
        rule("pass-without", "without", passes),
        rule("jobs-nowhere", "nowhere", "attempts = 2"),
        rule("jobs-plain", "plain", "attempts = 2"),
        rule("pass-nowhere", "nowhere", passes),
    );
    let setup = Setup {
        change: Some(|wrangler| wrangler["vars"]["ML_TOKEN"] = json!(TOKEN)),
        ..Setup::default()
    };
    Gateway::start_as(&text, setup)
}

/// The address of a server that responds to a TLS handshake in plain HTTP, for as long as the process runs.
fn speaks_no_tls() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A connection that only checks whether the port is open sends nothing.
            if stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
            }
        }
    });
    address
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

/// The local runtime rejects `fetch` for these as for a connection that broke after the request was sent. So the
/// gateway must not repeat a POST, although nothing was sent.
#[tokio::test]
async fn a_post_to_a_name_that_does_not_resolve_or_without_tls_ends_as_unknown_in_a_local_run() {
    let gateway = start();
    for rule in ["jobs-nowhere", "jobs-plain"] {
        for (method, attempts) in [("POST", 1), ("PUT", 2)] {
            let case = Case::new();
            let request = case.request(method, &format!("/{rule}/echo")).body("{}");
            let job = Job::of(gateway.address, &gateway.send(request).await);
            let document = job.ended().await;
            assert_eq!(
                document["error"]["code"], "outcome_unknown",
                "{rule} {method} {document:#}"
            );
            assert_eq!(document["attempt"], attempts, "{rule} {document:#}");
            assert!(case.seen().is_empty());
        }
    }
    let reply = gateway.send(Case::new().post("/pass-nowhere/echo")).await;
    assert_problem(&reply, 502, "origin_unreachable");
}

/// What an operator may do who renames an origin while jobs wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_removed_origin_is_retried_and_runs_when_the_origin_is_back() {
    let before = "origin = \"http://127.0.0.1:1\"\nretention = \"1h\"\nclaim_patience = \"2s\"\nlease = \"3s\"\n";
    let shared = Origin::shared().url();
    let with = format!(
        "{before}[origins.leaves]\nurl = \"{shared}\"\n\
         [[rules]]\nname = \"leaves\"\npath = \"/leaves/{{*rest}}\"\norigin = \"leaves\"\nmethods = [\"*\"]\n\
         attempts = 2\ndeadline = \"30m\"\nbackoff = {{ initial = \"2s\", factor = 1, jitter = 0 }}\n"
    );
    let mut gateway = Gateway::start(&with);
    let case = Case::new();
    let request = case
        .request("PUT", "/leaves/sequence?steps=503,200")
        .body("{}");
    let job = Job::of(gateway.address, &gateway.send(request).await);
    job.until(|document| document["status"] == "queued" && document["attempt"] == 1)
        .await;

    gateway.restart_configured(before);
    // More often than `attempts` allows: attempts without a request do not count.
    let document = job
        .until(|document| document["attempt"].as_u64() >= Some(4) || !document["error"].is_null())
        .await;
    assert!(document["error"].is_null(), "{document:#}");
    let why = "the origin leaves is not configured";
    assert!(gateway.log().contains(why), "{}", gateway.log());
    assert_eq!(case.seen().len(), 1);

    gateway.restart_configured(&with);
    assert_eq!(job.succeeded().await.status, 200);
    assert_eq!(case.seen().len(), 2);
}
