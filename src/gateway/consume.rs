//! The consumer: takes messages, runs attempts, reports what came of them.
//!
//! Every step may run twice or stop half-way, and that is safe:
//!
//! 1. *claim*: a second claim is refused by the lease; a lost grant lapses with its lease.
//! 2. *send*: at least once; what is ambiguous about it is decided by `job::classify`.
//! 3. *store*: under a new key, noted at the shard before; an unused object is deleted.
//! 4. *finish*: counts once, by its token; a lost answer is asked for again.
//!
//! A message is acknowledged when its claims were answered: from then on the record's wake-ups
//! carry the job, not the message.

use futures_util::future::{Either, join_all, select};
use serde_json::value::RawValue;

use crate::job::{BodyRef, Millis, Outcome, RowKey};
use crate::policy::Policy;
use crate::protocol::forwarding::{JobFields, add_job, response_to_store};
use crate::protocol::idempotency::IdempotencyKey;
use crate::protocol::time;

use super::call::{
    Call, ClaimCall, FinishAnswer, FinishCall, HEAD_VERSION, RenewAnswer, ResponseHead, Work,
};
use super::frame;
use super::front::{HEADERS_MAX, INLINE_MAX};
use super::message::Message;
use super::ports::{
    Bucket, CallBody, Collected, Host, OriginError, OriginPort, OriginRequest, OriginResponse,
    PutError, Shards, Unavailable,
};
use super::serve::{call_shard, object_key, store};

/// Everything that running jobs takes.
pub trait Back: Host + Shards + Bucket + OriginPort {}

impl<P: Host + Shards + Bucket + OriginPort> Back for P {}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It has served its purpose.
    Acknowledge,
    /// Its shard did not answer: deliver it again.
    Retry,
}

/// How often a report is repeated when its answer does not come. After that the lease lapses, and
/// the job goes the way of a lost consumer.
const FINISH_TRIES: u32 = 5;

/// The wait before the first repetition; it doubles.
const FINISH_WAIT: Millis = Millis(200);

/// A lease grows with each renewal up to this many times its first length: renewals of a long
/// attempt become rare (each is a row written), and a lost consumer is noticed within about the time
/// that it had already been working.
const LEASE_GROWTH_MAX: u64 = 8;

/// Statuses that a stored response can have; the platform cannot make responses outside of them.
const FINAL_STATUS: std::ops::RangeInclusive<u16> = 200..=599;

/// Takes one message: claims its jobs and runs those that were granted, all at the same time.
pub async fn run_message<P: Back>(ports: &P, policy: &Policy, message: &Message) -> Disposal {
    match claim(ports, policy, message).await {
        Ok(granted) => {
            join_all(
                granted
                    .into_iter()
                    .map(|(work, body)| run_attempt(ports, policy, message.shard, work, body)),
            )
            .await;
            Disposal::Acknowledge
        }
        Err(Unavailable) => Disposal::Retry,
    }
}

/// Claims the jobs of a message.
pub async fn claim<P: Back>(
    ports: &P,
    policy: &Policy,
    message: &Message,
) -> Result<Vec<(Work, Vec<u8>)>, Unavailable> {
    let claims = message.jobs.iter().map(|key| ClaimCall {
        key: *key,
        token: random_token(ports),
        lease: policy.lease,
    });
    let call = Call::Claim(claims.collect());
    let response = call_shard(ports, message.shard, &call, CallBody::Empty).await?;
    if ports.status(&response) != 200 {
        return Err(Unavailable);
    }
    let bytes = ports.read(response).await.ok_or(Unavailable)?;
    let frames = frame::decode(&bytes).ok_or(Unavailable)?;
    let works = frames.into_iter().filter_map(|frame| {
        let work = serde_json::from_str::<Work>(&frame.json).ok()?;
        Some((work, frame.body))
    });
    Ok(works.collect())
}

/// Reports messages that a queue gave up on.
pub async fn dead_letter<P: Back>(ports: &P, message: &Message) -> Disposal {
    let call = Call::DeadLetter(message.jobs.clone());
    match call_shard(ports, message.shard, &call, CallBody::Empty).await {
        Ok(response) if ports.status(&response) == 204 => Disposal::Acknowledge,
        _ => Disposal::Retry,
    }
}

