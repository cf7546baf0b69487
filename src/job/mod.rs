//! The state machine of a job, as plain data: no clock, randomness, async or platform type.
//!
//! [`apply`] takes a record, an event and the time, and returns the next record and the effects to
//! carry out. The layers above carry them out.

mod body;
mod id;
mod outcome;
mod plan;
mod record;
mod retry;
mod spec;
mod time;
mod transition;

pub use body::{BodyRef, StoredBody};
pub use id::{IdKey, JobId, PARTITION_MAX, ROW_KEY_MAX, RowKey, SEQUENCE_MAX, Secret, TEXT_LEN};
pub use outcome::{
    BodyLoss, FailureCode, MAY_HAVE_ACTED, NOT_ACTED_ON, Outcome, Verdict, classify,
};
pub use plan::{Backoff, Plan, Priority};
pub use record::{
    AttemptNote, Failure, HISTORY_MAX, KeyRef, Lease, RECORD_VERSION, Record, State, Status,
};
pub use retry::{WAIT_MIN, next_wait, wait};
pub use spec::JobSpec;
pub use time::{Millis, UnixMillis};
pub use transition::{Effect, Event, Refusal, Step, apply, wake};
