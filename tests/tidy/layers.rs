//! Layers import only from lower layers.

use super::source::{Source, below};

/// Each layer, and those that it may import from. A folder's name says which process runs it:
/// `ingress` the Worker that a client calls, `consumer` the one that a queue calls, `shard_service`
/// the Durable Object.
const LAYERS: [(&str, &[&str]); 10] = [
    ("job", &[]),
    ("http", &["job"]),
    ("policy", &["http", "job"]),
    ("protocol", &["http", "job"]),
    ("shard", &["job"]),
    ("rpc", &["shard", "protocol", "http", "job"]),
    ("ingress", &["rpc", "policy", "protocol", "http", "job"]),
    ("consumer", &["rpc", "policy", "protocol", "http", "job"]),
    (
        "shard_service",
        &["rpc", "shard", "protocol", "http", "job"],
    ),
    (
        "edge",
        &[
            "ingress",
            "consumer",
            "shard_service",
            "rpc",
            "shard",
            "policy",
            "protocol",
            "http",
            "job",
        ],
    ),
];

/// Crates that are the platform.
const PLATFORM: [&str; 7] = [
    "worker::",
    "wasm_bindgen",
    "js_sys",
    "web_sys",
    "worker_sys",
    "getrandom",
    "wasm_bindgen_futures",
];

fn may_import(layer: &str) -> Option<&'static [&'static str]> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == layer)
        .map(|(_, below)| *below)
}

/// The layers that a line names by path: `crate::x`, or enough `super::` to leave the layer.
fn named_layers(source: &Source, line: &str) -> Vec<String> {
    let mut named = Vec::new();
    let depth = source.modules().len();
    for (index, _) in line.match_indices("super::") {
        let before = &line[..index];
        if before.ends_with("super::") {
            continue;
        }
        let mut rest = &line[index..];
        let mut supers = 0;
        while let Some(shorter) = rest.strip_prefix("super::") {
            rest = shorter;
            supers += 1;
        }
        if supers >= depth {
            named.extend(first_segments(rest));
        }
    }
    for (index, matched) in line.match_indices("crate::") {
        named.extend(first_segments(&line[index + matched.len()..]));
    }
    named
}

/// The first segment of a path, or of each path in braces.
fn first_segments(path: &str) -> Vec<String> {
    let segment = |path: &str| {
        path.trim()
            .chars()
            .take_while(|character| character.is_alphanumeric() || *character == '_')
            .collect::<String>()
    };
    match path.strip_prefix('{') {
        Some(list) => list
            .split(',')
            .map(segment)
            .filter(|name| !name.is_empty())
            .collect(),
        None => vec![segment(path)],
    }
}

#[test]
fn every_folder_in_src_is_a_layer() {
    for source in below("src") {
        let layer = source.layer();
        let known = may_import(layer).is_some() || layer == "lib";
        assert!(known, "{} belongs to no layer", source.path);
    }
}

#[test]
fn no_layer_imports_upwards_or_sideways() {
    let mut wrong = Vec::new();
    for source in below("src") {
        let Some(allowed) = may_import(source.layer()) else {
            continue;
        };
        for (number, line) in source.shipped() {
            for name in named_layers(&source, line) {
                let is_layer = may_import(&name).is_some();
                if is_layer && name != source.layer() && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{}:{number} imports {name}", source.path));
                }
                if !is_layer && source.layer() != name {
                    // A path into the crate's root can hide where it leads.
                    wrong.push(format!("{}:{number} names {name}, no layer", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_edge_knows_the_platform() {
    let mut wrong = Vec::new();
    for source in below("src") {
        if source.layer() == "edge" {
            continue;
        }
        for (number, line) in source.shipped() {
            wrong.extend(
                PLATFORM
                    .iter()
                    .filter(|name| line.contains(*name))
                    .map(|name| format!("{}:{number} names {name}", source.path)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_are_understood() {
    let source = Source {
        path: "src/shard_service/view.rs".to_owned(),
        text: String::new(),
    };
    let cases: [(&str, &[&str]); 6] = [
        ("use crate::job::{A, B};", &["job"]),
        ("use crate::{job, shard::Shard};", &["job", "shard"]),
        ("use super::call::View;", &[]),
        ("use super::super::edge::X;", &["edge"]),
        ("let x = crate::edge::now();", &["edge"]),
        ("use super::{a, b};", &[]),
    ];
    for (line, expected) in cases {
        assert_eq!(named_layers(&source, line), expected, "{line}");
    }
}
