//! The gateway over ports in memory: real decisions, real shards on SQLite, a clock that moves only
//! when every task waits for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "../support/configuration.rs"]
mod configuration;
#[path = "../support/one_by_one.rs"]
mod one_by_one;
#[path = "../support/sqlite.rs"]
mod sqlite;

mod accepting;
mod attempts;
mod bodies;
mod consuming;
mod deciding;
mod faults;
mod heads;
mod onward;
mod operator;
mod placing;
mod ports;
mod requests;
mod results;
mod script;
mod world;

use raincheck::http::Headers;
use raincheck::ingress::Head;
use raincheck::job::JobId;
use raincheck::rpc::ports::BodyFault;

use ports::{Answer, Body};
use world::World;

/// A request of a client.
struct Request<'a> {
    world: &'a World,
    head: Head,
    body: Option<Body>,
}

impl World {
    /// A request without body.
    fn request(&self, method: &str, target: &str) -> Request<'_> {
        let head = Head {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            host: "gate.example".to_owned(),
            target: target.to_owned(),
            headers: Headers::new(),
            has_body: false,
        };
        Request {
            world: self,
            head,
            body: None,
        }
    }

    /// Posts a small text to the rule's path.
    fn post(&self, body: &str) -> Answer {
        self.request("POST", "/slow").body(body).send()
    }

    fn get(&self, target: &str) -> Answer {
        self.request("GET", target).send()
    }

    /// The status document.
    fn document(&self, id: &JobId) -> serde_json::Value {
        let answer = self.get(&format!("/jobs/{id}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    fn status_of(&self, id: &JobId) -> String {
        self.document(id)["status"].as_str().unwrap().to_owned()
    }

    /// The code of the failure.
    fn error_of(&self, id: &JobId) -> String {
        self.document(id)["error"]["code"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    }

    fn result(&self, id: &JobId) -> Answer {
        self.get(&format!("/jobs/{id}/result"))
    }

    /// How often the origin got a request.
    fn times_sent(&self) -> usize {
        self.sent.borrow().len()
    }
}

impl Request<'_> {
    fn field(mut self, name: &str, value: &str) -> Self {
        self.head.headers.push(name, value);
        self
    }

    /// Sets the host and port that the client names.
    fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.head.host);
        self
    }

    /// A body whose length is announced.
    fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let bytes = body.into();
        let len = bytes.len().to_string();
        self.streamed(bytes, None).field("content-length", &len)
    }

    /// A body of unknown length.
    fn chunked(self, body: impl Into<Vec<u8>>) -> Self {
        self.streamed(body.into(), None)
    }

    /// A body that is cut off after these bytes.
    fn cut(self, body: impl Into<Vec<u8>>) -> Self {
        self.failing_after(body, BodyFault::Incomplete)
    }

    /// A body that fails after these bytes.
    fn failing_after(self, body: impl Into<Vec<u8>>, fault: BodyFault) -> Self {
        self.streamed(body.into(), Some(fault))
    }

    fn streamed(mut self, bytes: Vec<u8>, broken: Option<BodyFault>) -> Self {
        self.body = Some(Body {
            bytes,
            broken,
            ..Body::default()
        });
        self.head.has_body = true;
        self
    }

    fn send(self) -> Answer {
        self.world.serve(self.head, self.body)
    }
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or("")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body.bytes).unwrap()
    }

    /// The code of the problem.
    fn problem(&self) -> String {
        assert_eq!(
            self.field("content-type"),
            "application/problem+json",
            "{}",
            self.text()
        );
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    /// The id in the receipt.
    fn job(&self) -> JobId {
        assert_eq!(self.status, 202, "{}", self.text());
        JobId::parse(self.json()["id"].as_str().unwrap()).unwrap()
    }
}
