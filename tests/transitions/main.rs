//! The state machine: every state with every event, the edges of time, every effect.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod edges;
mod effects;
mod grid;
mod outcomes;

use raincheck::job::{BodyLoss, Event, Outcome, Record, Status, Step, UnixMillis, apply};
use support::jobs::{LEASE, TOKEN, inline_body};

/// Applies an event with the least jitter.
fn step(record: &Record, event: &Event, now: UnixMillis) -> Step {
    apply(record.clone(), event, now, 0)
}

/// A claim with a new token.
fn claim() -> Event {
    Event::Claim {
        token: TOKEN + 1,
        lease: LEASE,
        unsent: Vec::new(),
    }
}

/// A renewal by the holder of the lease.
fn renew() -> Event {
    Event::Renew {
        token: TOKEN,
        lease: LEASE,
    }
}

/// A report by the holder of the lease.
fn finish(outcome: Outcome) -> Event {
    let result = matches!(outcome, Outcome::Responded { .. }).then(|| inline_body(2));
    Event::Finish {
        token: TOKEN,
        outcome,
        result,
    }
}

/// A final response.
fn responded(status: u16) -> Outcome {
    Outcome::Responded {
        status,
        retry_after: None,
    }
}

fn head_only(status: u16, why: BodyLoss) -> Outcome {
    Outcome::HeadOnly {
        status,
        retry_after: None,
        why,
    }
}

/// A record that has ended, as the state machine itself ends it.
fn ended(status: Status) -> Record {
    let event = match status {
        Status::Succeeded => finish(responded(200)),
        Status::Failed => finish(responded(404)),
        Status::Canceled => Event::Cancel,
        Status::Queued | Status::Running => panic!("{status:?} is no end"),
    };
    let step = step(&support::jobs::running(), &event, support::jobs::at(500));
    assert_eq!(step.record.status(), status);
    step.record
}
