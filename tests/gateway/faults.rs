//! Calls that fail before or after they take effect; messages that are lost or delivered twice.

use raincheck::consumer::{Disposal, dead_letter};
use raincheck::job::{JobId, Millis, RECORD_VERSION};
use raincheck::rpc::message::{Message, UNSENT_MAX};
use raincheck::shard::Sql as _;

use super::script::{Reaction, after, respond};
use super::world::{Fault, World};

#[test]
fn an_unresponsive_shard_is_a_503_that_is_safe_to_repeat_with_a_key() {
    for fault in [Fault::Before, Fault::After] {
        for keyed in [true, false] {
            let world = World::new().rule("").failing("accept", fault);
            let request = world.request("POST", "/slow").body("x");
            let request = if keyed {
                request.field("idempotency-key", "k")
            } else {
                request
            };
            let refused = request.send();
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (503, "storage_unavailable")
            );
            assert_eq!(refused.field("retry-after"), "1");
            // Without a key, the request may have become a job that cannot be found.
            assert_eq!(refused.json()["retryable"], keyed);
            assert_eq!(world.count("jobs"), u64::from(fault == Fault::After));
        }
    }
}

#[test]
fn after_a_lost_receipt_the_same_key_finds_the_same_job() {
    let world = World::new().rule("").failing("accept", Fault::After);
    let send = || {
        world
            .request("POST", "/slow")
            .field("idempotency-key", "k1")
            .body("x")
            .send()
    };
    assert_eq!(send().status, 503);
    let id = send().job();
    assert_eq!(send().job(), id);
    world.run();
    assert_eq!((world.count("jobs"), world.times_sent()), (1, 1));
}

#[test]
fn a_report_whose_response_was_lost_is_repeated_and_keeps_the_result() {
    let large = vec![b'x'; 100_000];
    for body in [b"small".to_vec(), large] {
        let world = World::new()
            .rule("")
            .origin([respond(200).body(body.clone())])
            .failing("finish", Fault::After);
        let id = world.post("x").job();
        world.run();
        assert_eq!(world.status_of(&id), "succeeded");
        assert_eq!(world.result(&id).body.bytes, body);
        // The rest of the report is repeated after the job has ended.
        world.run_until(world.clock.get().plus(Millis(7_300_000)), || false);
        assert_eq!(
            world.result(&id).body.bytes,
            body,
            "and no sweep deletes its object"
        );
    }
}

#[test]
fn a_lost_report_is_sent_again() {
    let world = World::new().rule("").failing("finish", Fault::Before);
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 1)
    );
}

#[test]
fn a_report_that_never_arrives_leaves_the_job_to_its_lease() {
    let world = World::new()
        .rule("origin_honours_key = true")
        .failing_times(1_000, "finish", Fault::Before);
    world.after(61_000, |world| world.heal("finish"));
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 2)
    );
    assert_eq!(world.lines.borrow().len(), 1, "and the log says so");
}

#[test]
fn a_report_that_never_arrives_ends_as_unknown_if_a_retry_is_not_safe() {
    let world = World::new()
        .rule("")
        .failing_times(1_000, "finish", Fault::Before);
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.error_of(&id).as_str(), world.times_sent()),
        ("outcome_unknown", 1)
    );
}

#[test]
fn a_lost_renewal_is_repeated_before_the_lease_ends() {
    for fault in [Fault::Before, Fault::After] {
        let world = World::new()
            .rule("")
            .origin([after(200_000, respond(200).body("ok"))])
            .failing("renew", fault);
        let id = world.post("x").job();
        world.run();
        assert_eq!(
            (world.status_of(&id).as_str(), world.times_sent()),
            ("succeeded", 1)
        );
    }
}

