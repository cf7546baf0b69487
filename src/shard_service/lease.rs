//! Grants attempts, and records their outcomes.

use crate::job::{RowKey, StoredBody, UnixMillis};
use crate::protocol::problem::{Problem, ProblemCode};
use crate::shard::{Claim, Claimed, Finish, Grant, Shard, ShardError, Sql};

use super::{Handled, Random, Refused, permille};
use crate::rpc::call::{FinishAnswer, FinishCall, RenewAnswer, Undecided, Work};
use crate::rpc::frame::{Frame, decode, encode};
use crate::rpc::hash::sha256_hex;
use crate::rpc::head::RequestHead;
use crate::rpc::{Content, Reply};

/// Grants the claims that it can; the reply has one frame for each grant and for each job that could not be
/// decided. After an error no more is claimed, but the grants before it are in the reply, because their
/// leases are current. The alarm has the other jobs.
pub(super) fn claim<S: Sql>(
    shard: &mut Shard<S>,
    claims: &[Claim],
    now: UnixMillis,
    random: Random<'_>,
) -> Result<Handled, Refused> {
    let mut frames = Vec::with_capacity(claims.len());
    let mut undecided = Vec::new();
    let mut failed = false;
    let mut sends = Vec::new();
    let mut fault = None;
    for claim in claims {
        if failed {
            undecided.extend(undecided_frame(claim.key));
            continue;
        }
        // An unreadable row must not stop the other jobs of the message.
        match shard.claim(claim, now, permille(random), RequestHead::parse) {
            Ok((Claimed::Granted(grant), more)) => {
                sends.extend(more);
                frames.extend(frame(*grant, claim.token, now));
            }
            Ok((Claimed::Refused(_), more)) => sends.extend(more),
            Err(ShardError::Unreadable(what)) => {
                undecided.extend(undecided_frame(claim.key));
                fault = Some(what);
            }
            Err(error) if frames.is_empty() => return Err(error.into()),
            Err(error) => {
                undecided.extend(undecided_frame(claim.key));
                fault = Some(error.to_string());
                failed = true;
            }
        }
    }
    let mut reply = Reply::new(200);
    reply.content = Content::Bytes(encode(frames.iter().chain(&undecided)));
    Ok(Handled {
        reply,
        sends,
        fault,
    })
}

fn undecided_frame(key: RowKey) -> Option<Frame> {
    let json = serde_json::to_string(&Undecided { undecided: key }).ok()?;
    let body = Vec::new();
    Some(Frame { json, body })
}

fn frame(grant: Grant<RequestHead>, token: u64, now: UnixMillis) -> Option<Frame> {
    let record = grant.record;
    let work = Work {
        id: grant.id.to_string(),
        key: grant.id.key,
        token,
        attempt: record.attempt,
        timeout: record
            .spec
            .plan
            .attempt_timeout
            .min(record.deadline().since(now)),
        origin: record.spec.origin,
        request: grant.request,
        payload: record.payload,
    };
    let json = serde_json::to_string(&work).ok()?;
    Some(Frame {
        json,
        body: grant.payload.unwrap_or_default(),
    })
}

pub(super) fn renew<S: Sql>(
    shard: &mut Shard<S>,
    claim: &Claim,
    now: UnixMillis,
    random: Random<'_>,
) -> Result<Handled, Refused> {
    let (ends, sends) = shard.renew(claim, now, permille(random))?;
    let reply = json(&RenewAnswer {
        renewed: ends.is_some(),
    });
    Ok(Handled {
        reply,
        sends,
        fault: None,
    })
}

/// Records the reports in one turn, so they share a commit. One that cannot be read or recorded does not
/// stop the others.
pub(super) fn finish<S: Sql>(
    shard: &mut Shard<S>,
    body: &[u8],
    now: UnixMillis,
    random: Random<'_>,
) -> Handled {
    let Some(frames) = decode(body) else {
        return Problem::new(ProblemCode::BodyIncomplete).into();
    };
    let mut answers: Vec<Option<FinishAnswer>> = Vec::with_capacity(frames.len());
    let mut sends = Vec::new();
    let mut fault = None;
    for frame in frames {
        let Some(report) = report(frame) else {
            answers.push(None);
            continue;
        };
        match shard.finish(&report, now, permille(random)) {
            Ok(done) => {
                let kept = done.as_ref().is_some_and(|done| done.kept);
                answers.push(Some(FinishAnswer { kept }));
                sends.extend(done.into_iter().flat_map(|done| done.sends));
            }
            Err(error) => {
                fault = Some(error.to_string());
                answers.push(None);
            }
        }
    }
    Handled {
        reply: json(&answers),
        sends,
        fault,
    }
}

/// Reads a report. `None` if it is not JSON of a [`FinishCall`].
fn report(frame: Frame) -> Option<Finish> {
    let Frame { json, body } = frame;
    let call: FinishCall = serde_json::from_str(&json).ok()?;
    let response = call.response.map(|head| {
        let body = call.object.map_or_else(
            || StoredBody::Inline {
                sha256: sha256_hex(&body),
                bytes: body,
            },
            StoredBody::Object,
        );
        (head.get().to_owned(), body)
    });
    Some(Finish {
        key: call.key,
        token: call.token,
        outcome: call.outcome,
        response,
    })
}

pub(super) fn dead_letter<S: Sql>(
    shard: &mut Shard<S>,
    keys: &[RowKey],
    now: UnixMillis,
    random: Random<'_>,
) -> Result<Handled, Refused> {
    let mut sends = Vec::new();
    for key in keys {
        match shard.dead_letter(*key, now, permille(random)) {
            Ok(more) => sends.extend(more),
            Err(ShardError::Unreadable(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Handled {
        reply: Reply::new(204),
        sends,
        fault: None,
    })
}

fn json<T: serde::Serialize>(answer: &T) -> Reply {
    match serde_json::to_string(answer) {
        Ok(text) => Reply::new(200).text(text),
        Err(_) => Problem::new(ProblemCode::InternalError).into(),
    }
}
