//! Queues that lose and repeat messages, and messages that a queue gives up on.

use std::time::{Duration, Instant};

use chrono::DateTime;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Setup, with_faulty_platform};
use crate::job::Case;
use crate::origin::Origin;
use crate::store::Store;

use super::{LONG, accepted, assert_attempts, set, start, succeeds};

/// Of their first messages about 300 are lost, and 300 come three times.
const JOBS: usize = 1000;

/// Longest wait for messages that are only thrown away.
const TAKEN_WITHIN: Duration = Duration::from_mins(1);

/// How often a queue delivers a message that is always handed back: once, and `max_retries` of wrangler.toml.
const LATER_DELIVERIES: u32 = 4;

/// `claim_patience` of the first test.
const PATIENCE_MS: i64 = 1000;

#[tokio::test]
async fn lost_and_tripled_messages_do_no_harm() {
    let setup = Setup {
        change: Some(|wrangler| {
            with_faulty_platform(wrangler);
            set(wrangler, "TEST_FAULT", "unreliable-queues");
        }),
        ..Setup::default()
    };
    let gateway = start(Origin::shared().address, "1s", LONG, setup);
    let mut jobs = Vec::new();
    while jobs.len() < JOBS {
        let cases: Vec<Case> = (0..25).map(|_| Case::new()).collect();
        let some = cases
            .iter()
            .map(|case| accepted(&gateway, case, "/once/echo?", 100));
        let some = join_all(some).await;
        jobs.extend(cases.into_iter().zip(some));
    }
    let mut late = 0;
    for (case, job) in &jobs {
        let document = succeeds(job, 100).await;
        assert_attempts(case, 1);
        let waited = time(&document, "started") - time(&document, "created");
        late += usize::from(waited >= PATIENCE_MS);
    }
    assert!(late > 0, "no message was lost");
}

/// Their messages go to the queue in few calls, several in each.
#[tokio::test]
async fn jobs_accepted_together_run_without_help_of_the_alarm() {
    // With such a patience no message is sent again in time.
    let gateway = start(Origin::shared().address, "20m", LONG, Setup::default());
    let cases: Vec<Case> = (0..60).map(|_| Case::new()).collect();
    let jobs = cases
        .iter()
        .map(|case| accepted(&gateway, case, "/once/echo?", 100));
    for job in join_all(jobs).await {
        succeeds(&job, 100).await;
    }
    for case in &cases {
        assert_attempts(case, 1);
    }
}

/// Otherwise the job would wait for a lease to lapse under which nothing was sent, and then fail as unknown.
#[tokio::test]
async fn a_message_whose_claims_had_no_response_is_replaced_by_one_that_takes_the_lease_over() {
    let setup = Setup {
        change: Some(|wrangler| {
            with_faulty_platform(wrangler);
            set(wrangler, "TEST_FAULT", "claims-unheard");
            for consumer in wrangler["queues"]["consumers"].as_array_mut().unwrap() {
                consumer["retry_delay"] = json!(0);
            }
        }),
        ..Setup::default()
    };
    // A consumer tries to claim for a quarter of a lease. With such a patience the alarm sends no message.
    let gateway = start(Origin::shared().address, "20m", "20s", setup);
    let case = Case::new();
    let job = accepted(&gateway, &case, "/once/echo?", 100).await;
    let document = succeeds(&job, 100).await;
    assert_eq!(document["attempt"], 1, "{document:#}");
    assert_attempts(&case, 1);
    let log = gateway.log();
    assert!(log.contains("claim unheard"), "{log}");
    assert_eq!(log.matches("claim answered").count(), 1, "{log}");
}

fn time(document: &Value, member: &str) -> i64 {
    let text = document[member].as_str().unwrap();
    DateTime::parse_from_rfc3339(text)
        .unwrap()
        .timestamp_millis()
}

