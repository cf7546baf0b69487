//! Showing, canceling and erasing a job.

use serde_json::value::RawValue;

use crate::http::Headers;
use crate::http::conditional::{etag, if_match, if_none_match};
use crate::http::range::{ByteRange, RangeOutcome, content_range, if_range};
use crate::job::{FailureCode, JobId, Record, Status, UnixMillis};
use crate::protocol::document::{Document, failure_problem, retry_after};
use crate::protocol::problem::{Problem, ProblemCode};
use crate::shard::{Found, Purged, Shard, ShardError, Sql};

use super::{Handled, Random, expired, not_found, permille};
use crate::rpc::call::{
    HELD_HEADER, JobCall, OBJECT_HEADER, ResponseHead, SLICE_HEADER, View, ViewCall,
};
use crate::rpc::{Content, Reply};

/// Largest JSON result that the status document shows as `output`. It is read and sent with every
/// poll of a finished job, so it stays small.
pub const OUTPUT_MAX: u64 = 16 * 1024;

/// Result statuses whose responses have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
const WITHOUT_CONTENT: [u16; 3] = [204, 205, 304];

/// The status that carries the origin's own, where that one would be taken for ours.
const ORIGIN_STATUS: &str = "raincheck-origin-status";

/// Stored pages share the gateway's origin with other people's results: no script of theirs may run
/// there.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

pub(super) fn view<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    now: UnixMillis,
) -> Result<Handled, ShardError> {
    let Some(id) = call.job_id(shard.number()) else {
        return Ok(not_found());
    };
    let record = match shard.read(&id, now)? {
        Found::Nothing => return Ok(not_found()),
        Found::Expired => return Ok(expired()),
        Found::Job(record) => record,
    };
    let mut reply = match call.view {
        View::Status => status(shard, call, &id, &record, now)?,
        View::Result => result(shard, call, &id, &record, now)?,
    };
    if call.held {
        reply.headers.push(HELD_HEADER, id.to_string());
    }
    let reply = if call.head {
        reply.without_content()
    } else {
        reply
    };
    Ok(reply.into())
}

/// Answers 101 when there is something to wait for; the object then makes a WebSocket of it.
pub(super) fn watch<S: Sql>(
    shard: &Shard<S>,
    call: &JobCall,
    now: UnixMillis,
) -> Result<Handled, ShardError> {
    let id = JobId::parse(&call.id).filter(|id| id.shard == shard.number());
    let waits = match id {
        Some(id) => {
            matches!(shard.read(&id, now)?, Found::Job(record) if !record.is_terminal())
        }
        None => false,
    };
    Ok(Reply::new(if waits { 101 } else { 204 }).into())
}

pub(super) fn cancel<S: Sql>(
    shard: &mut Shard<S>,
    call: &ViewCall,
    now: UnixMillis,
    random: Random<'_>,
) -> Result<Handled, ShardError> {
    let Some(id) = call.job_id(shard.number()) else {
        return Ok(not_found());
    };
    if let Some(refusal) = has_changed(shard, call, &id, now)? {
        return Ok(refusal.into());
    }
    let canceled = match shard.cancel(&id, now, permille(random))? {
        Found::Nothing => return Ok(not_found()),
        Found::Expired => return Ok(expired()),
        Found::Job(canceled) => canceled,
    };
    let output = output(shard, &id, &canceled.record)?;
    let document = document(call, &id, &canceled.record, output.as_deref());
    let reply = Reply::new(200)
        .headers(document.headers(now))
        .text(document.to_json());
    Ok(Handled {
        sends: canceled.sends,
        ..reply.into()
    })
}

pub(super) fn purge<S: Sql>(
    shard: &mut Shard<S>,
    call: &ViewCall,
    now: UnixMillis,
) -> Result<Handled, ShardError> {
    let Some(id) = call.job_id(shard.number()) else {
        return Ok(not_found());
    };
    if let Some(refusal) = has_changed(shard, call, &id, now)? {
        return Ok(refusal.into());
    }
    Ok(match shard.purge(&id, now)? {
        Found::Nothing => not_found(),
        Found::Expired => expired(),
        Found::Job(Purged::Erased) => Reply::new(204).into(),
        Found::Job(Purged::StillActive) => Problem::new(ProblemCode::Conflict)
            .detail("Only a job that has ended can be erased; cancel it first.")
            .into(),
    })
}

