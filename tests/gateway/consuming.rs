//! What a consumer does besides sending requests: which jobs run concurrently, which reports share a call,
//! and how long it waits for what.

use std::cell::RefCell;

use raincheck::consumer::{Disposal, run_batch};
use raincheck::job::{JobId, Millis};
use raincheck::rpc::message::{BEGIN_WITHIN, JOBS_PER_MESSAGE, Message};

use super::script::{Reaction, after, respond};
use super::world::{Fault, START, World};

/// A world whose origin responds to the requests, in their order, after so many milliseconds.
fn slow_world(spans: &[u64]) -> World {
    let slow = |span: &u64| after(*span, respond(200).body("ok"));
    World::new().rule("").origin(spans.iter().map(slow))
}

/// Accepts this many jobs and takes their messages from the queue.
fn accepted(world: &World, jobs: usize) -> Vec<JobId> {
    let ids = (0..jobs).map(|_| world.post("x").job()).collect();
    world.queue.borrow_mut().clear();
    ids
}

fn message(ids: &[JobId]) -> Message {
    let keys: Vec<String> = ids.iter().map(|id| id.key.0.to_string()).collect();
    let text = format!("{{\"v\":1,\"shard\":0,\"jobs\":[{}]}}", keys.join(","));
    Message::read(&text).unwrap()
}

/// Runs a batch. Returns which of its messages are to be redelivered.
fn consume_batch(world: &World, messages: Vec<Message>) -> Vec<usize> {
    let handed_back = RefCell::new(Vec::new());
    world.consuming.set(true);
    world.block_on(run_batch(
        world,
        &world.policy,
        messages.into_iter().enumerate().collect(),
        JOBS_PER_MESSAGE,
        async |index, disposal| {
            if disposal == Disposal::Retry {
                handed_back.borrow_mut().push(index);
            }
        },
    ));
    world.consuming.set(false);
    handed_back.into_inner()
}

fn millis(world: &World) -> u64 {
    world.clock.get().since(START).0
}

#[test]
fn jobs_that_end_together_share_one_claim_and_one_report() {
    for spans in [[1_000; 5], [1_000, 1_002, 1_004, 1_006, 1_008]] {
        let world = slow_world(&spans);
        let ids = accepted(&world, 5);
        assert_eq!(world.consume(&message(&ids)), Disposal::Acknowledge);
        assert!(ids.iter().all(|id| world.status_of(id) == "succeeded"));
        let calls = ["claim", "finish", "renew", "watch"].map(|name| world.times_called(name));
        assert_eq!(calls, [1, 1, 0, 0], "two calls for five jobs");
    }
}

#[test]
fn a_report_does_not_wait_for_a_slower_job_of_its_message() {
    let world = slow_world(&[1_000, 60_000]);
    let ids = accepted(&world, 2);
    let first = ids[0];
    world.after(1_020, move |world| {
        assert_eq!(world.status_of(&first), "succeeded");
    });
    world.consume(&message(&ids));
    assert_eq!(world.times_called("finish"), 2);
    assert_eq!(world.status_of(&ids[1]), "succeeded");
}

#[test]
fn a_job_that_is_alone_is_reported_at_once() {
    let world = slow_world(&[1_000]);
    let ids = accepted(&world, 1);
    world.consume(&message(&ids));
    assert_eq!(millis(&world), 1_000);
}

#[test]
fn a_report_that_cannot_be_serialized_does_not_block_the_others() {
    let world = slow_world(&[1_000, 1_000, 1_000]);
    let ids = accepted(&world, 3);
    let refuse = |world: &World, what| world.database(0).refused.set(what);
    let (one, two) = (ids[1], ids[2]);
    world.after(500, move |world| {
        refuse(world, Some(("UPDATE", Some(one.key.0))));
    });
    world.after(3_000, move |world| {
        assert_eq!(world.status_of(&one), "running");
        assert_eq!(world.status_of(&two), "succeeded");
        refuse(world, None);
    });
    world.consume(&message(&ids));
    assert!(ids.iter().all(|id| world.status_of(id) == "succeeded"));
    assert_eq!(world.times_sent(), 3);
}

