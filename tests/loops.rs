//! An origin that is the gateway itself is refused: before a deploy, and when it is asked.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

use std::path::PathBuf;
use std::process::Command;

use raincheck::policy::Policy;

const GOOD: &str = include_str!("../wrangler.toml");

/// What `raincheck check` says of a wrangler.toml with this origin and these lines at its top and end.
fn said(test: &str, origin: &str, top: &str, end: &str) -> String {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("loop-{test}"));
    std::fs::create_dir_all(&directory).unwrap();
    let (before, rest) = GOOD.split_once("[vars]\n").unwrap();
    let (_, after) = rest.split_once("'''\n\n").unwrap();
    let vars = format!("[vars]\nRAINCHECK = '''\norigin = {origin}\n'''\n");
    let file = format!("{top}\n{before}{vars}{after}\n{end}\n");
    std::fs::write(directory.join("wrangler.toml"), file).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_raincheck"))
        .arg("check")
        .current_dir(directory)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
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
    let (_, bindings) = GOOD.split_once("# The records").unwrap();
    let (bindings, _) = bindings.split_once("[observability]").unwrap();
    let bindings = bindings.replace("\n[[", "\n[[env.production.");
    let vars = "[env.production.vars]\nRAINCHECK = 'origin = { service = true }'\n#";
    let of = |name: &str| {
        let service = service(name).replace("[[", "[[env.production.");
        format!("{vars}{bindings}{service}")
    };
    let origin = "'https://h'";
    assert_eq!(said("env-top", origin, "", &of("raincheck")), "");
    let found = said("env-own", origin, "", &of("raincheck-production"));
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
