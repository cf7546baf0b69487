//! Receipts, keys, owners, and held requests.

use raincheck::job::JobId;

use super::ports::Answer;
use super::script::{Reaction, after, respond};
use super::world::{Fault, World};

fn keyed(world: &World, key: &str, body: &str) -> Answer {
    world
        .request("POST", "/slow")
        .field("idempotency-key", key)
        .body(body)
        .send()
}

#[test]
fn one_key_and_one_request_make_one_job_and_identical_locations() {
    let world = World::new().rule("");
    let first = keyed(&world, "\"k\"", "x");
    let id = first.job();
    for _ in 0..20 {
        let again = keyed(&world, "\"k\"", "x");
        assert_eq!(again.job(), id);
        assert_eq!(again.field("location"), first.field("location"));
    }
    world.run();
    let done = keyed(&world, "\"k\"", "x");
    assert_eq!(
        (done.job(), done.field("location")),
        (id, first.field("location"))
    );
    assert_eq!((world.count("jobs"), world.times_sent()), (1, 1));
}

#[test]
fn quoted_and_bare_spellings_of_a_key_are_the_same_key() {
    let world = World::new().rule("");
    assert_eq!(
        keyed(&world, "\"k\"", "x").job(),
        keyed(&world, "k", "x").job()
    );
}

#[test]
fn a_key_with_another_method_target_or_body_is_refused() {
    let world = World::new().rule("");
    keyed(&world, "k", "x").job();
    let others = [
        world.request("PUT", "/slow").body("x"),
        world.request("POST", "/slow?page=2").body("x"),
        world.request("POST", "/slow").body("y"),
        world.request("POST", "/slow"),
        world.request("POST", "/slow").body(vec![b'x'; 100_000]),
    ];
    for other in others {
        let refused = other.field("idempotency-key", "k").send();
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (422, "idempotency_key_reused")
        );
    }
    assert_eq!(world.count("jobs"), 1);
}

#[test]
fn keys_of_different_owners_never_meet() {
    let world = World::new().rule("");
    let send = |owner: Option<&str>| {
        let mut request = world
            .request("POST", "/slow")
            .field("idempotency-key", "k")
            .body("x");
        if let Some(owner) = owner {
            request = request.field("authorization", owner);
        }
        request.send().job()
    };
    let (a, b, nobody) = (send(Some("Bearer a")), send(Some("Bearer b")), send(None));
    assert!(a != b && b != nobody && a != nobody);
    assert_eq!(send(Some("Bearer a")), a);
    assert_eq!(send(None), nobody);
}

/// The job that a request with one idempotency key and these fields finds.
fn job_for(world: &World, fields: &[(&str, &str)]) -> JobId {
    let request = world.request("POST", "/slow").field("idempotency-key", "k");
    let request = fields
        .iter()
        .fold(request.body("x"), |request, (name, value)| {
            request.field(name, value)
        });
    request.send().job()
}

#[test]
fn a_key_never_finds_the_job_of_a_caller_with_another_credential() {
    let world = World::new().rule("");
    let nobody = job_for(&world, &[]);
    let names = [
        "Authorization",
        "Cookie",
        "X-Api-Key",
        "api-key",
        "PRIVATE-TOKEN",
        "xi-api-key",
        "X_Api_Key",
        "X-Session-Id",
        "X-Tenant-Id",
    ];
    for name in names {
        let one = job_for(&world, &[(name, "one")]);
        assert_eq!(job_for(&world, &[(name, "one")]), one, "{name}");
        assert_ne!(job_for(&world, &[(name, "two")]), one, "{name}");
        assert_ne!(nobody, one, "{name}");
        // With another credential in addition, it is another caller.
        for other in names.into_iter().filter(|other| *other != name) {
            let both = job_for(&world, &[(name, "one"), (other, "one")]);
            assert!(both != one && both != nobody, "{name} {other}");
        }
    }
    for name in ["X-Unknown", "User-Agent", "Sec-Fetch-User", "X-Request-Id"] {
        assert_eq!(job_for(&world, &[(name, "one")]), nobody, "{name}");
    }
}