#[test]
fn a_cancel_aborts_the_request_within_two_seconds() {
    for cancel_at in [500, 1_900, 10_000, 70_000, 300_000] {
        let world = World::new().rule("").origin([Reaction::Hang]);
        let ids = accepted(&world, 1);
        let id = ids[0];
        world.after(cancel_at, move |world| {
            world.request("DELETE", &format!("/jobs/{id}")).send();
        });
        world.consume(&message(&ids));
        assert_eq!((world.aborted.get(), world.times_sent()), (1, 1));
        let took = millis(&world) - cancel_at;
        assert!(took <= 2_000, "canceled at {cancel_at}: {took} ms");
        assert_eq!(world.times_called("finish"), 0);
    }
}

#[test]
fn a_short_job_is_not_watched() {
    let world = slow_world(&[1_999]);
    let ids = accepted(&world, 1);
    world.consume(&message(&ids));
    assert_eq!(world.times_called("watch"), 0);
    let world = slow_world(&[2_001]);
    let ids = accepted(&world, 1);
    world.consume(&message(&ids));
    assert_eq!(world.times_called("watch"), 1);
}

#[test]
fn a_broken_watch_is_reopened_and_ends_no_attempt() {
    let world = slow_world(&[50_000]).failing_times(3, "watch", Fault::Before);
    let ids = accepted(&world, 1);
    world.consume(&message(&ids));
    assert_eq!(world.status_of(&ids[0]), "succeeded");
    assert_eq!(world.times_called("watch"), 4);
}

#[test]
fn a_renewal_that_hangs_does_not_disable_the_time_out_of_the_attempt() {
    let world = World::new()
        .rule("attempt_timeout = \"50s\"")
        .origin([Reaction::Hang])
        .failing_times(100, "renew", Fault::Hang);
    let ids = accepted(&world, 1);
    world.consume(&message(&ids));
    assert_eq!((millis(&world), world.aborted.get()), (50_000, 1));
    assert_eq!(world.error_of(&ids[0]), "outcome_unknown");
}

#[test]
fn one_renewal_that_hangs_costs_no_attempt() {
    let world = slow_world(&[200_000]).failing("renew", Fault::Hang);
    let ids = accepted(&world, 1);
    world.consume(&message(&ids));
    assert_eq!(world.status_of(&ids[0]), "succeeded");
    assert_eq!(world.times_sent(), 1);
}

#[test]
fn a_report_is_repeated_while_the_lease_lasts() {
    for fault in [Fault::Before, Fault::Hang] {
        let world = slow_world(&[1_000]).failing_times(1_000, "finish", fault);
        let ids = accepted(&world, 1);
        // The lease is one minute.
        world.after(45_000, |world| world.heal("finish"));
        world.consume(&message(&ids));
        assert_eq!(world.status_of(&ids[0]), "succeeded", "{fault:?}");
        assert_eq!(world.times_sent(), 1);
        assert!(
            world.times_called("finish") < 20,
            "with waits between the calls"
        );
    }
}

#[test]
fn a_report_is_not_repeated_beyond_the_time_of_an_invocation() {
    let world = World::new()
        .rule("attempt_timeout = \"14m\"\ndeadline = \"1h\"")
        .origin([Reaction::Hang])
        .failing_times(10_000, "finish", Fault::Hang);
    let ids = accepted(&world, 1);
    world.consume(&message(&ids));
    assert!(millis(&world) > 14 * 60_000);
    assert!(millis(&world) < 15 * 60_000, "{}", millis(&world));
}

