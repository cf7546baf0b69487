//! The state machine of a job, as plain data: no clock, randomness, async or platform type.

mod plan;
mod time;

pub use plan::{Backoff, Plan, Priority};
pub use time::{Millis, UnixMillis};
