//! What each outcome means, and that no attempt of unknown outcome is retried by accident.

use raincheck::job::FailureCode as Code;
use raincheck::job::{
    BodyLoss, Event, FailureCode, MAY_HAVE_ACTED, Millis, NOT_ACTED_ON, Outcome, Plan, Record,
    Status, UnixMillis, Verdict, WAIT_MIN, classify,
};

use super::support::jobs::{TOKEN, at, inline_body, plan, queued, running};
use super::{claim, finish, head_only, responded, step};

fn repeatable() -> Plan {
    Plan {
        repeatable: true,
        ..plan()
    }
}

fn retries(plan: &Plan, outcome: &Outcome) -> bool {
    matches!(classify(plan, outcome), Verdict::Retry { .. })
}

const fn retry(otherwise: Code) -> Verdict {
    Verdict::Retry {
        otherwise,
        at_least: Millis(0),
    }
}

#[test]
fn each_outcome_has_its_verdict() {
    let table: [(Outcome, Verdict, Verdict); 10] = [
        (responded(200), Verdict::Succeed, Verdict::Succeed),
        (responded(399), Verdict::Succeed, Verdict::Succeed),
        (
            responded(400),
            Verdict::Fail(Code::OriginError),
            Verdict::Fail(Code::OriginError),
        ),
        (
            responded(503),
            retry(Code::OriginError),
            retry(Code::OriginError),
        ),
        (
            Outcome::Unreachable,
            retry(Code::OriginUnreachable),
            retry(Code::OriginUnreachable),
        ),
        (
            Outcome::PayloadUnavailable,
            retry(Code::PayloadUnavailable),
            retry(Code::PayloadUnavailable),
        ),
        (
            Outcome::Unknown,
            Verdict::Fail(Code::OutcomeUnknown),
            retry(Code::OutcomeUnknown),
        ),
        (
            Outcome::Malformed,
            Verdict::Fail(Code::OriginProtocolError),
            retry(Code::OriginProtocolError),
        ),
        (
            Outcome::NotStored,
            Verdict::Fail(Code::ResultNotStored),
            retry(Code::ResultNotStored),
        ),
        (
            Outcome::TooLarge,
            Verdict::Fail(Code::ResultTooLarge),
            Verdict::Fail(Code::ResultTooLarge),
        ),
    ];
    judge(&table);
}

#[test]
fn a_status_decides_without_its_body_only_where_it_leads_to_a_retry() {
    let table = [
        (
            head_only(200, BodyLoss::Broken),
            Verdict::Fail(Code::OutcomeUnknown),
            retry(Code::OutcomeUnknown),
        ),
        (
            head_only(200, BodyLoss::TooLarge),
            Verdict::Fail(Code::ResultTooLarge),
            Verdict::Fail(Code::ResultTooLarge),
        ),
        (
            head_only(404, BodyLoss::NotStored),
            Verdict::Fail(Code::ResultNotStored),
            retry(Code::ResultNotStored),
        ),
        (
            head_only(500, BodyLoss::Broken),
            Verdict::Fail(Code::OutcomeUnknown),
            retry(Code::OriginError),
        ),
        (
            head_only(503, BodyLoss::Broken),
            retry(Code::OriginError),
            retry(Code::OriginError),
        ),
        (
            head_only(503, BodyLoss::TooLarge),
            retry(Code::OriginError),
            retry(Code::OriginError),
        ),
    ];
    judge(&table);
}

/// Compares the verdicts with those of a plan that is not repeatable, and of one that is.
fn judge(table: &[(Outcome, Verdict, Verdict)]) {
    for (outcome, once, again) in table {
        assert_eq!(
            classify(&plan(), outcome),
            *once,
            "{outcome:?}, not repeatable"
        );
        assert_eq!(
            classify(&repeatable(), outcome),
            *again,
            "{outcome:?}, repeatable"
        );
    }
}

