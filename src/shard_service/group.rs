//! Calls that share a commit.

use crate::job::UnixMillis;
use crate::shard::{Shard, Sql};

use super::{Handled, Random, accept_group, handle};
use crate::rpc::call::{AcceptCall, Call};

/// A call in a group.
#[derive(Debug)]
pub struct GroupedCall<T> {
    /// The call.
    pub call: Call,
    /// Its body, read whole.
    pub body: Vec<u8>,
    /// Who gets the reply.
    pub caller: T,
}

/// Handles the calls of a group in one turn: first all but the accepts, one by one, then the accepts
/// together, because they can share a statement. `answer` gets each reply.
pub fn handle_group<S: Sql, T>(
    shard: &mut Shard<S>,
    group: Vec<GroupedCall<T>>,
    now: UnixMillis,
    random: Random<'_>,
    mut answer: impl FnMut(T, Handled),
) {
    let mut accepts: Vec<(AcceptCall, Vec<u8>)> = Vec::new();
    let mut acceptors = Vec::new();
    for GroupedCall { call, body, caller } in group {
        match call {
            Call::Accept(call) => {
                accepts.push((*call, body));
                acceptors.push(caller);
            }
            call => answer(caller, handle(shard, call, body, now, random)),
        }
    }
    let handled = accept_group(shard, accepts, now, random);
    for (caller, handled) in acceptors.into_iter().zip(handled) {
        answer(caller, handled);
    }
}
