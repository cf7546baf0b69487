//! The shard's side of every call: synchronous, and the same natively and in the Durable Object.
//!
//! Each function takes the shard, the call and the time, and returns the reply together with what
//! the object has to do after the commit. Nothing here waits, so nothing can come between.

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
use crate::shard::{Send, Shard, ShardError, Sql};

pub use accept::accept_group;
pub use group::{GroupedCall, handle_group};

use crate::rpc::Reply;
use crate::rpc::call::{AcceptCall, Call, ViewCall};

/// Seconds after which a caller may try again when the storage refused.
const STORAGE_RETRY_AFTER: u64 = 1;

/// Seconds after which a caller may try again when a shard held too many unfinished jobs: some end in
/// that time, if any do.
const OVERLOADED_RETRY_AFTER: u64 = 10;

/// Fills a slice with random bytes.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// A reply, and what to do after the commit.
#[derive(Clone, Debug)]
pub struct Handled {
    /// To be sent once everything written so far is durable.
    pub reply: Reply,
    /// Messages to send.
    pub sends: Vec<Send>,
    /// Set when the reply stands for an error of the storage: the text is for the log only.
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
        let problem =
            Problem::new(ProblemCode::StorageUnavailable).retry_after(STORAGE_RETRY_AFTER);
        Self {
            fault: Some(error.to_string()),
            ..Reply::from(problem).into()
        }
    }
}

/// Answers one call. `body` is the call's body, read whole.
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
        Call::Renew(claim) => lease::renew(shard, claim, now, random),
        Call::Finish => Ok(lease::finish(shard, &body, now, random)),
        Call::Intend { object, job } => shard
            .intend(&object, job, now)
            .map(|()| Reply::new(204).into()),
        Call::DeadLetter(keys) => lease::dead_letter(shard, &keys, now, random),
    };
    handled.unwrap_or_else(Handled::from)
}

/// A draw for the jitter of a retry, in thousandths.
fn permille(random: Random<'_>) -> u16 {
    let mut bytes = [0; 2];
    random(&mut bytes);
    u16::from_le_bytes(bytes) % 1001
}

/// The one answer for a job that is not there, and for one that this id does not open.
fn not_found() -> Handled {
    Problem::new(ProblemCode::NotFound)
        .detail("There is no such job.")
        .into()
}

fn expired() -> Handled {
    Problem::new(ProblemCode::JobExpired).into()
}

fn precondition_failed(field: &str) -> Problem {
    Problem::new(ProblemCode::PreconditionFailed).field(field)
}

/// The status document of a job, as this caller asks for it.
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
