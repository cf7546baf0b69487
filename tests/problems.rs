//! Problems on the wire, and their pages.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use raincheck::protocol::problem::{Problem, ProblemCode};
use raincheck::protocol::route::Endpoint;

#[test]
fn the_bytes_of_a_problem_are_pinned() {
    let problem = Problem::new(ProblemCode::IdempotencyKeyInvalid)
        .detail("the key is \"empty\"")
        .field("Idempotency-Key")
        .retry_after(3);
    assert_eq!(problem.status(), 400);
    assert_eq!(
        problem.body("/jobs"),
        concat!(
            r#"{"type":"/jobs/problems/idempotency_key_invalid","#,
            r#""title":"The Idempotency-Key is not valid","status":400,"detail":"the key is \"empty\"","#,
            r#""error":{"code":"idempotency_key_invalid","message":"the key is \"empty\""},"#,
            r#""field":"Idempotency-Key","retryable":false}"#,
        )
    );
    let headers = problem.response_headers();
    assert_eq!(
        headers.iter().collect::<Vec<_>>(),
        [
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("retry-after", "3"),
        ]
    );
}

#[test]
fn a_problem_carries_the_fields_that_its_status_demands() {
    let head = |problem: &Problem| problem.response_headers();
    let not_allowed = Problem::method_not_allowed(Endpoint::Result.allowed_methods());
    assert_eq!(head(&not_allowed).get("allow"), Some("GET, HEAD"));
    let range = Problem::range_not_satisfiable(42);
    assert_eq!(head(&range).get("content-range"), Some("bytes */42"));
    let unauthorized = Problem::new(ProblemCode::Unauthorized);
    assert_eq!(head(&unauthorized).get("www-authenticate"), Some("Bearer"));
    let basic = unauthorized.header("www-authenticate", "Basic realm=\"x\"");
    assert_eq!(
        head(&basic).get_all("www-authenticate").collect::<Vec<_>>(),
        ["Basic realm=\"x\""]
    );
    // Marked as safe, which the code alone does not show.
    let safe = Problem::new(ProblemCode::DeadlineExceeded).retryable(true);
    assert!(safe.body("/jobs").contains("\"retryable\":true"));
}

#[test]
fn every_problem_has_a_message_a_stable_code_and_an_error_status() {
    for code in ProblemCode::ALL {
        let body: serde_json::Value =
            serde_json::from_str(&Problem::new(*code).body("/jobs")).unwrap();
        assert_eq!(body["error"]["code"], code.as_str());
        assert_eq!(body["error"]["message"], code.title());
        assert_eq!(body["detail"], code.title());
        assert_eq!(body["status"], code.status());
        assert!((400..600).contains(&code.status()), "{code}");
        assert_eq!(ProblemCode::from_code(code.as_str()), Some(*code));
        assert!(
            code.as_str()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
        );
    }
    let mut codes: Vec<_> = ProblemCode::ALL.iter().map(|c| c.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), ProblemCode::ALL.len());
}

/// Where the pages are.
const PAGES: &str = "docs/problems";

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGES).join(name);
    fs::read_to_string(&path).unwrap_or_default()
}

const fn advice(code: ProblemCode) -> &'static str {
    if code.retryable() { "yes" } else { "no" }
}

#[test]
fn every_problem_has_a_page_that_states_status_title_and_advice() {
    for code in ProblemCode::ALL {
        let page = page(&format!("{code}.md"));
        let head = format!(
            "# {code}\n\n**{}** · Status {} · Retryable: {}\n",
            code.title(),
            code.status(),
            advice(*code)
        );
        assert!(
            page.starts_with(&head),
            "docs/problems/{code}.md must begin with:\n{head}"
        );
        for section in ["\n## What it means\n", "\n## What to do\n"] {
            assert!(
                page.contains(section),
                "{code}.md lacks the section {section:?}"
            );
        }
    }
}

#[test]
fn every_page_belongs_to_a_problem() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGES);
    let pages: BTreeSet<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = ProblemCode::ALL
        .iter()
        .map(|code| format!("{code}.md"))
        .chain(["README.md".to_owned()])
        .collect();
    assert_eq!(pages, expected);
}

#[test]
fn the_index_lists_every_problem_once_and_nothing_else() {
    let index = page("README.md");
    let rows: Vec<&str> = index
        .lines()
        .filter(|line| line.starts_with("| ["))
        .collect();
    for code in ProblemCode::ALL {
        let row = format!(
            "| [{code}]({code}.md) | {} | {} | {} |",
            code.status(),
            advice(*code),
            code.title()
        );
        assert_eq!(
            rows.iter().filter(|line| **line == row).count(),
            1,
            "the index needs the row:\n{row}"
        );
    }
    assert_eq!(rows.len(), ProblemCode::ALL.len());
}

#[test]
fn the_gateway_serves_every_page_of_the_documentation_unchanged() {
    for code in ProblemCode::ALL {
        assert_eq!(code.page(), page(&format!("{code}.md")), "{code}");
    }
}
