//! An origin that is the gateway itself is refused: before a deploy, and when it is asked.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "support/command.rs"]
mod command;

use raincheck::policy::Policy;

use command::{run, stderr, with_configuration, with_production};

/// What `raincheck check` says of a wrangler.toml.
fn checked(test: &str, content: &str) -> String {
    stderr(&run(&format!("loop-{test}"), content, &["check"]))
}

/// What it says of one with this origin and these lines at its top and end.
fn said(test: &str, origin: &str, top: &str, end: &str) -> String {
    let vars = format!("[vars]\nRAINCHECK = '''\norigin = {origin}\n'''\n");
    checked(
        test,
        &format!("{top}\n{}\n{end}\n", with_configuration(&vars)),
    )
}

fn service(name: &str) -> String {
    format!("[[services]]\nbinding = \"ORIGIN\"\nservice = \"{name}\"")
}

#[test]
fn a_service_that_is_this_worker_is_refused() {
    let origin = "{ service = true }";
    assert_eq!(said("other", origin, "", &service("api")), "");
    assert_eq!(
        said("own", origin, "", &service("raincheck")),
        "wrangler.toml: services: found \"raincheck\" bound as \"ORIGIN\", which is this gateway; \
         allowed: the Worker behind\n"
    );
}

#[test]
fn an_environment_is_deployed_under_a_name_of_its_own() {
    let of = |test: &str, name: &str| {
        let service = service(name).replace("[[", "[[env.production.");
        let file = with_production("origin = { service = true }");
        checked(test, &format!("{file}\n{service}\n"))
    };
    assert_eq!(of("env-top", "raincheck"), "");
    let found = of("env-own", "raincheck-production");
    assert!(found.contains("\"raincheck-production\" bound as \"ORIGIN\", which is this gateway"));
}

#[test]
fn a_custom_domain_of_this_worker_is_refused_and_a_route_is_not() {
    let domain = "routes = [{ pattern = \"api.example.com\", custom_domain = true }]";
    for (test, origin) in ["'https://api.example.com/v1'", "'https://API.example.com.'"]
        .iter()
        .enumerate()
    {
        let found = said(&format!("domain-{test}"), origin, domain, "");
        assert!(
            found.contains("which is a custom domain of this gateway; allowed: the address of the"),
            "{origin}: {found}"
        );
    }
    assert_eq!(
        said("below", "'https://v1.api.example.com'", domain, ""),
        ""
    );
    // What is behind a route has its name: a Worker there reaches it by the same URL.
    let route = "routes = [{ pattern = \"api.example.com/*\", zone_name = \"example.com\" }]";
    assert_eq!(said("route", "'https://api.example.com'", route, ""), "");
}

#[test]
fn a_request_that_came_to_the_address_of_a_local_origin_would_come_back() {
    let leads_back = |origin: &str, authority: &str| {
        let policy = Policy::parse(&format!("origin = {origin}")).unwrap();
        policy.leads_back_to(authority)
    };
    for (origin, authority) in [
        ("'http://127.0.0.1:8787'", "127.0.0.1:8787"),
        ("'http://127.0.0.1:8787/base'", "localhost:8787"),
        ("'http://localhost:8787'", "[::1]:8787"),
        ("'http://[::1]:8787'", "api.localhost:8787"),
        ("'http://localhost'", "localhost"),
        ("'http://[::1]'", "[::1]"),
    ] {
        assert!(leads_back(origin, authority), "{origin} {authority}");
    }
    for (origin, authority) in [
        ("'http://127.0.0.1:8788'", "127.0.0.1:8787"),
        ("'http://127.0.0.1:8787'", "h.example:8787"),
        ("'http://localhost'", "localhost:8787"),
        ("'https://api.example.com'", "api.example.com"),
        ("'https://api.example.com'", "localhost"),
        ("{ service = true }", "127.0.0.1:8787"),
        ("'http://127.0.0.1:8787'", ""),
    ] {
        assert!(!leads_back(origin, authority), "{origin} {authority}");
    }
}
