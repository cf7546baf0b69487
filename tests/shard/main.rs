//! The shard over a real SQLite, with the statements that ship.
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

mod accepting;
mod backlog;
mod cost;
mod expiring;
mod faults;
mod objects;
mod ringing;
mod unreadable;
mod waking;

use raincheck::job::{BodyRef, IdKey, JobId, Millis, Outcome, Record, StoredBody, UnixMillis};
use raincheck::shard::{
    Accepted, Claim, Claimed, Committed, Finish, Found, Grant, KeyClaim, NewJob, Param, Shard,
    Sql as _, Tick, Value,
};
use support::jobs::{EMPTY_SHA256, ID_KEY, LEASE, RETENTION, SETTINGS, START, object_body, spec};
use support::sqlite::Sqlite;

/// A shard with its database and a clock.
struct Bench {
    sql: Sqlite,
    shard: Shard<Sqlite>,
    now: UnixMillis,
    token: u64,
}

impl Bench {
    fn new() -> Self {
        let sql = Sqlite::in_memory();
        let shard = Shard::open(sql.clone(), Some(3), SETTINGS, ID_KEY).unwrap();
        sql.rows_written.set(0);
        Self {
            sql,
            shard,
            now: START,
            token: 100,
        }
    }

    /// Evicts the object and starts it again.
    fn reopen(&mut self) {
        self.start();
        while !self.shard.is_loaded() {
            self.shard.load().unwrap();
        }
    }

    /// Starts the object. It has not read any of its active jobs yet.
    fn start(&mut self) {
        let other_key = IdKey([8; 32]);
        self.shard = Shard::open(self.sql.clone(), None, SETTINGS, other_key).unwrap();
    }

    fn later(&mut self, millis: u64) {
        self.now = self.now.plus(Millis(millis));
    }

    /// Accepts a job. If it has an object, announces that first, as is required.
    fn accept(&mut self, request: NewJob) -> JobId {
        self.announce(&request);
        match self.shard.accept(&[request], self.now).unwrap().pop() {
            Some(Accepted::Created(id, ..)) => id,
            other => panic!("not created: {other:?}"),
        }
    }

    fn announce(&mut self, request: &NewJob) {
        if let Some(StoredBody::Object(body)) = &request.payload {
            let object = body.object.as_deref().unwrap();
            self.shard.intend(object, None, self.now).unwrap();
        }
    }

    fn job(&mut self) -> JobId {
        self.accept(request())
    }

    fn try_claim(&mut self, id: JobId) -> Claimed<String> {
        self.token += 1;
        let claim = Claim {
            key: id.key,
            token: self.token,
            lease: LEASE,
            unsent: Vec::new(),
        };
        self.shard.claim(&claim, self.now, 0, any_head).unwrap().0
    }

