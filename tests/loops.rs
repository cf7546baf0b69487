//! An origin that is the gateway itself is refused before a deploy.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "support/command.rs"]
mod command;

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