#[test]
fn lines_of_one_credential_are_one_list() {
    let world = World::new().rule("");
    let one = job_for(&world, &[("x-api-key", "a, b"), ("cookie", "c")]);
    let split = [("x-api-key", "a"), ("cookie", "c"), ("x-api-key", "b")];
    assert_eq!(job_for(&world, &split), one);
}

#[test]
fn values_of_two_fields_are_not_mistaken_for_each_other() {
    let world = World::new().rule("");
    let jobs = [
        job_for(&world, &[("cookie", "a"), ("x-api-key", "b")]),
        job_for(&world, &[("cookie", "b"), ("x-api-key", "a")]),
        job_for(&world, &[("cookie", "ab")]),
        job_for(&world, &[("x-api-key", "ab")]),
    ];
    for (index, job) in jobs.iter().enumerate() {
        assert!(!jobs[index + 1..].contains(job), "{index}");
    }
}

#[test]
fn configured_owner_headers_replace_the_default_ones() {
    let world = World::new()
        .rule("")
        .config("owner_headers = [\"x-tenant\"]");
    let a = job_for(&world, &[("x-tenant", "a"), ("x-api-key", "1")]);
    assert_eq!(job_for(&world, &[("x-tenant", "a"), ("x-api-key", "2")]), a);
    assert_ne!(job_for(&world, &[("x-tenant", "b"), ("x-api-key", "1")]), a);
    assert_ne!(job_for(&world, &[("x-tenant", "a"), ("cookie", "1")]), a);
}

#[test]
fn a_key_with_another_credential_in_the_query_is_rejected() {
    let world = World::new().rule("");
    let send = |target: &str| {
        let request = world.request("POST", target).field("idempotency-key", "k");
        request.body("x").send()
    };
    let mine = send("/slow?api_key=mine").job();
    let other = send("/slow?api_key=other");
    assert_eq!(other.problem(), "idempotency_key_reused");
    assert!(!other.text().contains(&mine.to_string()));
}

#[test]
fn credentials_and_keys_are_stored_in_clear_only_where_needed() {
    let world = World::new().rule("");
    let request = world
        .request("POST", "/slow")
        .field("authorization", "Bearer s3cret");
    let id = request.field("idempotency-key", "my-key").send().job();
    let record = serde_json::to_string(&world.record(&id).unwrap()).unwrap();
    assert!(
        !record.contains("s3cret") && !record.contains("my-key"),
        "{record}"
    );
    let document = world.document(&id).to_string();
    assert!(
        !document.contains("s3cret") && !document.contains("my-key"),
        "{document}"
    );
}

#[test]
fn keys_that_cannot_be_used_are_refused_and_make_no_job() {
    let world = World::new().rule("idempotency = \"required\"");
    let too_long = "k".repeat(256);
    for key in ["", "\"\"", "a b", "\"open", "\"é\"", too_long.as_str()] {
        let refused = keyed(&world, key, "x");
        assert_eq!(refused.status, 400, "{key:?}");
        assert_eq!(refused.problem(), "idempotency_key_invalid", "{key:?}");
    }
    let refused = world.post("x");
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (400, "idempotency_key_required")
    );
    assert_eq!(world.count("jobs"), 0);
}

#[test]
fn a_rule_without_idempotency_only_passes_the_key_on() {
    let world = World::new().rule("idempotency = \"off\"");
    assert_ne!(keyed(&world, "k", "x").job(), keyed(&world, "k", "x").job());
    world.run();
    let sent = world.sent.borrow();
    assert!(
        sent.iter()
            .all(|sent| sent.headers.get("idempotency-key") == Some("k"))
    );
}

