//! `apply`: the only place where a record changes.
//!
//! ```text
//!            Claim                Finish(success)
//!   queued ─────────▶ running ───────────────────▶ succeeded
//!     ▲  │               │  │
//!     └──┼── retry ──────┘  └─ Finish(failure), lease lapsed ─▶ failed
//!        └── deadline ────────────────────────────────────────▶ failed
//!     queued, running ── Cancel ──▶ canceled
//! ```
//!
//! Rules that hold for every call:
//!
//! 1. A terminal record comes back as it went in.
//! 2. Time is looked at before the event: a record whose deadline or lease has passed is settled
//!    first, and the event then meets the settled record.
//! 3. A completion or renewal counts only with the token of the lease that stands.
//! 4. No attempt begins after the deadline, beyond the plan's limit, or before `due`.

use super::outcome::{FailureCode, Outcome, Verdict, classify};
use super::record::{AttemptNote, BodyRef, Failure, HISTORY_MAX, Lease, Record, Status};
use super::retry;
use super::time::{Millis, UnixMillis};

/// Something that happened, or that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A consumer asks for the right to run the next attempt.
    Claim {
        /// Its fencing token, drawn at random.
        token: u64,
        /// How long the right lasts unless renewed.
        lease: Millis,
    },
    /// A consumer that still works asks for more time.
    Renew {
        /// The token of its lease.
        token: u64,
        /// How long from now.
        lease: Millis,
    },
    /// A consumer reports what its attempt came to.
    Finish {
        /// The token of its lease.
        token: u64,
        /// What happened.
        outcome: Outcome,
        /// The stored response body, with [`Outcome::Responded`].
        result: Option<BodyRef>,
    },
    /// Time has passed.
    Elapsed,
    /// Somebody who holds the id wants it stopped.
    Cancel,
    /// A queue gave up on a message of this job.
    DeadLettered,
}

/// What has to be done once the record is committed, or with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a queue message, to be delivered after this long.
    Enqueue(Millis),
    /// The request body is not needed any more.
    DropPayload,
    /// The response of this completion becomes the result.
    KeepResult,
    /// The response of this completion is not needed.
    DropResult,
}

/// Why an event changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The job has ended.
    Ended,
    /// Another attempt is under way.
    Leased,
    /// The next attempt may not begin before this.
    TooEarly(UnixMillis),
    /// The lease named is not the one that stands.
    StaleToken,
}

/// What became of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The record to store.
    pub record: Record,
    /// Whether it differs from the one that went in, that is, whether it must be stored.
    pub changed: bool,
    /// What has to be done.
    pub effects: Vec<Effect>,
    /// Set when the event itself was refused (time may have changed the record all the same).
    pub refused: Option<Refusal>,
}

/// Applies one event. `random_permille` (0 to 1000) feeds the jitter of a retry.
#[must_use]
pub fn apply(record: Record, event: &Event, now: UnixMillis, random_permille: u16) -> Step {
    let mut step = Step {
        record,
        changed: false,
        effects: Vec::new(),
        refused: None,
    };
    if !step.record.status.is_terminal() {
        settle(&mut step, now, random_permille);
    }
    match event {
        Event::Elapsed => {}
        Event::Claim { token, lease } => claim(&mut step, now, *token, *lease),
        Event::Renew { token, lease } => renew(&mut step, now, *token, *lease),
        Event::Finish {
            token,
            outcome,
            result,
        } => {
            finish(
                &mut step,
                now,
                random_permille,
                *token,
                outcome,
                result.as_ref(),
            );
        }
        Event::Cancel => cancel(&mut step, now),
        Event::DeadLettered => dead_lettered(&mut step, now),
    }
    step
}

/// When time alone will change the record, or a message should be sent again: `patience` is how
/// long a queued job waits for its claim before its message counts as lost.
#[must_use]
pub fn wake(record: &Record, patience: Millis) -> Option<UnixMillis> {
    match record.status {
        Status::Queued => Some(record.due.plus(patience).min(record.deadline)),
        Status::Running => Some(
            record
                .lease
                .map_or(record.deadline, |lease| lease.ends.min(record.deadline)),
        ),
        Status::Succeeded | Status::Failed | Status::Canceled => None,
    }
}

/// Rule 2: what the clock says comes first.
fn settle(step: &mut Step, now: UnixMillis, random_permille: u16) {
    let record = &step.record;
    if now >= record.deadline {
        let failure = Failure {
            code: FailureCode::DeadlineExceeded,
            status: None,
        };
        note_attempt(step, now, None, Some(FailureCode::DeadlineExceeded));
        end(step, now, Status::Failed, Some(failure));
        return;
    }
    let lapsed =
        record.status == Status::Running && record.lease.is_none_or(|lease| now >= lease.ends);
    if lapsed {
        // The consumer is gone or stopped; whether the origin got the request cannot be known.
        conclude(step, now, random_permille, &Outcome::Unknown);
    }
}

