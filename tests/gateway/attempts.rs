//! The life of a job: success, retry, honest failure, leases, cancel.

use raincheck::job::{Millis, NOT_ACTED_ON};
use raincheck::rpc::hash::name_at_origin;

use super::script::{Reaction, after, respond};
use super::world::{Fault, START, World};

#[test]
fn a_slow_request_becomes_a_job_whose_result_is_the_origins_response() {
    let world = World::new().rule("").origin([after(
        45_000,
        respond(201)
            .field("x-report", "7")
            .field("content-type", "text/csv")
            .body("a,b\n"),
    )]);
    let receipt = world.post("please");
    let id = receipt.job();
    assert_eq!(
        world.times_sent(),
        0,
        "the receipt does not wait for the origin"
    );
    assert_eq!(world.status_of(&id), "queued");
    assert_eq!(world.result(&id).status, 202);
    world.run();
    assert_eq!(world.status_of(&id), "succeeded");
    let result = world.result(&id);
    assert_eq!((result.status, result.text()), (201, "a,b\n".to_owned()));
    assert_eq!(
        (result.field("x-report"), result.field("content-type")),
        ("7", "text/csv")
    );
}

#[test]
fn the_origin_gets_the_request_and_the_fields_of_the_job() {
    let world = World::new().rule("");
    let request = world
        .request("POST", "/slow?a=1&b=%20")
        .field("x-mine", "yes")
        .body("please");
    let id = request
        .field("connection", "x-hop")
        .field("x-hop", "1")
        .send()
        .job();
    world.run();
    let sent = &world.sent.borrow()[0];
    assert_eq!(
        (sent.method.as_str(), sent.target.as_str()),
        ("POST", "/slow?a=1&b=%20")
    );
    assert_eq!(
        (sent.headers.get("x-mine"), sent.body.as_slice()),
        (Some("yes"), &b"please"[..])
    );
    assert_eq!(sent.headers.get("x-hop"), None);
    assert_eq!(
        sent.headers.get("raincheck-job"),
        Some(name_at_origin(&id.to_string()).as_str())
    );
    assert_eq!(sent.headers.get("raincheck-attempt"), Some("1"));
    assert_eq!(sent.headers.get("via"), Some("1.1 raincheck"));
    assert!(sent.headers.get("traceparent").is_some());
    // The id gives access to the job, so nothing that the origin gets may contain it.
    let id = id.to_string();
    assert!(sent.headers.iter().all(|(_, value)| !value.contains(&id)));
    let key = format!("\"{}\"", name_at_origin(&id));
    assert_eq!(sent.headers.get("idempotency-key"), Some(key.as_str()));
}

#[test]
fn a_busy_origin_is_retried_with_the_same_request_and_key() {
    let world =
        World::new()
            .rule("")
            .origin([respond(503), respond(429), respond(200).body("at last")]);
    let id = world.post("please").job();
    world.run();
    assert_eq!(world.status_of(&id), "succeeded");
    assert_eq!(world.result(&id).text(), "at last");
    let sent = world.sent.borrow();
    assert_eq!(sent.len(), 3);
    for (index, attempt) in sent.iter().enumerate() {
        assert_eq!(attempt.body, b"please");
        let key = attempt.headers.get("idempotency-key");
        assert_eq!(key, sent[0].headers.get("idempotency-key"));
        let number = (index + 1).to_string();
        assert_eq!(
            attempt.headers.get("raincheck-attempt"),
            Some(number.as_str())
        );
    }
}

#[test]
fn the_clients_own_key_is_sent_unchanged() {
    let world = World::new().rule("");
    world
        .request("POST", "/slow")
        .field("idempotency-key", "\"mine-1\"")
        .send()
        .job();
    world.run();
    assert_eq!(
        world.sent.borrow()[0].headers.get("idempotency-key"),
        Some("\"mine-1\"")
    );
}

#[test]
fn attempts_are_spaced_by_the_backoff() {
    let world = World::new().rule("").origin([respond(503), respond(503)]);
    world.post("x").job();
    world.run();
    let sent = world.sent.borrow();
    let gaps = sent.windows(2).map(|pair| pair[1].at.since(pair[0].at).0);
    assert_eq!(gaps.collect::<Vec<_>>(), [1_000, 2_000]);
}

#[test]
fn retry_after_is_honoured_and_capped() {
    for (asked, waited) in [("7", 7_000), ("86400", 60_000), ("nonsense", 1_000)] {
        let world = World::new()
            .rule("")
            .origin([respond(503).field("retry-after", asked)]);
        world.post("x").job();
        world.run();
        let sent = world.sent.borrow();
        assert_eq!(sent[1].at.since(sent[0].at), Millis(waited), "{asked}");
    }
}

