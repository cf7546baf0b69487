//! `raincheck local`: what `npm start` is told, for every form of `origin` that there is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "support/command.rs"]
mod command;

use std::process::Output;

use raincheck::policy::{Origin, Policy};

use command::run;

const URL: &str = "http://127.0.0.1:9";

/// Every way to write an origin, each with what must stand before the rules around it.
const FORMS: [&str; 9] = [
    "origin = \"https://h\"",
    "origin = 'https://h'",
    "origin='https://h' # the API",
    "  \"origin\" = \"\"\"https://h\"\"\"",
    "origin = { url = \"https://h\" }",
    "origin = { service = true }",
    "origin.url = 'https://h'",
    "origin.service = true",
    "[origin]\nservice = true",
];

const RULES: &str = "\n[[rules]]\nname = 'r'\npath = '/r'\nheaders = [{ name = 'x', value = 'origin = \"y\"' }]\n\
    [rules.backoff]\ninitial = '2s'\nfactor = 1.5\n[[rules]]\nname = 'a'\npath = '/a'\n";

fn local(test: &str, configuration: &str, origin: &str) -> Output {
    let variables = toml::Table::from_iter([("RAINCHECK".to_owned(), configuration.into())]);
    let file = toml::Table::from_iter([("vars".to_owned(), variables.into())]);
    let args = ["local", "--origin", origin];
    run(&format!("local-{test}"), &file.to_string(), &args)
}

fn answer(output: &Output) -> serde_json::Value {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_form_of_an_origin_can_be_replaced_and_nothing_else_changes() {
    for (number, form) in FORMS.iter().enumerate() {
        let text = format!("mount = '/later'\n{form}\n{RULES}");
        let answer = answer(&local(&number.to_string(), &text, URL));
        assert_eq!(answer["mount"], "/later", "{form}");
        let changed = Policy::parse(answer["variable"].as_str().unwrap()).unwrap();
        let own = Policy::parse(&text).unwrap();
        assert_ne!(own.origin, changed.origin, "{form}");
        let expected = Policy {
            origin: Origin::Url(URL.to_owned()),
            ..own
        };
        assert_eq!(changed, expected, "{form}");
    }
}

#[test]
fn an_origin_that_the_file_has_already_changes_nothing() {
    for form in ["'http://127.0.0.1:9'", "{ url = 'http://127.0.0.1:9/' }"] {
        let answer = answer(&local("own", &format!("origin = {form}"), URL));
        assert_eq!(
            answer,
            serde_json::json!({ "mount": "/jobs", "variable": null })
        );
    }
}

#[test]
fn an_origin_may_be_given_where_the_file_has_none() {
    let answer = answer(&local("none", "shards = 2", URL));
    let policy = Policy::parse(answer["variable"].as_str().unwrap()).unwrap();
    assert_eq!(policy.shards, 2);
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        (
            "shards = 0",
            URL,
            "shards: found 0; allowed: a whole number from 1 to 1024",
        ),
        (
            "",
            "http://h",
            "origin: found \"http://h/\"; allowed: https, or http to a loopback address, or http anywhere with allow_http = true",
        ),
        ("x y", URL, "line 1, column 3: found a syntax error"),
    ];
    for (configuration, origin, expected) in cases {
        let output = local("wrong", configuration, origin);
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!("wrangler.toml: vars.RAINCHECK: {expected}");
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
    }
}

/// A receipt of a local run must not lead to the deployment.
#[test]
fn the_public_origin_of_the_deployment_is_not_that_of_a_local_run() {
    for (name, origin) in [("public", "https://h"), ("public-own", URL)] {
        let text = format!("public_origin = 'https://jobs.example'\norigin = '{origin}'\n{RULES}");
        let answer = answer(&local(name, &text, URL));
        let changed = Policy::parse(answer["variable"].as_str().unwrap()).unwrap();
        assert_eq!(changed.public_origin, None, "{name}");
        assert_eq!(changed.origin, Origin::Url(URL.to_owned()), "{name}");
    }
}
