//! What must be true when the load and the kills are over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream;
use raincheck::rpc::hash::name_at_origin;
use serde_json::Value;

use crate::client::{Reply, Request};
use crate::origin::{Origin, Seen};
use crate::pattern;

use super::load::{Load, Promise, Wanted, end};

/// The rules' limit.
const ATTEMPTS_MAX: usize = 100;

/// Longest wait for a job to end. Lapsed leases and messages sent again take a few seconds.
const END_MAX: Duration = Duration::from_mins(3);

/// After all have ended, a straggler has this long to change something: more than a lease.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// At most about so many are looked at again after that.
const LOOKED_AT_AGAIN: usize = 300;

/// How many jobs are looked at together.
const TOGETHER: usize = 16;

/// What was found.
#[derive(Default)]
pub struct Findings {
    /// Jobs that succeeded with the right result.
    pub succeeded: usize,
    /// Jobs that say that their outcome is unknown.
    pub outcome_unknown: usize,
    /// Jobs that vanished or did not end.
    pub lost: usize,
    /// Jobs that changed after their end.
    pub changed: usize,
    /// Jobs whose end was seen earlier and compared.
    pub compared: usize,
    /// Results that are not what the origin sent.
    pub wrong_results: usize,
    /// Receipts for jobs that were made by an earlier request, which got no answer.
    pub replayed: usize,
    /// All requests that the origin saw.
    pub origin_requests: usize,
    /// Those beyond the first of their job.
    pub repeated_attempts: usize,
    /// Of one job.
    pub most_attempts: usize,
    /// Jobs with a request or result too large for a row.
    pub large: usize,
    /// Everything that was wrong, in words.
    pub faults: Vec<String>,
}

/// Waits for all jobs, then compares everything with everything.
pub async fn everything(load: &Arc<Load>, origin: &Origin) -> Findings {
    let mut findings = Findings {
        faults: std::mem::take(&mut *load.faults.lock().unwrap()),
        ..Findings::default()
    };
    let promises = load.promises();
    let ends: Vec<_> = stream::iter(&promises)
        .map(|promise| until_ended(load, promise))
        .buffered(TOGETHER)
        .collect()
        .await;
    for (promise, end) in promises.iter().zip(&ends) {
        findings.judge_end(promise, end);
    }
    tokio::time::sleep(STRAGGLERS).await;
    let sample = promises.len().div_ceil(LOOKED_AT_AGAIN).max(1);
    let again = promises.iter().zip(&ends).step_by(sample);
    let again: Vec<_> = stream::iter(again)
        .map(async |(promise, end)| (end, until_ended(load, promise).await))
        .buffered(TOGETHER)
        .collect()
        .await;
    for (end, now) in again {
        if end.is_ok() && *end != now {
            findings.changed += 1;
            findings
                .faults
                .push(format!("changed: {end:?}\nnow {now:?}"));
        }
    }
    let results: Vec<_> = stream::iter(&promises)
        .map(|promise| result(load, promise))
        .buffered(TOGETHER)
        .collect()
        .await;
    for ((promise, end), result) in promises.iter().zip(&ends).zip(&results) {
        if let Ok((_, document)) = end {
            findings.judge_result(promise, document, result.as_ref());
        }
    }
    findings.judge_origin(&promises, &load.uncertain.lock().unwrap(), origin);
    let ids: HashSet<_> = promises.iter().map(|promise| &promise.id).collect();
    if ids.len() != promises.len() {
        findings.faults.push("two requests got one job".to_owned());
    }
    findings
}