#[test]
fn a_clock_that_jumps_ends_no_attempt_early_or_late() {
    for jump in [3_600_000, -3_600_000] {
        let world = slow_world(&[40_000]);
        let ids = accepted(&world, 1);
        world.after(5_000, move |world| world.skew.set(jump));
        world.consume(&message(&ids));
        assert_eq!(world.status_of(&ids[0]), "succeeded", "{jump}");
        assert_eq!(millis(&world), 40_000);

        let world = World::new()
            .rule("attempt_timeout = \"20s\"")
            .origin([Reaction::Hang]);
        let ids = accepted(&world, 1);
        world.after(5_000, move |world| world.skew.set(jump));
        world.consume(&message(&ids));
        assert_eq!((millis(&world), world.aborted.get()), (20_000, 1), "{jump}");
    }
}

#[test]
fn a_claim_that_hangs_is_repeated_in_time() {
    let world = slow_world(&[1_000]).failing("claim", Fault::Hang);
    let ids = accepted(&world, 1);
    assert_eq!(world.consume(&message(&ids)), Disposal::Acknowledge);
    assert_eq!(world.status_of(&ids[0]), "succeeded");
    assert!(millis(&world) < 15_000, "{}", millis(&world));
}

#[test]
fn a_claim_without_a_response_hands_the_message_back_before_its_lease_ends() {
    let world = slow_world(&[]).failing_times(1_000, "claim", Fault::Hang);
    let ids = accepted(&world, 1);
    let disposal = world.consume(&message(&ids));
    assert!(matches!(disposal, Disposal::Replace(_)), "{disposal:?}");
    assert!(millis(&world) < world.policy.lease.0 / 2);
    assert_eq!(world.times_sent(), 0);
}

#[test]
fn a_message_with_many_jobs_does_not_lower_the_parallelism_of_its_batch() {
    // The first message's four jobs and the second's one fill the five connections. The third's four begin when the
    // first four end.
    let world = slow_world(&[
        60_000, 60_000, 60_000, 60_000, 60_000, 1_000, 1_000, 1_000, 1_000,
    ]);
    let ids = accepted(&world, 9);
    let messages = [&ids[..4], &ids[4..5], &ids[5..]].map(message);
    world.after(1, |world| assert_eq!(world.times_sent(), 5));
    // Otherwise the last message would have arrived too late; see below.
    world.after(25_000, |world| {
        assert_eq!(world.times_sent(), 5, "no more than five at a time");
    });
    assert_eq!(consume_batch(&world, messages.into()), [2]);
    assert_eq!((world.times_sent(), millis(&world)), (5, 60_000));
}

#[test]
fn the_end_of_a_job_makes_room_for_the_next_message_at_once() {
    let world = slow_world(&[20_000, 1_000, 1_000, 1_000, 1_000, 1_000]);
    let ids = accepted(&world, 6);
    let messages = [&ids[..5], &ids[5..]].map(message);
    world.after(2_500, move |world| {
        assert_eq!(world.status_of(&ids[5]), "succeeded");
    });
    assert!(consume_batch(&world, messages.into()).is_empty());
    assert_eq!(millis(&world), 20_000);
}

#[test]
fn a_message_that_cannot_start_in_time_is_handed_back_unclaimed() {
    let world = slow_world(&[BEGIN_WITHIN.0 + 1_000; 5]);
    let ids = accepted(&world, 6);
    let messages = [&ids[..5], &ids[5..]].map(message);
    assert_eq!(consume_batch(&world, messages.into()), [1]);
    assert_eq!((world.times_sent(), world.times_called("claim")), (5, 1));
    assert_eq!(world.status_of(&ids[5]), "queued");
    assert!(ids[..5].iter().all(|id| world.status_of(id) == "succeeded"));
}

#[test]
fn a_client_is_told_when_a_shard_hangs() {
    let world = World::new().rule("").failing("accept", Fault::Hang);
    let refused = world.post("x");
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "storage_unavailable")
    );
    let id = World::new().rule("").post("x").job();
    let world = World::new().rule("").failing("view", Fault::Hang);
    let unknown = world.get(&format!("/jobs/{id}"));
    assert_eq!(unknown.problem(), "storage_unavailable");
    assert_eq!(world.clock.get().since(START), Millis(10_000));
}