#[tokio::test]
async fn a_job_whose_message_became_a_dead_letter_still_ends() {
    let setup = Setup {
        change: Some(|wrangler| {
            with_faulty_platform(wrangler);
            set(wrangler, "TEST_FAULT", "consumer-fails");
            set(wrangler, "LOCAL_CONSUMER", "");
            for consumer in wrangler["queues"]["consumers"].as_array_mut().unwrap() {
                consumer["max_retries"] = json!(1);
                consumer["retry_delay"] = json!(0);
                consumer["max_batch_timeout"] = json!(1);
            }
        }),
        ..Setup::default()
    };
    // With such a patience nothing but the dead letter can bring the job back in time.
    let gateway = start(Origin::shared().address, "20m", LONG, setup);
    let case = Case::new();
    let job = accepted(&gateway, &case, "/once/echo?", 100).await;
    succeeds(&job, 100).await;
    assert_attempts(&case, 1);
    let records = Store::of(&gateway).records();
    assert!(
        records[0]["dead_letters"].as_u64() >= Some(1),
        "{records:#?}"
    );
}

/// As it is deployed: a batch brings several messages, and ends with its last job.
fn attached(wrangler: &mut Value) {
    let vars = wrangler["vars"].as_object_mut().unwrap();
    vars.remove("LOCAL_CONSUMER");
    for consumer in wrangler["queues"]["consumers"].as_array_mut().unwrap() {
        consumer["max_batch_size"] = json!(100);
        consumer["max_batch_timeout"] = json!(1);
        // What is put back comes again within the test.
        consumer["retry_delay"] = json!(0);
    }
}

#[tokio::test]
async fn bad_messages_are_dropped_those_of_a_later_build_come_again_and_the_others_of_their_batch_run()
 {
    let setup = Setup {
        change: Some(|wrangler| {
            with_faulty_platform(wrangler);
            set(wrangler, "TEST_FAULT", "bad-messages");
            attached(wrangler);
        }),
        ..Setup::default()
    };
    // With such a patience no message is sent again in time.
    let gateway = start(Origin::shared().address, "20m", LONG, setup);
    let cases: Vec<Case> = (0..20).map(|_| Case::new()).collect();
    let jobs = cases
        .iter()
        .map(|case| accepted(&gateway, case, "/once/echo?ms=500&", 100));
    let mut spans = Vec::new();
    for job in join_all(jobs).await {
        let document = succeeds(&job, 100).await;
        assert_eq!(document["attempt"], 1, "{document:#}");
        spans.push((time(&document, "started"), time(&document, "finished")));
    }
    spans.sort_unstable();
    let overlap = |pair: &[(i64, i64)]| pair[1].0 < pair[0].1;
    assert!(
        spans.windows(2).any(overlap),
        "one after the other: {spans:?}"
    );
    for case in &cases {
        assert_attempts(case, 1);
    }
    assert_each_was_taken_once_or_handed_back(&gateway).await;
    for trouble in ["Uncaught", "Rust failed", "gave up", "shard-"] {
        assert!(!gateway.log().contains(trouble), "{trouble}");
    }
}

/// All messages were acknowledged the first time, except those of a later build, and the log has a line about
/// each bad one. Those of a later build were delivered until the queue gave up on them, and became dead letters.
async fn assert_each_was_taken_once_or_handed_back(gateway: &Gateway) {
    let start = Instant::now();
    loop {
        let log = gateway.log();
        let numbers = |before: &str| -> Vec<usize> {
            log.lines()
                .filter_map(|line| line.split_once(before)?.1.split([' ', '/']).next())
                .map(|number| number.parse().unwrap())
                .collect()
        };
        let bad: usize = numbers("strewn: ").iter().sum();
        let all: usize = numbers("bad among ").iter().sum();
        let later: usize = numbers("later: ").iter().sum();
        // The runtime notes of each batch how many were acknowledged, and of how many.
        let taken: usize = numbers("QUEUE raincheck-normal ").iter().sum();
        assert!(taken <= all, "{taken} of {all}");
        let delivered = |queue: &str, time: u32| {
            log.matches(&format!("later build: {queue} delivery {time}."))
                .count()
        };
        let times: Vec<usize> = (1..=LATER_DELIVERIES)
            .map(|time| delivered("raincheck-normal", time))
            .collect();
        let dead = delivered("raincheck-dead", 1);
        if taken == all && times.iter().all(|count| *count == later) && dead == later {
            assert!(bad > 0 && log.matches("was dropped").count() == bad);
            return;
        }
        assert!(
            start.elapsed() < TAKEN_WITHIN,
            "{taken} of {all}, {later}: {times:?}, {dead}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