/// Runs one attempt under its lease, and reports it.
pub async fn run_attempt<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    work: Work,
    body: Vec<u8>,
) {
    let (key, token, timeout) = (work.key, work.token, work.timeout);
    let attempt = std::pin::pin!(attempt(ports, policy, shard, work, body));
    let watch = std::pin::pin!(keep_lease(ports, policy, shard, key, token, timeout));
    // Whichever side ends first drops the other; dropping the attempt aborts its request.
    let report = match select(attempt, watch).await {
        Either::Left((report, _)) => report,
        Either::Right((Watch::TimedOut, _)) => Report::of(Outcome::Unknown),
        // Canceled, past its deadline, or somebody else's: a report would be refused.
        Either::Right((Watch::LeaseLost, _)) => return,
    };
    finish(ports, shard, key, token, report).await;
}

enum Watch {
    TimedOut,
    LeaseLost,
}

/// Renews the lease until the attempt's time is over.
async fn keep_lease<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    key: RowKey,
    token: u64,
    timeout: Millis,
) -> Watch {
    let ends = ports.now().plus(timeout);
    let longest = Millis(policy.lease.0.saturating_mul(LEASE_GROWTH_MAX));
    let mut lease = policy.lease;
    loop {
        // Half-way through, so that one lost renewal can still be made up for.
        let pause = Millis(lease.0 / 2).min(ends.since(ports.now()));
        ports.sleep(pause).await;
        if ports.now() >= ends {
            return Watch::TimedOut;
        }
        let longer = Millis(lease.0.saturating_mul(2)).min(longest);
        match renew(
            ports,
            shard,
            ClaimCall {
                key,
                token,
                lease: longer,
            },
        )
        .await
        {
            Ok(true) => lease = longer,
            Ok(false) => return Watch::LeaseLost,
            Err(Unavailable) => lease = Millis(lease.0 / 2).max(Millis(1000)),
        }
    }
}

async fn renew<P: Back>(ports: &P, shard: u16, claim: ClaimCall) -> Result<bool, Unavailable> {
    let response = call_shard(ports, shard, &Call::Renew(claim), CallBody::Empty).await?;
    let bytes = ports.read(response).await.ok_or(Unavailable)?;
    let answer: RenewAnswer = serde_json::from_slice(&bytes).map_err(|_| Unavailable)?;
    Ok(answer.renewed)
}

/// What is reported of an attempt.
struct Report {
    outcome: Outcome,
    response: Option<(ResponseHead, StoredBody)>,
}

enum StoredBody {
    Inline(Vec<u8>),
    Object(BodyRef),
}

impl Report {
    const fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            response: None,
        }
    }
}

async fn attempt<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    work: Work,
    body: Vec<u8>,
) -> Report {
    let key = work.key;
    let request = match request(ports, work, body).await {
        Ok(request) => request,
        Err(outcome) => return Report::of(outcome),
    };
    let is_head = request.method == "HEAD";
    match ports.send(request).await {
        Ok(response) => receive(ports, policy, shard, key, is_head, response).await,
        Err(OriginError::Unreachable) => Report::of(Outcome::Unreachable),
        Err(OriginError::Lost) => Report::of(Outcome::Unknown),
        Err(OriginError::Malformed) => Report::of(Outcome::Malformed),
    }
}

/// The request of the attempt: the client's, with the fields of the job.
async fn request<P: Back>(
    ports: &P,
    work: Work,
    bytes: Vec<u8>,
) -> Result<OriginRequest<P::Body>, Outcome> {
    let head = work.request;
    let own_key = IdempotencyKey::of_job(&work.id);
    let (mut span, mut trace) = ([0; 8], [0; 16]);
    ports.random(&mut span);
    ports.random(&mut trace);
    let fields = JobFields {
        id: &work.id,
        attempt: work.attempt,
        idempotency_key: head.key.as_deref().unwrap_or_else(|| own_key.to_header()),
        span,
        trace: Some(trace),
    };
    let mut headers = head.headers;
    add_job(&mut headers, &fields);
    let body = match work.payload {
        None => None,
        Some(BodyRef {
            len,
            object: Some(object),
            ..
        }) => match ports.get(&object, None).await {
            Ok(Some(body)) => Some((body, len)),
            Ok(None) | Err(Unavailable) => return Err(Outcome::PayloadUnavailable),
        },
        Some(BodyRef {
            len, object: None, ..
        }) => {
            let complete = u64::try_from(bytes.len()).is_ok_and(|have| have == len);
            if !complete {
                return Err(Outcome::PayloadUnavailable);
            }
            Some((ports.body_of(bytes), len))
        }
    };
    Ok(OriginRequest {
        method: head.method,
        target: head.target,
        headers,
        body,
    })
}

