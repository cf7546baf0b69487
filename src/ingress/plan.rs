//! Turns a request's head into the call that creates a job.

use serde_json::value::RawValue;

use crate::http::date::{parse_http_date, parse_rfc3339};
use crate::http::target::Target;
use crate::http::{Headers, hex};
use crate::job::{JobSpec, Millis, Priority, UnixMillis};
use crate::policy::{Idempotency, Policy, Rule, duration_text};
use crate::protocol::forwarding::request_to_store;
use crate::protocol::idempotency::IdempotencyKey;
use crate::protocol::prefer::{Prefer, left_for_origin};
use crate::protocol::priority::{to_priority, urgency};
use crate::protocol::problem::{Problem, ProblemCode};

use super::head::{NO_CODING, base, forwarding, hold_span};
use super::owner::owner;
use super::placement::{self, Isolate};
use super::{AcceptPlan, Announced, Head};
use crate::rpc::call::{AcceptCall, KeyCall, PayloadCall};
use crate::rpc::hash::of_parts;
use crate::rpc::head::{HEAD_VERSION, HEADERS_MAX, RequestHead};

/// Request field: earliest time of the first attempt.
const NOT_BEFORE: &str = "Raincheck-Not-Before";

/// Request field: an earlier deadline than the rule's.
const DEADLINE: &str = "Raincheck-Deadline";

/// Conditions and ranges of a GET or HEAD (RFC 9110 sections 13.1 and 14.2). They are not stored: a result may
/// be read by others later, so the origin is asked for the whole response. Reads of the result have conditions
/// and ranges of their own.
const PARTIAL_READ_FIELDS: [&str; 6] = [
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];

pub(super) fn plan(
    policy: &Policy,
    rule: &Rule,
    head: Head,
    target: &Target,
    prefer: Prefer,
    now: UnixMillis,
    isolate: Isolate,
) -> Result<AcceptPlan, Problem> {
    is_storable(&head.headers)?;
    let body = announced_body(rule, &head)?;
    let (key, sent_key) = idempotency_key(rule, &head.headers)?;
    let owner = owner(policy, &head.headers);
    let window = rule.idempotency_window;
    let key_hash = key
        .as_ref()
        .map(|key| of_parts(&[owner.as_bytes(), key.as_str().as_bytes()]));
    let shards = policy.shards;
    let shard = match &key_hash {
        Some(hash) => placement::of_key(hash, shards),
        None => isolate.shard(now, shards),
    };
    let previous = key_hash
        .zip(policy.previous_shards)
        .map(|(hash, count)| placement::of_key(&hash, count))
        .filter(|previous| *previous != shard);
    let (delay, deadline) = times(rule, &head.headers, now)?;
    let base = base(policy, &head);
    let mut stored = request_to_store(head.headers.clone(), &forwarding(policy, &head, false));
    if is_read(&head.method) {
        stored.retain(|name, _| !PARTIAL_READ_FIELDS.contains(&name));
    }
    match left_for_origin(head.headers.get_all("prefer")) {
        Some(left) => stored.set("prefer", left),
        None => stored.remove("prefer"),
    }
    if !stored.contains("accept-encoding") {
        stored.push("accept-encoding", NO_CODING);
    }
    let request = RequestHead {
        v: HEAD_VERSION,
        method: head.method.clone(),
        target: target.as_str().to_owned(),
        headers: stored,
        key: sent_key,
    };
    let call = AcceptCall {
        base,
        spec: JobSpec {
            rule: rule.name.clone(),
            origin: rule.origin.clone(),
            priority: priority(rule, &head.headers),
            plan: rule.plan(&head.method),
            deadline,
            retention: rule.retention,
            delay,
            owner,
        },
        key: key_hash.map(|hash| KeyCall {
            hash: hex::encode(&hash),
            window,
        }),
        lookup: false,
        preferred: prefer.respond_async,
        held: false,
        method: head.method,
        target: target.as_str().to_owned(),
        request: raw_json(&request)?,
        payload: PayloadCall::Absent,
    };
    let hold = hold_span(policy, prefer.wait, rule.hold);
    Ok(AcceptPlan {
        shard,
        previous,
        call,
        body,
        limit: rule.body_limit,
        hold,
        hold_preferred: prefer.wait.is_some(),
    })
}

/// Checks that the header fields can be stored. Their size is checked before any other work, so fields that
/// are not stored count too.
fn is_storable(headers: &Headers) -> Result<(), Problem> {
    let len = headers.len_bytes();
    if len > HEADERS_MAX {
        return Err(Problem::new(ProblemCode::HeadersTooLarge).detail(format!(
            "The header fields have {len} bytes; a deferred request may have {HEADERS_MAX}."
        )));
    }
    match headers.iter().find(|(_, value)| value.contains(NOT_UTF8)) {
        Some((name, _)) => Err(Problem::new(ProblemCode::BadRequest)
            .detail("A deferred request is stored, and field values that are not UTF-8 cannot be.")
            .field(name)),
        None => Ok(()),
    }
}

/// The runtime replaces bytes that are not UTF-8 with this; the original bytes are lost.
const NOT_UTF8: char = char::REPLACEMENT_CHARACTER;

/// Whether the method asks for a representation (RFC 9110 sections 9.3.1 and 9.3.2).
fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

fn raw_json(request: &RequestHead) -> Result<Box<RawValue>, Problem> {
    serde_json::value::to_raw_value(request).map_err(|_| Problem::new(ProblemCode::InternalError))
}