#[test]
fn the_last_failing_response_becomes_the_result() {
    let world = World::new().rule("").origin([
        respond(500),
        respond(500),
        respond(500).body("still broken"),
    ]);
    let id = world.request("PUT", "/slow").body("x").send().job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("failed", 3)
    );
    assert_eq!(world.error_of(&id), "origin_error");
    let result = world.result(&id);
    assert_eq!(
        (result.status, result.text()),
        (500, "still broken".to_owned())
    );
}

#[test]
fn an_outage_that_outlasts_the_attempts_loses_no_job() {
    let outage = [
        Reaction::Refuse,
        respond(503).into(),
        respond(521).into(),
        respond(429).into(),
    ];
    let world = World::new()
        .rule("")
        .origin(outage.iter().cycle().take(12).cloned());
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 10)
    );
    let document = world.document(&id);
    assert_eq!(
        (&document["attempt"], &document["attempts"]),
        (&13.into(), &3.into())
    );
    assert_eq!(document["not_acted"], 12);
}

#[test]
fn an_origin_that_is_busy_until_the_deadline_is_the_result() {
    let busy = std::iter::repeat_n(respond(503).body("still busy"), 50);
    let world = World::new()
        .rule("deadline = \"2m\"\nattempt_timeout = \"20s\"")
        .origin(busy);
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.error_of(&id), "origin_error");
    let result = world.result(&id);
    assert_eq!(
        (result.status, result.text()),
        (503, "still busy".to_owned())
    );
    let took = world.clock.get().since(super::world::START);
    assert!(
        took > Millis(110_000) && took < Millis(120_000),
        "retried until no attempt fitted: {took:?}"
    );
}

