//! Every binding has one name, written once in wrangler.toml and once in code.

use std::collections::BTreeSet;

use super::source::{below, read};

/// Names that a deployment does not need, and where they are explained.
const OPTIONAL: [(&str, &str); 2] = [
    ("RAINCHECK_", "docs/configuration.md"),
    ("LOCAL_CONSUMER", "docs/operations.md"),
];

fn wrangler() -> toml::Table {
    read("wrangler.toml").parse().unwrap()
}

/// The texts under `field` of every table at `path`.
fn texts(table: &toml::Table, path: &[&str], field: &str) -> Vec<String> {
    let mut values = vec![toml::Value::Table(table.clone())];
    for name in path {
        values = values
            .iter()
            .filter_map(|value| value.get(name))
            .flat_map(|value| match value {
                toml::Value::Array(list) => list.clone(),
                other => vec![other.clone()],
            })
            .collect();
    }
    values
        .iter()
        .filter_map(|value| value.get(field)?.as_str().map(str::to_owned))
        .collect()
}

/// Every name by which code can reach something that wrangler.toml declares.
fn declared() -> BTreeSet<String> {
    let table = wrangler();
    let mut names = Vec::new();
    names.extend(texts(&table, &["durable_objects", "bindings"], "name"));
    names.extend(texts(&table, &["r2_buckets"], "binding"));
    names.extend(texts(&table, &["queues", "producers"], "binding"));
    names.extend(texts(&table, &["services"], "binding"));
    if let Some(variables) = table.get("vars").and_then(toml::Value::as_table) {
        names.extend(variables.keys().cloned());
    }
    names.into_iter().collect()
}

/// Every name that src/policy/bindings.rs gives to something.
fn named() -> Vec<String> {
    read("src/policy/bindings.rs")
        .lines()
        .filter(|line| line.contains("const ") && line.contains(": &str = \""))
        .map(|line| line.split('"').nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn every_binding_of_the_deployment_is_named_once_in_code() {
    let named = named();
    for name in declared() {
        let times = named.iter().filter(|known| **known == name).count();
        assert_eq!(times, 1, "{name} in src/policy/bindings.rs");
    }
}

/// The Worker recognizes them by the end of the queue's name.
#[test]
fn dead_letters_can_be_told_from_work() {
    use raincheck::policy::limits::DEAD_LETTERS_SUFFIX;
    let table = wrangler();
    let dead = texts(&table, &["queues", "consumers"], "dead_letter_queue");
    assert_eq!(dead.len(), 3);
    assert!(dead.iter().all(|name| name.ends_with(DEAD_LETTERS_SUFFIX)));
    let work = texts(&table, &["queues", "producers"], "queue");
    assert!(!work.iter().any(|name| name.ends_with(DEAD_LETTERS_SUFFIX)));
}

#[test]
fn every_name_in_code_is_declared_or_known_to_be_optional() {
    let declared = declared();
    for name in named() {
        let optional = OPTIONAL.iter().any(|(known, _)| *known == name);
        assert!(
            declared.contains(&name) || optional,
            "{name} is in no wrangler.toml"
        );
    }
}

#[test]
fn an_optional_binding_is_explained_where_it_is_set() {
    for (name, file) in OPTIONAL {
        assert!(
            read(file).contains(name),
            "{file} says nothing about {name}"
        );
    }
}

#[test]
fn no_other_file_spells_a_binding() {
    let names = named();
    for source in below("src") {
        if source.path == "src/policy/bindings.rs" {
            continue;
        }
        for (number, line) in source.shipped() {
            for name in &names {
                let spelled = line.contains(&format!("\"{name}\""));
                assert!(!spelled, "{}:{number} spells {name}", source.path);
            }
        }
    }
}

#[test]
fn the_shard_class_of_wrangler_toml_exists_in_code() {
    let classes = texts(&wrangler(), &["durable_objects", "bindings"], "class_name");
    assert_eq!(classes.len(), 1);
    let class = format!("pub struct {} ", classes[0]);
    let found = below("src/edge")
        .iter()
        .filter(|source| source.text.contains(&class))
        .count();
    assert_eq!(found, 1, "{class}");
    let migrated = &wrangler()["migrations"][0]["new_sqlite_classes"][0];
    assert_eq!(migrated.as_str(), Some(classes[0].as_str()));
}

#[test]
fn every_queue_that_is_sent_to_is_consumed() {
    let table = wrangler();
    let consumed = texts(&table, &["queues", "consumers"], "queue");
    let mut produced = texts(&table, &["queues", "producers"], "queue");
    produced.extend(texts(&table, &["queues", "consumers"], "dead_letter_queue"));
    for queue in produced {
        assert!(consumed.contains(&queue), "{queue} has no consumer");
    }
}
