//! The JavaScript around the WebAssembly responds by itself when Rust cannot.

#![allow(clippy::expect_used, reason = "a test ends at the first surprise")]

use raincheck::policy::limits::DEFAULT_MOUNT;
use raincheck::protocol::problem::{Problem, ProblemCode};

const WORKER: &str = include_str!("../src/edge/worker.js");

#[test]
fn after_a_panic_a_client_gets_the_documented_internal_error() {
    let problem = Problem::new(ProblemCode::InternalError);
    let body = problem.body(DEFAULT_MOUNT);
    assert!(WORKER.contains(&format!("'{body}'")), "{body}");
    assert!(WORKER.contains(&format!("status: {}", problem.status())));
    for (name, value) in problem.response_headers().iter() {
        assert!(
            WORKER.contains(&format!("\"{name}\": \"{value}\"")),
            "{name}"
        );
    }
}