/// The refusal of a request whose conditions the job's version does not meet (RFC 9110 sections 13.1.1
/// and 13.1.2). Reads have their own answer to `If-None-Match`.
pub(super) fn has_changed<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    id: &JobId,
    now: UnixMillis,
) -> Result<Option<Problem>, ShardError> {
    if call.if_match.is_none() && call.if_none_match.is_none() {
        return Ok(None);
    }
    // What is not there is refused as such.
    let Found::Job(record) = shard.read(id, now)? else {
        return Ok(None);
    };
    // The document has a tag with its attempts and one without; either names the version.
    let tags = ["", "attempts"].map(|variant| etag(u64::from(record.version), variant));
    let names = |value: &Option<String>, is_named: fn(&str, &str) -> bool| {
        value
            .as_deref()
            .map(|value| tags.iter().any(|tag| is_named(value, tag)))
    };
    let field = if names(&call.if_match, if_match) == Some(false) {
        "If-Match"
    } else if names(&call.if_none_match, if_none_match) == Some(true) {
        "If-None-Match"
    } else {
        return Ok(None);
    };
    Ok(Some(precondition_failed(field)))
}

fn precondition_failed(field: &str) -> Problem {
    Problem::new(ProblemCode::PreconditionFailed).field(field)
}

fn status<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    id: &JobId,
    record: &Record,
    now: UnixMillis,
) -> Result<Reply, ShardError> {
    let output = output(shard, id, record)?;
    let document = document(call, id, record, output.as_deref());
    let tag = document.etag();
    if call
        .if_match
        .as_deref()
        .is_some_and(|value| !if_match(value, &tag))
    {
        return Ok(precondition_failed("If-Match").into());
    }
    let mut headers = document.headers(now);
    if call
        .if_none_match
        .as_deref()
        .is_some_and(|value| if_none_match(value, &tag))
    {
        headers.remove("content-type");
        return Ok(Reply::new(304).headers(headers));
    }
    Ok(Reply::new(200).headers(headers).text(document.to_json()))
}

fn document<'a>(
    call: &'a ViewCall,
    id: &'a JobId,
    record: &'a Record,
    output: Option<&'a RawValue>,
) -> Document<'a> {
    Document {
        id,
        record,
        base: &call.base,
        output,
        attempts: call.include_attempts,
    }
}

/// The result, where it is small JSON.
fn output<S: Sql>(
    shard: &Shard<S>,
    id: &JobId,
    record: &Record,
) -> Result<Option<Box<RawValue>>, ShardError> {
    let small = |record: &Record| {
        record
            .result()
            .is_some_and(|body| body.object.is_none() && body.len <= OUTPUT_MAX)
    };
    if record.status() != Status::Succeeded || !small(record) {
        return Ok(None);
    }
    let Some((head, Some(body))) = shard.response(id.key)? else {
        return Ok(None);
    };
    let is_json = ResponseHead::parse(&head)
        .is_some_and(|head| head.headers.get("content-type").is_some_and(is_json_type));
    Ok(String::from_utf8(body)
        .ok()
        .filter(|_| is_json)
        .and_then(|text| RawValue::from_string(text).ok()))
}

fn is_json_type(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.len() >= 5 && essence.to_ascii_lowercase().ends_with("+json")
}

