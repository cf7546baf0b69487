//! A client's request, in stages: `route` looks at the head alone, `plan` builds the call that creates a job
//! (or `jobs` the call about an existing one), and [`execute`] and [`hold`] make the calls over ports.
//!
//! [`decide()`] runs the pure stages. The [`Action`] that it returns says what to do.

mod browsers;
mod decide;
pub mod execute;
mod head;
pub mod hold;
mod jobs;
mod owner;
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
    /// Host and port from the client's request.
    pub host: String,
    /// Path and query as they were sent.
    pub target: String,
    /// The header fields.
    pub headers: Headers,
    /// Whether a body follows.
    pub has_body: bool,
}

/// Most header fields of a request. Browsers send about twenty, and common servers accept 100 to 2,000. More
/// are taken for an attack on the gateway's CPU time.
pub const FIELDS_MAX: usize = 1_024;

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Respond at once.
    Reply(Reply),
    /// Stream the request to the origin, and the response back.
    PassThrough(PassThrough),
    /// Call a shard, and pass its response on.
    Ask {
        /// The shard.
        shard: u16,
        /// The call.
        call: Box<Call>,
        /// Before the call, wait up to this long for the job to end.
        wait: Option<(JobId, Millis)>,
    },
    /// Start a failed job again.
    Redrive {
        /// The job.
        id: JobId,
        /// The call.
        call: Box<RedriveCall>,
    },
    /// Create a job.
    Accept(Box<AcceptPlan>),
}

/// A request on its way to the origin.
#[derive(Debug)]
pub struct PassThrough {
    /// The name of the origin; empty for the default one.
    pub origin: String,
    /// The target.
    pub target: Target,
    /// The changes to the header fields.
    pub edits: Edits,
    /// The response varies with `Prefer`, because a rule looks at it.
    pub varies: bool,
}

/// What the head says about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// There is none.
    Nothing,
    /// This many bytes.
    Length(u64),
    /// An unknown number of bytes.
    Unknown,
}

/// A request that becomes a job.
#[derive(Debug)]
pub struct AcceptPlan {
    /// The shard that gets it.
    pub shard: u16,
    /// The shard that its key belonged to before the number of shards changed.
    pub previous: Option<u16>,
    /// The call; its payload is set later.
    pub call: AcceptCall,
    /// What is known about the body.
    pub body: Announced,
    /// Largest body that the rule accepts, in bytes.
    pub limit: u64,
    /// Hold the request this long for its result.
    pub hold: Millis,
    /// The client asked for the hold (RFC 7240 section 4.3), not the rule.
    pub hold_preferred: bool,
}