#[test]
fn every_status_is_final_unless_it_is_retryable() {
    for status in 200..=599 {
        let safe = NOT_ACTED_ON.contains(&status);
        let ambiguous = MAY_HAVE_ACTED.contains(&status);
        assert!(!(safe && ambiguous), "{status}");
        assert_eq!(
            retries(&plan(), &responded(status)),
            safe,
            "{status}, not repeatable"
        );
        assert_eq!(
            retries(&repeatable(), &responded(status)),
            safe || ambiguous,
            "{status}, repeatable"
        );
    }
}

#[test]
fn a_rule_that_lists_statuses_retries_those_and_no_others() {
    for repeatable in [false, true] {
        let listed = Plan {
            retry_statuses: Some(vec![409, 500]),
            repeatable,
            ..plan()
        };
        for status in 200..=599 {
            let expected = [409, 500].contains(&status);
            assert_eq!(retries(&listed, &responded(status)), expected, "{status}");
        }
    }
}

#[test]
fn retry_statuses_do_not_make_a_lost_response_repeatable() {
    let listed = Plan {
        retry_statuses: Some((400..=599).collect()),
        ..plan()
    };
    for outcome in [Outcome::Unknown, Outcome::Malformed, Outcome::NotStored] {
        assert!(!retries(&listed, &outcome), "{outcome:?}");
    }
}

#[test]
fn a_success_listed_for_retry_stays_a_success() {
    let listed = Plan {
        retry_statuses: Some(vec![200]),
        ..plan()
    };
    assert_eq!(classify(&listed, &responded(200)), Verdict::Succeed);
}

#[test]
fn the_response_that_exhausts_the_attempts_becomes_the_result() {
    let mut record = running();
    record.spec.plan = repeatable();
    record.attempt = record.spec.plan.attempts;
    let step = step(&record, &finish(responded(500)), at(1));
    assert_eq!(step.record.status(), Status::Failed);
    let failure = step.record.failure().unwrap();
    assert_eq!(
        (failure.code, failure.status),
        (FailureCode::OriginError, Some(500))
    );
    assert!(step.record.result().is_some());
}

#[test]
fn an_outcome_counts_unless_the_origin_certainly_did_not_act() {
    for status in 200..=599 {
        let counts = !NOT_ACTED_ON.contains(&status);
        assert_eq!(responded(status).may_have_acted(), counts, "{status}");
    }
    let table = [
        (Outcome::Unreachable, false),
        (Outcome::PayloadUnavailable, false),
        (Outcome::Unknown, true),
        (Outcome::Malformed, true),
        (Outcome::TooLarge, true),
        (Outcome::NotStored, true),
        (head_only(200, BodyLoss::Broken), true),
        (head_only(503, BodyLoss::Broken), false),
    ];
    for (outcome, counts) in table {
        assert_eq!(outcome.may_have_acted(), counts, "{outcome:?}");
    }
}

/// Runs attempts with this outcome, each as soon as it may begin, until the job ends.
fn run_to_its_end(mut record: Record, outcome: Outcome) -> (Record, UnixMillis) {
    let mut now = at(0);
    while let Some(due) = record.due() {
        now = now.max(due);
        record = step(&record, &claim(), now).record;
        let report = Event::Finish {
            token: TOKEN + 1,
            outcome,
            result: matches!(outcome, Outcome::Responded { .. }).then(|| inline_body(2)),
        };
        record = step(&record, &report, now).record;
    }
    (record, now)
}

#[test]
fn attempts_that_did_not_act_are_retried_until_none_fits_before_the_deadline() {
    let mut outcomes: Vec<Outcome> = NOT_ACTED_ON.map(responded).to_vec();
    outcomes.extend([Outcome::Unreachable, Outcome::PayloadUnavailable]);
    for outcome in outcomes {
        let (record, now) = run_to_its_end(queued(), outcome);
        let left = queued().deadline().since(now);
        assert_eq!(record.status(), Status::Failed, "{outcome:?}");
        assert!(left < Millis(2 * WAIT_MIN.0), "{outcome:?}: {left:?} left");
        assert!(record.attempt > 20, "{outcome:?}: {}", record.attempt);
        assert_eq!(record.acted(), 0, "{outcome:?}");
        let is_response = matches!(outcome, Outcome::Responded { .. });
        assert_eq!(record.result().is_some(), is_response, "{outcome:?}");
        let code = record.failure().unwrap().code;
        assert_ne!(code, FailureCode::DeadlineExceeded, "{outcome:?}");
    }
}

