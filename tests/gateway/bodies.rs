//! Bodies, small and large, whole and broken.

use raincheck::job::Millis;
use raincheck::rpc::call::INLINE_MAX;
use raincheck::rpc::ports::BodyFault;

use super::script::{Reaction, respond};
use super::world::{Fault, ORPHAN_GRACE, World};

fn bytes(len: u64) -> Vec<u8> {
    (0..len)
        .map(|index| u8::try_from(index % 251).unwrap())
        .collect()
}

/// Long after the last test ends, but before the retention does.
fn after_the_grace(world: &World) {
    let end = world.clock.get().plus(ORPHAN_GRACE).plus(Millis(60_000));
    world.run_until(end, || false);
}

#[test]
fn a_body_up_to_the_limit_stays_in_the_row_and_a_larger_one_goes_to_the_bucket() {
    for (len, objects) in [(1, 0), (INLINE_MAX, 0), (INLINE_MAX + 1, 1)] {
        for announced in [true, false] {
            let world = World::new().rule("");
            let request = world.request("POST", "/slow");
            let body = bytes(len);
            let request = if announced {
                request.body(body.clone())
            } else {
                request.chunked(body.clone())
            };
            let id = request.send().job();
            assert_eq!(
                world.bucket.borrow().len(),
                objects,
                "{len}, announced: {announced}"
            );
            world.run();
            assert_eq!(world.status_of(&id), "succeeded");
            assert_eq!(
                world.sent.borrow()[0].body,
                body,
                "{len}, announced: {announced}"
            );
            world.advance_to(world.clock.get());
            assert_eq!(world.count("sweeps"), 0);
        }
    }
}

#[test]
fn the_object_of_a_request_is_deleted_when_its_job_succeeds() {
    let world = World::new().rule("");
    world
        .request("POST", "/slow")
        .body(bytes(100_000))
        .send()
        .job();
    world.run();
    world.advance_to(world.clock.get());
    assert!(world.bucket.borrow().is_empty());
}

#[test]
fn a_large_response_goes_to_the_bucket_and_back() {
    for chunked in [false, true] {
        let body = bytes(200_000);
        let response = respond(200).field("etag", "\"v1\"");
        let response = if chunked {
            response.chunked(body.clone())
        } else {
            response.body(body.clone())
        };
        let world = World::new().rule("").origin([response]);
        let id = world.post("x").job();
        world.run();
        let result = world.result(&id);
        assert_eq!((result.status, result.body.bytes.len()), (200, body.len()));
        assert_eq!(result.body.bytes, body);
        assert_eq!(result.field("content-length"), "200000");
        assert_eq!(
            (
                result.field("raincheck-object"),
                result.field("raincheck-slice")
            ),
            ("", "")
        );
        let path = format!("/jobs/{id}/result");
        let part = world
            .request("GET", &path)
            .field("range", "bytes=1000-1999")
            .send();
        assert_eq!(
            (part.status, part.field("content-range")),
            (206, "bytes 1000-1999/200000")
        );
        assert_eq!(part.body.bytes, body[1_000..2_000]);
        let head = world.request("HEAD", &path).send();
        assert_eq!((head.status, head.field("content-length")), (200, "200000"));
        assert!(head.body.bytes.is_empty());
        after_the_grace(&world);
        assert_eq!(world.result(&id).body.bytes, body, "no sweep deletes it");
    }
}

#[test]
fn nothing_is_left_in_the_bucket_when_the_job_is_forgotten() {
    let world = World::new()
        .rule("retention = \"1h\"")
        .config("tombstone = \"1m\"")
        .origin([respond(200).body(bytes(200_000))]);
    world
        .request("POST", "/slow")
        .body(bytes(100_000))
        .send()
        .job();
    world.run();
    after_the_grace(&world);
    assert!(world.bucket.borrow().is_empty());
    assert_eq!([world.count("jobs"), world.count("sweeps")], [0; 2]);
}