#[test]
fn without_idempotency_any_key_is_passed_to_the_origin() {
    let world = World::new().rule("idempotency = \"off\"");
    let odd = format!("a, b; c=\"{}", "x".repeat(300));
    keyed(&world, &odd, "x").job();
    world.run();
    let sent = world.sent.borrow();
    assert_eq!(sent[0].headers.get("idempotency-key"), Some(odd.as_str()));
}

#[test]
fn a_key_is_free_from_the_end_of_its_published_window() {
    let world = World::new().rule("idempotency_window = \"1h\"");
    let first = keyed(&world, "k", "x");
    let ends = first.json()["idempotency_expires"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!ends.is_empty());
    world.run();
    let hour = raincheck::job::Millis(3_600_000);
    world.advance_to(super::world::START.plus(raincheck::job::Millis(hour.0 - 1)));
    assert_eq!(keyed(&world, "k", "x").job(), first.job());
    world.advance_to(super::world::START.plus(hour));
    assert_ne!(keyed(&world, "k", "other").job(), first.job());
}

#[test]
fn after_a_change_of_the_shards_a_key_still_finds_its_job() {
    for body in ["small".to_owned(), "x".repeat(100_000)] {
        let mut world = World::new().rule("").config("shards = 7");
        let ids: Vec<_> = (0..30)
            .map(|number| keyed(&world, &format!("k{number}"), &body).job())
            .collect();
        world.deploy("shards = 11");
        world.deploy("previous_shards = 7");
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(keyed(&world, &format!("k{number}"), &body).job(), *id);
            let refused = keyed(&world, &format!("k{number}"), "another");
            assert_eq!(refused.problem(), "idempotency_key_reused");
            assert_eq!(world.status_of(id), "queued", "old ids still work");
        }
        assert_eq!(world.count("jobs"), 30);
        let fresh = keyed(&world, "fresh", &body).job();
        assert_eq!(keyed(&world, "fresh", &body).job(), fresh);
        let lookups = world
            .calls
            .borrow()
            .iter()
            .filter(|(_, name)| *name == "lookup")
            .count();
        assert!(lookups > 20, "the old shard was asked");
    }
}

#[test]
fn an_unreachable_previous_shard_makes_no_second_job() {
    let mut world = World::new().rule("").config("shards = 7");
    let ids: Vec<_> = (0..10)
        .map(|number| keyed(&world, &format!("k{number}"), "x").job())
        .collect();
    world.deploy("shards = 11");
    world.deploy("previous_shards = 7");
    for fault in [super::world::Fault::Before, super::world::Fault::After] {
        for _ in 0..10 {
            world = world.failing("lookup", fault);
        }
        for (number, id) in ids.iter().enumerate() {
            let answer = keyed(&world, &format!("k{number}"), "x");
            assert!(answer.status == 503 || answer.job() == *id);
        }
    }
    assert_eq!(world.count("jobs"), 10);
}

#[test]
fn a_held_request_gets_the_response_itself_when_it_comes_in_time() {
    let world = World::new()
        .rule("")
        .origin([after(3_000, respond(404).body("nope"))]);
    let answer = world
        .request("POST", "/slow")
        .field("prefer", "wait=10")
        .body("x")
        .send();
    assert_eq!((answer.status, answer.text()), (404, "nope".to_owned()));
    assert_eq!(answer.field("vary"), "Prefer");
}

#[test]
fn a_held_request_gets_the_receipt_when_its_time_is_up() {
    let world = World::new()
        .rule("client_delay = true")
        .origin([respond(200).body("late")]);
    let request = world
        .request("POST", "/slow")
        .field("prefer", "respond-async, wait=10");
    let receipt = request.field("raincheck-not-before", "60").body("x").send();
    let id = receipt.job();
    assert_eq!(
        receipt.field("preference-applied"),
        "respond-async, wait=10"
    );
    assert_eq!(receipt.field("raincheck-held"), "");
    world.run();
    assert_eq!(world.result(&id).text(), "late");
}