/// What the head says about the body. Fails if the rule does not accept such a body.
fn announced_body(rule: &Rule, head: &Head) -> Result<Announced, Problem> {
    // A runtime may report a GET with a chunked body as one without a body. The proxy of `wrangler dev` removes
    // body and field, so nothing shows there that a body was sent; workerd itself hands over both.
    let is_chunked = head.headers.contains("transfer-encoding");
    let has_body = head.has_body || (is_read(&head.method) && is_chunked);
    if !has_body {
        return Ok(Announced::Nothing);
    }
    let refused = is_read(&head.method).then(|| {
        Problem::new(ProblemCode::BadRequest).detail(
            "A deferred GET or HEAD cannot have a body: it has no defined meaning (RFC 9110 section 9.3.1).",
        )
    });
    let Some(text) = head.headers.get("content-length") else {
        return refused.map_or(Ok(Announced::Unknown), Err);
    };
    let len: u64 = text.trim().parse().map_err(|_| {
        Problem::new(ProblemCode::BadRequest)
            .detail(format!("{} is not a length in bytes.", quoted(text)))
            .field("Content-Length")
    })?;
    if len == 0 {
        return Ok(Announced::Nothing);
    }
    if len > rule.body_limit {
        return Err(too_large(rule.body_limit));
    }
    refused.map_or(Ok(Announced::Length(len)), Err)
}

/// The problem of a body over the rule's limit.
#[must_use]
pub fn too_large(limit: u64) -> Problem {
    Problem::new(ProblemCode::PayloadTooLarge).detail(format!(
        "This route accepts request bodies of up to {limit} bytes."
    ))
}

/// The parsed key, if the rule uses keys, and the field value for the origin.
fn idempotency_key(
    rule: &Rule,
    headers: &Headers,
) -> Result<(Option<IdempotencyKey>, Option<String>), Problem> {
    const FIELD: &str = "Idempotency-Key";
    let Some(value) = headers.joined("idempotency-key") else {
        if rule.idempotency == Idempotency::Required {
            return Err(Problem::new(ProblemCode::IdempotencyKeyRequired).field(FIELD));
        }
        return Ok((None, None));
    };
    if rule.idempotency == Idempotency::Off {
        // Client and origin may use a syntax of their own.
        return Ok((None, Some(value.into_owned())));
    }
    match IdempotencyKey::parse(&value) {
        Ok(key) => {
            let sent = key.to_header().to_owned();
            Ok((Some(key), Some(sent)))
        }
        Err(error) => Err(Problem::new(ProblemCode::IdempotencyKeyInvalid)
            .detail(format!("The Idempotency-Key cannot be used: {error}."))
            .field(FIELD)),
    }
}

fn priority(rule: &Rule, headers: &Headers) -> Priority {
    let chosen = headers
        .joined("priority")
        .filter(|_| rule.client_priority)
        .and_then(|value| urgency(&value));
    chosen.map_or(rule.priority, to_priority)
}

/// Quotes a client's value in an error message, cut to a recognisable length.
fn quoted(value: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = value.chars().take(SHOWN).collect();
    let more = if value.chars().nth(SHOWN).is_some() {
        "…"
    } else {
        ""
    };
    format!("\"{shown}{more}\"")
}

/// Delay and deadline of the job, from now: the rule's, or the client's within the rule's.
fn times(rule: &Rule, headers: &Headers, now: UnixMillis) -> Result<(Millis, Millis), Problem> {
    let deadline = moment(headers, DEADLINE, rule.client_deadline, now)?.unwrap_or(rule.deadline);
    if deadline > rule.deadline || deadline.0 == 0 {
        let longest = duration_text(rule.deadline);
        return Err(Problem::new(ProblemCode::BadRequest)
            .detail(format!(
                "The deadline would be {} from now; this route accepts one in the future, at most {longest} away.",
                duration_text(deadline)
            ))
            .field(DEADLINE));
    }
    let delay = moment(headers, NOT_BEFORE, rule.client_delay, now)?.unwrap_or_default();
    if delay >= deadline {
        return Err(Problem::new(ProblemCode::BadRequest)
            .detail(format!(
                "The job would begin in {}, but must end within {}.",
                duration_text(delay),
                duration_text(deadline)
            ))
            .field(NOT_BEFORE));
    }
    Ok((delay, deadline))
}

/// A time that the client sent, as a span from now: a number of seconds, an RFC 3339 timestamp or an
/// HTTP-date. Rejected if the rule does not let the client choose: to ignore it would mislead the client.
fn moment(
    headers: &Headers,
    name: &'static str,
    allowed: bool,
    now: UnixMillis,
) -> Result<Option<Millis>, Problem> {
    let Some(value) = headers.joined(&name.to_ascii_lowercase()) else {
        return Ok(None);
    };
    if !allowed {
        return Err(Problem::new(ProblemCode::BadRequest)
            .detail("This route does not let the client choose this.")
            .field(name));
    }
    let text = value.trim();
    let span = text
        .parse::<u32>()
        .ok()
        .map(|secs| Millis::from_secs(u64::from(secs)))
        .or_else(|| {
            parse_rfc3339(text)
                .or_else(|| parse_http_date(text))
                .map(|at| at.since(now))
        });
    span.map(Some).ok_or_else(|| {
        Problem::new(ProblemCode::BadRequest)
            .detail(format!(
                "{} is neither a number of seconds nor an RFC 3339 timestamp nor an HTTP-date.",
                quoted(text)
            ))
            .field(name)
    })
}
