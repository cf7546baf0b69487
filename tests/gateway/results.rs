//! Responses at result URLs and to held requests.

use raincheck::rpc::ports::Host as _;

use super::ports::Answer;
use super::script::{after, respond};
use super::world::{Fault, World};

/// Job status, source of the response, and the link to the status document.
fn marks(response: &Answer) -> (&str, &str, &str) {
    (
        response.field("raincheck-job-status"),
        response.field("raincheck-result"),
        response.field("link"),
    )
}

/// A job whose response is in the bucket, and the path of its result.
fn stored_in_the_bucket(world: &World) -> (String, String) {
    let id = world.post("x").job();
    world.run();
    (
        format!("/jobs/{id}/result"),
        format!("<https://gate.example/jobs/{id}>; rel=\"status\""),
    )
}

fn large() -> super::script::Response {
    respond(200).body("x".repeat(100_000))
}

#[test]
fn a_result_whose_body_cannot_be_read_still_names_its_job() {
    let world = World::new()
        .rule("")
        .origin([large()])
        .failing("get", Fault::Before);
    let (path, link) = stored_in_the_bucket(&world);
    let failed = world.request("GET", &path).send();
    assert_eq!(failed.problem(), "storage_unavailable");
    assert_eq!(marks(&failed), ("succeeded", "gateway", link.as_str()));
    let again = world.request("GET", &path).send();
    assert_eq!(marks(&again), ("succeeded", "origin", link.as_str()));
    assert_eq!(again.text().len(), 100_000);
}

#[test]
fn a_result_whose_body_is_lost_still_names_its_job() {
    let world = World::new().rule("").origin([large()]);
    let (path, link) = stored_in_the_bucket(&world);
    world.bucket.borrow_mut().clear();
    let lost = world.request("GET", &path).send();
    assert_eq!(lost.problem(), "result_not_stored");
    assert_eq!(marks(&lost), ("succeeded", "gateway", link.as_str()));
}

#[test]
fn every_error_at_a_result_url_says_that_it_is_not_the_origins() {
    let world = World::new().rule("").failing("view", Fault::Before);
    let id = world.post("x").job();
    let path = format!("/jobs/{id}/result");
    let outage = world.request("GET", &path).send();
    assert_eq!(outage.problem(), "storage_unavailable");
    assert_eq!(marks(&outage), ("", "gateway", ""));
    let method = world.request("PUT", &path).send();
    assert_eq!(method.problem(), "method_not_allowed");
    assert_eq!(marks(&method), ("", "gateway", ""));
}

#[test]
fn no_page_can_load_a_result_as_a_script_a_worker_or_a_style_sheet() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    world.run();
    let destinations = [
        "script",
        "worker",
        "sharedworker",
        "style",
        "xslt",
        "audioworklet",
        "paintworklet",
        "Script",
    ];
    for path in ["", "/result", "/events"] {
        for destination in destinations {
            let request = world.request("GET", &format!("/jobs/{id}{path}"));
            let refused = request.field("sec-fetch-dest", destination).send();
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (403, "subresource_refused"),
                "{path} {destination}"
            );
        }
    }
    for destination in ["document", "empty", "image", "iframe", "font", "video"] {
        let request = world.request("GET", &format!("/jobs/{id}/result"));
        let read = request.field("sec-fetch-dest", destination).send();
        assert_eq!(read.status, 200, "{destination}");
    }
}

#[test]
fn nothing_below_the_mount_tells_its_url_to_another_site() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    let everywhere = |world: &World| {
        for path in [
            format!("/jobs/{id}"),
            format!("/jobs/{id}/result"),
            format!("/jobs/{id}/events"),
            "/jobs/unknown".to_owned(),
            "/jobs/problems".to_owned(),
            "/jobs/problems/not_found".to_owned(),
            "/jobs/problems/none".to_owned(),
        ] {
            let answer = world.get(&path);
            assert_eq!(answer.field("referrer-policy"), "no-referrer", "{path}");
        }
    };
    everywhere(&world);
    world.run();
    everywhere(&world);
    let canceled = world.request("DELETE", &format!("/jobs/{id}")).send();
    assert_eq!(canceled.field("referrer-policy"), "no-referrer");
}

#[test]
fn nothing_below_the_mount_can_become_a_service_worker() {
    let script = respond(200)
        .field("content-type", "text/javascript")
        .body("self.onfetch = null");
    let world = World::new().rule("").origin([script]);
    let id = world.post("x").job();
    world.run();
    for path in ["", "/result", "/cancel", "/events"] {
        let path = format!("/jobs/{id}{path}");
        for (name, value) in [
            ("service-worker", "script"),
            ("service-worker", "Script"),
            ("sec-fetch-dest", "serviceworker"),
        ] {
            let refused = world.request("GET", &path).field(name, value).send();
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (403, "service_worker_refused"),
                "{path} {name}"
            );
        }
    }
    let read = world
        .request("GET", &format!("/jobs/{id}/result"))
        .field("sec-fetch-dest", "empty")
        .send();
    assert_eq!(
        (read.status, read.text().as_str()),
        (200, "self.onfetch = null")
    );
    assert!(read.field("content-security-policy").starts_with("sandbox"));
}