#[test]
fn a_body_over_the_rules_limit_is_refused_and_nothing_is_kept() {
    for limit in [10, 100_000] {
        for announced in [true, false] {
            let world = World::new().rule(&format!("body_limit = {limit}"));
            let request = world.request("POST", "/slow");
            let body = bytes(limit + 1);
            let request = if announced {
                request.body(body)
            } else {
                request.chunked(body)
            };
            let refused = request.send();
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (413, "payload_too_large")
            );
            assert_eq!(world.count("jobs"), 0);
            after_the_grace(&world);
            assert!(
                world.bucket.borrow().is_empty(),
                "{limit}, announced: {announced}"
            );
            assert_eq!(world.count("sweeps"), 0);
        }
    }
}

#[test]
fn a_body_of_exactly_the_limit_is_accepted() {
    for limit in [10, 100_000] {
        let world = World::new().rule(&format!("body_limit = {limit}"));
        world
            .request("POST", "/slow")
            .body(bytes(limit))
            .send()
            .job();
        world
            .request("POST", "/slow")
            .chunked(bytes(limit))
            .send()
            .job();
    }
}

#[test]
fn a_broken_upload_makes_no_job_and_leaves_nothing() {
    for len in [10, 100_000] {
        let world = World::new().rule("");
        let refused = world.request("POST", "/slow").cut(bytes(len)).send();
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "body_incomplete")
        );
        let promised = (len + 5).to_string();
        let request = world.request("POST", "/slow").cut(bytes(len));
        let refused = request.field("content-length", &promised).send();
        assert!(refused.status >= 400, "{}", refused.text());
        let request = world.request("POST", "/slow").chunked(bytes(len));
        let refused = request.field("content-length", &promised).send();
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "body_incomplete")
        );
        assert_eq!(world.count("jobs"), 0);
        after_the_grace(&world);
        assert_eq!((world.bucket.borrow().len(), world.count("sweeps")), (0, 0));
    }
}

#[test]
fn a_body_that_stalls_or_finds_no_room_gets_its_own_problem_and_leaves_nothing() {
    for (fault, status, code) in [
        (BodyFault::Stalled, 408, "body_timeout"),
        (BodyFault::Full, 503, "overloaded"),
    ] {
        for len in [10, 100_000] {
            let world = World::new().rule("");
            let request = world.request("POST", "/slow");
            let refused = request.failing_after(bytes(len), fault).send();
            assert_eq!((refused.status, refused.problem().as_str()), (status, code));
            // Nothing was kept, so the request can be sent again.
            assert_eq!(refused.json()["retryable"], true);
            assert_eq!(refused.field("vary"), "Prefer");
            let is_told_when = !refused.field("retry-after").is_empty();
            assert_eq!(is_told_when, fault == BodyFault::Full);
            assert_eq!(world.count("jobs"), 0);
            after_the_grace(&world);
            assert_eq!((world.bucket.borrow().len(), world.count("sweeps")), (0, 0));
        }
    }
}

#[test]
fn a_failing_bucket_is_a_503_and_leaves_nothing_for_long() {
    for (name, fault) in [
        ("intend", Fault::Before),
        ("intend", Fault::After),
        ("put", Fault::Before),
        ("put", Fault::After),
    ] {
        let world = World::new().rule("").failing(name, fault);
        let refused = world.request("POST", "/slow").body(bytes(100_000)).send();
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (503, "storage_unavailable")
        );
        assert_eq!(world.count("jobs"), 0);
        after_the_grace(&world);
        assert_eq!(
            (world.bucket.borrow().len(), world.count("sweeps")),
            (0, 0),
            "{name}"
        );
    }
}

#[test]
fn an_unreadable_request_body_is_retried_without_contacting_the_origin() {
    let world = World::new().rule("").failing("get", Fault::Before);
    let id = world
        .request("POST", "/slow")
        .body(bytes(100_000))
        .send()
        .job();
    world.run();
    assert_eq!(
        (world.status_of(&id).as_str(), world.times_sent()),
        ("succeeded", 1)
    );
    assert_eq!(world.document(&id)["attempt"], 2);
}

