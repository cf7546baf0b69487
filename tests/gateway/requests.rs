//! Which parts of a client's head are rejected, kept and removed.

use raincheck::ingress::FIELDS_MAX;
use raincheck::protocol::problem::ProblemCode;

use super::script::respond;
use super::world::World;

#[test]
fn too_many_header_fields_are_rejected_before_they_are_processed() {
    let world = World::new().rule("");
    for target in ["/slow", "/other", "/jobs/x"] {
        let mut request = world.request("POST", target);
        for number in 0..=FIELDS_MAX {
            request = request.field(&format!("raincheck-{number}"), "1");
        }
        let answer = request.send();
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (431, "headers_too_large"),
            "{target}"
        );
    }
    let mut request = world.request("POST", "/slow");
    for number in 1..FIELDS_MAX {
        request = request.field(&format!("raincheck-{number}"), "1");
    }
    assert_eq!(request.send().status, 202);
}

#[test]
fn fields_that_would_be_removed_count_towards_the_size_of_a_deferred_head() {
    let world = World::new().rule("");
    let large = "x".repeat(33_000);
    for name in ["raincheck-x", "connection", "x-forwarded-for"] {
        let answer = world.request("POST", "/slow").field(name, &large).send();
        assert_eq!(answer.problem(), "headers_too_large", "{name}");
        let passed = world.request("POST", "/other").field(name, &large).send();
        assert_eq!(passed.status, 299, "{name}");
    }
}

/// The conditions of the request must not affect the stored result. Other clients read it later, and may request
/// a part of it.
#[test]
fn a_deferred_get_asks_the_origin_for_the_whole_response_unconditionally() {
    let conditions = [
        ("if-none-match", "\"old\""),
        ("if-modified-since", "Sun, 22 Nov 2026 02:21:03 GMT"),
        ("if-match", "\"old\""),
        ("if-unmodified-since", "Sun, 22 Nov 2026 02:21:03 GMT"),
        ("if-range", "\"old\""),
        ("range", "bytes=0-1"),
    ];
    for (method, keeps) in [
        ("GET", false),
        ("HEAD", false),
        ("PUT", true),
        ("POST", true),
    ] {
        let world = World::new().rule("").origin([respond(200).body("whole")]);
        let mut request = world.request(method, "/slow");
        for (name, value) in conditions {
            request = request.field(name, value);
        }
        assert_eq!(request.field("accept", "a/b").send().status, 202);
        world.run();
        let sent = &world.sent.borrow()[0].headers;
        for (name, value) in conditions {
            assert_eq!(sent.get(name), keeps.then_some(value), "{method} {name}");
        }
        assert_eq!(sent.get("accept"), Some("a/b"));
    }
}

#[test]
fn a_deferred_get_with_a_body_of_unknown_length_is_refused() {
    let world = World::new().rule("");
    let answer = world
        .request("GET", "/slow")
        .field("transfer-encoding", "chunked")
        .send();
    assert_eq!(answer.problem(), "bad_request");
    assert_eq!(world.count("jobs"), 0);
}

#[test]
fn a_field_whose_bytes_are_not_text_is_rejected_rather_than_changed() {
    let world = World::new().rule("");
    let request = world
        .request("POST", "/slow")
        .field("x-name", "caf\u{fffd}");
    let answer = request.send();
    assert_eq!(answer.problem(), "bad_request");
    assert_eq!(answer.json()["field"], "x-name");
    let passed = world
        .request("POST", "/other")
        .field("x-name", "caf\u{fffd}");
    assert_eq!(passed.send().status, 299);
    let text = world.request("POST", "/slow").field("x-name", "café");
    assert_eq!(text.send().status, 202);
}

/// Every spelling that a rule treats as a path below the mount is below the mount.
#[test]
fn no_spelling_of_a_path_below_the_mount_reaches_the_origin() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    for path in [
        format!("//jobs/{id}"),
        format!("/jobs//{id}"),
        format!("/%6aobs/{id}"),
        format!("/%6Aobs/{id}"),
        format!("/x/../jobs/{id}"),
        format!("/x/%2e%2E/jobs/./{id}"),
        format!("\\jobs\\{id}").replacen('\\', "/", 1),
    ] {
        let answer = world.get(&path);
        assert_eq!(answer.json()["id"], id.to_string(), "{path}");
    }
    for path in [
        format!("/jobs%2f{id}"),
        format!("/jobs%2F{id}"),
        format!("/jobs%5c{id}"),
        format!("/x/..//jobs%2f{id}"),
        "//jobs".to_owned(),
        "/jobs/x/..".to_owned(),
    ] {
        let answer = world.get(&path);
        assert_eq!(answer.problem(), "not_found", "{path}");
    }
    for path in ["/jobs/../slow/", "/jobsx", "/jobs.", "/x/jobs", "/Jobs/x"] {
        assert_eq!(world.get(path).status, 299, "{path}");
    }
}

#[test]
fn the_type_of_a_problem_is_a_page_below_the_mount() {
    for mount in ["/jobs", "/v1/tasks"] {
        let world = World::new()
            .rule("idempotency = \"required\"")
            .config(&format!("mount = \"{mount}\""));
        let unknown = world.get(&format!("{mount}/x"));
        let refused = world.request("POST", "/slow").send();
        for (problem, code) in [
            (unknown, "not_found"),
            (refused, "idempotency_key_required"),
        ] {
            let page = format!("{mount}/problems/{code}");
            assert_eq!(problem.json()["type"], page);
            let page = world.get(&page);
            assert_eq!(page.status, 200);
            assert!(
                page.text().starts_with(&format!("# {code}\n")),
                "{}",
                page.text()
            );
        }
    }
    let world = World::new().rule("").origin([respond(404)]);
    let id = world.post("x").job();
    world.run();
    assert_eq!(
        world.document(&id)["error"]["type"],
        "https://gate.example/jobs/problems/origin_error"
    );
}

#[test]
fn every_problem_has_a_page_and_is_in_the_list_of_all() {
    let world = World::new().rule("");
    let list = world.get("/jobs/problems").text();
    for code in ProblemCode::ALL {
        let path = code.type_uri("/jobs");
        assert_eq!(world.get(&path).text(), code.page(), "{code}");
        assert!(list.lines().any(|line| line.ends_with(&path)), "{code}");
    }
    let code = ProblemCode::NotFound.type_uri("/jobs");
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "public, max-age=86400"),
    ] {
        assert_eq!(world.get(&code).field(name), value);
    }
    let policy = world.get(&code).field("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"));
    let head = world.request("HEAD", &code).send();
    assert_eq!((head.status, head.body.bytes.len()), (200, 0));
    for (method, path, problem) in [
        ("POST", "/jobs/problems", "method_not_allowed"),
        ("DELETE", code.as_str(), "method_not_allowed"),
        ("GET", "/jobs/problems/", "not_found"),
        ("GET", "/jobs/problems/none", "not_found"),
        ("GET", "/jobs/problems/not_found/x", "not_found"),
    ] {
        assert_eq!(
            world.request(method, path).send().problem(),
            problem,
            "{method} {path}"
        );
    }
    assert_eq!(*world.calls.borrow(), [], "no shard is asked for a page");
}
