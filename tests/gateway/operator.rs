//! Redriving a failed job, which only an operator may do.

use super::ports::Answer;
use super::script::respond;
use super::world::{Fault, World};

/// SHA-256 of `letmein`.
const TOKEN_SHA256: &str = "1c8bfe8f801d79745c4631d09fff36c82aa37fc4cce4fc946683d7b336b63032";

fn world() -> World {
    World::new()
        .rule("")
        .config(&format!("operator_token_sha256 = \"{TOKEN_SHA256}\""))
        .origin([respond(400).body("bad day")])
}

fn redrive(world: &World, id: &impl std::fmt::Display) -> Answer {
    let request = world.request("POST", &format!("/jobs/{id}/redrive"));
    request.field("authorization", "Bearer letmein").send()
}

#[test]
fn a_failed_job_runs_again_as_a_new_job_with_the_same_request() {
    for body in [String::new(), "small".to_owned(), "x".repeat(100_000)] {
        let world = world();
        let old = if body.is_empty() {
            world
                .request("POST", "/slow?q=1")
                .field("x-mine", "1")
                .send()
                .job()
        } else {
            world
                .request("POST", "/slow?q=1")
                .field("x-mine", "1")
                .body(body.clone())
                .send()
                .job()
        };
        world.run();
        assert_eq!(world.status_of(&old), "failed");
        let new = redrive(&world, &old).job();
        assert_ne!(new, old);
        world.run();
        assert_eq!(world.status_of(&new), "succeeded");
        assert_eq!(world.document(&new)["redrive_of"], old.to_string());
        assert_eq!(
            world.status_of(&old),
            "failed",
            "the old job does not change"
        );
        assert_eq!(world.result(&old).text(), "bad day");
        let sent = world.sent.borrow();
        assert_eq!(sent[1].body, body.as_bytes());
        assert_eq!(
            (&sent[1].method, &sent[1].target),
            (&sent[0].method, &sent[0].target)
        );
        assert_eq!(sent[1].headers.get("x-mine"), Some("1"));
    }
}

#[test]
fn two_jobs_never_share_an_object() {
    let world = world();
    let old = world
        .request("POST", "/slow")
        .body("x".repeat(100_000))
        .send()
        .job();
    world.run();
    let new = redrive(&world, &old).job();
    assert_eq!(world.bucket.borrow().len(), 2);
    let object = |id| world.record(id).unwrap().payload.unwrap().object.unwrap();
    assert_ne!(object(&old), object(&new));
    let purged = world
        .request("DELETE", &format!("/jobs/{old}?purge=true"))
        .send();
    assert_eq!(purged.status, 204);
    world.run();
    assert_eq!(world.status_of(&new), "succeeded");
}

#[test]
fn a_redrive_whose_copy_fails_makes_no_job_and_says_so() {
    for (name, code) in [
        ("get", "storage_unavailable"),
        ("put", "storage_unavailable"),
        ("redrive", "storage_unavailable"),
    ] {
        let world = world().failing(name, Fault::Before);
        let old = world
            .request("POST", "/slow")
            .body("x".repeat(100_000))
            .send();
        let old = if old.status == 202 {
            old
        } else {
            world.post(&"x".repeat(100_000))
        }
        .job();
        world.run();
        let world = world.failing(name, Fault::Before);
        let before = world.count("jobs");
        let refused = redrive(&world, &old);
        if refused.status == 202 {
            // The job never failed: the fault struck when it was accepted.
            continue;
        }
        assert!(refused.status >= 400, "{name}");
        assert!(
            [code, "conflict"].contains(&refused.problem().as_str()),
            "{name}"
        );
        assert_eq!(world.count("jobs"), before);
    }
}

#[test]
fn a_redrive_whose_response_was_lost_is_not_retryable() {
    for body in ["small".to_owned(), "x".repeat(100_000)] {
        let world = world();
        let old = world.post(&body).job();
        world.run();
        let world = world.failing("redrive", Fault::After);
        let lost = redrive(&world, &old);
        assert_eq!(lost.problem(), "storage_unavailable");
        assert_eq!(lost.json()["retryable"], false);
    }
}

#[test]
fn a_redrive_of_a_missing_body_says_so() {
    let world = world();
    let old = world
        .request("POST", "/slow")
        .body("x".repeat(100_000))
        .send()
        .job();
    world.run();
    world.bucket.borrow_mut().clear();
    let refused = redrive(&world, &old);
    assert_eq!(refused.problem(), "payload_unavailable");
    assert_eq!(refused.json()["retryable"], false);
}

#[test]
fn only_a_failed_job_is_run_again() {
    let world = world();
    let queued = world.post("x").job();
    assert_eq!(redrive(&world, &queued).problem(), "conflict");
    world.run();
    let succeeded = world.post("y").job();
    world.run();
    assert_eq!(redrive(&world, &succeeded).problem(), "conflict");
    let canceled = world.post("z").job();
    world.request("DELETE", &format!("/jobs/{canceled}")).send();
    assert_eq!(redrive(&world, &canceled).problem(), "conflict");
}

#[test]
fn the_id_alone_does_not_permit_a_redrive() {
    let world = world();
    let id = world.post("x").job();
    world.run();
    let path = format!("/jobs/{id}/redrive");
    for token in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic letmein",
        "letmein",
    ] {
        let refused = world
            .request("POST", &path)
            .field("authorization", token)
            .send();
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (401, "unauthorized"),
            "{token}"
        );
    }
    assert_eq!(world.request("POST", &path).send().status, 401);
    let unconfigured = World::new().rule("");
    let refused = redrive(&unconfigured, &id);
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (403, "forbidden")
    );
    let problem = refused.json();
    assert_eq!(problem["field"], "operator_token_sha256");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("operator_token_sha256"), "{detail}");
}

#[test]
fn the_id_alone_gives_access_to_a_job() {
    let world = world();
    let made = world.request("POST", "/slow");
    let id = made
        .field("authorization", "Bearer alice")
        .body("x")
        .send()
        .job();
    let path = format!("/jobs/{id}");
    assert_eq!(world.request("GET", &path).send().status, 200);
    let other = world.request("DELETE", &path);
    let canceled = other.field("authorization", "Bearer bob").send();
    assert_eq!(canceled.status, 200);
    assert_eq!(world.status_of(&id), "canceled");
}

#[test]
fn the_operators_token_finds_no_job_that_does_not_exist() {
    let world = world();
    let id = world.post("x").job();
    let guess = raincheck::job::JobId {
        secret: raincheck::job::Secret::from_bytes([3; 16]),
        ..id
    };
    assert_eq!(redrive(&world, &guess).status, 404);
    assert_eq!(redrive(&world, &"nope").status, 404);
}

#[test]
fn a_purge_deletes_record_result_and_objects_and_frees_the_key() {
    let world = World::new()
        .rule("")
        .origin([respond(200).body(vec![b'r'; 100_000])]);
    let keyed = || {
        let request = world.request("POST", "/slow").field("idempotency-key", "k");
        request.body("x").send().job()
    };
    let id = keyed();
    let path = format!("/jobs/{id}?purge=true");
    let active = world.request("DELETE", &path).send();
    assert_eq!(
        (active.status, active.problem().as_str()),
        (409, "conflict")
    );
    world.run();
    assert_eq!(world.bucket.borrow().len(), 1);
    assert_eq!(world.request("DELETE", &path).send().status, 204);
    assert_eq!(world.get(&format!("/jobs/{id}")).status, 404);
    world.advance_to(world.clock.get());
    assert_eq!(world.bucket.borrow().len(), 0);
    assert_ne!(keyed(), id);
}