#[test]
fn a_missing_request_body_ends_as_payload_unavailable() {
    let world = World::new().rule("");
    let id = world
        .request("POST", "/slow")
        .body(bytes(100_000))
        .send()
        .job();
    world.bucket.borrow_mut().clear();
    world.run();
    assert_eq!(
        (world.error_of(&id).as_str(), world.times_sent()),
        ("payload_unavailable", 0)
    );
}

#[test]
fn a_response_over_the_limit_fails_the_job_and_leaves_nothing() {
    for limit in [10, 100_000] {
        for chunked in [false, true] {
            let response = respond(200);
            let body = bytes(limit + 1);
            let response = if chunked {
                response.chunked(body)
            } else {
                response.body(body)
            };
            let world = World::new()
                .rule("")
                .config(&format!("result_limit = {limit}"))
                .origin([response]);
            let id = world.post("x").job();
            world.run();
            assert_eq!(
                world.error_of(&id),
                "result_too_large",
                "{limit}, chunked: {chunked}"
            );
            assert_eq!(world.times_sent(), 1);
            after_the_grace(&world);
            assert!(world.bucket.borrow().is_empty());
        }
    }
}

#[test]
fn a_truncated_response_never_succeeds() {
    for len in [10, 200_000] {
        let promised = (len + 1).to_string();
        let lies: [Reaction; 3] = [
            respond(200)
                .field("content-length", &promised)
                .cut(bytes(len))
                .into(),
            respond(200)
                .field("transfer-encoding", "chunked")
                .cut(bytes(len))
                .into(),
            Reaction::Respond(super::script::Response {
                body: bytes(len),
                ..respond(200).field("content-length", &promised)
            }),
        ];
        for lie in lies {
            let world = World::new().rule("").origin([lie]);
            let id = world.post("x").job();
            world.run();
            assert_eq!(world.error_of(&id), "outcome_unknown", "{len}");
            after_the_grace(&world);
            assert!(world.bucket.borrow().is_empty());
        }
    }
}

#[test]
fn a_response_that_could_not_be_stored_is_not_a_success() {
    let world = World::new()
        .rule("")
        .origin([respond(200).body(bytes(200_000))])
        .failing("put", Fault::Before);
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.error_of(&id), "result_not_stored");
}

#[test]
fn the_object_of_a_retried_response_is_deleted() {
    let world = World::new()
        .rule("")
        .origin([respond(503).body(bytes(200_000))]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.status_of(&id), "succeeded");
    assert!(world.bucket.borrow().is_empty());
}

#[test]
fn a_body_without_a_length_is_marked_as_unverified() {
    for body in ["until the end", ""] {
        let response = Reaction::Respond(super::script::Response {
            body: body.into(),
            ..respond(200)
        });
        let world = World::new().rule("").origin([response]);
        let id = world.post("x").job();
        world.run();
        assert_eq!(
            world.result(&id).field("raincheck-length-unverified"),
            "true",
            "{body}"
        );
    }
}

#[test]
fn a_response_without_content_stays_without_content() {
    for status in [204, 304] {
        let world = World::new().rule("").origin([respond(status)]);
        let id = world.post("x").job();
        world.run();
        let result = world.result(&id);
        assert_eq!((result.status, result.body.bytes.len()), (status, 0));
        assert_eq!(result.field("content-length"), "");
    }
}

#[test]
fn too_large_header_fields_are_rejected_in_requests_and_responses() {
    let long = "x".repeat(40_000);
    let world = World::new()
        .rule("")
        .origin([respond(200).field("x-long", &long).body("x")]);
    let refused = world.request("POST", "/slow").field("x-long", &long).send();
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (431, "headers_too_large")
    );
    let id = world.post("x").job();
    world.run();
    assert_eq!(world.error_of(&id), "result_too_large");
}