#[test]
fn a_held_request_has_our_preferences_and_not_the_origins() {
    let origin = || respond(200).field("preference-applied", "respond-async, return=minimal");
    let world = World::new()
        .rule("hold = \"5s\"")
        .origin([origin(), origin()]);
    let held = |prefer: Option<&str>| {
        let request = world.request("POST", "/slow").body("x");
        match prefer {
            Some(prefer) => request.field("prefer", prefer),
            None => request,
        }
        .send()
    };
    let preferred = held(Some("wait=10"));
    assert_eq!(
        preferred
            .headers
            .get_all("preference-applied")
            .collect::<Vec<_>>(),
        ["wait=10"]
    );
    assert_eq!(held(None).field("preference-applied"), "");
}

#[test]
fn a_read_that_waited_does_not_repeat_the_origins_preferences() {
    let world = World::new()
        .rule("")
        .origin([respond(200).field("preference-applied", "return=minimal")]);
    let id = world.post("x").job();
    let read = world
        .request("GET", &format!("/jobs/{id}/result"))
        .field("prefer", "wait=10")
        .send();
    assert_eq!(read.field("preference-applied"), "wait=10");
}

#[test]
fn a_held_response_links_to_its_job_before_the_origins_links() {
    let world = World::new()
        .rule("")
        .origin([respond(404).field("link", "</next>; rel=next")]);
    let held = world
        .request("POST", "/slow")
        .field("prefer", "wait=10")
        .body("x")
        .send();
    let (job_status, source, link) = marks(&held);
    assert_eq!((job_status, source), ("failed", "origin"));
    assert!(
        link.starts_with("<https://gate.example/jobs/j")
            && link.ends_with("; rel=\"status\", </next>; rel=next"),
        "{link}"
    );
}

/// Another person may use the same key, and a cookie identifies a person.
#[test]
fn cookies_reach_only_the_request_that_created_the_job() {
    let world = World::new()
        .rule("")
        .origin([respond(200).field("set-cookie", "session=1").body("done")]);
    let send = || {
        world
            .request("POST", "/slow")
            .field("prefer", "wait=10")
            .field("idempotency-key", "k")
            .body("x")
            .send()
    };
    let first = send();
    assert_eq!(
        (first.field("set-cookie"), first.text().as_str()),
        ("session=1", "done")
    );
    let again = send();
    assert_eq!(
        (again.field("set-cookie"), again.text().as_str()),
        ("", "done")
    );
    assert_eq!(again.field("raincheck-repeats"), "");
    assert_eq!(again.field("link"), first.field("link"));
}

#[test]
fn the_receipt_of_a_repetition_names_the_preferences_of_that_repetition() {
    let world = World::new()
        .rule("client_delay = true")
        .origin([after(60_000, respond(200))]);
    let send = |prefer: &str| {
        let request = world.request("POST", "/slow").field("idempotency-key", "k");
        request.field("prefer", prefer).body("x").send()
    };
    let first = send("respond-async");
    assert_eq!(first.field("preference-applied"), "respond-async");
    assert_eq!(send("return=minimal").field("preference-applied"), "");
    assert_eq!(send("return=minimal").job(), first.job());
}

#[test]
fn a_hold_ends_on_time_when_the_shard_does_not_answer_the_watch() {
    let world = World::new()
        .rule("client_delay = true")
        .failing("watch", Fault::Hang);
    let before = world.now();
    let receipt = world
        .request("POST", "/slow")
        .field("prefer", "wait=10")
        .field("raincheck-not-before", "60")
        .body("x")
        .send();
    assert_eq!(receipt.status, 202);
    assert_eq!(world.now().since(before).0, 10_000);
}

#[test]
fn a_hold_ends_when_the_shard_does_not_answer_the_read() {
    for name in ["view", "get"] {
        let world = World::new()
            .rule("")
            .origin([large()])
            .failing(name, Fault::Hang);
        let before = world.now();
        let receipt = world
            .request("POST", "/slow")
            .field("prefer", "wait=10")
            .body("x")
            .send();
        assert_eq!(receipt.status, 202, "{name}");
        assert!(world.now().since(before).0 <= 15_000, "{name}");
    }
}

#[test]
fn the_time_that_accepting_took_counts_as_held() {
    let world = World::new()
        .rule("client_delay = true")
        .failing("accept", Fault::Slow(3_000));
    let before = world.now();
    let receipt = world
        .request("POST", "/slow")
        .field("prefer", "wait=10")
        .field("raincheck-not-before", "60")
        .body("x")
        .send();
    assert_eq!(receipt.status, 202);
    assert_eq!(world.now().since(before).0, 10_000);
}

#[test]
fn a_held_head_has_the_origins_content_length() {
    let world = World::new().rule("").origin([
        respond(200).field("content-length", "1234"),
        respond(200).field("content-length", "1234"),
    ]);
    let held = world
        .request("HEAD", "/slow")
        .field("prefer", "wait=10")
        .send();
    assert_eq!(
        (
            held.status,
            held.field("content-length"),
            held.text().as_str()
        ),
        (200, "1234", "")
    );
    let id = world.request("HEAD", "/slow").send();
    let path = id
        .field("location")
        .trim_start_matches("https://gate.example")
        .to_owned();
    world.run();
    let read = world.request("HEAD", &path).send();
    assert_eq!((read.status, read.field("content-length")), (200, "1234"));
    let get = world.request("GET", &path).send();
    assert_eq!(
        (
            get.field("content-length"),
            get.field("raincheck-origin-content-length")
        ),
        ("0", "1234")
    );
}
