//! What `npm start` reads from a file, for every form of `origin`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "support/configuration.rs"]
mod configuration;
#[path = "support/deployment.rs"]
mod deployment;

use raincheck::policy::deployment::local;
use raincheck::policy::{Origin, OriginAt, Policy, Variable};
use serde_json::{Value, json};

use deployment::{read, table};

const URL: &str = "http://127.0.0.1:9";

fn url(text: &str) -> Origin {
    OriginAt::Url(text.to_owned()).into()
}

/// Every way to write an origin, each with what must stand before the rules around it.
const FORMS: [&str; 6] = [
    "origin = \"https://h\"",
    "origin = { url = \"https://h\" }",
    "origin = { service = 'ORIGIN' }",
    "origin.url = 'https://h'",
    "origin.service = 'ORIGIN'",
    "[origin]\nservice = 'ORIGIN'",
];

const RULES: &str = "\n[[rules]]\nname = 'r'\npath = '/r'\nheaders = [{ name = 'x', value = 'origin = \"y\"' }]\n\
    [rules.backoff]\ninitial = '2s'\nfactor = 1.5\n[[rules]]\nname = 'a'\npath = '/a'\n";

/// The result for a file with this configuration, or its mistakes.
fn asked(lines: &str, origin: Option<&str>) -> Result<Value, String> {
    let file = json!({ "vars": { "RAINCHECK": read(lines) } });
    local(&table(&file), "", origin).map_err(|report| report.mistakes[0].to_string())
}

fn policy(answer: &Value) -> Policy {
    let variables = answer["vars"].as_object().unwrap().iter();
    let variables = variables.map(|(name, value)| Variable {
        name: name.clone(),
        value: value.clone(),
    });
    Policy::read(variables.collect()).unwrap()
}

#[test]
fn every_form_of_an_origin_can_be_replaced_and_nothing_else_changes() {
    for form in FORMS {
        let lines = format!("mount = '/later'\n{form}\n{RULES}");
        let answer = asked(&lines, Some(URL)).unwrap();
        assert_eq!(answer["mount"], "/later", "{form}");
        assert_eq!(answer["origin"], URL, "{form}");
        let own = configuration::parse(&lines).unwrap();
        let expected = Policy {
            origin: url(URL),
            ..own
        };
        assert_eq!(policy(&answer), expected, "{form}");
    }
}

#[test]
fn without_an_override_the_files_own_origin_is_kept() {
    let answer = asked("origin = 'https://h/base'", None).unwrap();
    assert_eq!(answer["origin"], "https://h/base");
    assert_eq!(policy(&answer).origin, url("https://h/base"));
    let answer = asked("origin = { service = 'ORIGIN' }", None).unwrap();
    assert_eq!(answer["origin"], Value::Null);
    let answer = asked(
        "origin = 'https://h'\n[origins]\na = 'https://a'\nb = { service = 'B' }",
        None,
    )
    .unwrap();
    assert_eq!(answer["origins"], json!({ "a": "https://a", "b": null }));
}

#[test]
fn an_origin_may_be_given_where_the_file_has_none() {
    let answer = asked("shards = 2", Some(URL)).unwrap();
    assert_eq!(policy(&answer).shards, 2);
}

#[test]
fn an_origin_in_a_further_variable_is_replaced_too() {
    let more = json!({ "origin": "https://h", "rules": [{ "name": "r", "path": "/r" }] });
    let file = json!({ "vars": { "RAINCHECK": { "shards": 2 }, "RAINCHECK_MORE": more } });
    let policy = policy(&local(&table(&file), "", Some(URL)).unwrap());
    assert_eq!(policy.origin, url(URL));
    assert_eq!(policy.rules.len(), 1);
}

#[test]
fn an_environment_is_selected_by_name() {
    let of = |origin: &str| json!({ "vars": { "RAINCHECK": { "origin": origin } } });
    let mut file = of("https://top");
    file["env"] = json!({ "staging": of("https://staging") });
    let answer = local(&table(&file), "staging", None).unwrap();
    assert_eq!(answer["origin"], "https://staging");
    let report = local(&table(&file), "absent", None).unwrap_err();
    assert_eq!(
        report.mistakes[0].to_string(),
        "env: found no \"absent\"; allowed: \"staging\""
    );
}

#[test]
fn mistakes_are_reported() {
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
    ];
    for (lines, origin, expected) in cases {
        let found = asked(lines, Some(origin)).unwrap_err();
        assert_eq!(found, format!("vars.RAINCHECK.{expected}"));
    }
}

/// A receipt of a local run must not lead to the deployment.
#[test]
fn the_public_origin_of_the_deployment_is_not_that_of_a_local_run() {
    for origin in [None, Some(URL)] {
        let lines =
            format!("public_origin = 'https://jobs.example'\norigin = 'https://h'\n{RULES}");
        assert_eq!(policy(&asked(&lines, origin).unwrap()).public_origin, None);
    }
}