#[test]
fn a_claim_without_a_response_for_long_gets_the_message_redelivered() {
    let world = World::new()
        .rule("")
        .failing_times(1_000, "claim", Fault::Before);
    let id = world.post("x").job();
    let (_, outgoing) = world.queue.borrow_mut().remove(0);
    let message = Message::read(&outgoing.text).unwrap();
    let Disposal::Replace(replacement) = world.consume(&message) else {
        panic!("the message is gone");
    };
    assert_eq!(replacement.jobs, message.jobs);
    world.heal("claim");
    assert_eq!(world.consume(&replacement), Disposal::Acknowledge);
    assert_eq!(world.status_of(&id), "succeeded");
}

#[test]
fn a_claim_that_was_lost_on_its_way_is_repeated_at_once() {
    let world = World::new().rule("").failing("claim", Fault::Before);
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.status_of(&id), "succeeded");
    assert!(world.clock.get().since(super::world::START) < Millis(1_000));
}

#[test]
fn a_job_of_which_nothing_was_sent_never_ends_as_outcome_unknown() {
    // Responses to its claims are lost for so long that the consumer gives up, more than once.
    for losses in [1, 2, 5, 20, 60] {
        let world = World::new()
            .rule("")
            .failing_times(losses, "claim", Fault::After);
        let id = world.post("x").job();
        world.run();
        assert_eq!(
            (world.status_of(&id).as_str(), world.times_sent()),
            ("succeeded", 1),
            "{losses} lost responses"
        );
        assert_eq!(world.document(&id)["attempt"], 1, "{losses} lost responses");
    }
}

/// Makes a row look like one of a later build, or like one of this build again.
fn rewrite(world: &World, id: &JobId, from: u8, to: u8) {
    let (from, to) = (format!("\"v\":{from},"), format!("\"v\":{to},"));
    let sql = format!(
        "UPDATE jobs_{} SET state = replace(state, '{from}', '{to}') WHERE key = {}",
        id.key.partition(),
        id.key.0
    );
    world.database(0).run(&sql, &[]).unwrap();
}

/// A message about two jobs whose claims are granted and whose first reply is lost. Before the claim is
/// repeated, a later build writes the row of the second.
fn half_undecided() -> (World, [JobId; 2], Disposal) {
    let world = World::new().rule("").failing("claim", Fault::After);
    let ids = [world.post("a").job(), world.post("b").job()];
    let text = format!(
        "{{\"v\":1,\"shard\":0,\"jobs\":[{},{}]}}",
        ids[0].key.0, ids[1].key.0
    );
    let message = Message::read(&text).unwrap();
    let late = ids[1];
    world.after(100, move |world| {
        rewrite(world, &late, RECORD_VERSION, RECORD_VERSION + 1);
    });
    let disposal = world.consume(&message);
    (world, ids, disposal)
}

#[test]
fn a_job_that_a_repeated_claim_could_not_read_runs_as_the_same_attempt_once_it_can_be_read() {
    let (world, ids, disposal) = half_undecided();
    assert_eq!(world.status_of(&ids[0]), "succeeded");
    let Disposal::Replace(replacement) = disposal else {
        panic!("the message does not say that nothing was sent: {disposal:?}");
    };
    assert_eq!(replacement.jobs, [ids[1].key]);
    rewrite(&world, &ids[1], RECORD_VERSION + 1, RECORD_VERSION);
    assert_eq!(world.consume(&replacement), Disposal::Acknowledge);
    assert_eq!(world.status_of(&ids[1]), "succeeded");
    assert_eq!(world.document(&ids[1])["attempt"], 1);
    assert_eq!(world.times_sent(), 2);
}

