//! The durable state of a job, as it is stored.

use serde::{Deserialize, Serialize};

use super::body::BodyRef;
use super::outcome::FailureCode;
use super::spec::JobSpec;
use super::time::UnixMillis;

/// Version of the stored form. A reader accepts it and older ones, and rejects newer ones.
pub const RECORD_VERSION: u8 = 1;

/// Most attempts in the history, newest last. At about 80 bytes each they stay far below a row's 2 MB.
pub const HISTORY_MAX: usize = 32;

/// The name of a job's [`State`]. The last three are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted, or waiting for another attempt.
    Queued,
    /// An attempt is under way.
    Running,
    /// The origin responded with a status below 400; that response is the result.
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

    /// Whether the job has ended and cannot change any more.
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
    /// Fencing token: a report with another token changes nothing.
    pub token: u64,
    /// When the attempt began.
    pub began: UnixMillis,
    /// When the lease lapses, unless it is renewed.
    pub ends: UnixMillis,
}

/// One attempt in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNote {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// When it began.
    pub began: UnixMillis,
    /// When its outcome was recorded.
    pub ended: UnixMillis,
    /// The origin's status, if a response came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
}

/// Why a job failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// The origin's status, with [`FailureCode::OriginError`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// The part of an idempotency key that the record keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// Hash of owner and key, lower-case hexadecimal: the row of the key in this shard.
    pub hash: String,
    /// Until when the key identifies this job.
    pub ends: UnixMillis,
}

/// The state of a job, with the data of that state only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum State {
    /// Accepted, or waiting for another attempt.
    Queued {
        /// Earliest time of the next attempt.
        due: UnixMillis,
    },
    /// An attempt is under way.
    Running {
        /// The lease of the attempt.
        lease: Lease,
    },
    /// The origin responded with a status below 400.
    Succeeded {
        /// When it ended.
        finished: UnixMillis,
        /// The body of the response.
        result: BodyRef,
    },
    /// No attempt succeeded.
    Failed {
        /// When it ended.
        finished: UnixMillis,
        /// Why.
        failure: Failure,
        /// The body of the origin's last response, if one was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<BodyRef>,
    },
    /// Canceled before it ended.
    Canceled {
        /// When it ended.
        finished: UnixMillis,
    },
}

/// A job's record: its state and everything that decides how it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`] of the build that wrote it.
    pub v: u8,
    /// Grows with every visible change. The entity tag is derived from it.
    pub version: u32,
    /// The description of the job as accepted. It never changes.
    pub spec: JobSpec,
    /// When it was accepted.
    pub created: UnixMillis,
    /// When its last visible change was.
    pub updated: UnixMillis,
    /// When its first attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<UnixMillis>,
    /// When it expires. It is stored because the shard rounds it up.
    pub expires: UnixMillis,
    /// Attempts begun so far.
    pub attempt: u32,
    /// How many of these certainly did not act at the origin. They do not count against the plan's limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_acted: u32,
    /// Its idempotency key, if it came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRef>,
    /// The request body; `None` if there was none, or once it is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<BodyRef>,
    /// Its state.
    pub state: State,
    /// The latest attempts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<AttemptNote>,
    /// How often a queue gave up on a message of this job.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dead_letters: u32,
    /// The job that this one repeats, if an operator asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive_of: Option<String>,
}

impl Record {
    /// The record of a job that is accepted now, without key, body and an earlier job.
    #[must_use]
    pub const fn new(spec: JobSpec, now: UnixMillis, expires: UnixMillis) -> Self {
        let due = now.plus(spec.delay);
        Self {
            v: RECORD_VERSION,
            version: 1,
            spec,
            created: now,
            updated: now,
            started: None,
            expires,
            attempt: 0,
            not_acted: 0,
            key: None,
            payload: None,
            state: State::Queued { due },
            history: Vec::new(),
            dead_letters: 0,
            redrive_of: None,
        }
    }

    /// The name of its state.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.state {
            State::Queued { .. } => Status::Queued,
            State::Running { .. } => Status::Running,
            State::Succeeded { .. } => Status::Succeeded,
            State::Failed { .. } => Status::Failed,
            State::Canceled { .. } => Status::Canceled,
        }
    }

    /// Whether it has ended and cannot change any more.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.status().is_terminal()
    }

    /// When the job must have ended. No attempt begins after this.
    #[must_use]
    pub const fn deadline(&self) -> UnixMillis {
        self.created.plus(self.spec.deadline)
    }

    /// How many attempts may have acted at the origin, including the one under way.
    #[must_use]
    pub const fn acted(&self) -> u32 {
        self.attempt.saturating_sub(self.not_acted)
    }

    /// When its next attempt may begin, while it is queued.
    #[must_use]
    pub const fn due(&self) -> Option<UnixMillis> {
        match self.state {
            State::Queued { due } => Some(due),
            _ => None,
        }
    }

    /// The lease of the attempt under way, while it is running.
    #[must_use]
    pub const fn lease(&self) -> Option<Lease> {
        match self.state {
            State::Running { lease } => Some(lease),
            _ => None,
        }
    }

    /// When it ended.
    #[must_use]
    pub const fn finished(&self) -> Option<UnixMillis> {
        match self.state {
            State::Queued { .. } | State::Running { .. } => None,
            State::Succeeded { finished, .. }
            | State::Failed { finished, .. }
            | State::Canceled { finished } => Some(finished),
        }
    }

    /// Why it failed.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        match self.state {
            State::Failed { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// The body of the response that is its result, once there is one.
    #[must_use]
    pub const fn result(&self) -> Option<&BodyRef> {
        match &self.state {
            State::Succeeded { result, .. } => Some(result),
            State::Failed { result, .. } => result.as_ref(),
            State::Queued { .. } | State::Running { .. } | State::Canceled { .. } => None,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}
