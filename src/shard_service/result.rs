//! The response at a result URL: pending, the replayed response of the origin, or a problem in its place.

use crate::http::Headers;
use crate::http::conditional::{if_match, if_none_match, is_modified_since};
use crate::http::range::{ByteRange, RangeOutcome, content_range, if_range};
use crate::job::{FailureCode, JobId, Record, Status, UnixMillis};
use crate::protocol::document::failure_problem;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::protocol::result::{self, Source};
use crate::rpc::call::{Held, OBJECT_HEADER, SLICE_HEADER, ViewCall};
use crate::rpc::head::ResponseHead;
use crate::rpc::{Content, Reply};
use crate::shard::{Shard, ShardError, Sql};

use super::{document, precondition_failed};

/// Statuses of responses without content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
const WITHOUT_CONTENT: [u16; 3] = [204, 205, 304];

/// Fields that a 304 leaves out: the client has them (RFC 9110 section 15.4.5).
const NOT_WITH_304: [&str; 3] = ["content-type", "content-encoding", "content-length"];

/// Digests of the content as sent, which differ for a part (RFC 9530 section 2).
const DIGESTS_OF_CONTENT: [&str; 2] = ["content-digest", "content-md5"];

pub(super) fn result<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    id: &JobId,
    record: &Record,
    now: UnixMillis,
) -> Result<Reply, ShardError> {
    let (mut reply, source) = if record.is_terminal() {
        let (reply, source) = ended(shard, call, id, record)?;
        (reply, Some(source))
    } else {
        (pending(call, id, record, now), None)
    };
    result::mark(&mut reply.headers, &call.base, id, record.status(), source);
    Ok(reply)
}

fn pending(call: &ViewCall, id: &JobId, record: &Record, now: UnixMillis) -> Reply {
    let document = document(call, id, record, None);
    let mut headers = document.headers(now);
    headers.remove("etag");
    headers.push("location", format!("{}/{id}/result", call.base));
    Reply::new(202).headers(headers).text(document.to_json())
}

fn ended<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    id: &JobId,
    record: &Record,
) -> Result<(Reply, Source), ShardError> {
    let of_gateway = |problem: Problem| (problem.into(), Source::Gateway);
    if record.status() == Status::Canceled {
        return Ok(of_gateway(Problem::new(ProblemCode::JobCanceled)));
    }
    if let Some(stored) = record.result()
        && let Some((head, body)) = shard.response(id.key)?
        && let Some(head) = ResponseHead::parse(&head)
    {
        let body = match &stored.object {
            Some(object) => Stored::Object(object),
            None => Stored::Inline(body.unwrap_or_default()),
        };
        return Ok(match replay(call, head, &body, stored.len) {
            Ok(reply) => (reply, Source::Origin),
            Err(problem) => of_gateway(problem),
        });
    }
    let code = record
        .failure()
        .map_or(FailureCode::ResultNotStored, |failure| failure.code);
    Ok(of_gateway(
        Problem::new(failure_problem(code)).retryable(false),
    ))
}

enum Stored<'a> {
    Inline(Vec<u8>),
    Object(&'a str),
}

/// The result of evaluating a request's conditions (RFC 9110 section 13.2.2).
enum Condition {
    Met,
    NotModified,
    /// The condition in this field is not met.
    Failed(&'static str),
}

/// Replays the origin's response: status, fields, bytes. Fails if a condition is not met or the range is not
/// satisfiable.
fn replay(
    call: &ViewCall,
    head: ResponseHead,
    body: &Stored<'_>,
    len: u64,
) -> Result<Reply, Problem> {
    let mut headers = head.headers;
    match call.held {
        Some(request) => result::held(&mut headers, request == Held::Repeated),
        None => result::replayed(&mut headers),
    }
    headers.remove("accept-ranges");
    let mut status = head.status;
    if status == 202 {
        // At a result URL, 202 means that the job has not ended.
        status = 200;
        headers.set(result::ORIGIN_STATUS, "202");
    }
    if head.length_unverified {
        headers.set(result::LENGTH_UNVERIFIED, "true");
    }
    if status == 200 {
        match condition(call, &headers) {
            Condition::Met => {}
            Condition::Failed(field) => return Err(precondition_failed(field)),
            Condition::NotModified => {
                headers.retain(|name, _| !NOT_WITH_304.contains(&name));
                return Ok(Reply::new(304).headers(headers));
            }
        }
    }
    if WITHOUT_CONTENT.contains(&status) {
        headers.remove("content-length");
        return Ok(Reply::new(status).headers(headers));
    }
    if head.to_head {
        return Ok(replay_head(call, status, headers));
    }
    let (mut first, mut count) = (0, len);
    if is_encoded(&headers) {
        // The platform decodes it for clients that cannot, which is not possible for a part.
        headers.add_vary("Accept-Encoding");
    } else if status == 200 {
        headers.set("accept-ranges", "bytes");
        match requested_range(call, &headers, len) {
            RangeOutcome::Whole => {}
            RangeOutcome::Part { first: from, last } => {
                status = 206;
                headers.retain(|name, _| !DIGESTS_OF_CONTENT.contains(&name));
                headers.set("content-range", content_range(from, last, len));
                (first, count) = (from, last.saturating_sub(from).saturating_add(1));
            }
            RangeOutcome::Unsatisfiable => return Err(Problem::range_not_satisfiable(len)),
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
    Ok(reply)
}

/// Replays the response to a HEAD request. Its `Content-Length` is that of content which was not sent, so only
/// another response to HEAD can carry it (RFC 9110 section 8.6).
fn replay_head(call: &ViewCall, status: u16, mut headers: Headers) -> Reply {
    if !call.head {
        if let Some(len) = headers.get("content-length").map(str::to_owned) {
            headers.set(result::ORIGIN_LENGTH, len);
        }
        headers.set("content-length", "0");
    }
    Reply::new(status).headers(headers)
}

/// Evaluates the request's conditions in the order of RFC 9110 section 13.2.2. Dates count only if the
/// response has `Last-Modified`.
fn condition(call: &ViewCall, headers: &Headers) -> Condition {
    let tag = headers.get("etag").unwrap_or_default();
    let modified_since =
        |date: &Option<String>| is_modified_since(date.as_deref()?, headers.get("last-modified")?);
    if let Some(value) = &call.if_match {
        if !if_match(value, tag) {
            return Condition::Failed("If-Match");
        }
    } else if modified_since(&call.if_unmodified_since) == Some(true) {
        return Condition::Failed("If-Unmodified-Since");
    }
    let has_it = match &call.if_none_match {
        Some(value) => if_none_match(value, tag),
        None => modified_since(&call.if_modified_since) == Some(false),
    };
    if has_it {
        Condition::NotModified
    } else {
        Condition::Met
    }
}

fn is_encoded(headers: &Headers) -> bool {
    headers
        .get_all("content-encoding")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
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
