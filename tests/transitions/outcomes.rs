//! What an outcome means: the whole table, and that nothing ambiguous is repeated by accident.

use raincheck::job::{
    FailureCode, MAY_HAVE_ACTED, Millis, NOT_ACTED_ON, Outcome, Plan, Status, Verdict, classify,
};

use super::support::jobs::{at, plan, running};
use super::{finish, responded, step};

fn repeatable() -> Plan {
    Plan {
        repeatable: true,
        ..plan()
    }
}

fn retries(plan: &Plan, outcome: &Outcome) -> bool {
    matches!(classify(plan, outcome), Verdict::Retry { .. })
}

#[test]
fn each_outcome_has_its_verdict() {
    use FailureCode as Code;
    let retry = |otherwise| Verdict::Retry {
        otherwise,
        at_least: Millis(0),
    };
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
    for (outcome, once, again) in table {
        assert_eq!(
            classify(&plan(), &outcome),
            once,
            "{outcome:?}, not repeatable"
        );
        assert_eq!(
            classify(&repeatable(), &outcome),
            again,
            "{outcome:?}, repeatable"
        );
    }
}

#[test]
fn every_status_is_final_unless_it_is_known_to_be_worth_another_try() {
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
fn a_list_of_statuses_makes_no_lost_answer_repeatable() {
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
    record.attempt = record.spec.plan.attempts;
    let step = step(&record, &finish(responded(503)), at(1));
    assert_eq!(step.record.status(), Status::Failed);
    let failure = step.record.failure().unwrap();
    assert_eq!(
        (failure.code, failure.status),
        (FailureCode::OriginError, Some(503))
    );
    assert!(step.record.result().is_some());
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