/// Responses that say "not acted on" and then break off, hang, or are too large to keep.
fn responses_broken_after_their_head(status: u16) -> [(&'static str, Reaction); 6] {
    let large = "x".repeat(40_000);
    let cut = |field: &str, value: &str| respond(status).field(field, value).cut("abc");
    [
        ("cut short", cut("content-length", "100").into()),
        (
            "chunked and truncated",
            cut("transfer-encoding", "chunked").into(),
        ),
        (
            "hangs",
            respond(status)
                .field("content-length", "9")
                .hang("abc")
                .into(),
        ),
        (
            "too many fields",
            respond(status).field("x-large", &large).into(),
        ),
        (
            "over the limit",
            respond(status).body(vec![b'x'; 200_001]).into(),
        ),
        (
            "over the limit, without a length",
            respond(status).chunked(vec![b'x'; 200_001]).into(),
        ),
    ]
}

#[test]
fn a_response_that_says_not_acted_on_is_retried_whatever_happens_after_its_head() {
    for status in NOT_ACTED_ON {
        for (name, reaction) in responses_broken_after_their_head(status) {
            let world = World::new()
                .config("result_limit = \"100KiB\"")
                .rule("attempt_timeout = \"20s\"")
                .origin(std::iter::repeat_n(reaction, 4));
            let id = world.post("x").job();
            world.run();
            let found = (world.status_of(&id), world.times_sent());
            assert_eq!(found, ("succeeded".to_owned(), 5), "{status} {name}");
            assert_eq!(world.document(&id)["not_acted"], 4, "{status} {name}");
        }
    }
}

#[test]
fn a_busy_response_that_cannot_be_stored_is_retried() {
    let busy = respond(503).body(vec![b'x'; 100_000]);
    let world = World::new()
        .rule("")
        .failing("put", Fault::Before)
        .origin([busy]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.status_of(&id), "succeeded");
    assert_eq!(world.times_sent(), 2);
}

#[test]
fn a_status_that_the_rule_retries_is_retried_without_the_rest_of_its_response() {
    for (_, reaction) in responses_broken_after_their_head(409) {
        let world = World::new()
            .config("result_limit = \"100KiB\"")
            .rule("retry_statuses = [409]\nattempt_timeout = \"20s\"")
            .origin([reaction]);
        let id = world.post("x").job();
        world.run();
        let found = (world.status_of(&id), world.times_sent());
        assert_eq!(found, ("succeeded".to_owned(), 2));
    }
}

#[test]
fn a_response_that_breaks_off_is_no_result_even_if_the_job_fails_by_its_status() {
    for (name, reaction) in responses_broken_after_their_head(503) {
        let world = World::new()
            .config("result_limit = \"100KiB\"")
            .rule("deadline = \"2m\"\nattempt_timeout = \"20s\"")
            .origin(std::iter::repeat_n(reaction, 50));
        let id = world.post("x").job();
        world.run();
        let error = &world.document(&id)["error"];
        // If the response hangs, the last attempt may run until the deadline.
        if name != "hangs" {
            assert_eq!(
                (&error["code"], &error["status"]),
                (&"origin_error".into(), &503.into()),
                "{name}"
            );
        }
        let result = world.result(&id);
        assert_eq!(result.field("raincheck-result"), "gateway", "{name}");
        assert_eq!(result.problem(), error["code"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn a_server_error_that_breaks_off_is_still_an_unknown_outcome() {
    let cut = respond(500).field("content-length", "100").cut("abc");
    let world = World::new().rule("").origin([cut]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.error_of(&id), "outcome_unknown");
    assert_eq!(world.times_sent(), 1);
}

#[test]
fn a_client_error_is_never_retried() {
    let world = World::new().rule("").origin([respond(422).body("no")]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.error_of(&id).as_str(), world.times_sent()),
        ("origin_error", 1)
    );
    assert_eq!(world.result(&id).status, 422);
}

#[test]
fn an_unreachable_origin_is_retried_until_the_deadline_and_then_reported() {
    let world = World::new()
        .rule("deadline = \"2m\"\nattempt_timeout = \"20s\"")
        .origin(std::iter::repeat_n(Reaction::Refuse, 50));
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.error_of(&id), "origin_unreachable");
    let result = world.result(&id);
    assert_eq!(
        (result.status, result.problem().as_str()),
        (502, "origin_unreachable")
    );
    let document = world.document(&id);
    // Seven attempts fit without shortening a wait.
    assert!(document["attempt"].as_u64() > Some(7), "{document}");
    assert_eq!(document["attempt"], document["not_acted"]);
}

#[test]
fn a_job_whose_origin_was_removed_is_retried_until_the_deadline_or_until_it_comes_back() {
    for comes_back in [true, false] {
        let mut world = World::new()
            .config("origins = { reports = \"https://reports.example\" }")
            .rule("origin = \"reports\"\ndeadline = \"2m\"\nattempt_timeout = \"20s\"");
        let id = world.post("x").job();
        let removed = World::new().rule("").policy;
        let before = std::mem::replace(&mut world.policy, removed);
        world.run_until(START.plus(Millis::from_secs(30)), || false);
        assert_eq!(world.status_of(&id), "queued");
        assert_eq!(world.times_sent(), 0, "no other origin gets the request");
        if comes_back {
            world.policy = before;
        }
        world.run();
        if comes_back {
            assert_eq!(world.status_of(&id), "succeeded");
            assert_eq!(world.sent.borrow()[0].origin, "reports");
        } else {
            assert_eq!(world.error_of(&id), "origin_unreachable");
            assert_eq!(world.times_sent(), 0);
        }
    }
}

#[test]
fn a_post_whose_response_was_lost_fails_as_unknown_and_is_not_retried() {
    let cut = respond(200).field("content-length", "10").cut("half");
    let lost: [(Reaction, &str); 4] = [
        (Reaction::Lose, "outcome_unknown"),
        (Reaction::Hang, "outcome_unknown"),
        (cut.into(), "outcome_unknown"),
        (respond(103).into(), "origin_protocol_error"),
    ];
    for (reaction, code) in lost {
        let name = format!("{reaction:?}");
        let world = World::new().rule("").origin([reaction]);
        let id = world.post("x").job();
        world.run();
        assert_eq!(
            (world.error_of(&id).as_str(), world.times_sent()),
            (code, 1),
            "{name}"
        );
        assert_eq!(world.result(&id).problem(), code, "{name}");
    }
}

#[test]
fn a_put_whose_response_was_lost_is_retried() {
    for reaction in [Reaction::Lose, Reaction::Hang, respond(600).into()] {
        let world = World::new().rule("").origin([reaction]);
        let id = world.request("PUT", "/slow").body("x").send().job();
        world.run();
        assert_eq!(
            (world.status_of(&id).as_str(), world.times_sent()),
            ("succeeded", 2)
        );
    }
}

#[test]
fn a_post_is_retried_if_the_origin_honours_the_key() {
    let world = World::new()
        .rule("origin_honours_key = true")
        .origin([Reaction::Lose]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 2)
    );
}

#[test]
fn statuses_that_are_not_final_are_protocol_errors() {
    for status in [0, 100, 103, 199, 600, 999] {
        let world = World::new().rule("").origin([respond(status)]);
        let id = world.post("x").job();
        world.run();
        assert_eq!(world.error_of(&id), "origin_protocol_error", "{status}");
    }
}

#[test]
fn a_lease_is_renewed_seldom_while_the_origin_works() {
    let world = World::new()
        .rule("")
        .origin([after(540_000, respond(200).body("ok"))]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 1)
    );
    let renewals = world
        .calls
        .borrow()
        .iter()
        .filter(|(_, name)| *name == "renew")
        .count();
    assert!(
        (2..=6).contains(&renewals),
        "{renewals} renewals in nine minutes"
    );
}

#[test]
fn an_attempt_that_takes_too_long_is_aborted() {
    let world = World::new()
        .rule("attempt_timeout = \"20s\"")
        .origin([Reaction::Hang]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.error_of(&id), "outcome_unknown");
    assert_eq!(world.aborted.get(), 1);
    assert_eq!(world.clock.get().since(super::world::START), Millis(20_000));
}

#[test]
fn a_consumer_that_lost_its_lease_aborts_its_request() {
    // Without a watch, the cancel is noticed at the next renewal.
    let world = World::new()
        .rule("")
        .origin([Reaction::Hang])
        .failing_times(100, "watch", Fault::Before);
    let id = world.post("x").job();
    world.after(10_000, move |world| {
        let lapsed = world.request("DELETE", &format!("/jobs/{id}")).send();
        assert_eq!(
            (lapsed.status, lapsed.json()["status"].as_str()),
            (200, Some("canceled"))
        );
    });
    world.run();
    world.deliver();
    assert_eq!((world.aborted.get(), world.times_sent()), (1, 1));
    assert_eq!(world.status_of(&id), "canceled");
    let took = world.clock.get().since(super::world::START);
    assert!(
        took <= world.policy.lease,
        "at the next renewal, not at the time-out"
    );
}

#[test]
fn a_cancel_before_the_first_attempt_keeps_the_request_from_the_origin() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    let canceled = world.request("POST", &format!("/jobs/{id}/cancel")).send();
    assert_eq!(canceled.json()["status"], "canceled");
    world.deliver();
    world.run();
    assert_eq!(world.times_sent(), 0);
    let result = world.result(&id);
    assert_eq!(
        (result.status, result.problem().as_str()),
        (410, "job_canceled")
    );
}