async fn until_ended(load: &Load, promise: &Promise) -> Result<(String, Value), String> {
    let start = Instant::now();
    loop {
        let request = Request::get(&format!("/jobs/{}", promise.id));
        let seen = match load.ask(&request).await {
            Ok(reply) => match end(&reply)? {
                Some(end) => return Ok(end),
                None => reply.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if start.elapsed() > END_MAX {
            return Err(format!("did not end: {seen}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The result, as soon as the gateway can say.
async fn result(load: &Load, promise: &Promise) -> Option<Reply> {
    let request = Request::get(&format!("/jobs/{}/result", promise.id));
    for _ in 0..20 {
        match load.ask(&request).await {
            // Ours: only the gateway's own errors have this type.
            Ok(reply) if reply.status == 503 => {}
            Ok(reply) => return Some(reply),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

impl Findings {
    fn judge_end(&mut self, promise: &Promise, end: &Result<(String, Value), String>) {
        let (tag, document) = match end {
            Ok(end) => end,
            Err(fault) => {
                self.lost += 1;
                self.faults.push(format!("{}: {fault}", promise.id));
                return;
            }
        };
        if let Some(before) = &promise.end {
            self.compared += 1;
            if (&before.0, &before.1) != (tag, document) {
                self.changed += 1;
                let fault = format!("changed: {before:?}\nnow {document:#}");
                self.faults.push(fault);
            }
        }
        if let (Some(sent), Some(created)) = (promise.repeated, created(document))
            && created < sent
        {
            self.replayed += 1;
        }
        let unknown = document["error"]["code"] == "outcome_unknown";
        if document["status"] == "succeeded" {
            self.succeeded += 1;
        } else if unknown && promise.wanted.rule == "once" {
            self.outcome_unknown += 1;
        } else {
            self.faults.push(format!("ended otherwise: {document:#}"));
        }
        if promise.wanted.sends.max(promise.wanted.gets) > 64 * 1024 {
            self.large += 1;
        }
    }

    fn judge_result(&mut self, promise: &Promise, document: &Value, result: Option<&Reply>) {
        if document["status"] != "succeeded" {
            return;
        }
        let Wanted { seed, gets, .. } = promise.wanted;
        let right = result.is_some_and(|reply| {
            reply.status == 200 && pattern::sha256(&reply.body) == pattern::hash(seed, gets)
        });
        if !right {
            self.wrong_results += 1;
            let shown = result.map_or_else(String::new, ToString::to_string);
            let fault = format!("{}: wrong result: {shown}", promise.id);
            self.faults.push(fault);
        }
    }

    fn judge_origin(&mut self, promises: &[Promise], uncertain: &[Wanted], origin: &Origin) {
        let ids: HashMap<_, _> = promises
            .iter()
            .map(|promise| (promise.wanted.case.as_str(), promise.id.as_str()))
            .collect();
        let wanted = promises.iter().map(|promise| &promise.wanted);
        for wanted in wanted.chain(uncertain) {
            let seen = origin.seen(&wanted.case);
            self.origin_requests += seen.len();
            self.repeated_attempts += seen.len().saturating_sub(1);
            self.most_attempts = self.most_attempts.max(seen.len());
            let id = ids.get(wanted.case.as_str()).copied();
            if let Some(fault) = fault_in(wanted, id, &seen) {
                self.faults.push(format!("{}: {fault}", wanted.case));
            }
        }
    }
}

/// Checks that all attempts are one request: same method, target, body and key, of one job.
fn fault_in(wanted: &Wanted, id: Option<&str>, seen: &[Seen]) -> Option<String> {
    if seen.is_empty() && id.is_some() {
        // It may have ended without a request only if it failed, and then `judge_end` says so.
        return None;
    }
    if seen.len() > ATTEMPTS_MAX {
        return Some(format!("{} attempts", seen.len()));
    }
    let body = pattern::hash(wanted.seed, wanted.sends);
    let first = seen.first()?;
    let job = first.field("raincheck-job");
    let name = id.map(name_at_origin);
    if id.is_some() && job != name.as_deref() {
        return Some(format!("job {id:?} reached the origin as {job:?}"));
    }
    let key = first.field("idempotency-key").map(str::to_owned);
    let given = wanted.key.as_ref().map(|key| format!("\"{key}\""));
    if key.is_none() || (given.is_some() && key != given) {
        return Some(format!("key {given:?} reached the origin as {key:?}"));
    }
    seen.iter().find_map(|other| {
        let whole = other.sha256.is_none() || other.sha256.as_ref() == Some(&body);
        let same = other.method == first.method
            && other.target == first.target
            && other.field("idempotency-key") == key.as_deref()
            && other.field("raincheck-job") == job;
        (!whole || !same).then(|| format!("attempts differ: {first:?}\n{other:?}"))
    })
}

fn created(document: &Value) -> Option<SystemTime> {
    let text = document["created"].as_str()?;
    let millis = chrono::DateTime::parse_from_rfc3339(text)
        .ok()?
        .timestamp_millis();
    let since = Duration::from_millis(u64::try_from(millis).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}