/// A client that got no receipt would send the request again.
#[test]
fn a_held_request_gets_its_receipt_when_the_result_cannot_be_read() {
    for name in ["view", "get"] {
        let world = World::new()
            .rule("")
            .origin([respond(200).body("x".repeat(100_000))])
            .failing(name, Fault::Before);
        let held = world.request("POST", "/slow").field("prefer", "wait=10");
        let receipt = held.body("x").send();
        assert_eq!(receipt.status, 202, "{name}");
        assert_eq!(receipt.field("raincheck-held"), "");
        assert_eq!(world.result(&receipt.job()).text().len(), 100_000);
    }
}

#[test]
fn a_held_request_gets_its_receipt_when_the_storage_fails_after_it() {
    let world = World::new().rule("client_delay = true");
    world.after(5_000, |world| {
        use raincheck::shard::Sql as _;
        let rename = "ALTER TABLE jobs_1 RENAME TO lost";
        world.database(0).run(rename, &[]).unwrap();
    });
    let held = world.request("POST", "/slow").field("prefer", "wait=10");
    let receipt = held.field("raincheck-not-before", "60").body("x").send();
    assert_eq!(receipt.status, 202);
    assert_eq!(receipt.field("preference-applied"), "wait=10");
}

#[test]
fn a_status_read_waits_for_the_end_when_asked() {
    let world = World::new()
        .rule("")
        .origin([after(5_000, respond(200).body("x"))]);
    let id = world.post("x").job();
    let path = format!("/jobs/{id}");
    let document = world
        .request("GET", &path)
        .field("prefer", "wait=20")
        .send()
        .json();
    assert_eq!(document["status"], "succeeded");
}

#[test]
fn a_wait_is_capped() {
    let world = World::new()
        .rule("")
        .config("wait_limit = \"2s\"")
        .origin([Reaction::Hang]);
    let id = world.post("x").job();
    world.queue.borrow_mut().clear();
    let path = format!("/jobs/{id}");
    let answer = world
        .request("GET", &path)
        .field("prefer", "wait=86400")
        .send();
    assert_eq!(answer.json()["status"], "queued");
    let waited = world.clock.get().since(super::world::START);
    assert_eq!(waited, raincheck::job::Millis(2_000));
}

#[test]
fn a_clients_priority_chooses_the_queue_if_the_rule_allows_it() {
    use raincheck::job::Priority::{High, Low, Normal};
    let cases = [("", "u=0", Normal), ("client_priority = true", "u=1", High)];
    let more = [
        ("client_priority = true", "u=7", Low),
        ("client_priority = true", "nonsense", Normal),
        ("priority = \"low\"", "u=0", Low),
    ];
    for (lines, field, expected) in cases.into_iter().chain(more) {
        let world = World::new().rule(lines);
        world
            .request("POST", "/slow")
            .field("priority", field)
            .body("x")
            .send()
            .job();
        assert_eq!(
            world.queue.borrow()[0].1.priority,
            expected,
            "{lines} {field}"
        );
    }
}

#[test]
fn client_options_that_a_rule_does_not_allow_are_rejected() {
    for name in ["raincheck-not-before", "raincheck-deadline"] {
        let world = World::new().rule("");
        let refused = world.request("POST", "/slow").field(name, "60").send();
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "bad_request"),
            "{name}"
        );
        assert_eq!(world.count("jobs"), 0);
    }
}

#[test]
fn a_client_may_only_shorten_the_deadline() {
    let world = World::new().rule("client_deadline = true\nclient_delay = true");
    for (deadline, status) in [
        ("60", 202),
        ("3600", 202),
        ("3601", 400),
        ("0", 400),
        ("x", 400),
    ] {
        let request = world
            .request("POST", "/slow")
            .field("raincheck-deadline", deadline);
        assert_eq!(request.send().status, status, "{deadline}");
    }
    let request = world
        .request("POST", "/slow")
        .field("raincheck-deadline", "60");
    assert_eq!(
        request.field("raincheck-not-before", "60").send().status,
        400
    );
}
