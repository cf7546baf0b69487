//! Whole responses as clients read them: receipts, status documents, results, problems.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod receipts;
mod replayed;
mod results;
mod statuses;

use std::fmt::Write as _;

use raincheck::http::Headers;
use raincheck::job::{BodyRef, JobId, Millis, Outcome, RowKey, UnixMillis};
use raincheck::rpc::call::{AcceptCall, Call, FinishCall, KeyCall, PayloadCall, View, ViewCall};
use raincheck::rpc::frame::encode;
use raincheck::rpc::head::{HEAD_VERSION, ResponseHead};
use raincheck::rpc::{Content, Reply};
use raincheck::shard::{Claim, Shard};
use raincheck::shard_service::handle;
use serde_json::value::{RawValue, to_raw_value};
use support::jobs::{FIRST, ID_KEY, SETTINGS, START, spec};
use support::sqlite::Sqlite;

/// The id of the first job of every desk.
const ID: &str = "jAAMAAABAAAEJCQkJCQmJCYOXAddRDl4t";

/// A shard and the calls that a Worker makes.
struct Desk {
    sql: Sqlite,
    shard: Shard<Sqlite>,
    now: UnixMillis,
}

impl Desk {
    /// A shard without jobs.
    fn empty() -> Self {
        let sql = Sqlite::in_memory();
        let shard = Shard::open(sql.clone(), Some(3), SETTINGS, ID_KEY).unwrap();
        let now = START;
        Self { sql, shard, now }
    }

    /// A shard with one job.
    fn new() -> Self {
        let mut desk = Self::empty();
        assert_eq!(desk.accept(accept()).status, 202);
        desk
    }

    fn call(&mut self, call: Call, body: &[u8]) -> Reply {
        let random = &mut |bytes: &mut [u8]| bytes.fill(9);
        handle(&mut self.shard, call, body.to_vec(), self.now, random).reply
    }

    fn accept(&mut self, call: AcceptCall) -> Reply {
        self.call(Call::Accept(Box::new(call)), b"")
    }

    fn later(&mut self, millis: u64) -> &mut Self {
        self.now = self.now.plus(Millis(millis));
        self
    }

    /// Claims the job a second later.
    fn claimed(&mut self) -> &mut Self {
        self.later(1_000);
        let claim = Claim {
            key: RowKey(FIRST),
            token: 5,
            lease: Millis(50_000),
            unsent: Vec::new(),
        };
        assert_eq!(self.call(Call::Claim(vec![claim]), b"").status, 200);
        self
    }

    /// Reports two seconds after that.
    fn finished(&mut self, outcome: Outcome, answer: Option<&(ResponseHead, &[u8])>) -> &mut Self {
        self.later(2_000);
        let body = answer.map_or(&b""[..], |(_, body)| *body);
        let response = answer.map(|(head, _)| to_raw_value(head).unwrap());
        let call = FinishCall {
            key: RowKey(FIRST),
            token: 5,
            outcome,
            response,
            object: None,
        };
        self.report(&call, body)
    }

    fn report(&mut self, report: &FinishCall, body: &[u8]) -> &mut Self {
        let frames = encode(&[report.frame(body.to_vec()).unwrap()]);
        assert_eq!(self.call(Call::Finish, &frames).status, 200);
        self
    }

    /// Runs the job to the end with this response.
    fn answered(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) -> &mut Self {
        let outcome = Outcome::Responded {
            status,
            retry_after: None,
        };
        self.claimed()
            .finished(outcome, Some(&(head(status, fields), body)))
    }

    /// Runs the job to the end with a response that is in the bucket.
    fn answered_from_the_bucket(&mut self, object: BodyRef) -> &mut Self {
        self.claimed();
        let announced = Call::Intend {
            object: object.object.clone().unwrap(),
            job: Some(RowKey(FIRST)),
        };
        assert_eq!(self.call(announced, b"").status, 204);
        let call = FinishCall {
            key: RowKey(FIRST),
            token: 5,
            outcome: Outcome::Responded {
                status: 200,
                retry_after: None,
            },
            response: Some(to_raw_value(&head(200, &[("etag", "\"o\"")])).unwrap()),
            object: Some(object),
        };
        self.report(&call, b"")
    }

    fn status(&mut self) -> Reply {
        self.call(Call::View(view(View::Status)), b"")
    }

    fn result(&mut self) -> Reply {
        self.call(Call::View(view(View::Result)), b"")
    }
}

fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    ResponseHead {
        v: HEAD_VERSION,
        status,
        headers: fields.iter().copied().collect::<Headers>(),
        length_unverified: false,
        to_head: false,
    }
}

fn view(view: View) -> ViewCall {
    let id = JobId::parse(ID).unwrap();
    ViewCall::of(&id, "https://h/jobs".to_owned(), view)
}

fn accept() -> AcceptCall {
    AcceptCall {
        base: "https://h/jobs".to_owned(),
        spec: spec(),
        key: None,
        lookup: false,
        preferred: false,
        held: false,
        method: "POST".to_owned(),
        target: "/reports".to_owned(),
        request: RawValue::from_string(
            r#"{"v":1,"method":"POST","target":"/reports","headers":[]}"#.to_owned(),
        )
        .unwrap(),
        payload: PayloadCall::Absent,
    }
}

fn with_key() -> AcceptCall {
    let key = KeyCall {
        hash: "0c0d".to_owned(),
        window: Millis(500_000),
    };
    AcceptCall {
        key: Some(key),
        ..accept()
    }
}

/// The whole reply: status, fields in their order, and content. In the content the id is `ID`.
fn transcript(reply: &Reply) -> String {
    let mut text = format!("{}\n", reply.status);
    for (name, value) in reply.headers.iter() {
        writeln!(text, "{name}: {value}").unwrap();
    }
    text.push('\n');
    match &reply.clone().rendered("/jobs").content {
        Content::Empty | Content::Problem(_) => {}
        Content::Text(content) => text.push_str(content),
        Content::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
    }
    text.replace(ID, "ID")
}

#[track_caller]
fn assert_transcript(reply: &Reply, expected: &str) {
    let expected = expected.trim_start_matches('\n');
    assert_eq!(transcript(reply), expected, "\n{}", transcript(reply));
}
