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
//! 1. A terminal record is returned unchanged.
//! 2. Time comes before the event: a record whose deadline or lease has passed is settled first, and
//!    the event applies to the settled record.
//! 3. A report or renewal counts only with the token of the current lease.
//! 4. No attempt begins after the deadline, before `due`, or once as many may have acted as the plan allows.

use super::body::BodyRef;
use super::outcome::{FailureCode, Outcome, Verdict, classify};
use super::record::{AttemptNote, Failure, HISTORY_MAX, Lease, Record, State};
use super::retry;
use super::time::{Millis, UnixMillis};

/// An event: something happened, or is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A consumer asks for a lease to run the next attempt.
    Claim {
        /// A random fencing token. A claim with the token of the current lease is a repetition and is
        /// granted again, as the same attempt.
        token: u64,
        /// The length of the lease.
        lease: Millis,
        /// The tokens of earlier claims whose response was lost, so nothing was sent under them. If the lease
        /// of one of them is current, the new token takes it over, as the same attempt.
        unsent: Vec<u64>,
    },
    /// A consumer that still works asks for more time.
    Renew {
        /// The token of its lease.
        token: u64,
        /// The length of the lease, from now.
        lease: Millis,
    },
    /// A consumer reports the outcome of its attempt.
    Finish {
        /// The token of its lease.
        token: u64,
        /// The outcome.
        outcome: Outcome,
        /// The stored response body, with [`Outcome::Responded`].
        result: Option<BodyRef>,
    },
    /// Time has passed.
    Elapsed,
    /// A holder of the id cancels the job.
    Cancel,
    /// A queue gave up on a message of this job.
    DeadLettered,
}

/// What to do with the commit of the record, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a queue message with this delay.
    Enqueue(Millis),
    /// The request body is no longer needed.
    DropPayload,
    /// The response of this report becomes the result.
    KeepResult,
    /// The response of this report is not needed.
    DropResult,
}

/// Why an event was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The job has ended.
    Ended,
    /// Another attempt is under way.
    Leased,
    /// The next attempt may not begin before this time.
    TooEarly(UnixMillis),
    /// The token is not that of the current lease.
    StaleToken,
}

/// The result of applying an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The record to store.
    pub record: Record,
    /// Whether it differs from the record passed in, so that it must be stored.
    pub changed: bool,
    /// What to do.
    pub effects: Vec<Effect>,
    /// Why the event was refused, if it was. Time may have changed the record all the same.
    pub refused: Option<Refusal>,
}

