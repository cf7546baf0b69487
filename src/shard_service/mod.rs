//! The shard's side of every call. It is synchronous, and the same natively and in the Durable Object.
//!
//! Each function takes the shard, the call and the time, and returns the reply and what the object
//! must do after the commit. No function waits, so no other call can run in between.

mod accept;
pub mod alarm;
mod group;
mod lease;
mod result;
mod view;

use serde_json::value::RawValue;

use crate::job::{JobId, Record, UnixMillis};
use crate::protocol::document::Document;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::shard::{Found, JobMessage, Shard, ShardError, Sql};

pub use accept::accept_group;
pub use group::{GroupedCall, handle_group};

use crate::rpc::Reply;
use crate::rpc::call::{AcceptCall, Call, ViewCall};

/// `Retry-After` of a shard with too many unfinished jobs, in seconds: long enough for some to end.
const OVERLOADED_RETRY_AFTER: u64 = 10;

/// Fills a slice with random bytes.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// A reply, and what to do after the commit.
#[derive(Clone, Debug)]
pub struct Handled {
    /// To be sent once all writes so far are durable.
    pub reply: Reply,
    /// Messages to send.
    pub sends: Vec<JobMessage>,
    /// The storage error behind the reply, if any; for the log only.
    pub fault: Option<String>,
}

impl From<Reply> for Handled {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            sends: Vec::new(),
            fault: None,
        }
    }
}

impl From<Problem> for Handled {
    fn from(problem: Problem) -> Self {
        Reply::from(problem).into()
    }
}

impl From<ShardError> for Handled {
    fn from(error: ShardError) -> Self {
        Self {
            fault: Some(error.to_string()),
            ..Problem::storage_unavailable().into()
        }
    }
}

/// Handles one call. `body` is the call's whole body.
pub fn handle<S: Sql>(
    shard: &mut Shard<S>,
    call: Call,
    body: Vec<u8>,
    now: UnixMillis,
    random: Random<'_>,
) -> Handled {
    let handled = match call {
        Call::Accept(call) => {
            let group: Vec<(AcceptCall, Vec<u8>)> = vec![(*call, body)];
            return accept_group(shard, group, now, random)
                .pop()
                .unwrap_or_else(|| Problem::new(ProblemCode::InternalError).into());
        }
        Call::View(call) => view::view(shard, &call, now),
        Call::Watch(call) => view::watch(shard, &call, now),
        Call::Cancel(call) => view::cancel(shard, &call, now, random),
        Call::Purge(call) => view::purge(shard, &call, now),
        Call::Redrive(call) => accept::redrive(shard, &call, now, random),
        Call::Claim(claims) => lease::claim(shard, &claims, now, random),
        Call::Renew(claim) => lease::renew(shard, &claim, now, random),
        Call::Finish => Ok(lease::finish(shard, &body, now, random)),
        Call::Intend { object, job } => shard
            .intend(&object, job, now)
            .map(|()| Reply::new(204).into())
            .map_err(Refused::from),
        Call::DeadLetter(keys) => lease::dead_letter(shard, &keys, now, random),
    };
    handled.unwrap_or_else(Handled::from)
}

/// A random number for the jitter of a retry, 0 to 1000.
fn permille(random: Random<'_>) -> u16 {
    let mut bytes = [0; 2];
    random(&mut bytes);
    u16::from_le_bytes(bytes) % 1001
}

/// Why a call is refused.
enum Refused {
    /// For a reason that the client is told.
    Problem(Problem),
    /// The storage failed.
    Storage(ShardError),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ShardError> for Refused {
    fn from(error: ShardError) -> Self {
        Self::Storage(error)
    }
}

impl From<Refused> for Handled {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Problem(problem) => problem.into(),
            Refused::Storage(error) => error.into(),
        }
    }
}

/// The id that a call names, if its shard is this one.
fn id_of<S: Sql>(shard: &Shard<S>, call: &ViewCall) -> Result<JobId, Problem> {
    call.job_id(shard.number()).ok_or_else(not_found)
}

/// What an id leads to, or the problem with a missing job.
fn found<T>(found: Found<T>) -> Result<T, Problem> {
    match found {
        Found::Nothing => Err(not_found()),
        Found::Expired => Err(Problem::new(ProblemCode::JobExpired)),
        Found::Job(found) => Ok(found),
    }
}

/// The problem with an unknown id and for an id with a wrong secret; the caller cannot tell them apart.
fn not_found() -> Problem {
    Problem::new(ProblemCode::NotFound).detail("There is no such job.")
}

fn precondition_failed(field: &str) -> Problem {
    Problem::new(ProblemCode::PreconditionFailed).field(field)
}

/// The status document of a job, as the call asks for it.
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
