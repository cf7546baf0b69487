//! `docs/configuration.md` and the code have the same fields with the same defaults, and the example in
//! the document is valid.

use std::collections::{BTreeMap, BTreeSet};

use raincheck::policy::FIELDS;
use raincheck::policy::owner::{ENDINGS, NEVER, NEVER_PREFIXES, WITH_ID, WORDS};

use super::configuration;
use crate::read;

const DOCUMENT: &str = include_str!("../../docs/configuration.md");

/// Every field with a value that is not its default. The place is written as in the document.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("", "origin", "'https://other.example.com'"),
    ("", "origins", "{ other = 'https://other.example.com' }"),
    ("", "allow_http", "true"),
    ("", "mount", "'/later'"),
    ("", "public_origin", "'https://h'"),
    ("", "trusted_forwarded_host", "true"),
    ("", "forwarding", "'both'"),
    ("", "shards", "9"),
    ("", "previous_shards", "9"),
    ("", "owner_headers", "['x-tenant']"),
    ("", "cors_origins", "['*']"),
    ("", "cors_headers", "['x-tenant']"),
    ("", "cors_expose", "['x-total-count']"),
    (
        "",
        "operator_token_sha256",
        "'0000000000000000000000000000000000000000000000000000000000000000'",
    ),
    ("", "wait_limit", "'9s'"),
    ("", "claim_patience", "'9s'"),
    ("", "lease", "'9s'"),
    ("", "tombstone", "'9s'"),
    ("", "retention", "'9h'"),
    ("", "body_limit", "9"),
    ("", "result_limit", "9"),
    ("", "rules", "[]"),
    ("origin", "url", "'https://other.example.com'"),
    ("origin", "service", "'OTHER'"),
    ("origin", "headers", "{ x-a = 'a' }"),
    ("origin", "allow_http", "true"),
    ("rules", "name", "'other'"),
    ("rules", "methods", "['PUT']"),
    ("rules", "path", "'/other'"),
    ("rules", "headers", "[{ name = 'x' }]"),
    ("rules", "content_types", "['text/csv']"),
    ("rules", "origin", "'other'"),
    ("rules", "defer", "'never'"),
    ("rules", "hold", "'9s'"),
    ("rules", "priority", "'low'"),
    ("rules", "client_priority", "true"),
    ("rules", "client_deadline", "true"),
    ("rules", "client_delay", "true"),
    ("rules", "attempts", "9"),
    ("rules", "backoff", "{ factor = 9 }"),
    ("rules", "retry_statuses", "[409]"),
    ("rules", "attempt_timeout", "'9s'"),
    ("rules", "deadline", "'9h'"),
    ("rules", "retention", "'9d'"),
    ("rules", "idempotency", "'off'"),
    ("rules", "idempotency_window", "'9h'"),
    ("rules", "body_limit", "9"),
    ("rules", "origin_honours_key", "true"),
    ("rules.headers", "name", "'y'"),
    ("rules.headers", "value", "'9'"),
    ("rules.backoff", "initial", "'9s'"),
    ("rules.backoff", "factor", "9"),
    ("rules.backoff", "max", "'9m'"),
    ("rules.backoff", "jitter", "0.9"),
];

/// An origin for a rule to name.
const OTHER: &str = "{ other = 'https://other.example.com' }";

/// A good configuration in which one field is set, or replaced, or nothing is changed.
fn configuration(place: &str, field: &str, value: &str) -> String {
    let mut tables = BTreeMap::from([
        (
            "",
            BTreeMap::from([("origin", "'https://api.example.com'".to_owned())]),
        ),
        ("origin", BTreeMap::new()),
        (
            "rules",
            BTreeMap::from([("name", "'r'".to_owned()), ("path", "'/r'".to_owned())]),
        ),
        (
            "rules.headers",
            BTreeMap::from([("name", "'x'".to_owned())]),
        ),
        ("rules.backoff", BTreeMap::new()),
    ]);
    match (place, field) {
        ("origin", "url" | "service") => {}
        ("origin", _) => drop(
            tables
                .get_mut("origin")
                .unwrap()
                .insert("url", "'https://api.example.com'".to_owned()),
        ),
        ("rules", "origin") => drop(
            tables
                .get_mut("")
                .unwrap()
                .insert("origins", OTHER.to_owned()),
        ),
        _ => {}
    }
    let table = tables.get_mut(place).expect(place);
    table.insert(field, value.to_owned());
    let inline = |fields: &BTreeMap<&str, String>| {
        let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        format!("{{ {} }}", fields.join(", "))
    };
    let (origin, headers, backoff) = (
        inline(&tables["origin"]),
        inline(&tables["rules.headers"]),
        inline(&tables["rules.backoff"]),
    );
    match place {
        "origin" => drop(tables.get_mut("").unwrap().insert("origin", origin)),
        "rules.headers" => drop(
            tables
                .get_mut("rules")
                .unwrap()
                .insert("headers", format!("[{headers}]")),
        ),
        "rules.backoff" => drop(tables.get_mut("rules").unwrap().insert("backoff", backoff)),
        _ => {}
    }
    let rule = inline(&tables["rules"]);
    tables
        .get_mut("")
        .unwrap()
        .entry("rules")
        .or_insert(format!("[{rule}]"));
    let lines: Vec<String> = tables[""]
        .iter()
        .map(|(k, v)| format!("{k} = {v}\n"))
        .collect();
    lines.concat()
}