fn claim(step: &mut Step, now: UnixMillis, token: u64, lease: Millis) {
    let record = &mut step.record;
    step.refused = match record.status {
        Status::Running => Some(Refusal::Leased),
        Status::Queued if now < record.due => Some(Refusal::TooEarly(record.due)),
        Status::Queued if record.attempt < record.plan.attempts => None,
        Status::Queued | Status::Succeeded | Status::Failed | Status::Canceled => {
            Some(Refusal::Ended)
        }
    };
    if step.refused.is_some() {
        return;
    }
    record.status = Status::Running;
    record.attempt = record.attempt.saturating_add(1);
    record.started = record.started.or(Some(now));
    record.lease = Some(Lease {
        token,
        began: now,
        ends: now.plus(lease).min(record.deadline),
    });
    touch(step, now);
}

fn renew(step: &mut Step, now: UnixMillis, token: u64, lease: Millis) {
    let deadline = step.record.deadline;
    match current_lease(&mut step.record, token) {
        Ok(held) => {
            let ends = now.plus(lease).min(deadline);
            // Never shortens: a clock that went back must not take time away from a worker.
            if ends > held.ends {
                held.ends = ends;
                step.changed = true;
            }
        }
        Err(refusal) => step.refused = Some(refusal),
    }
}

fn finish(
    step: &mut Step,
    now: UnixMillis,
    random_permille: u16,
    token: u64,
    outcome: &Outcome,
    result: Option<&BodyRef>,
) {
    if let Err(refusal) = current_lease(&mut step.record, token) {
        step.refused = Some(refusal);
        step.effects.push(Effect::DropResult);
        return;
    }
    conclude(step, now, random_permille, outcome);
    let is_final_response =
        step.record.status.is_terminal() && matches!(outcome, Outcome::Responded { .. });
    if is_final_response {
        step.record.result = result.cloned();
        step.effects.push(Effect::KeepResult);
    } else {
        step.effects.push(Effect::DropResult);
    }
}

fn cancel(step: &mut Step, now: UnixMillis) {
    if step.record.status.is_terminal() {
        step.refused = Some(Refusal::Ended);
        return;
    }
    note_attempt(step, now, None, None);
    end(step, now, Status::Canceled, None);
    step.effects.push(Effect::DropPayload);
}

/// A message that dies must not strand its job: count it, and send a fresh one.
fn dead_lettered(step: &mut Step, now: UnixMillis) {
    if step.record.status.is_terminal() {
        step.refused = Some(Refusal::Ended);
        return;
    }
    step.record.dead_letters = step.record.dead_letters.saturating_add(1);
    step.changed = true;
    if step.record.status == Status::Queued {
        step.effects
            .push(Effect::Enqueue(step.record.due.since(now)));
    }
}

fn current_lease(record: &mut Record, token: u64) -> Result<&mut Lease, Refusal> {
    if record.status.is_terminal() {
        return Err(Refusal::Ended);
    }
    match &mut record.lease {
        Some(lease) if lease.token == token => Ok(lease),
        _ => Err(Refusal::StaleToken),
    }
}

/// Ends the attempt under way with this outcome: success, failure, or back to the queue.
fn conclude(step: &mut Step, now: UnixMillis, random_permille: u16, outcome: &Outcome) {
    let status = match outcome {
        Outcome::Responded { status, .. } => Some(*status),
        _ => None,
    };
    let verdict = classify(&step.record.plan, outcome);
    match verdict {
        Verdict::Succeed => {
            note_attempt(step, now, status, None);
            end(step, now, Status::Succeeded, None);
            step.effects.push(Effect::DropPayload);
        }
        Verdict::Fail(code) => fail(step, now, status, code),
        Verdict::Retry {
            otherwise,
            at_least,
        } => {
            let record = &step.record;
            let wait = retry::wait(
                &record.plan.backoff,
                record.attempt,
                random_permille,
                at_least,
            );
            let due = now.plus(wait);
            if record.attempt < record.plan.attempts && due < record.deadline {
                note_attempt(step, now, status, Some(otherwise));
                step.record.status = Status::Queued;
                step.record.due = due;
                step.effects.push(Effect::Enqueue(wait));
                touch(step, now);
            } else {
                fail(step, now, status, otherwise);
            }
        }
    }
}

fn fail(step: &mut Step, now: UnixMillis, status: Option<u16>, code: FailureCode) {
    note_attempt(step, now, status, Some(code));
    end(step, now, Status::Failed, Some(Failure { code, status }));
}

fn end(step: &mut Step, now: UnixMillis, status: Status, failure: Option<Failure>) {
    step.record.status = status;
    step.record.failure = failure;
    step.record.finished = Some(now);
    // Time may have sent it back to the queue a moment before: what has ended wants no message.
    step.effects
        .retain(|effect| !matches!(effect, Effect::Enqueue(_)));
    touch(step, now);
}

/// Writes the attempt under way, if there is one, into the history and takes its lease away.
fn note_attempt(step: &mut Step, now: UnixMillis, status: Option<u16>, code: Option<FailureCode>) {
    let record = &mut step.record;
    if let Some(lease) = record.lease.take() {
        if record.history.len() >= HISTORY_MAX {
            record.history.remove(0);
        }
        let attempt = record.attempt;
        record.history.push(AttemptNote {
            attempt,
            began: lease.began,
            ended: now,
            status,
            code,
        });
    }
}

fn touch(step: &mut Step, now: UnixMillis) {
    step.record.version = step.record.version.saturating_add(1);
    step.record.updated = now;
    step.changed = true;
}
