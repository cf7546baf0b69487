//! An origin that is the gateway itself is rejected before a deploy.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "support/deployment.rs"]
mod deployment;

use serde_json::{Value, json};

use deployment::{ALL, mistakes, with_configuration, with_production};

/// What the check says of a file with this origin and another field at its top level.
fn said(origin: &str, field: &str, value: Value) -> String {
    let mut file = with_configuration(&format!("origin = {origin}"));
    file[field] = value;
    mistakes(&file, ALL)
}

fn service(name: &str) -> Value {
    json!([{ "binding": "ORIGIN", "service": name }])
}

#[test]
fn a_service_that_is_this_worker_is_refused() {
    let origin = "{ service = 'ORIGIN' }";
    assert_eq!(said(origin, "services", service("api")), "");
    assert_eq!(
        said(origin, "services", service("raincheck")),
        "services: found \"raincheck\" bound as \"ORIGIN\", which is this gateway; \
         allowed: the Worker behind"
    );
}

#[test]
fn an_environment_is_deployed_under_a_name_of_its_own() {
    let of = |name: &str| {
        let mut file = with_production("origin = { service = 'ORIGIN' }");
        file["env"]["production"]["services"] = service(name);
        mistakes(&file, ALL)
    };
    assert_eq!(of("raincheck"), "");
    let found = of("raincheck-production");
    assert!(found.contains("\"raincheck-production\" bound as \"ORIGIN\", which is this gateway"));
}

#[test]
fn a_custom_domain_of_this_worker_is_refused_and_a_route_is_not() {
    let domain = json!([{ "pattern": "api.example.com", "custom_domain": true }]);
    for origin in ["'https://api.example.com/v1'", "'https://API.example.com.'"] {
        let found = said(origin, "routes", domain.clone());
        assert!(
            found.contains(
                "which is a custom domain of this gateway; allowed: the address of your API"
            ),
            "{origin}: {found}"
        );
    }
    assert_eq!(said("'https://v1.api.example.com'", "routes", domain), "");
    // What is behind a route has its name: a Worker there reaches it by the same URL.
    let route = json!([{ "pattern": "api.example.com/*", "zone_name": "example.com" }]);
    assert_eq!(said("'https://api.example.com'", "routes", route), "");
}