#[test]
fn a_lease_is_taken_over_although_later_claims_of_its_job_had_no_response_either() {
    for rounds in [1, 3] {
        let (world, ids, mut disposal) = half_undecided();
        for _ in 0..rounds {
            let Disposal::Replace(message) = disposal else {
                panic!("the message does not say that nothing was sent: {disposal:?}");
            };
            world.fail_times(1_000, "claim", Fault::Before);
            disposal = world.consume(&message);
            world.heal("claim");
        }
        let Disposal::Replace(message) = disposal else {
            panic!("the message does not say that nothing was sent: {disposal:?}");
        };
        assert_eq!(message.unsent[0].len(), rounds + 1);
        rewrite(&world, &ids[1], RECORD_VERSION + 1, RECORD_VERSION);
        assert_eq!(world.consume(&message), Disposal::Acknowledge);
        assert_eq!(world.status_of(&ids[1]), "succeeded", "{rounds} rounds");
        assert_eq!(world.document(&ids[1])["attempt"], 1);
    }
}

#[test]
fn a_message_names_no_more_tokens_than_leases_can_be_current() {
    let world = World::new()
        .rule("")
        .failing_times(10_000, "claim", Fault::Before);
    world.post("x").job();
    let (_, outgoing) = world.queue.borrow_mut().remove(0);
    let mut message = Message::read(&outgoing.text).unwrap();
    for round in 1..=2 * UNSENT_MAX {
        let before = message.unsent.concat();
        let Disposal::Replace(next) = world.consume(&message) else {
            panic!("the message is gone");
        };
        let after = next.unsent.concat();
        assert_eq!(after.len(), round.min(UNSENT_MAX));
        let kept = before.len().min(UNSENT_MAX - 1);
        assert!(after.starts_with(&before[before.len() - kept..]));
        message = next;
    }
}

#[test]
fn a_message_about_a_row_that_stays_unreadable_is_acknowledged_when_its_lease_has_lapsed() {
    let (world, _, disposal) = half_undecided();
    let begun = world.clock.get();
    let mut next = disposal;
    let mut messages = 0;
    while let Disposal::Replace(message) = next {
        messages += 1;
        assert!(messages < 10, "the message is sent again and again");
        next = world.consume(&message);
    }
    assert_eq!(next, Disposal::Acknowledge);
    let waited = world.clock.get().since(begun);
    assert!(waited <= Millis(world.policy.lease.0 * 2), "{waited:?}");
    assert!(
        messages > 1,
        "it is redelivered while the lease may be current"
    );
}

#[test]
fn a_grant_that_was_lost_lapses_with_its_lease() {
    let world = World::new()
        .rule("origin_honours_key = true")
        .failing("claim", Fault::After);
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 1)
    );
}

#[test]
fn a_message_that_comes_twice_runs_its_job_once() {
    let world = World::new().rule("");
    world.post("x").job();
    let again = world.queue.borrow()[0].clone();
    world.queue.borrow_mut().push(again.clone());
    world.run();
    world.queue.borrow_mut().push(again);
    world.deliver();
    assert_eq!(world.times_sent(), 1);
}

#[test]
fn the_alarm_sends_a_lost_message_again() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    world.queue.borrow_mut().clear();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 1)
    );
}

#[test]
fn a_message_about_jobs_that_are_gone_is_acknowledged() {
    let world = World::new().rule("");
    let message = Message::read("{\"v\":1,\"shard\":0,\"jobs\":[7,8]}").unwrap();
    let disposal = world.consume(&message);
    assert_eq!((disposal, world.times_sent()), (Disposal::Acknowledge, 0));
}

#[test]
fn the_jobs_of_one_message_run_at_the_same_time() {
    let slow = || after(60_000, respond(200).body("ok"));
    let world = World::new().rule("").origin([slow(), slow(), slow()]);
    let ids = [
        world.post("a").job(),
        world.post("b").job(),
        world.post("c").job(),
    ];
    let keys: Vec<String> = ids.iter().map(|id| id.key.0.to_string()).collect();
    let text = format!("{{\"v\":1,\"shard\":0,\"jobs\":[{}]}}", keys.join(","));
    let message = Message::read(&text).unwrap();
    world.consume(&message);
    assert_eq!(world.clock.get().since(super::world::START), Millis(60_000));
    assert!(ids.iter().all(|id| world.status_of(id) == "succeeded"));
}