/// The rows of the document's tables: place, field, default.
fn documented() -> Vec<(String, String, String)> {
    let mut place = String::new();
    let mut rows = Vec::new();
    for line in DOCUMENT.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            place = heading
                .strip_prefix('`')
                .map_or_else(String::new, |name| name.replace('`', ""));
        }
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let (field, rest) = row.split_once("` | ").expect(line);
        let (default, rest) = rest.split_once(" | ").expect(line);
        let cells: Vec<&str> = rest.split(" | ").collect();
        assert!(
            cells.len() == 2 && cells.iter().all(|cell| cell.len() > 3),
            "{line}"
        );
        rows.push((place.clone(), field.to_owned(), default.to_owned()));
    }
    rows
}

fn known() -> BTreeSet<(String, String)> {
    let fields = FIELDS.iter().flat_map(|(place, fields)| {
        fields
            .iter()
            .map(|field| ((*place).to_owned(), (*field).to_owned()))
    });
    fields.collect()
}

#[test]
fn every_field_is_documented_once_and_no_other() {
    let rows = documented();
    let fields: BTreeSet<_> = rows
        .iter()
        .map(|(place, field, _)| (place.clone(), field.clone()))
        .collect();
    assert_eq!(fields, known());
    assert_eq!(rows.len(), fields.len(), "a field is documented twice");
}

#[test]
fn every_field_is_read_and_makes_a_difference() {
    let sampled: BTreeSet<_> = SAMPLES
        .iter()
        .map(|(place, field, _)| ((*place).to_owned(), (*field).to_owned()))
        .collect();
    assert_eq!(sampled, known());
    for (place, field, value) in SAMPLES {
        let text = configuration(place, field, value);
        let policy = read(&text);
        let base = match (*place, *field) {
            // It only allows other values and is not in the policy.
            ("" | "origin", "allow_http") => {
                let text = text.replace("https:", "http:");
                read(&text);
                assert!(configuration::parse(&text.replace("true", "false")).is_err());
                continue;
            }
            ("rules", "origin") => configuration("", "origins", OTHER),
            ("rules.headers", "value") => configuration("rules", "headers", "[{ name = 'x' }]"),
            _ => configuration("", "allow_http", "false"),
        };
        assert_ne!(policy, read(&base), "{place}.{field} changes nothing");
    }
}

#[test]
fn documented_defaults_are_the_defaults() {
    let base = read(&configuration("", "allow_http", "false"));
    let mut compared = 0;
    for (place, field, default) in documented() {
        let Some(value) = default
            .strip_prefix('`')
            .and_then(|text| text.strip_suffix('`'))
        else {
            assert!(
                matches!(default.as_str(), "required" | "none") || default.starts_with("the "),
                "{place}.{field} has the default {default}"
            );
            continue;
        };
        let text = configuration(&place, &field, value);
        let mut policy = read(&text);
        if field == "rules" {
            policy.rules.clone_from(&base.rules);
        }
        assert_eq!(policy, base, "{place}.{field} = {value}");
        compared += 1;
    }
    assert!(compared > 25, "the tables were read");
}

#[test]
fn every_word_that_tells_callers_apart_is_documented() {
    let lists = [&WORDS[..], &ENDINGS, &WITH_ID, &NEVER];
    for word in lists.concat() {
        assert!(DOCUMENT.contains(&format!("`{word}`")), "{word}");
    }
    for prefix in NEVER_PREFIXES {
        assert!(DOCUMENT.contains(&format!("`{prefix}`")), "{prefix}");
    }
}

#[test]
fn required_fields_are_required() {
    for (place, field, default) in documented() {
        let text = match (place.as_str(), field.as_str()) {
            ("", "origin") => String::new(),
            ("rules.headers", "name") => configuration("rules", "headers", "[{ value = 'x' }]"),
            _ => configuration("", "rules", "[{ }]"),
        };
        if default == "required" {
            let errors = configuration::parse(&text).expect_err(&field).to_string();
            assert!(
                errors.contains(&format!("{field}: found nothing")),
                "{errors}"
            );
        }
    }
}

#[test]
fn the_example_in_the_document_is_a_good_configuration() {
    let example = DOCUMENT.split("```toml\n").nth(1).expect("an example");
    let example = example.split("```").next().expect("its end");
    let wrangler: toml::Table = example.parse().expect("TOML");
    let text = wrangler["vars"]["RAINCHECK"]
        .as_table()
        .expect("a table")
        .to_string();
    assert_eq!(read(&text).rules.len(), 2);
}