#[test]
fn attempts_that_may_have_acted_are_limited_whatever_came_between() {
    let mut record = queued();
    record.spec.plan = repeatable();
    let (exhausted, _) = run_to_its_end(record.clone(), responded(500));
    assert_eq!((exhausted.attempt, exhausted.acted()), (3, 3));
    record.attempt = 7;
    record.not_acted = 6;
    let (exhausted, _) = run_to_its_end(record, Outcome::Unknown);
    assert_eq!((exhausted.attempt, exhausted.acted()), (9, 3));
    assert_eq!(
        exhausted.failure().unwrap().code,
        FailureCode::OutcomeUnknown
    );
}

#[test]
fn a_status_that_a_rule_lists_counts_only_if_the_origin_may_have_acted() {
    let mut record = queued();
    record.spec.plan.retry_statuses = Some(vec![409, 429]);
    let (counted, _) = run_to_its_end(record.clone(), responded(409));
    assert_eq!(counted.attempt, record.spec.plan.attempts);
    let (uncounted, _) = run_to_its_end(record.clone(), responded(429));
    assert!(uncounted.attempt > record.spec.plan.attempts);
    let (unlisted, _) = run_to_its_end(record, responded(503));
    assert_eq!(unlisted.attempt, 1, "the list replaces the usual one");
}

#[test]
fn the_list_of_a_rule_decides_about_a_response_that_breaks_off() {
    let mut record = running();
    record.spec.plan.retry_statuses = Some(vec![409]);
    let report = |status| Event::Finish {
        token: TOKEN,
        outcome: head_only(status, BodyLoss::Broken),
        result: None,
    };
    let left_out = step(&record, &report(503), at(1)).record;
    let failure = left_out.failure().unwrap();
    assert_eq!(
        (failure.code, failure.status, left_out.result()),
        (FailureCode::OriginError, Some(503), None)
    );
    let listed = step(&record, &report(409), at(1)).record;
    assert_eq!(listed.status(), Status::Queued);
    assert_eq!(listed.history[0].status, Some(409));
}

#[test]
fn a_busy_response_without_its_body_is_retried() {
    let report = Event::Finish {
        token: TOKEN,
        outcome: responded(503),
        result: None,
    };
    let record = step(&running(), &report, at(1)).record;
    assert_eq!((record.status(), record.acted()), (Status::Queued, 0));
}

#[test]
fn a_response_without_its_body_counts_as_not_stored() {
    let report = Event::Finish {
        token: TOKEN,
        outcome: responded(200),
        result: None,
    };
    let step = step(&running(), &report, at(1));
    let failure = step.record.failure().unwrap();
    assert_eq!(failure.code, FailureCode::ResultNotStored);
    assert_eq!(step.effects, [raincheck::job::Effect::DropResult]);
}

#[test]
fn a_failure_without_a_response_has_no_result_even_if_one_is_sent_along() {
    let report = raincheck::job::Event::Finish {
        token: super::support::jobs::TOKEN,
        outcome: Outcome::TooLarge,
        result: Some(super::support::jobs::inline_body(2)),
    };
    let step = step(&running(), &report, at(1));
    assert_eq!(step.record.result(), None);
    assert_eq!(step.effects, [raincheck::job::Effect::DropResult]);
}

#[test]
fn the_names_of_failures_are_those_that_are_stored() {
    for code in FailureCode::ALL {
        let stored = serde_json::to_string(&code).unwrap();
        assert_eq!(stored, format!("\"{}\"", code.as_str()));
    }
}
