//! A client's request, in stages: `route` finds its way by the head alone, `plan` makes of it the call that
//! makes a job, or `jobs` the question about one, and [`execute`] and [`hold`] carry that out over ports.
//!
//! [`decide()`] joins the stages that wait for nothing. It is pure, and its [`Action`] says what to do.

mod browsers;
mod decide;
pub mod execute;
mod head;
pub mod hold;
mod jobs;
mod pages;
mod placement;
mod plan;
mod route;

use crate::http::Headers;
use crate::http::target::Target;
use crate::job::{JobId, Millis};
use crate::protocol::forwarding::Edits;
use crate::rpc::Reply;
use crate::rpc::call::{AcceptCall, Call, RedriveCall};

pub use browsers::cors;
pub use decide::decide;
pub use placement::Isolate;
pub use plan::too_large;

/// The head of a client's request.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method as it was sent.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port that the client named.
    pub host: String,
    /// Path and query as they were sent.
    pub target: String,
    /// The header fields.
    pub headers: Headers,
    /// Whether a body follows.
    pub has_body: bool,
}

/// Most header fields of a request. Browsers send some twenty, and common servers take 100 to 2,000. Whoever
/// sends more wants to see the gateway work.
pub const FIELDS_MAX: usize = 1_024;

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Answer at once.
    Reply(Reply),
    /// Send it to the origin and its response back, both as streams.
    PassThrough(PassThrough),
    /// Ask a shard, and hand its answer on.
    Ask {
        /// The shard.
        shard: u16,
        /// The question.
        call: Box<Call>,
        /// Wait this long for the job to end before asking.
        wait: Option<(JobId, Millis)>,
    },
    /// Start a failed job again.
    Redrive {
        /// The job.
        id: JobId,
        /// The question.
        call: Box<RedriveCall>,
    },
    /// Make it a job.
    Accept(Box<AcceptPlan>),
}

/// A request on its way to the origin.
#[derive(Debug)]
pub struct PassThrough {
    /// The name of the origin; empty for the default one.
    pub origin: String,
    /// The target.
    pub target: Target,
    /// What changes in the header fields.
    pub edits: Edits,
    /// The response varies with `Prefer`, because a rule looks at it.
    pub varies: bool,
    /// It is a WebSocket handshake.
    pub websocket: bool,
}

/// What the head says about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// There is none.
    Nothing,
    /// This many bytes.
    Length(u64),
    /// As many as come.
    Unknown,
}

/// A request that becomes a job.
#[derive(Debug)]
pub struct AcceptPlan {
    /// The shard that takes it.
    pub shard: u16,
    /// The shard that would have, before the number of shards changed.
    pub previous: Option<u16>,
    /// The call; its payload is still to be set.
    pub call: AcceptCall,
    /// What is known about the body.
    pub body: Announced,
    /// Largest body that the rule takes.
    pub limit: u64,
    /// Hold the request this long for its result.
    pub hold: Millis,
    /// The client asked for that (RFC 7240 section 4.3), not the rule.
    pub hold_preferred: bool,
}