#[test]
fn one_bad_job_in_a_message_does_not_block_the_others() {
    let world = World::new().rule("");
    let ids = [world.post("a").job(), world.post("b").job()];
    let sql = format!(
        "UPDATE jobs_1 SET state = '{{' WHERE key = {}",
        ids[0].key.0
    );
    world.database(0).run(&sql, &[]).unwrap();
    let text = format!(
        "{{\"v\":1,\"shard\":0,\"jobs\":[{},{}]}}",
        ids[0].key.0, ids[1].key.0
    );
    let message = Message::read(&text).unwrap();
    let disposal = world.consume(&message);
    assert_eq!((disposal, world.times_sent()), (Disposal::Acknowledge, 1));
    assert_eq!(world.status_of(&ids[1]), "succeeded");
}

/// A message about two jobs, while nothing can be written about one of them.
fn half_refused(refused: usize) -> (World, [JobId; 2], Disposal) {
    let world = World::new().rule("");
    let ids = [world.post("a").job(), world.post("b").job()];
    let keys = ids.map(|id| id.key.0);
    let text = format!("{{\"v\":1,\"shard\":0,\"jobs\":[{},{}]}}", keys[0], keys[1]);
    let message = Message::read(&text).unwrap();
    let refuse = |what| world.database(0).refused.set(what);
    refuse(Some(("UPDATE", Some(keys[refused]))));
    let disposal = world.consume(&message);
    refuse(None);
    (world, ids, disposal)
}

#[test]
fn a_claim_that_the_database_rejects_does_not_take_a_running_job_from_its_consumer() {
    let (world, ids, disposal) = half_refused(1);
    assert_eq!((disposal, world.times_sent()), (Disposal::Acknowledge, 1));
    assert_eq!(world.status_of(&ids[0]), "succeeded");
    assert_eq!(world.status_of(&ids[1]), "queued");
    world.run();
    assert_eq!(world.status_of(&ids[1]), "succeeded");
}

#[test]
fn a_message_is_redelivered_when_the_database_rejects_its_first_claim() {
    let (world, ids, disposal) = half_refused(0);
    assert!(matches!(disposal, Disposal::Replace(_)));
    assert_eq!(world.times_sent(), 0);
    world.run();
    assert!(ids.iter().all(|id| world.status_of(id) == "succeeded"));
    assert_eq!(world.times_sent(), 2);
}

#[test]
fn a_dead_letter_does_not_strand_its_job() {
    let world = World::new().rule("").config("claim_patience = \"1h\"");
    let id = world.post("x").job();
    world.bury_all();
    world.run();
    assert_eq!(world.status_of(&id), "succeeded");
    assert_eq!(world.record(&id).unwrap().dead_letters, 1);
    assert!(
        world.clock.get().since(super::world::START) < Millis(60_000),
        "without the alarm"
    );
}

#[test]
fn a_dead_letter_that_its_shard_did_not_confirm_is_kept() {
    for fault in [Fault::Before, Fault::After] {
        let world = World::new().rule("").failing("dead_letter", fault);
        let id = world.post("x").job();
        let (_, outgoing) = world.queue.borrow_mut().remove(0);
        let message = Message::read(&outgoing.text).unwrap();
        let run = || world.block_on(dead_letter(&world, &message));
        assert_eq!(run(), Disposal::Retry);
        assert_eq!(run(), Disposal::Acknowledge);
        world.run();
        assert_eq!(world.status_of(&id), "succeeded");
    }
}

#[test]
fn an_eviction_at_any_time_loses_no_job() {
    let world = World::new().rule("").origin([Reaction::Refuse]);
    let id = world.post("x").job();
    world.evict();
    assert_eq!(world.status_of(&id), "queued");
    world.run_until(world.clock.get().plus(Millis(500)), || false);
    world.evict();
    assert_eq!(world.status_of(&id), "queued");
    world.run();
    world.evict();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 1)
    );
    assert_eq!(world.result(&id).text(), "done");
}
