//! The outcome of an attempt, and the verdict on the job that follows from it.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::time::Millis;

/// Statuses by which an origin says that it did not act on the request, so that sending it again is
/// safe whatever the method: 408, 425 and 429 (RFC 9110, RFC 8470, RFC 6585), 503, and the codes
/// with which Cloudflare reports that it never reached the origin (521 refused, 523 unreachable,
/// 525 and 526 TLS failed, 530 name not resolved).
pub const NOT_ACTED_ON: [u16; 9] = [408, 425, 429, 503, 521, 523, 525, 526, 530];

/// Statuses after which the origin may have acted; retried only if repeating is safe.
pub const MAY_HAVE_ACTED: [u16; 6] = [500, 502, 504, 520, 522, 524];

/// Why a job failed. The names are stable: they are the `error.code` of the status document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The origin responded with a status of 400 or above; that response is the result, if its body was kept.
    OriginError,
    /// No connection to the origin could be made.
    OriginUnreachable,
    /// The origin sent something that is not a final HTTP response.
    OriginProtocolError,
    /// The request was sent and no complete response came; it may or may not have taken effect.
    OutcomeUnknown,
    /// The job's deadline passed first.
    DeadlineExceeded,
    /// The origin's response is larger than the configured limit.
    ResultTooLarge,
    /// The origin responded, but its response could not be stored.
    ResultNotStored,
    /// The stored request could not be read, so nothing was sent.
    PayloadUnavailable,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::OriginError,
        Self::OriginUnreachable,
        Self::OriginProtocolError,
        Self::OutcomeUnknown,
        Self::DeadlineExceeded,
        Self::ResultTooLarge,
        Self::ResultNotStored,
        Self::PayloadUnavailable,
    ];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OriginError => "origin_error",
            Self::OriginUnreachable => "origin_unreachable",
            Self::OriginProtocolError => "origin_protocol_error",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ResultTooLarge => "result_too_large",
            Self::ResultNotStored => "result_not_stored",
            Self::PayloadUnavailable => "payload_unavailable",
        }
    }
}

/// Why a response has a head but no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyLoss {
    /// The body broke off or took too long, so it is not complete.
    Broken,
    /// The response is larger than the limit.
    TooLarge,
    /// The body was complete, but storing it failed.
    NotStored,
}

/// The outcome of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// A complete final response, already stored.
    Responded {
        /// Its status, 200 to 599.
        status: u16,
        /// How long its `Retry-After` asks to wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Millis>,
    },
    /// The head of a final response came, but no body could be kept.
    HeadOnly {
        /// Its status, 200 to 599.
        status: u16,
        /// How long its `Retry-After` asks to wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Millis>,
        /// What went wrong after the head.
        why: BodyLoss,
    },
    /// The connection was never made; the origin has not seen the request.
    Unreachable,
    /// Sent, or partly sent, and no complete response came: time-out, reset, truncated body.
    Unknown,
    /// Not a final response: interim or out-of-range status, invalid framing.
    Malformed,
    /// The response is larger than the limit.
    TooLarge,
    /// The response was complete, but storing it failed.
    NotStored,
    /// The stored request could not be read back; nothing was sent.
    PayloadUnavailable,
}

impl Outcome {
    /// Whether the origin may have acted on the request. Only such attempts count against
    /// [`Plan::attempts`]; the others are repeated until the deadline.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Responded { status, .. } | Self::HeadOnly { status, .. } => {
                !NOT_ACTED_ON.contains(status)
            }
            Self::Unreachable | Self::PayloadUnavailable => false,
            Self::Unknown | Self::Malformed | Self::TooLarge | Self::NotStored => true,
        }
    }

    /// The outcome if no body came with the report: a response is complete only with its body.
    pub(super) const fn without_body(self) -> Self {
        match self {
            Self::Responded {
                status,
                retry_after,
            } => Self::HeadOnly {
                status,
                retry_after,
                why: BodyLoss::NotStored,
            },
            other => other,
        }
    }

    /// Resolves [`Outcome::HeadOnly`]. A status which says that the origin did not act, or after which the plan
    /// retries, counts as that response: the rest of it does not change what the status says. Any other counts
    /// as what went wrong. All other outcomes stay as they are.
    #[must_use]
    pub fn resolved(self, plan: &Plan) -> Self {
        let Self::HeadOnly {
            status,
            retry_after,
            why,
        } = self
        else {
            return self;
        };
        let decides = NOT_ACTED_ON.contains(&status) || retries_status(plan, status);
        match why {
            _ if decides => Self::Responded {
                status,
                retry_after,
            },
            BodyLoss::Broken => Self::Unknown,
            BodyLoss::TooLarge => Self::TooLarge,
            BodyLoss::NotStored => Self::NotStored,
        }
    }
}

/// What an outcome means for the job, regardless of the attempts and the time that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The job has succeeded.
    Succeed,
    /// The job has failed for good.
    Fail(FailureCode),
    /// Try again.
    Retry {
        /// The code to fail with if there is no attempt or no time left.
        otherwise: FailureCode,
        /// The least wait that the origin asked for.
        at_least: Millis,
    },
}

/// Classifies an outcome under a plan.
///
/// Invariant: if the origin may have acted, the request is retried only if [`Plan::repeatable`] says
/// that this is safe, or if the rule lists the status.
#[must_use]
pub fn classify(plan: &Plan, outcome: &Outcome) -> Verdict {
    match outcome.resolved(plan) {
        Outcome::Responded { status, .. } if status < 400 => Verdict::Succeed,
        Outcome::Responded {
            status,
            retry_after,
        } => {
            if retries_status(plan, status) {
                Verdict::Retry {
                    otherwise: FailureCode::OriginError,
                    at_least: retry_after.unwrap_or_default(),
                }
            } else {
                Verdict::Fail(FailureCode::OriginError)
            }
        }
        Outcome::Unreachable => retry_or(FailureCode::OriginUnreachable),
        Outcome::PayloadUnavailable => retry_or(FailureCode::PayloadUnavailable),
        // `resolved` has replaced each `HeadOnly`.
        Outcome::Unknown | Outcome::HeadOnly { .. } => {
            if_repeatable(plan, FailureCode::OutcomeUnknown)
        }
        Outcome::Malformed => if_repeatable(plan, FailureCode::OriginProtocolError),
        Outcome::NotStored => if_repeatable(plan, FailureCode::ResultNotStored),
        Outcome::TooLarge => Verdict::Fail(FailureCode::ResultTooLarge),
    }
}

fn retries_status(plan: &Plan, status: u16) -> bool {
    match &plan.retry_statuses {
        Some(listed) => listed.contains(&status),
        None => {
            NOT_ACTED_ON.contains(&status) || (plan.repeatable && MAY_HAVE_ACTED.contains(&status))
        }
    }
}

const fn retry_or(otherwise: FailureCode) -> Verdict {
    Verdict::Retry {
        otherwise,
        at_least: Millis(0),
    }
}

const fn if_repeatable(plan: &Plan, code: FailureCode) -> Verdict {
    if plan.repeatable {
        retry_or(code)
    } else {
        Verdict::Fail(code)
    }
}
