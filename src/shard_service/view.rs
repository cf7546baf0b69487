//! Shows, cancels and purges a job.

use serde_json::value::RawValue;

use crate::http::conditional::{etag, if_match, if_none_match};
use crate::http::media;
use crate::job::{JobId, Record, Status, UnixMillis};
use crate::protocol::output;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::shard::{Found, Purged, Shard, ShardError, Sql};

use super::{
    Handled, Random, Refused, document, found, id_of, permille, precondition_failed, result,
};
use crate::rpc::Reply;
use crate::rpc::call::{HELD_HEADER, JobCall, View, ViewCall};
use crate::rpc::head::ResponseHead;

/// Largest JSON result that the status document includes as `output`, in bytes. It is read and sent with
/// every poll of a job that has ended.
pub const OUTPUT_MAX: u64 = 16 * 1024;

/// Responds with the status document or the result.
pub(super) fn view<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    now: UnixMillis,
) -> Result<Handled, Refused> {
    let id = id_of(shard, call)?;
    let record = found(shard.read(&id, now)?)?;
    let mut reply = match call.view {
        View::Status => status(shard, call, &id, &record, now)?,
        View::Result => result::result(shard, call, &id, &record, now)?,
    };
    if call.held.is_some() {
        reply.headers.push(HELD_HEADER, id.to_string());
    }
    let reply = if call.head {
        reply.without_content()
    } else {
        reply
    };
    Ok(reply.into())
}

/// Responds with 101 if the job has not ended, and the object then opens a WebSocket; otherwise with 204.
pub(super) fn watch<S: Sql>(
    shard: &Shard<S>,
    call: &JobCall,
    now: UnixMillis,
) -> Result<Handled, Refused> {
    let id = JobId::parse(&call.id).filter(|id| id.shard == shard.number());
    let waits = match id {
        Some(id) => {
            matches!(shard.read(&id, now)?, Found::Job(record) if !record.is_terminal())
        }
        None => false,
    };
    Ok(Reply::new(if waits { 101 } else { 204 }).into())
}

/// Cancels a job, and responds with its status document. A job that has ended stays as it is.
pub(super) fn cancel<S: Sql>(
    shard: &mut Shard<S>,
    call: &ViewCall,
    now: UnixMillis,
    random: Random<'_>,
) -> Result<Handled, Refused> {
    let id = id_of(shard, call)?;
    if_unchanged(shard, call, &id, now)?;
    let canceled = found(shard.cancel(&id, now, permille(random))?)?;
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

/// Purges a job that has ended.
pub(super) fn purge<S: Sql>(
    shard: &mut Shard<S>,
    call: &ViewCall,
    now: UnixMillis,
) -> Result<Handled, Refused> {
    let id = id_of(shard, call)?;
    if_unchanged(shard, call, &id, now)?;
    Ok(match found(shard.purge(&id, now)?)? {
        Purged::Erased => Reply::new(204).into(),
        Purged::StillActive => Problem::new(ProblemCode::Conflict)
            .detail("Only a job that has ended can be erased; cancel it first.")
            .into(),
    })
}

/// Checks the conditions of a change against the job's version (RFC 9110 sections 13.1.1 and 13.1.2). Fails with
/// the problem if the job is missing or a condition is not met. A read differs: its `If-None-Match` leads to 304.
pub(super) fn if_unchanged<S: Sql>(
    shard: &Shard<S>,
    call: &ViewCall,
    id: &JobId,
    now: UnixMillis,
) -> Result<(), Refused> {
    if call.if_match.is_none() && call.if_none_match.is_none() {
        return Ok(());
    }
    let record = found(shard.read(id, now)?)?;
    // A version has two tags: of the document with attempts, and without.
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
        return Ok(());
    };
    Err(precondition_failed(field).into())
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

/// The result, if it is JSON that the document may include.
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
        .and_then(|head| {
            Some(media::is_json(media::essence(
                head.headers.get("content-type")?,
            )))
        })
        .unwrap_or_default();
    Ok(is_json.then(|| output::output(body)).flatten())
}
