//! Accepting: turns a call into a row, and the row into a receipt.

use crate::job::{JobId, JobSpec, Millis, Record, StoredBody, UnixMillis};
use crate::protocol::document::Document;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::shard::{Accepted, KeyClaim, NewJob, Shard, ShardError, Sql, can_redrive};

use super::view::if_unchanged;
use super::{Handled, OVERLOADED_RETRY_AFTER, Random, Refused, found, id_of, not_found};
use crate::http::hex;
use crate::rpc::Reply;
use crate::rpc::call::{
    AcceptCall, HELD_HEADER, OBJECT_HEADER, PayloadCall, REPEATS_HEADER, RedriveCall,
};
use crate::rpc::hash::{of_parts, sha256_hex};

/// Accepts a group of requests in one commit. The replies are in the order of the calls.
pub fn accept_group<S: Sql>(
    shard: &mut Shard<S>,
    group: Vec<(AcceptCall, Vec<u8>)>,
    now: UnixMillis,
    random: Random<'_>,
) -> Vec<Handled> {
    let mut handled = take_in(shard, group, now, random);
    for refused in &mut handled {
        if refused.reply.status >= 400 {
            refused.reply.headers.add_vary("Prefer");
        }
    }
    handled
}

fn take_in<S: Sql>(
    shard: &mut Shard<S>,
    group: Vec<(AcceptCall, Vec<u8>)>,
    now: UnixMillis,
    random: Random<'_>,
) -> Vec<Handled> {
    let mut prepared = Vec::with_capacity(group.len());
    let mut waiting = Vec::with_capacity(group.len());
    for (call, body) in group {
        match prepare(call, body, random) {
            Ok((receipt, job)) => {
                waiting.push(Ok(receipt));
                prepared.push(job);
            }
            Err(problem) => waiting.push(Err(problem)),
        }
    }
    let lookups: Vec<bool> = waiting
        .iter()
        .flatten()
        .map(|receipt| receipt.lookup)
        .collect();
    let mut accepted = accept_each(shard, &prepared, &lookups, now).into_iter();
    waiting
        .into_iter()
        .map(|entry| match entry {
            Ok(receipt) => match accepted.next().unwrap_or(Ok(None)) {
                Ok(accepted) => receipt.answer(accepted, now),
                Err(error) => error.into(),
            },
            Err(problem) => problem.into(),
        })
        .collect()
}

/// Accepts the group in one commit, except in two rare cases: a lookup must not write, and an unreadable row
/// (of a later build) behind one request's key must not fail the others.
fn accept_each<S: Sql>(
    shard: &mut Shard<S>,
    group: &[NewJob],
    lookups: &[bool],
    now: UnixMillis,
) -> Vec<Result<Option<Accepted>, ShardError>> {
    if !lookups.contains(&true) {
        match shard.accept(group, now) {
            Ok(accepted) => return accepted.into_iter().map(|one| Ok(Some(one))).collect(),
            Err(ShardError::Unreadable(_)) if group.len() > 1 => {}
            Err(error) => return group.iter().map(|_| Err(error.clone())).collect(),
        }
    }
    let alone = group.iter().zip(lookups);
    alone
        .map(|(job, is_lookup)| {
            if *is_lookup {
                lookup(shard, job, now)
            } else {
                let accepted = shard.accept(std::slice::from_ref(job), now);
                accepted.map(|mut accepted| accepted.pop())
            }
        })
        .collect()
}

/// Starts a failed job again, as a new job.
pub(super) fn redrive<S: Sql>(
    shard: &mut Shard<S>,
    call: &RedriveCall,
    now: UnixMillis,
    random: Random<'_>,
) -> Result<Handled, Refused> {
    let id = id_of(shard, &call.view)?;
    if_unchanged(shard, &call.view, &id, now)?;
    let record = found(shard.read(&id, now)?)?;
    if !can_redrive(&record) {
        let detail = format!(
            "Only a failed job can be started again; this one is {}.",
            record.status().as_str()
        );
        return Ok(Problem::new(ProblemCode::Conflict).detail(detail).into());
    }
    let Some((request, bytes)) = shard.request(id.key)? else {
        return Err(not_found().into());
    };
    let payload = match (&record.payload, &call.object, bytes) {
        (None, _, _) => None,
        (Some(_), Some(copy), _) => Some(StoredBody::Object(copy.clone())),
        (Some(body), None, Some(bytes)) => Some(StoredBody::Inline {
            bytes,
            sha256: body.sha256.clone(),
        }),
        // Two jobs must not share an object: the caller copies it and calls again.
        (Some(body), None, None) => {
            let object = body.object.clone().unwrap_or_default();
            let mut reply = Reply::new(409);
            reply.headers.push(OBJECT_HEADER, object);
            return Ok(reply.into());
        }
    };
    let job = NewJob {
        nonce: nonce(random),
        // A redrive runs now, whatever delay the first request had.
        spec: JobSpec {
            delay: Millis(0),
            ..record.spec
        },
        key: None,
        request,
        payload,
        redrive_of: Some(id.to_string()),
    };
    let receipt = Receipt {
        base: call.view.base.clone(),
        preferred: false,
        held: false,
        lookup: false,
    };
    let accepted = shard.accept(std::slice::from_ref(&job), now)?.pop();
    Ok(receipt.answer(accepted, now))
}

