//! The limits in time: behaviour one millisecond before each, and at it.

use raincheck::job::{
    Effect, Event, FailureCode, Lease, Millis, Outcome, Record, Refusal, State, Status, UnixMillis,
    wake,
};

use super::grid::{cells, event, state};
use super::support::jobs::{DEADLINE, LEASE, TOKEN, at, queued, running};
use super::{claim, finish, renew, responded, step};

const PATIENCE: Millis = Millis(30_000);

fn code(record: &Record) -> Option<FailureCode> {
    record.failure().map(|failure| failure.code)
}

#[test]
fn the_deadline_itself_is_too_late() {
    let before = step(&queued(), &claim(), at(DEADLINE.0 - 1));
    assert_eq!(before.record.status(), Status::Running);
    let on_time = step(&queued(), &claim(), at(DEADLINE.0));
    assert_eq!(on_time.record.status(), Status::Failed);
    assert_eq!(code(&on_time.record), Some(FailureCode::DeadlineExceeded));
    assert_eq!(on_time.refused, Some(Refusal::Ended));
}

#[test]
fn a_report_counts_until_the_millisecond_before_the_lease_ends() {
    let success = finish(responded(200));
    let in_time = step(&running(), &success, at(LEASE.0 - 1));
    assert_eq!(in_time.record.status(), Status::Succeeded);
    let late = step(&running(), &success, at(LEASE.0));
    assert_eq!(code(&late.record), Some(FailureCode::OutcomeUnknown));
    assert_eq!(late.effects, [Effect::DropResult]);
}

#[test]
fn an_attempt_begins_no_earlier_than_it_is_due() {
    let waiting = Record {
        state: State::Queued { due: at(2_000) },
        ..queued()
    };
    let early = step(&waiting, &claim(), at(1_999));
    assert_eq!(early.refused, Some(Refusal::TooEarly(at(2_000))));
    assert!(!early.changed);
    assert_eq!(
        step(&waiting, &claim(), at(2_000)).record.status(),
        Status::Running
    );
}

#[test]
fn a_queued_job_without_attempts_left_is_not_claimed() {
    // No step creates such a record, but another build may have written one.
    let spent = Record {
        attempt: queued().spec.plan.attempts,
        ..queued()
    };
    let claimed = step(&spent, &claim(), at(1));
    assert_eq!(claimed.refused, Some(Refusal::Ended));
    assert!(!claimed.changed);
}

#[test]
fn a_lease_never_reaches_beyond_the_deadline() {
    let late = at(DEADLINE.0 - 10);
    assert_eq!(
        step(&queued(), &claim(), late).record.lease().unwrap().ends,
        at(DEADLINE.0)
    );
    let long = Event::Renew {
        token: TOKEN,
        lease: Millis(u64::MAX),
    };
    assert_eq!(
        step(&running(), &long, at(1)).record.lease().unwrap().ends,
        at(DEADLINE.0)
    );
}

#[test]
fn a_renewal_counts_from_now_and_does_not_change_the_version() {
    let renewed = step(&running(), &renew(), at(4_000));
    assert_eq!(renewed.record.lease().unwrap().ends, at(4_000 + LEASE.0));
    assert_eq!(renewed.record.version, running().version);
    assert!(renewed.changed);
}

#[test]
fn a_renewal_that_gains_no_time_writes_nothing() {
    let again = step(&running(), &renew(), at(0));
    assert_eq!(again.record, running());
    assert!(!again.changed);
    assert_eq!(again.refused, None);
}

#[test]
fn a_clock_that_went_back_does_not_shorten_a_lease() {
    let renewed = step(&running(), &renew(), UnixMillis(1_000));
    assert_eq!(renewed.record, running());
    assert!(!renewed.changed);
    assert_eq!(renewed.refused, None);
}

#[test]
fn a_clock_that_went_back_grants_no_second_claim() {
    let past = UnixMillis(0);
    assert_eq!(
        step(&running(), &claim(), past).refused,
        Some(Refusal::Leased)
    );
    let waiting = step(&queued(), &claim(), past);
    assert_eq!(waiting.refused, Some(Refusal::TooEarly(at(0))));
    assert_eq!(step(&queued(), &Event::Elapsed, past).record, queued());
}

#[test]
fn every_active_job_has_ended_when_the_clock_is_a_year_ahead() {
    let ahead = at(365 * 86_400_000);
    for record in [queued(), running()] {
        let step = step(&record, &Event::Elapsed, ahead);
        assert_eq!(code(&step.record), Some(FailureCode::DeadlineExceeded));
        assert_eq!(wake(&step.record, PATIENCE), None);
    }
}

/// The record after a third attempt that ended `left` before the deadline without having reached the
/// origin. The first wait of the backoff is four seconds, the next one would be sixteen.
fn refused_with(left: u64) -> Record {
    let lease = Lease {
        ends: at(DEADLINE.0),
        ..running().lease().unwrap()
    };
    let mut running = running();
    running.attempt = 3;
    running.spec.plan.backoff.initial = Millis(4_000);
    running.spec.plan.backoff.max = Millis(60_000);
    running.state = State::Running { lease };
    let unreachable = finish(Outcome::Unreachable);
    step(&running, &unreachable, at(DEADLINE.0 - left)).record
}

