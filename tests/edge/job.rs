//! A job as its client sees it, at the shared gateway or another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Reply, Request};
use crate::gateway::Gateway;
use crate::origin::{Origin, Seen, new_case};

/// Longest wait for a job to end, for gigabytes on a busy machine too.
const END_MAX: Duration = Duration::from_mins(4);

/// One test case: a name that marks its requests, and what the origin saw of them.
pub struct Case(pub String);

impl Case {
    /// A new one.
    pub fn new() -> Self {
        Self(new_case())
    }

    /// A target that belongs to the case.
    pub fn target(&self, target: &str) -> String {
        let mark = if target.contains('?') { '&' } else { '?' };
        format!("{target}{mark}case={}", self.0)
    }

    /// POST with a small body.
    pub fn post(&self, target: &str) -> Request {
        Request::post(&self.target(target))
    }

    /// GET.
    pub fn get(&self, target: &str) -> Request {
        Request::get(&self.target(target))
    }

    /// Any method without a body.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, &self.target(target))
    }

    /// What the origin saw.
    pub fn seen(&self) -> Vec<Seen> {
        Origin::shared().seen(&self.0)
    }

    /// The only request that the origin saw.
    pub fn seen_once(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.into_iter().next().unwrap()
    }
}

/// Sends a request to the shared gateway.
pub async fn send(request: Request) -> Reply {
    request.send(Gateway::shared().address).await
}

/// An accepted job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: String,
    gateway: SocketAddr,
}

impl Job {
    /// Its name at the origin.
    pub fn name_at_origin(&self) -> String {
        raincheck::rpc::hash::name_at_origin(&self.id)
    }

    /// Sends a request to the shared gateway, which must defer it.
    pub async fn accepted(request: Request) -> Self {
        Self::accepted_by(Gateway::shared().address, request).await
    }

    /// Sends a request, which must be deferred.
    pub async fn accepted_by(gateway: SocketAddr, request: Request) -> Self {
        Self::of(gateway, &request.send(gateway).await)
    }

    /// The job of a receipt.
    pub fn of(gateway: SocketAddr, receipt: &Reply) -> Self {
        assert_eq!(receipt.status, 202, "{receipt}");
        let url = receipt.must("operation-location");
        let path = url.strip_prefix(&format!("http://{gateway}/jobs/"));
        let id = path
            .unwrap_or_else(|| panic!("{url} is not a job's at {gateway}"))
            .to_owned();
        Self { id, gateway }
    }

    /// The path of its status document.
    pub fn path(&self) -> String {
        format!("/jobs/{}", self.id)
    }

    /// The path of its result.
    pub fn result_path(&self) -> String {
        format!("/jobs/{}/result", self.id)
    }

    /// Sends a request to its gateway.
    pub async fn send(&self, request: Request) -> Reply {
        request.send(self.gateway).await
    }

    /// Its status document, which always comes with 200.
    pub async fn document(&self) -> Value {
        let reply = self.send(Request::get(&self.path())).await;
        assert_eq!(reply.status, 200, "{reply}");
        reply.json()
    }

    /// Its result as it is now.
    pub async fn result(&self) -> Reply {
        self.send(Request::get(&self.result_path())).await
    }

    /// Waits until its document satisfies `wanted`.
    pub async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let document = self.document().await;
            if wanted(&document) {
                return document;
            }
            assert!(start.elapsed() < END_MAX, "waited too long: {document:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it is in that state.
    pub async fn until_status(&self, status: &str) -> Value {
        self.until(|document| document["status"] == status).await
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Value {
        let ended = |document: &Value| {
            ["succeeded", "failed", "canceled"]
                .iter()
                .any(|status| document["status"] == *status)
        };
        self.until(ended).await
    }

    /// Waits until it has succeeded, and returns its result.
    pub async fn succeeded(&self) -> Reply {
        let document = self.ended().await;
        assert_eq!(document["status"], "succeeded", "{document:#}");
        self.result().await
    }

    /// Waits until it has failed, and returns the code.
    pub async fn failed(&self) -> String {
        let document = self.ended().await;
        assert_eq!(document["status"], "failed", "{document:#}");
        document["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Checks that a reply is a problem with that status and code, complete (RFC 9457 and our own
/// members), and that it reveals nothing internal.
#[track_caller]
pub fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{reply}");
    assert_eq!(
        reply.field("content-type"),
        Some("application/problem+json"),
        "{reply}"
    );
    let problem = reply.json();
    assert_eq!(problem["error"]["code"], code, "{reply}");
    assert_eq!(problem["status"], status, "{reply}");
    assert!(problem["retryable"].is_boolean(), "{reply}");
    for member in [
        &problem["type"],
        &problem["title"],
        &problem["detail"],
        &problem["error"]["message"],
    ] {
        assert!(
            member.as_str().is_some_and(|text| !text.is_empty()),
            "{reply}"
        );
    }
    let text = reply.text().to_ascii_lowercase();
    for inside in [
        "sqlite",
        "panicked",
        "wasm",
        ".rs:",
        "at async",
        "durable object",
    ] {
        assert!(!text.contains(inside), "{inside} in {reply}");
    }
}