/// The part of the call that the reply needs.
struct Receipt {
    base: String,
    preferred: bool,
    held: bool,
    lookup: bool,
}

impl Receipt {
    fn answer(&self, accepted: Option<Accepted>, now: UnixMillis) -> Handled {
        match accepted {
            Some(Accepted::Created(id, record, send)) => {
                Handled { sends: vec![send], ..self.reply(&id, &record, now).into() }
            }
            Some(Accepted::Existing(id, record)) => {
                let mut reply = self.reply(&id, &record, now);
                if self.held {
                    reply.headers.push(REPEATS_HEADER, "true");
                }
                reply.into()
            }
            Some(Accepted::KeyReused) => Problem::new(ProblemCode::IdempotencyKeyReused)
                .detail("The Idempotency-Key was used for a request with another method, target or body.")
                .field("Idempotency-Key")
                .into(),
            Some(Accepted::Overloaded) => Problem::new(ProblemCode::Overloaded)
                .detail("Too many jobs are waiting.")
                .retry_after(OVERLOADED_RETRY_AFTER)
                .into(),
            Some(Accepted::ObjectGone) => Problem::storage_unavailable()
                .retryable(true)
                .into(),
            None => Reply::new(204).into(),
        }
    }

    fn reply(&self, id: &JobId, record: &Record, now: UnixMillis) -> Reply {
        let document = Document {
            id,
            record,
            base: &self.base,
            output: None,
            attempts: false,
        };
        let mut headers = document.receipt_headers(now, self.preferred);
        if self.held {
            headers.push(HELD_HEADER, id.to_string());
        }
        if headers.get("retry-after").is_none() {
            // A repeated key whose job has ended gets the same receipt, with the same advice.
            headers.push("retry-after", "1");
        }
        Reply::new(202).headers(headers).text(document.to_json())
    }
}

fn lookup<S: Sql>(
    shard: &Shard<S>,
    job: &NewJob,
    now: UnixMillis,
) -> Result<Option<Accepted>, ShardError> {
    job.key
        .as_ref()
        .map_or(Ok(None), |claim| shard.find_key(claim, now))
}

fn nonce(random: Random<'_>) -> [u8; 8] {
    let mut bytes = [0; 8];
    random(&mut bytes);
    bytes
}

fn prepare(
    call: AcceptCall,
    body: Vec<u8>,
    random: Random<'_>,
) -> Result<(Receipt, NewJob), Problem> {
    let payload = match call.payload {
        PayloadCall::Absent => None,
        PayloadCall::Object(body) => Some(StoredBody::Object(body)),
        PayloadCall::Inline(announced) => {
            let len = u64::try_from(body.len()).unwrap_or(u64::MAX);
            if announced.is_some_and(|announced| announced != len) {
                return Err(Problem::new(ProblemCode::BodyIncomplete));
            }
            (!body.is_empty()).then(|| StoredBody::Inline {
                sha256: sha256_hex(&body),
                bytes: body,
            })
        }
    };
    let key = call.key.map(|key| {
        let body_hash = payload.as_ref().map_or("", StoredBody::sha256);
        let parts = [
            call.method.as_bytes(),
            call.target.as_bytes(),
            body_hash.as_bytes(),
        ];
        KeyClaim {
            hash: key.hash,
            fingerprint: hex::encode(&of_parts(&parts)),
            window: key.window,
        }
    });
    let receipt = Receipt {
        base: call.base,
        preferred: call.preferred,
        held: call.held,
        lookup: call.lookup,
    };
    let job = NewJob {
        nonce: nonce(random),
        spec: call.spec,
        key,
        request: call.request.get().to_owned(),
        payload,
        redrive_of: None,
    };
    Ok((receipt, job))
}