#[test]
fn a_cancel_after_the_end_changes_nothing() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    world.run();
    let before = world.document(&id);
    let answer = world.request("DELETE", &format!("/jobs/{id}")).send();
    assert_eq!((answer.status, answer.json()), (200, before));
    assert_eq!(world.result(&id).text(), "done");
}

#[test]
fn a_response_that_comes_after_the_cancel_is_dropped() {
    // A request that runs for longer than two seconds would be aborted instead.
    let world = World::new()
        .rule("")
        .origin([after(1_500, respond(200).body("late"))]);
    let id = world.post("x").job();
    world.after(1_000, move |world| {
        world.request("DELETE", &format!("/jobs/{id}")).send();
    });
    world.run();
    assert_eq!(world.status_of(&id), "canceled");
    assert_eq!(world.result(&id).problem(), "job_canceled");
}

#[test]
fn a_job_that_cannot_end_by_its_deadline_says_so() {
    let world = World::new()
        .rule("deadline = \"30s\"\nattempt_timeout = \"20s\"")
        .config("claim_patience = \"1h\"");
    let id = world.post("x").job();
    world.queue.borrow_mut().clear();
    world.run();
    assert_eq!(world.error_of(&id), "deadline_exceeded");
    let result = world.result(&id);
    assert_eq!(
        (result.status, result.problem().as_str()),
        (504, "deadline_exceeded")
    );
    assert_eq!(world.times_sent(), 0);
}

#[test]
fn a_delayed_job_waits_and_then_runs() {
    let world = World::new().rule("client_delay = true");
    let request = world
        .request("POST", "/slow")
        .field("raincheck-not-before", "600");
    let id = request.send().job();
    world.run();
    assert_eq!(world.status_of(&id), "succeeded");
    assert!(world.sent.borrow()[0].at >= super::world::START.plus(Millis(600_000)));
}

#[test]
fn the_history_shows_the_outcome_of_each_attempt_on_request() {
    let world = World::new()
        .rule("")
        .origin([Reaction::Refuse, respond(503).into()]);
    let id = world.post("x").job();
    world.run();
    assert!(world.document(&id)["history"].is_null());
    let document = world.get(&format!("/jobs/{id}?include=attempts")).json();
    let history = document["history"].as_array().unwrap();
    let errors: Vec<&str> = history
        .iter()
        .filter_map(|line| line["error"].as_str())
        .collect();
    assert_eq!(
        (history.len(), errors),
        (3, vec!["origin_unreachable", "origin_error"])
    );
}