/// Applies one event. `random_permille` (0 to 1000) is for the jitter of a retry.
#[must_use]
pub fn apply(record: Record, event: &Event, now: UnixMillis, random_permille: u16) -> Step {
    let mut step = Step {
        record,
        changed: false,
        effects: Vec::new(),
        refused: None,
    };
    if !step.record.is_terminal() {
        settle(&mut step, now, random_permille);
    }
    match event {
        Event::Elapsed => {}
        Event::Claim {
            token,
            lease,
            unsent,
        } => claim(&mut step, now, *token, *lease, unsent),
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

/// When time alone will change the record, or its message is late: `patience` is how long a queued job
/// waits for its claim before that.
#[must_use]
pub fn wake(record: &Record, patience: Millis) -> Option<UnixMillis> {
    match record.state {
        State::Queued { due } => Some(due.plus(patience).min(record.deadline())),
        State::Running { lease } => Some(lease.ends.min(record.deadline())),
        State::Succeeded { .. } | State::Failed { .. } | State::Canceled { .. } => None,
    }
}

/// Rule 2: applies the passing of time.
fn settle(step: &mut Step, now: UnixMillis, random_permille: u16) {
    if now >= step.record.deadline() {
        fail(step, now, None, FailureCode::DeadlineExceeded, None);
        return;
    }
    let lapsed = step.record.lease().is_some_and(|lease| now >= lease.ends);
    if lapsed {
        // The consumer is gone or stopped. It is not known whether the origin got the request.
        conclude(step, now, random_permille, Outcome::Unknown, None);
    }
}

fn claim(step: &mut Step, now: UnixMillis, token: u64, lease: Millis, unsent: &[u64]) {
    let record = &mut step.record;
    let ends = now.plus(lease).min(record.deadline());
    match &mut record.state {
        // The response to this claim was lost: grant it again.
        State::Running { lease: held } if held.token == token => {
            if held.ends.since(now) < lease.half() && ends > held.ends {
                held.ends = ends;
                step.changed = true;
            }
            return;
        }
        // The response to an earlier claim was lost, so nothing was sent under its token.
        State::Running { lease: held } if unsent.contains(&held.token) => {
            *held = Lease {
                token,
                began: now,
                ends: ends.max(held.ends),
            };
            step.changed = true;
            return;
        }
        _ => {}
    }
    step.refused = match record.state {
        State::Running { .. } => Some(Refusal::Leased),
        State::Queued { due } if now < due => Some(Refusal::TooEarly(due)),
        State::Queued { .. } if record.acted() < record.spec.plan.attempts => None,
        State::Queued { .. }
        | State::Succeeded { .. }
        | State::Failed { .. }
        | State::Canceled { .. } => Some(Refusal::Ended),
    };
    if step.refused.is_some() {
        return;
    }
    record.attempt = record.attempt.saturating_add(1);
    record.started = record.started.or(Some(now));
    let began = now;
    record.state = State::Running {
        lease: Lease { token, began, ends },
    };
    touch(step, now);
}

fn renew(step: &mut Step, now: UnixMillis, token: u64, lease: Millis) {
    let deadline = step.record.deadline();
    match current_lease(&mut step.record, token) {
        Ok(held) => {
            let ends = now.plus(lease).min(deadline);
            // Never shortens: a clock that went back must not take time from an attempt.
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
    let (outcome, result) = match result {
        None => (outcome.without_body(), None),
        Some(_) if matches!(outcome, Outcome::Responded { .. }) => (*outcome, result),
        Some(_) => (*outcome, None),
    };
    conclude(step, now, random_permille, outcome, result);
    step.effects.push(if step.record.result().is_some() {
        Effect::KeepResult
    } else {
        Effect::DropResult
    });
}

fn cancel(step: &mut Step, now: UnixMillis) {
    if step.record.is_terminal() {
        step.refused = Some(Refusal::Ended);
        return;
    }
    note_attempt(step, now, None, None);
    end(step, now, State::Canceled { finished: now });
    step.effects.push(Effect::DropPayload);
}

/// Counts a dead-lettered message, and sends another so that its job does not get stuck.
fn dead_lettered(step: &mut Step, now: UnixMillis) {
    if step.record.is_terminal() {
        step.refused = Some(Refusal::Ended);
        return;
    }
    step.record.dead_letters = step.record.dead_letters.saturating_add(1);
    step.changed = true;
    if let Some(due) = step.record.due() {
        step.effects.push(Effect::Enqueue(due.since(now)));
    }
}

fn current_lease(record: &mut Record, token: u64) -> Result<&mut Lease, Refusal> {
    if record.is_terminal() {
        return Err(Refusal::Ended);
    }
    match &mut record.state {
        State::Running { lease } if lease.token == token => Ok(lease),
        _ => Err(Refusal::StaleToken),
    }
}

/// Ends the attempt under way: the job succeeds, fails, or goes back to the queue. `response` is the stored
/// body, with [`Outcome::Responded`].
fn conclude(
    step: &mut Step,
    now: UnixMillis,
    random_permille: u16,
    outcome: Outcome,
    response: Option<&BodyRef>,
) {
    let outcome = outcome.resolved(&step.record.spec.plan);
    let status = match outcome {
        Outcome::Responded { status, .. } => Some(status),
        _ => None,
    };
    if !outcome.may_have_acted() {
        step.record.not_acted = step.record.not_acted.saturating_add(1);
    }
    match (classify(&step.record.spec.plan, &outcome), response) {
        (Verdict::Succeed, Some(result)) => {
            note_attempt(step, now, status, None);
            let result = result.clone();
            end(
                step,
                now,
                State::Succeeded {
                    finished: now,
                    result,
                },
            );
            step.effects.push(Effect::DropPayload);
        }
        (Verdict::Succeed, None) => fail(step, now, status, FailureCode::ResultNotStored, None),
        (Verdict::Fail(code), _) => fail(step, now, status, code, response),
        (
            Verdict::Retry {
                otherwise,
                at_least,
            },
            _,
        ) => {
            let record = &step.record;
            let plan = &record.spec.plan;
            let left = record.deadline().since(now);
            let wait = retry::next_wait(plan, record.attempt, random_permille, at_least, left);
            match wait.filter(|_| record.acted() < plan.attempts) {
                Some(wait) => {
                    note_attempt(step, now, status, Some(otherwise));
                    let due = now.plus(wait);
                    step.record.state = State::Queued { due };
                    step.effects.push(Effect::Enqueue(wait));
                    touch(step, now);
                }
                None => fail(step, now, status, otherwise, response),
            }
        }
    }
}

fn fail(
    step: &mut Step,
    now: UnixMillis,
    status: Option<u16>,
    code: FailureCode,
    response: Option<&BodyRef>,
) {
    note_attempt(step, now, status, Some(code));
    let failed = State::Failed {
        finished: now,
        failure: Failure { code, status },
        result: response.cloned(),
    };
    end(step, now, failed);
}

fn end(step: &mut Step, now: UnixMillis, state: State) {
    step.record.state = state;
    // Time may have just sent the job back to the queue, but an ended job needs no message.
    step.effects
        .retain(|effect| !matches!(effect, Effect::Enqueue(_)));
    touch(step, now);
}

/// Adds the attempt under way, if there is one, to the history. The caller sets the next state, which ends
/// the lease.
fn note_attempt(step: &mut Step, now: UnixMillis, status: Option<u16>, code: Option<FailureCode>) {
    let record = &mut step.record;
    if let Some(lease) = record.lease() {
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
