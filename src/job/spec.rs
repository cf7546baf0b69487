//! What a job is to be, decided before it exists: the one description that travels from the plan of a
//! request to the record.

use serde::{Deserialize, Serialize};

use super::plan::{Plan, Priority};
use super::time::Millis;

/// Everything that a rule and a request say about a job. It is copied into the record and never changes,
/// so that a changed configuration leaves accepted jobs as they were promised.
///
/// A new field is added here and nowhere else: the call that accepts a job, the shard that inserts it and
/// the record that keeps it all carry this struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Name of the rule that accepts the request.
    pub rule: String,
    /// Name of the origin that gets the request; empty for the default one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// The queue that carries the job's messages.
    pub priority: Priority,
    /// How attempts are made and repeated.
    pub plan: Plan,
    /// How long after its creation the job must have ended.
    pub deadline: Millis,
    /// How long the job is kept, from its creation; not shorter than `deadline`.
    pub retention: Millis,
    /// How long after its creation the first attempt may begin.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay: Millis,
    /// Hash of the credentials that own the job, lower-case hexadecimal; empty without any. It scopes
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
