//! How to run a job: the part of a rule that is copied into the record on acceptance, so that a later
//! change of the configuration does not affect accepted jobs.

use serde::{Deserialize, Serialize};

use super::time::Millis;

/// Which queue carries the job. Cloudflare Queues have no priorities inside one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Urgent (RFC 9218 urgency 0 to 2).
    High,
    /// The default (urgency 3 and 4).
    #[default]
    Normal,
    /// Can wait (urgency 5 to 7).
    Low,
}

impl Priority {
    /// All priorities, most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The name used in configuration, documents and queue names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Exponential backoff between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait after the first failed attempt.
    pub initial: Millis,
    /// The factor from one wait to the next, in thousandths (2000 doubles it).
    pub factor_permille: u32,
    /// No wait is longer than this, jitter included; it also caps an origin's `Retry-After`.
    pub max: Millis,
    /// The random part of each wait, in thousandths: 0 none, 1000 all of it.
    pub jitter_permille: u32,
}

/// The part of a rule that applies to attempts, copied into the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Most attempts that may have acted at the origin; at least 1. An attempt that certainly did not act
    /// does not count: it is repeated until the job's deadline.
    pub attempts: u32,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// Final statuses that are retried. `None`: those after which the origin certainly did not act, and
    /// those after which it may have if the request is [`repeatable`](Self::repeatable).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_statuses: Option<Vec<u16>>,
    /// Longest time that one attempt may take, response body included.
    pub attempt_timeout: Millis,
    /// The request may be sent again after an attempt of unknown outcome: its method is idempotent
    /// (RFC 9110 section 9.2.2), or the rule says that the origin honours the
    /// `Idempotency-Key` that every attempt carries.
    pub repeatable: bool,
}