#[test]
fn a_wait_that_would_reach_the_deadline_is_cut_to_half_of_what_remains() {
    assert_eq!(refused_with(16_001).due(), Some(at(DEADLINE.0 - 1)));
    assert_eq!(refused_with(16_000).due(), Some(at(DEADLINE.0 - 8_000)));
    assert_eq!(refused_with(8_000).due(), Some(at(DEADLINE.0 - 4_000)));
}

#[test]
fn a_retry_that_does_not_fit_before_the_deadline_fails_at_once_with_the_reason() {
    let late = refused_with(7_999);
    assert_eq!(code(&late), Some(FailureCode::OriginUnreachable));
}

#[test]
fn a_repeated_claim_is_granted_again_and_writes_nothing_while_its_lease_lasts() {
    let again = Event::Claim {
        token: TOKEN,
        lease: LEASE,
        unsent: Vec::new(),
    };
    let repeated = step(&running(), &again, at(LEASE.0 / 2));
    assert_eq!((repeated.refused, repeated.changed), (None, false));
    assert_eq!(repeated.record, running());
    let late = step(&running(), &again, at(LEASE.0 / 2 + 1));
    assert_eq!((late.refused, late.changed), (None, true));
    assert_eq!(
        late.record.lease().unwrap().ends,
        at(LEASE.0 / 2 + 1 + LEASE.0)
    );
    assert_eq!(late.record.attempt, 1, "the same attempt");
}

#[test]
fn a_lease_under_which_nothing_was_sent_is_taken_over_as_the_same_attempt() {
    let over = Event::Claim {
        token: TOKEN + 1,
        lease: LEASE,
        unsent: vec![TOKEN - 1, TOKEN],
    };
    let taken = step(&running(), &over, at(500));
    assert_eq!((taken.refused, taken.changed), (None, true));
    let lease = taken.record.lease().unwrap();
    assert_eq!((lease.token, lease.ends), (TOKEN + 1, at(500 + LEASE.0)));
    assert_eq!(taken.record.attempt, 1);
    assert_eq!(
        step(&taken.record, &finish(responded(200)), at(600)).refused,
        Some(Refusal::StaleToken),
        "the old token counts no more"
    );
    let other = Event::Claim {
        token: TOKEN + 1,
        lease: LEASE,
        unsent: vec![TOKEN + 5, TOKEN + 6],
    };
    assert_eq!(
        step(&running(), &other, at(500)).refused,
        Some(Refusal::Leased),
        "somebody else's lease is not taken over"
    );
}

#[test]
fn retry_after_is_honoured_up_to_the_longest_wait() {
    let asks = |secs: u64| {
        finish(Outcome::Responded {
            status: 503,
            retry_after: Some(Millis::from_secs(secs)),
        })
    };
    assert_eq!(
        step(&running(), &asks(3), at(0)).record.due(),
        Some(at(3_000))
    );
    assert_eq!(
        step(&running(), &asks(86_400), at(0)).record.due(),
        Some(at(5_000))
    );
    assert_eq!(
        step(&running(), &asks(0), at(0)).record.due(),
        Some(at(1_000))
    );
}

#[test]
fn the_wait_grows_with_each_attempt() {
    for (attempt, wait) in [(1, 1_000), (2, 2_000)] {
        let record = Record {
            attempt,
            ..running()
        };
        assert_eq!(
            step(&record, &finish(Outcome::Unreachable), at(0))
                .record
                .due(),
            Some(at(wait))
        );
    }
}

#[test]
fn times_at_the_end_of_the_range_do_not_overflow() {
    let end = UnixMillis(u64::MAX);
    for (state_name, event_name, _) in cells() {
        let (mut record, _) = state(state_name);
        let event = match event(event_name) {
            Event::Claim { token, unsent, .. } => Event::Claim {
                token,
                lease: Millis(u64::MAX),
                unsent,
            },
            Event::Renew { token, .. } => Event::Renew {
                token,
                lease: Millis(u64::MAX),
            },
            other => other,
        };
        let _ = step(&record, &event, end);
        record.spec.deadline = Millis(u64::MAX);
        record.attempt = u32::MAX;
        record.version = u32::MAX;
        record.dead_letters = u32::MAX;
        record.spec.plan.attempts = u32::MAX;
        record.spec.plan.backoff.max = Millis(u64::MAX);
        let _ = step(&record, &event, UnixMillis(u64::MAX - 1));
        let _ = wake(&record, Millis(u64::MAX));
    }
}

#[test]
fn only_active_records_need_a_wake_up_by_their_deadline() {
    for (name, _, _) in cells() {
        let (record, _) = state(name);
        match wake(&record, PATIENCE) {
            None => assert!(record.status().is_terminal(), "{name}"),
            Some(at) => assert!(at <= record.deadline(), "{name}"),
        }
    }
}

#[test]
fn a_queued_job_is_checked_when_its_message_should_have_been_claimed() {
    assert_eq!(wake(&queued(), PATIENCE), Some(at(PATIENCE.0)));
    let due = at(DEADLINE.0 - 1);
    let due_late = Record {
        state: State::Queued { due },
        ..queued()
    };
    assert_eq!(wake(&due_late, PATIENCE), Some(at(DEADLINE.0)));
}

#[test]
fn a_running_job_is_settled_when_its_lease_ends() {
    let record = running();
    let due = wake(&record, PATIENCE).unwrap();
    assert_eq!(due, at(LEASE.0));
    assert!(!step(&record, &Event::Elapsed, UnixMillis(due.0 - 1)).changed);
    assert!(step(&record, &Event::Elapsed, due).changed);
}