/// Reads and stores the response.
async fn receive<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    key: RowKey,
    is_head: bool,
    response: OriginResponse<P::Body>,
) -> Report {
    let OriginResponse {
        status,
        headers,
        body,
    } = response;
    if !FINAL_STATUS.contains(&status) {
        return Report::of(Outcome::Malformed);
    }
    let announced = headers
        .get("content-length")
        .and_then(|text| text.trim().parse::<u64>().ok());
    let chunked = headers.contains("transfer-encoding");
    let retry_after = headers
        .joined("retry-after")
        .and_then(|text| time::retry_after(&text, ports.now()));
    if announced.is_some_and(|len| len > policy.result_limit && !is_head) {
        return Report::of(Outcome::TooLarge);
    }
    let stored = match body {
        Some(body) if !is_head => {
            match store_response(ports, policy, shard, key, body, announced).await {
                Ok(stored) => stored,
                Err(outcome) => return Report::of(outcome),
            }
        }
        _ => StoredBody::Inline(Vec::new()),
    };
    let headers = response_to_store(headers);
    if headers.len_bytes() > HEADERS_MAX {
        return Report::of(Outcome::TooLarge);
    }
    let length_unverified = announced.is_none() && !chunked && !stored.is_empty() && !is_head;
    let head = ResponseHead {
        v: HEAD_VERSION,
        status,
        headers,
        length_unverified,
    };
    Report {
        outcome: Outcome::Responded {
            status,
            retry_after,
        },
        response: Some((head, stored)),
    }
}

impl StoredBody {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Inline(bytes) if bytes.is_empty())
    }
}

async fn store_response<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    key: RowKey,
    body: P::Body,
    announced: Option<u64>,
) -> Result<StoredBody, Outcome> {
    let body = if announced.is_some_and(|len| len > INLINE_MAX) {
        body
    } else {
        match ports.collect(body, INLINE_MAX).await {
            Collected::All(bytes) => {
                let have = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                return match announced {
                    Some(len) if len != have => Err(Outcome::Unknown),
                    _ => Ok(StoredBody::Inline(bytes)),
                };
            }
            Collected::More(body) => body,
            Collected::Broken => return Err(Outcome::Unknown),
        }
    };
    let object = object_key(ports, "results", shard);
    let limit = policy.result_limit;
    match store(ports, shard, &object, Some(key), body, announced, limit).await {
        Ok(reference) => Ok(StoredBody::Object(reference)),
        Err(PutError::TooLarge) => Err(Outcome::TooLarge),
        Err(PutError::Incomplete) => Err(Outcome::Unknown),
        Err(PutError::Storage) => Err(Outcome::NotStored),
    }
}

/// Reports to the shard, again and again while no answer comes; deletes an object that was not
/// wanted.
async fn finish<P: Back>(ports: &P, shard: u16, key: RowKey, token: u64, report: Report) {
    let Report { outcome, response } = report;
    let (head, bytes, object) = match response {
        None => (None, None, None),
        Some((head, StoredBody::Inline(bytes))) => (Some(head), Some(bytes), None),
        Some((head, StoredBody::Object(object))) => (Some(head), None, Some(object)),
    };
    let response: Option<Box<RawValue>> =
        head.and_then(|head| serde_json::value::to_raw_value(&head).ok());
    let stored = object.as_ref().and_then(|body| body.object.clone());
    let call = Call::Finish(Box::new(FinishCall {
        key,
        token,
        outcome,
        response,
        object,
    }));
    let mut wait = FINISH_WAIT;
    for _ in 0..FINISH_TRIES {
        let body = bytes.clone().map_or(CallBody::Empty, CallBody::Bytes);
        if let Some(answer) = report_once(ports, shard, &call, body).await {
            // A repeated report is refused although the first one counted: then the record names
            // the object, and the shard's note about it is gone. Only what was refused at the first
            // try is certainly not wanted; the rest is left to the shard's sweep.
            if let (false, Some(object)) = (answer.kept || wait > FINISH_WAIT, stored) {
                let _ = ports.delete(&[object]).await;
            }
            return;
        }
        ports.sleep(wait).await;
        wait = Millis(wait.0.saturating_mul(2));
    }
    ports.log("an attempt could not be reported; its lease will lapse");
}

async fn report_once<P: Back>(
    ports: &P,
    shard: u16,
    call: &Call,
    body: CallBody<P::Body>,
) -> Option<FinishAnswer> {
    let response = call_shard(ports, shard, call, body).await.ok()?;
    if ports.status(&response) != 200 {
        return None;
    }
    let bytes = ports.read(response).await?;
    serde_json::from_slice(&bytes).ok()
}

fn random_token<P: Host>(ports: &P) -> u64 {
    let mut bytes = [0; 8];
    ports.random(&mut bytes);
    u64::from_le_bytes(bytes)
}
