//! One attempt: the request to the origin, and its response.

use std::cell::Cell;

use crate::http::date;
use crate::http::twin::is_twin;
use crate::job::{BodyLoss, BodyRef, Outcome, RowKey};
use crate::policy::Policy;
use crate::protocol::forwarding::{JobFields, add_job, response_to_store};
use crate::protocol::idempotency::IdempotencyKey;

use super::ConsumerPorts;
use super::report::{Received, Response};
use crate::rpc::call::INLINE_MAX;
use crate::rpc::call::Work;
use crate::rpc::client::{object_key, store};
use crate::rpc::hash::name_at_origin;
use crate::rpc::head::{HEAD_VERSION, HEADERS_MAX, ResponseHead};
use crate::rpc::ports::{
    Collected, OriginError, OriginRequest, OriginResponse, PutError, Unavailable,
};

/// Statuses that a stored response can have; the platform cannot create a response with any other.
const FINAL_STATUS: std::ops::RangeInclusive<u16> = 200..=599;

/// Sends the request, and reads and stores the response. `so_far` is the outcome if the attempt is ended from
/// outside: it is set when the head of the response has come.
pub(super) async fn attempt<P: ConsumerPorts>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    work: Work,
    body: Vec<u8>,
    so_far: &Cell<Outcome>,
) -> (Outcome, Option<Response>) {
    let store = Store {
        ports,
        policy,
        shard,
        key: work.key,
    };
    let request = match request(ports, policy, work, body).await {
        Ok(request) => request,
        Err(outcome) => return (outcome, None),
    };
    let is_head = request.method == "HEAD";
    let outcome = match ports.send(request).await {
        Ok(response) => return receive(&store, is_head, response, so_far).await,
        Err(OriginError::Unreachable) => Outcome::Unreachable,
        Err(OriginError::Lost) => Outcome::Unknown,
    };
    (outcome, None)
}

/// Builds the request of the attempt: the client's, with the fields of the job.
async fn request<P: ConsumerPorts>(
    ports: &P,
    policy: &Policy,
    work: Work,
    bytes: Vec<u8>,
) -> Result<OriginRequest<P::Body>, Outcome> {
    let head = work.request;
    let name = name_at_origin(&work.id);
    let own_key = IdempotencyKey::of_job(&name);
    let (mut span, mut trace) = ([0; 8], [0; 16]);
    ports.random(&mut span);
    ports.random(&mut trace);
    let fields = JobFields {
        name: &name,
        attempt: work.attempt,
        idempotency_key: head.key.as_deref().unwrap_or_else(|| own_key.to_header()),
        span,
        trace: Some(trace),
    };
    let mut headers = head.headers;
    add_job(&mut headers, &fields);
    if let Some(origin) = policy.origin(&work.origin) {
        // The platform sets these fields with their secrets.
        headers.retain(|name, _| !origin.header_names().any(|own| is_twin(name, own)));
    }
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
        origin: work.origin,
        method: head.method,
        target: head.target,
        headers,
        body,
    })
}

/// Where the response of an attempt is stored.
struct Store<'a, P> {
    ports: &'a P,
    policy: &'a Policy,
    shard: u16,
    key: RowKey,
}

/// Reads and stores the response. Once its head is here, its status counts whatever happens to the rest.
async fn receive<P: ConsumerPorts>(
    store: &Store<'_, P>,
    is_head: bool,
    response: OriginResponse<P::Body>,
    so_far: &Cell<Outcome>,
) -> (Outcome, Option<Response>) {
    let status = response.status;
    if !FINAL_STATUS.contains(&status) {
        return (Outcome::Malformed, None);
    }
    let retry_after = response
        .headers
        .joined("retry-after")
        .and_then(|text| date::retry_after(&text, store.ports.now()));
    let head_only = |why| Outcome::HeadOnly {
        status,
        retry_after,
        why,
    };
    so_far.set(head_only(BodyLoss::Broken));
    match keep(store, is_head, response).await {
        Ok(kept) => {
            let responded = Outcome::Responded {
                status,
                retry_after,
            };
            (responded, Some(kept))
        }
        Err(why) => (head_only(why), None),
    }
}

/// Reads and stores the body, and makes the head to store.
async fn keep<P: ConsumerPorts>(
    store: &Store<'_, P>,
    is_head: bool,
    response: OriginResponse<P::Body>,
) -> Result<Response, BodyLoss> {
    let OriginResponse {
        status,
        headers,
        body,
    } = response;
    let announced = headers
        .get("content-length")
        .and_then(|text| text.trim().parse::<u64>().ok());
    let chunked = headers.contains("transfer-encoding");
    if announced.is_some_and(|len| len > store.policy.result_limit && !is_head) {
        return Err(BodyLoss::TooLarge);
    }
    let stored = match body {
        Some(body) if !is_head => store.body(body, announced).await?,
        _ => Received::Inline(Vec::new()),
    };
    let length = headers.get("content-length").map(str::to_owned);
    let mut headers = response_to_store(headers);
    if let Some(length) = length.filter(|_| is_head) {
        // A response to HEAD has no content to take the length from.
        headers.push("content-length", length);
    }
    if headers.len_bytes() > HEADERS_MAX {
        return Err(BodyLoss::TooLarge);
    }
    // These end with their head. Any other response without a length ends when the connection closes
    // (RFC 9112 section 6.3), and that looks like a lost connection.
    let ends_with_head = is_head || matches!(status, 204 | 205 | 304);
    let length_unverified = announced.is_none() && !chunked && !ends_with_head;
    let head = ResponseHead {
        v: HEAD_VERSION,
        status,
        headers,
        length_unverified,
        to_head: is_head,
    };
    Ok((head, stored))
}

impl<P: ConsumerPorts> Store<'_, P> {
    /// Reads and stores the body: a small one into memory, a large one into the bucket.
    async fn body(&self, body: P::Body, announced: Option<u64>) -> Result<Received, BodyLoss> {
        let (ports, limit) = (self.ports, self.policy.result_limit);
        let body = if announced.is_some_and(|len| len > INLINE_MAX) {
            body
        } else {
            match ports.collect(body, INLINE_MAX.min(limit)).await {
                Collected::All(bytes) => {
                    let have = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    return match announced {
                        Some(len) if len != have => Err(BodyLoss::Broken),
                        _ => Ok(Received::Inline(bytes)),
                    };
                }
                Collected::More(_) if limit <= INLINE_MAX => return Err(BodyLoss::TooLarge),
                Collected::More(body) => body,
                Collected::Failed(_) => return Err(BodyLoss::Broken),
            }
        };
        let object = object_key(ports, "results", self.shard);
        let key = Some(self.key);
        match store(ports, self.shard, &object, key, body, announced, limit).await {
            Ok(reference) => Ok(Received::Object(reference)),
            Err(PutError::TooLarge) => Err(BodyLoss::TooLarge),
            Err(PutError::Body(_)) => Err(BodyLoss::Broken),
            Err(PutError::Storage) => Err(BodyLoss::NotStored),
        }
    }
}
