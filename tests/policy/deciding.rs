//! Which rule a request matches, and what a job copies from it.

use std::borrow::Cow;

use raincheck::job::Millis;
use raincheck::policy::canonical_path;

use crate::{only_rule, read, top, with_rule};

#[test]
fn the_first_rule_that_matches_decides_even_when_a_later_one_is_closer() {
    let policy = read(&top(
        "[[rules]]\nname = \"health\"\nmethods = [\"*\"]\npath = \"/api/health\"\ndefer = \"never\"\n\
         [[rules]]\nname = \"any\"\npath = \"/api/{*rest}\"\n\
         [[rules]]\nname = \"reports\"\nmethods = [\"POST\", \"PUT\"]\npath = \"/api/reports\"\n\
         [[rules]]\nname = \"id\"\nmethods = [\"GET\"]\npath = \"/api/{id}\"\n\
         [[rules]]\nname = \"pdf\"\nmethods = [\"GET\"]\npath = \"/files/{name}.pdf\"",
    ));
    let decide = |method: &str, path: &str| {
        let rule = policy.decide(method, path, &mut |_| None);
        rule.map(|rule| rule.name.as_str())
    };
    for (method, path, expected) in [
        ("POST", "/api/reports", Some("any")),
        ("PUT", "/api/reports", Some("reports")),
        ("GET", "/api/reports", Some("id")),
        ("POST", "/api/health", Some("health")),
        ("BREW", "/api/health", Some("health")),
        ("OPTIONS", "/api/health", None),
        ("post", "/api/reports", None),
        ("POST", "/api/", None),
        ("POST", "/api", None),
        ("POST", "/API/reports", None),
        ("PUT", "/api/reports/", None),
        ("GET", "/api/a/b", None),
        ("GET", "/api/a%2Fb", Some("id")),
        ("GET", "/files/x.pdf", Some("pdf")),
        ("GET", "/files/.pdf", None),
        ("GET", "/files/a/x.pdf", None),
        ("GET", "/files/x.pdf.exe", None),
        ("GET", "*", None),
        ("GET", "", None),
        ("CONNECT", "api.example.com:443", None),
    ] {
        assert_eq!(decide(method, path), expected, "{method} {path}");
    }
}

#[test]
fn conditions_on_headers_and_content_types_must_all_hold() {
    let policy = read(&with_rule(
        "content_types = [\"application/json\", \"image/*\"]\n\
         headers = [{ name = \"X-Mode\", value = \"slow\" }, { name = \"x-any\" }]",
    ));
    let decide = |fields: &[(&str, &str)]| {
        let mut header = |name: &str| {
            let field = fields.iter().find(|(own, _)| *own == name);
            field.map(|(_, value)| (*value).to_owned())
        };
        policy.decide("POST", "/r", &mut header).is_some()
    };
    let json = ("content-type", "Application/JSON ; charset=utf-8");
    assert!(decide(&[json, ("x-mode", "slow"), ("x-any", "")]));
    assert!(decide(&[json, ("x-mode", " slow\t"), ("x-any", "1")]));
    assert!(decide(&[
        ("content-type", "image/png"),
        ("x-mode", "slow"),
        ("x-any", "")
    ]));
    assert!(!decide(&[json, ("x-mode", "Slow"), ("x-any", "")]));
    assert!(!decide(&[json, ("x-mode", "slow")]));
    assert!(!decide(&[("x-mode", "slow"), ("x-any", "")]));
    for other in [
        "application/jsonx",
        "text/plain",
        "image",
        "",
        "application/json+x",
        "imagex/png",
    ] {
        assert!(
            !decide(&[("content-type", other), ("x-mode", "slow"), ("x-any", "")]),
            "{other}"
        );
    }
}

#[test]
fn headers_are_asked_for_only_when_everything_else_matches() {
    let policy = read(&with_rule("headers = [{ name = \"x-mode\" }]"));
    let mut asked = Vec::new();
    for (method, path) in [("GET", "/r"), ("POST", "/q"), ("POST", "/r")] {
        policy.decide(method, path, &mut |name| {
            asked.push(format!("{method} {path} {name}"));
            None
        });
    }
    assert_eq!(asked, ["POST /r x-mode"]);
}

#[test]
fn a_plan_is_repeatable_for_idempotent_methods_or_when_the_origin_honours_the_key() {
    let rule = only_rule("attempts = 3\nretry_statuses = [500]\nattempt_timeout = \"1s\"");
    for (method, repeatable) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
        ("PATCH", false),
        ("get", false),
    ] {
        assert_eq!(rule.plan(method).repeatable, repeatable, "{method}");
    }
    let plan = rule.plan("POST");
    assert_eq!(plan.attempts, 3);
    assert_eq!(plan.backoff, rule.backoff);
    assert_eq!(plan.retry_statuses, Some(vec![500]));
    assert_eq!(plan.attempt_timeout, Millis(1000));
    assert!(
        only_rule("origin_honours_key = true")
            .plan("POST")
            .repeatable
    );
}

#[test]
fn spellings_of_one_resource_have_one_canonical_path() {
    for (path, expected) in [
        ("/", "/"),
        ("/reports", "/reports"),
        ("//reports", "/reports"),
        ("/reports/", "/reports/"),
        ("/reports//", "/reports/"),
        ("/./reports", "/reports"),
        ("/reports/.", "/reports/"),
        ("/reports/..", "/"),
        ("/x/../reports", "/reports"),
        ("/x/%2e%2E/reports", "/reports"),
        ("/x/.%2e/reports", "/reports"),
        ("/a//../b", "/a/b"),
        ("/../../etc", "/etc"),
        ("/..", "/"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/%72eports", "/reports"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%5cb", "/a%5Cb"),
        ("/a\\b", "/a/b"),
        ("\\a", "/a"),
        ("/a%252e", "/a%252e"),
        ("/%", "/%25"),
        ("/%4", "/%254"),
        ("/%zz", "/%25zz"),
        ("/a b", "/a%20b"),
        ("/é", "/%C3%A9"),
        ("/%c3%a9", "/%C3%A9"),
        ("/\0", "/%00"),
        ("/%00", "/%00"),
        ("/{id}", "/%7Bid%7D"),
        ("/a?b/../c", "/a"),
        ("/a#b", "/a"),
        ("/a%3Fb", "/a%3Fb"),
        ("/a:b@c!$&'()*+,;=~", "/a:b@c!$&'()*+,;=~"),
    ] {
        assert_eq!(canonical_path(path).as_deref(), Some(expected), "{path:?}");
    }
    for other in ["", "*", "reports", "?a", "http://h/reports"] {
        assert_eq!(canonical_path(other), None, "{other:?}");
    }
}

#[test]
fn a_path_that_is_canonical_already_is_not_copied() {
    for path in ["/", "/reports/7/", "/v1.2/report.pdf", "/a:b@c"] {
        let canonical = canonical_path(path).unwrap();
        assert!(
            matches!(canonical, Cow::Borrowed(same) if same == path),
            "{path}"
        );
    }
}
