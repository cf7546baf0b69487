//! One attempt: the request to the origin, its response, and the report to the shard.

use serde_json::value::RawValue;

use crate::http::date;
use crate::job::{BodyRef, Millis, Outcome, RowKey};
use crate::policy::Policy;
use crate::protocol::forwarding::{JobFields, add_job, response_to_store};
use crate::protocol::idempotency::IdempotencyKey;

use super::Back;
use crate::rpc::call::INLINE_MAX;
use crate::rpc::call::{Call, FinishAnswer, FinishCall, HEAD_VERSION, ResponseHead, Work};
use crate::rpc::client::{call_shard, object_key, store};
use crate::rpc::head::HEADERS_MAX;
use crate::rpc::ports::{
    CallBody, Collected, OriginError, OriginRequest, OriginResponse, PutError, Unavailable,
};

/// How often a report is repeated when its answer does not come. After that the lease lapses, and
/// the job goes the way of a lost consumer.
const FINISH_TRIES: u32 = 5;

/// The wait before the first repetition; it doubles.
const FINISH_WAIT: Millis = Millis(200);

/// Statuses that a stored response can have; the platform cannot make responses outside of them.
const FINAL_STATUS: std::ops::RangeInclusive<u16> = 200..=599;

/// What is reported of an attempt.
pub(super) struct Report {
    outcome: Outcome,
    response: Option<(ResponseHead, Received)>,
}

/// The body of a response: its bytes, not yet hashed, or where it is in the bucket.
enum Received {
    Inline(Vec<u8>),
    Object(BodyRef),
}

impl Report {
    pub(super) const fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            response: None,
        }
    }
}

pub(super) async fn attempt<P: Back>(
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
        .and_then(|text| date::retry_after(&text, ports.now()));
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
        _ => Received::Inline(Vec::new()),
    };
    let length = headers.get("content-length").map(str::to_owned);
    let mut headers = response_to_store(headers);
    if let Some(length) = length.filter(|_| is_head) {
        // The only way to know it: no content tells.
        headers.push("content-length", length);
    }
    if headers.len_bytes() > HEADERS_MAX {
        return Report::of(Outcome::TooLarge);
    }
    // These end with their head; any other response without a length ended with the connection
    // (RFC 9112 section 6.3), which may have been lost just as well.
    let ends_with_head = is_head || matches!(status, 204 | 205 | 304);
    let length_unverified = announced.is_none() && !chunked && !ends_with_head;
    let head = ResponseHead {
        v: HEAD_VERSION,
        status,
        headers,
        length_unverified,
        to_head: is_head,
    };
    Report {
        outcome: Outcome::Responded {
            status,
            retry_after,
        },
        response: Some((head, stored)),
    }
}

async fn store_response<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    key: RowKey,
    body: P::Body,
    announced: Option<u64>,
) -> Result<Received, Outcome> {
    let limit = policy.result_limit;
    let body = if announced.is_some_and(|len| len > INLINE_MAX) {
        body
    } else {
        match ports.collect(body, INLINE_MAX.min(limit)).await {
            Collected::All(bytes) => {
                let have = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                return match announced {
                    Some(len) if len != have => Err(Outcome::Unknown),
                    _ => Ok(Received::Inline(bytes)),
                };
            }
            Collected::More(_) if limit <= INLINE_MAX => return Err(Outcome::TooLarge),
            Collected::More(body) => body,
            Collected::Broken => return Err(Outcome::Unknown),
        }
    };
    let object = object_key(ports, "results", shard);
    match store(ports, shard, &object, Some(key), body, announced, limit).await {
        Ok(reference) => Ok(Received::Object(reference)),
        Err(PutError::TooLarge) => Err(Outcome::TooLarge),
        Err(PutError::Incomplete) => Err(Outcome::Unknown),
        Err(PutError::Storage) => Err(Outcome::NotStored),
    }
}

/// Reports to the shard, again and again while no answer comes; deletes an object that was not
/// wanted.
pub(super) async fn finish<P: Back>(
    ports: &P,
    shard: u16,
    key: RowKey,
    token: u64,
    report: Report,
) {
    let Report { outcome, response } = report;
    let (head, bytes, object) = match response {
        None => (None, None, None),
        Some((head, Received::Inline(bytes))) => (Some(head), Some(bytes), None),
        Some((head, Received::Object(object))) => (Some(head), None, Some(object)),
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