fn result<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    id: &JobId,
    record: &Record,
    now: UnixMillis,
) -> Result<Reply, ShardError> {
    if !record.is_terminal() {
        return Ok(pending(call, id, record, now));
    }
    if record.status() == Status::Canceled {
        return Ok(Problem::new(ProblemCode::JobCanceled).into());
    }
    if let Some(stored) = record.result()
        && let Some((head, body)) = shard.response(id.key)?
        && let Some(head) = ResponseHead::parse(&head)
    {
        let body = match &stored.object {
            Some(object) => Stored::Object(object),
            None => Stored::Inline(body.unwrap_or_default()),
        };
        return Ok(replay(call, head, &body, stored.len));
    }
    let code = record
        .failure()
        .map_or(FailureCode::ResultNotStored, |failure| failure.code);
    Ok(Problem::new(failure_problem(code)).retryable(false).into())
}

fn pending(call: &ViewCall, id: &JobId, record: &Record, now: UnixMillis) -> Reply {
    let document = document(call, id, record, None);
    let mut headers = document.headers(now);
    headers.remove("etag");
    headers.push("location", format!("{}/{id}/result", call.base));
    if let Some(secs) = retry_after(record, now) {
        headers.set("retry-after", secs.to_string());
    }
    Reply::new(202).headers(headers).text(document.to_json())
}

enum Stored<'a> {
    Inline(Vec<u8>),
    Object(&'a str),
}

/// The origin's response again: status, end-to-end fields, bytes.
fn replay(call: &ViewCall, head: ResponseHead, body: &Stored<'_>, len: u64) -> Reply {
    let mut headers = head.headers;
    secure(&mut headers);
    let mut status = head.status;
    if status == 202 {
        // It must not look like an answer about a pending job.
        status = 200;
        headers.set(ORIGIN_STATUS, "202");
    }
    if head.length_unverified {
        headers.set("raincheck-length-unverified", "true");
    }
    if status == 200
        && let Some(value) = &call.if_match
        && !if_match(value, headers.get("etag").unwrap_or_default())
    {
        return precondition_failed("If-Match").into();
    }
    if status == 200
        && let (Some(value), Some(tag)) = (&call.if_none_match, headers.get("etag"))
        && if_none_match(value, tag)
    {
        for name in ["content-type", "content-encoding", "content-length"] {
            headers.remove(name);
        }
        return Reply::new(304).headers(headers);
    }
    if WITHOUT_CONTENT.contains(&status) {
        return Reply::new(status).headers(headers);
    }
    let (mut first, mut count) = (0, len);
    if status == 200 {
        headers.set("accept-ranges", "bytes");
        match requested_range(call, &headers, len) {
            RangeOutcome::Whole => {}
            RangeOutcome::Part { first: from, last } => {
                status = 206;
                headers.set("content-range", content_range(from, last, len));
                (first, count) = (from, last.saturating_sub(from).saturating_add(1));
            }
            RangeOutcome::Unsatisfiable => return Problem::range_not_satisfiable(len).into(),
        }
    }
    headers.set("content-length", count.to_string());
    let mut reply = Reply::new(status).headers(headers);
    match body {
        Stored::Inline(bytes) => reply.content = Content::Bytes(slice(bytes, first, count)),
        Stored::Object(object) if !call.head => {
            reply.headers.push(OBJECT_HEADER, *object);
            reply.headers.push(SLICE_HEADER, format!("{first} {count}"));
        }
        Stored::Object(_) => {}
    }
    reply
}

fn secure(headers: &mut Headers) {
    headers.set("x-content-type-options", "nosniff");
    let may_run = headers.get("content-type").is_none_or(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("html") || value.contains("xml")
    });
    if may_run {
        headers.set("content-security-policy", SANDBOX);
    }
}

fn requested_range(call: &ViewCall, headers: &Headers, len: u64) -> RangeOutcome {
    let Some(range) = &call.range else {
        return RangeOutcome::Whole;
    };
    let applies = match (&call.if_range, headers.get("etag")) {
        (None, _) => true,
        (Some(condition), Some(tag)) => if_range(condition, tag),
        (Some(_), None) => false,
    };
    if applies {
        ByteRange::parse(range, len)
    } else {
        RangeOutcome::Whole
    }
}

fn slice(bytes: &[u8], first: u64, count: u64) -> Vec<u8> {
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    bytes.iter().skip(first).take(count).copied().collect()
}
