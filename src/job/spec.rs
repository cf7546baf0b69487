//! The description of a job, which travels from the plan of a request to the record.

use serde::{Deserialize, Serialize};

use super::plan::{Plan, Priority};
use super::time::Millis;

/// Everything that a rule and a request say about a job. It is copied into the record and never changes, so
/// a changed configuration does not affect accepted jobs.
///
/// The accept call, the shard's insert and the record all carry this struct, so a new field is added only
/// here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Name of the rule that accepts the request.
    pub rule: String,
    /// Name of the origin that gets the request; empty for the default one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// The queue that carries the job's messages.
    pub priority: Priority,
    /// How attempts are run and repeated.
    pub plan: Plan,
    /// The time from creation until the job must have ended.
    pub deadline: Millis,
    /// The time from creation until the job expires; at least `deadline`.
    pub retention: Millis,
    /// The time from creation until the first attempt may begin.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay: Millis,
    /// Hash of the owner's credentials, lower-case hexadecimal; empty without credentials. It scopes
    /// idempotency keys.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's; where pointers have 32 bits the lint does not fire"
)]
const fn is_zero(span: &Millis) -> bool {
    span.0 == 0
}
