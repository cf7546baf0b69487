//! The durable state of a job, as it is stored.

use serde::{Deserialize, Serialize};

use super::outcome::FailureCode;
use super::plan::{Plan, Priority};
use super::time::UnixMillis;

/// Version of the stored form. A reader refuses a newer one; an older one is read as it is.
pub const RECORD_VERSION: u8 = 1;

/// Most attempts that the history keeps, newest last. It bounds the record (about 80 bytes each)
/// well under a row's 2 MB while showing more than anyone reads.
pub const HISTORY_MAX: usize = 32;

/// Where a job stands. The last three are terminal and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted, or waiting for another attempt.
    Queued,
    /// An attempt is under way.
    Running,
    /// The origin answered below 400; that response is the result.
    Succeeded,
    /// No attempt succeeded.
    Failed,
    /// Canceled before it ended.
    Canceled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// Whether nothing can change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The name used on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// The right to run one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Fencing token: a completion that names another one changes nothing.
    pub token: u64,
    /// When the attempt began.
    pub began: UnixMillis,
    /// When the right ends, unless it is renewed.
    pub ends: UnixMillis,
}

/// One line of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNote {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it began.
    pub began: UnixMillis,
    /// When its outcome was recorded.
    pub ended: UnixMillis,
    /// The origin's status, if a response came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
}

/// A body that the job keeps: its length and hash, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRef {
    /// Bytes.
    pub len: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Key in the bucket; `None` when the bytes are in the record's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// Why a job failed, and with which status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// The origin's status, where the code is [`FailureCode::OriginError`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// The part of an idempotency key that the record keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// Hash of owner and key, lower-case hexadecimal: the row of the key in this shard.
    pub hash: String,
    /// Until when the key stands for this job.
    pub ends: UnixMillis,
}

/// A job's record: everything about it that changes, and what decides how it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`] when it was written.
    pub v: u8,
    /// Where the job stands.
    pub status: Status,
    /// Grows with every change that a reader can see; the entity tag is made of it.
    pub version: u32,
    /// Name of the rule that accepted it.
    pub rule: String,
    /// Its queue.
    pub priority: Priority,
    /// When it was accepted.
    pub created: UnixMillis,
    /// When it last changed visibly.
    pub updated: UnixMillis,
    /// When its first attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<UnixMillis>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<UnixMillis>,
    /// No attempt begins after this, and by then the job ends.
    pub deadline: UnixMillis,
    /// From then on it is gone for its owner.
    pub expires: UnixMillis,
    /// The next attempt begins no earlier.
    pub due: UnixMillis,
    /// Attempts begun so far.
    pub attempt: u32,
    /// Who may complete the attempt under way; present exactly while running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// How it is to be run.
    pub plan: Plan,
    /// Hash of the owner's credential, empty without one; scopes idempotency keys.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Its idempotency key, if it came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRef>,
    /// The request body; `None` once it is dropped, or if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<BodyRef>,
    /// The result's status and body, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<BodyRef>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What became of the latest attempts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<AttemptNote>,
    /// How often a queue gave up on a message of this job.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dead_letters: u32,
    /// The job that this one repeats, if an operator asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive_of: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}
