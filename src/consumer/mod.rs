//! The consumer: takes messages, runs attempts, reports their outcomes.
//!
//! Every step may run twice or stop half-way, and that is safe:
//!
//! 1. *claim*: repeated with the same tokens while no answer comes. After that a fresh message carries the
//!    tokens, so that the next claim takes over what was granted: nothing was sent under it.
//! 2. *send*: at least once; `job::classify` decides what an ambiguous outcome means.
//! 3. *store*: under a new key, noted at the shard before; an unused object is deleted.
//! 4. *finish*: counts once, by its token; repeated while no answer comes and the lease lasts.
//!
//! A message is acknowledged once its claims are answered and its attempts reported. A job whose attempt
//! is lost on the way is carried by its record's wake-up, not by the message.

mod attempt;
mod batch;
mod claim;
mod lease;
mod report;

use crate::job::UnixMillis;
use crate::policy::Policy;
use crate::rpc::call::Call;
use crate::rpc::client::call_shard;
use crate::rpc::message::Message;
use crate::rpc::ports::{Bucket, CallBody, Host, OriginPort, Shards, Watching};

pub use batch::{run_batch, run_message};

/// Everything that running jobs takes.
pub trait Back: Host + Shards + Bucket + OriginPort + Watching {}

impl<P: Host + Shards + Bucket + OriginPort + Watching> Back for P {}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It has served its purpose.
    Acknowledge,
    /// It was not begun, or its shard did not answer: deliver it again.
    Retry,
    /// Its claims were not answered, but may have been granted: send this one in its place, which says
    /// under which tokens nothing was sent. Where that fails, deliver the old one again.
    Replace(Message),
}

/// Reports messages that a queue gave up on.
pub async fn dead_letter<P: Back>(ports: &P, message: &Message) -> Disposal {
    let call = Call::DeadLetter(message.jobs.clone());
    match call_shard(ports, message.shard, &call, CallBody::Empty).await {
        Ok(response) if ports.status(&response) == 204 => Disposal::Acknowledge,
        _ => Disposal::Retry,
    }
}

/// An invocation of the consumer.
struct Run<'a, P> {
    ports: &'a P,
    policy: &'a Policy,
    /// When the invocation began.
    begun: UnixMillis,
}

impl<P> Clone for Run<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Run<'_, P> {}
