//! The effects of each step.

use raincheck::job::{Effect, Event, FailureCode, HISTORY_MAX, Millis, Outcome, Record, Status};

use super::grid::{cells, event, state};
use super::support::jobs::{LEASE, TOKEN, at, queued, running};
use super::{claim, finish, responded, step};

fn counted(effects: &[Effect], wanted: impl Fn(&Effect) -> bool) -> usize {
    effects.iter().filter(|effect| wanted(effect)).count()
}

#[test]
fn only_a_report_says_once_whether_its_response_is_kept() {
    for (state_name, event_name, cell) in cells() {
        let (before, now) = state(state_name);
        let step = step(&before, &event(event_name), now);
        let kept = counted(&step.effects, |effect| *effect == Effect::KeepResult);
        let dropped = counted(&step.effects, |effect| *effect == Effect::DropResult);
        let name = format!("{state_name} + {event_name}");
        match event(event_name) {
            Event::Finish { .. } => {
                assert_eq!(kept + dropped, 1, "{name}");
                let ends = step.refused.is_none() && step.record.status().is_terminal();
                let is_response = event_name != "lost";
                assert_eq!(kept == 1, ends && is_response, "{name} gives {cell}");
                assert_eq!(
                    step.record.result().is_some() && !before.status().is_terminal(),
                    kept == 1
                );
            }
            _ => assert_eq!(kept + dropped, 0, "{name}"),
        }
    }
}

#[test]
fn the_payload_is_dropped_on_success_and_cancel_and_kept_after_failure() {
    for (state_name, event_name, _) in cells() {
        let (before, now) = state(state_name);
        let step = step(&before, &event(event_name), now);
        let dropped = counted(&step.effects, |effect| *effect == Effect::DropPayload);
        let ends_now = step.record.status().is_terminal() && !before.status().is_terminal();
        let expected = usize::from(ends_now && step.record.status() != Status::Failed);
        assert_eq!(dropped, expected, "{state_name} + {event_name}");
    }
}

#[test]
fn a_retry_gets_a_message_for_when_it_is_due() {
    for (state_name, event_name, _) in cells() {
        let (before, now) = state(state_name);
        let step = step(&before, &event(event_name), now);
        let delays: Vec<Millis> = step
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Enqueue(delay) => Some(*delay),
                _ => None,
            })
            .collect();
        let retried = before.status() == Status::Running && step.record.status() == Status::Queued;
        let revived = event_name == "dead" && step.record.status() == Status::Queued;
        let name = format!("{state_name} + {event_name}");
        assert_eq!(delays.is_empty(), !(retried || revived), "{name}");
        for delay in delays {
            assert_eq!(
                Some(now.plus(delay)),
                step.record.due().map(|due| due.max(now)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_claim_counts_an_attempt_and_holds_its_token_until_the_lease_ends() {
    let granted = step(&queued(), &claim(), at(500)).record;
    let lease = granted.lease().unwrap();
    assert_eq!(granted.attempt, 1);
    assert_eq!(granted.started, Some(at(500)));
    assert_eq!(
        (lease.token, lease.began, lease.ends),
        (TOKEN + 1, at(500), at(500 + LEASE.0))
    );
}

#[test]
fn the_first_start_is_kept_through_later_attempts() {
    let waiting = step(&running(), &finish(responded(503)), at(500)).record;
    let again = step(&waiting, &claim(), at(5_000)).record;
    assert_eq!((again.attempt, again.started), (2, running().started));
}

#[test]
fn each_attempt_adds_an_entry_to_the_history() {
    let outcomes: [(Event, Option<u16>, Option<&str>); 5] = [
        (finish(responded(200)), Some(200), None),
        (finish(responded(404)), Some(404), Some("origin_error")),
        (finish(responded(503)), Some(503), Some("origin_error")),
        (
            finish(Outcome::Unreachable),
            None,
            Some("origin_unreachable"),
        ),
        (Event::Cancel, None, None),
    ];
    for (event, status, code) in outcomes {
        let record = step(&running(), &event, at(900)).record;
        let note = record.history.last().unwrap();
        assert_eq!(record.history.len(), 1, "{event:?}");
        assert_eq!(
            (note.attempt, note.began, note.ended),
            (1, at(0), at(900)),
            "{event:?}"
        );
        assert_eq!(
            (note.status, note.code.map(FailureCode::as_str)),
            (status, code),
            "{event:?}"
        );
    }
}

#[test]
fn a_job_that_never_ran_has_no_history() {
    assert!(
        step(&queued(), &Event::Cancel, at(1))
            .record
            .history
            .is_empty()
    );
    assert!(
        step(&queued(), &Event::Elapsed, queued().deadline())
            .record
            .history
            .is_empty()
    );
}

#[test]
fn the_history_keeps_the_latest_attempts_and_stays_bounded() {
    let mut record = queued();
    record.spec.plan.attempts = 100;
    record.spec.deadline = Millis(10_000_000);
    let mut now = 0;
    for _ in 0..60 {
        now += 10_000;
        record = step(&record, &claim(), at(now)).record;
        let report = Event::Finish {
            token: TOKEN + 1,
            outcome: Outcome::Unreachable,
            result: None,
        };
        record = step(&record, &report, at(now + 1)).record;
    }
    assert_eq!(record.attempt, 60);
    assert_eq!(record.history.len(), HISTORY_MAX);
    assert_eq!(record.history.last().unwrap().attempt, 60);
    assert_eq!(
        record.history[0].attempt,
        60 - u32::try_from(HISTORY_MAX).unwrap() + 1
    );
}

#[test]
fn a_dead_letter_is_counted_but_not_shown_as_a_change() {
    for record in [queued(), running()] {
        let step = step(&record, &Event::DeadLettered, at(500));
        assert_eq!(
            step.record,
            Record {
                dead_letters: 1,
                ..record
            }
        );
        assert!(step.changed);
    }
}

#[test]
fn a_dead_letter_of_a_running_job_sends_nothing_because_its_lease_is_watched() {
    assert_eq!(step(&running(), &Event::DeadLettered, at(500)).effects, []);
}
