//! What a client's request to an origin must not have, deferred or passed through.

use raincheck::http::Headers;
use raincheck::ingress::{Action, Isolate, decide};

use super::world::{START, World};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

#[test]
fn no_request_to_send_its_own_fields_back_reaches_an_origin() {
    let world = World::new().rule("");
    for method in ["TRACE", "TRACK", "trace", "Track"] {
        for target in ["/", "/slow", "/other", "*"] {
            let answer = world.request(method, target).send();
            if target == "*" {
                assert_eq!(answer.status, 400);
                continue;
            }
            assert_eq!(answer.problem(), "method_not_allowed", "{method} {target}");
            assert_eq!((answer.status, answer.field("allow")), (405, METHODS));
        }
        let problems = world.request(method, "/jobs/problems").send();
        assert_eq!(
            (problems.status, problems.field("allow")),
            (405, "GET, HEAD")
        );
        assert!(world.request(method, "/jobs/x").send().status >= 404);
    }
    assert_eq!((world.count("jobs"), world.times_sent()), (0, 0));
    assert_eq!(world.request("MKCOL", "/other").send().status, 299);
}

const SPELLINGS: [&str; 5] = ["X-Tenant", "X_Tenant", "x_tenant", "X.Tenant", "x-tenant"];

/// A world whose origin gets `X-Tenant` from the gateway.
fn with_tenant() -> World {
    World::new()
        .rule("")
        .config("origin = { url = \"https://api.example.com\", headers = { X-Tenant = \"ours\" } }")
}

#[test]
fn a_client_cannot_send_a_twin_of_a_field_that_the_gateway_sets_for_an_origin() {
    let world = with_tenant();
    for spelling in SPELLINGS {
        let request = world.request("POST", "/slow").field(spelling, "evil");
        request.field("x-tenants", "mine").send().job();
        world.run();
        let sent = world.sent.borrow_mut().pop().unwrap();
        // The platform adds the configured field, which needs the secrets.
        assert!(
            sent.headers.iter().all(|(_, value)| value != "evil"),
            "{spelling}"
        );
        assert_eq!(sent.headers.get("x-tenants"), Some("mine"));
    }
}

#[test]
fn a_request_that_passes_through_has_no_twin_of_a_configured_field() {
    let world = with_tenant();
    for spelling in SPELLINGS {
        let passed = passed(&world, &[(spelling, "evil"), ("x-tenants", "mine")]);
        assert!(
            passed.iter().all(|(_, value)| value != "evil"),
            "{spelling}"
        );
        assert_eq!(passed.get("x-tenants"), Some("mine"));
    }
}

#[test]
fn no_origin_is_told_the_url_of_a_job() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    world.run();
    world.sent.borrow_mut().clear();
    for (referer, hidden) in [
        (format!("https://h.example/jobs/{id}/result"), true),
        (format!("https://h.example/jobs/{id}?x=1#y"), true),
        (
            format!("http://other.example:8080//x/..//%6Aobs/{id}"),
            true,
        ),
        (format!("https:\\\\h.example\\jobs\\{id}"), true),
        (format!("//h.example/jobs/{id}"), true),
        (format!("/jobs/{id}"), true),
        ("https://h.example/".to_owned(), false),
        ("https://h.example".to_owned(), false),
        ("https://h.example/jobsite".to_owned(), false),
        ("https://h.example/a?b=/jobs/x".to_owned(), false),
        ("about:blank".to_owned(), false),
    ] {
        let passed = passed(&world, &[("referer", &referer)]);
        let request = world.request("POST", "/slow").field("referer", &referer);
        request.send().job();
        world.run();
        let sent = world.sent.borrow_mut().pop().unwrap();
        for headers in [&passed, &sent.headers] {
            let found = headers.get("referer");
            assert_eq!(found, (!hidden).then_some(referer.as_str()), "{referer}");
        }
    }
}

/// The fields with which a request passes through.
fn passed(world: &World, fields: &[(&str, &str)]) -> Headers {
    let request = world.request("POST", "/other");
    let request = fields
        .iter()
        .fold(request, |request, (name, value)| request.field(name, value));
    let came = request.head.headers.clone();
    match decide(&world.policy, request.head, START, Isolate(1)) {
        Action::PassThrough(pass) => pass.edits.apply(came),
        _ => panic!("it does not pass through"),
    }
}