    /// Claims and returns the token with the grant.
    fn claim(&mut self, id: JobId) -> (u64, Grant<String>) {
        match self.try_claim(id) {
            Claimed::Granted(grant) => (self.token, *grant),
            Claimed::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    fn finish(&mut self, id: JobId, token: u64, outcome: Outcome) -> Committed {
        self.finish_with(id, token, outcome, inline(b"done"))
    }

    fn finish_with(
        &mut self,
        id: JobId,
        token: u64,
        outcome: Outcome,
        body: StoredBody,
    ) -> Committed {
        self.try_finish(id, token, outcome, body).unwrap()
    }

    fn try_finish(
        &mut self,
        id: JobId,
        token: u64,
        outcome: Outcome,
        body: StoredBody,
    ) -> Option<Committed> {
        let response = matches!(outcome, Outcome::Responded { .. });
        let response = response.then(|| ("{\"head\":1}".to_owned(), body));
        let finish = Finish {
            key: id.key,
            token,
            outcome,
            response,
        };
        self.shard.finish(&finish, self.now, 0).unwrap()
    }

    fn succeed(&mut self, id: JobId) {
        let (token, _) = self.claim(id);
        assert!(self.finish(id, token, ok()).kept);
    }

    fn found(&self, id: JobId) -> Found<Record> {
        self.shard.read(&id, self.now).unwrap()
    }

    fn record(&self, id: JobId) -> Record {
        match self.found(id) {
            Found::Job(record) => record,
            other => panic!("no job: {other:?}"),
        }
    }

    fn tick(&mut self) -> Tick {
        self.expire();
        let tick = self.shard.tick(self.now, 0);
        assert_eq!(tick.fault, None);
        tick
    }

    fn expire(&mut self) -> usize {
        self.shard.expire(self.now).unwrap()
    }

    /// Runs the alarm until nothing is due, as the object does.
    fn ring(&mut self) {
        for _ in 0..100 {
            if self.shard.wake_at().is_none_or(|at| at > self.now) {
                return;
            }
            let tick = self.tick();
            self.shard.swept(&tick.sweeps).unwrap();
        }
        panic!("the alarm rings without end");
    }

    fn rows(&self, statement: &str) -> Vec<Vec<Value>> {
        self.sql.run(statement, &[]).unwrap()
    }

    fn count(&self, what: &str) -> u64 {
        self.sql.count(what)
    }

    /// Everything that the database holds, as text.
    fn dump(&self) -> Vec<Vec<Value>> {
        let read = |table: String| {
            let sql = format!("SELECT '{table}', * FROM {table} ORDER BY 2");
            self.sql.run(&sql, &[]).unwrap()
        };
        let mut rows: Vec<_> = self.sql.tables("").into_iter().flat_map(read).collect();
        let names = self.sql.tables("").into_iter();
        rows.extend(names.map(|name| vec![Value::Text(name)]));
        rows
    }

    /// Replaces a text in a row's state, as if another build had written it.
    fn overwrite(&self, id: JobId, state: &str) {
        let params = [Param::Int(id.key.0), Param::Text(state)];
        let table = id.key.partition();
        let sql = format!("UPDATE jobs_{table} SET state = ?2 WHERE key = ?1");
        self.sql.run(&sql, &params).unwrap();
    }

    /// Changes a row so that only a later build can read it.
    fn make_newer(&self, id: JobId) -> String {
        let mut record = self.record(id);
        record.v = 200;
        let text = serde_json::to_string(&record).unwrap();
        self.overwrite(id, &text);
        text
    }
}

fn ok() -> Outcome {
    Outcome::Responded {
        status: 200,
        retry_after: None,
    }
}

fn inline(bytes: &[u8]) -> StoredBody {
    StoredBody::Inline {
        bytes: bytes.to_vec(),
        sha256: EMPTY_SHA256.to_owned(),
    }
}

fn in_bucket(object: &str) -> BodyRef {
    object_body(object, 1_000_000)
}

/// Reads any head unchanged.
#[expect(clippy::unnecessary_wraps, reason = "a head may be unreadable")]
fn any_head(head: &str) -> Option<String> {
    Some(head.to_owned())
}

/// A request without key and body. Each test changes what it is about.
fn request() -> NewJob {
    NewJob {
        nonce: [9; 8],
        spec: spec(),
        key: None,
        request: "{\"request\":1}".to_owned(),
        payload: None,
        redrive_of: None,
    }
}

fn with_body() -> NewJob {
    let payload = StoredBody::Inline {
        bytes: b"body".to_vec(),
        sha256: EMPTY_SHA256.to_owned(),
    };
    NewJob {
        payload: Some(payload),
        ..request()
    }
}

fn with_object(object: &str) -> NewJob {
    NewJob {
        payload: Some(StoredBody::Object(in_bucket(object))),
        ..request()
    }
}

/// The key as the shard sees it; its window is half the retention.
fn key(hash: &str, fingerprint: &str) -> KeyClaim {
    KeyClaim {
        hash: hash.to_owned(),
        fingerprint: fingerprint.to_owned(),
        window: Millis(RETENTION.0 / 2),
    }
}

fn with_key(hash: &str, fingerprint: &str) -> NewJob {
    NewJob {
        key: Some(key(hash, fingerprint)),
        ..request()
    }
}
