//! The consumer: takes messages, runs attempts, reports their outcomes.
//!
//! Every step is safe to run twice or to stop half-way:
//!
//! 1. *claim*: repeated with the same tokens until a response comes. If none comes, a new message carries
//!    the tokens; nothing was sent under them, so the next claim may take over the leases.
//! 2. *send*: at least once; `job::classify` decides what an ambiguous outcome means.
//! 3. *store*: under a new key that the shard has noted; an unused object is deleted.
//! 4. *finish*: counts once, by its token; repeated until a response comes or the lease lapses.
//!
//! A message is acknowledged once its claims have a response and its attempts are reported. If an attempt is
//! lost, the wake-up of the job's record takes over, not the message.

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

pub use batch::run_batch;

/// The ports that running jobs needs.
pub trait ConsumerPorts: Host + Shards + Bucket + OriginPort + Watching {}

impl<P: Host + Shards + Bucket + OriginPort + Watching> ConsumerPorts for P {}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It is done.
    Acknowledge,
    /// It was not started, or its shard did not respond: deliver it again.
    Retry,
    /// Its claims got no response, but may have been granted. Send this message in its place: it lists the
    /// tokens under which nothing was sent. If that fails, deliver the old one again.
    Replace(Message),
}

/// Reports messages that a queue gave up on.
pub async fn dead_letter<P: ConsumerPorts>(ports: &P, message: &Message) -> Disposal {
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
