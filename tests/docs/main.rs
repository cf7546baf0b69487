//! The documents and the code say the same: links lead somewhere, commands and files exist, fields,
//! log lines and tests that a page names are there.

#![allow(missing_docs, reason = "a test binary has no interface")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test ends at the first surprise"
)]

#[path = "../support/configuration.rs"]
mod configuration;

mod code;
mod facts;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders with generated or third-party files.
const NOT_OURS: [&str; 7] = [
    "node_modules",
    "target",
    "build",
    "dist",
    ".git",
    ".wrangler",
    ".cache",
];

/// The most lines of ARCHITECTURE.md, so that people read it to the end.
const ARCHITECTURE_LINES_MAX: usize = 200;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder of the repository whose names end so, relative to its root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        if root().join(&path).is_dir() {
            if !NOT_OURS.contains(&name.as_str()) {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Every page, with its text.
fn pages() -> Vec<(String, String)> {
    let pages: Vec<_> = files("", ".md")
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect();
    assert!(pages.len() > 30, "{} pages found", pages.len());
    pages
}

/// The text outside fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// What stands between backticks, in one line each.
fn quoted(text: &str) -> Vec<String> {
    let text = prose(text);
    let pieces = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    pieces.map(str::to_owned).collect()
}

/// The targets of all links of a page.
fn links(text: &str) -> Vec<String> {
    prose(text)
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The anchor by which a heading is reached on the pages of code hosts.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// A path without `.` and `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts
}

#[test]
fn every_link_resolves() {
    let mut broken = Vec::new();
    for (page, text) in pages() {
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                PathBuf::from(&page)
            } else {
                resolved(&Path::new(&page).parent().unwrap().join(path))
            };
            let there = root().join(&target);
            let found = if fragment.is_empty() {
                there.exists()
            } else {
                fs::read_to_string(&there).is_ok_and(|text| anchors(&text).contains(fragment))
            };
            if !found {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_npm_command_exists() {
    let package: serde_json::Value = serde_json::from_str(&read("package.json")).unwrap();
    let scripts = package["scripts"].as_object().unwrap();
    for (page, text) in pages() {
        for rest in text.split("npm run ").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != ':');
            let name = &rest[..end.unwrap_or(rest.len())];
            // "npm run X" with an option in place of a name, as in a sentence about all of them.
            assert!(
                name.is_empty() || scripts.contains_key(name),
                "{page} names npm run {name}"
            );
        }
        for name in ["start", "test"] {
            assert!(!text.contains(&format!("npm {name}")) || scripts.contains_key(name));
        }
    }
}

#[test]
fn every_file_named_in_the_docs_exists() {
    let mut missing = Vec::new();
    for (page, text) in pages() {
        for name in quoted(&text) {
            let ours = [
                "src/", "tests/", "scripts/", "docs/", "bench/", "demo/", ".ci/",
            ];
            let is_path = ours.iter().any(|folder| name.starts_with(folder))
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'*');
            if is_path && !root().join(name.trim_end_matches('/')).exists() {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_folder_of_the_source_is_on_the_map() {
    let map = read("ARCHITECTURE.md");
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "bin" {
            assert!(map.contains(&format!("| `src/{name}` |")), "src/{name}");
        }
    }
    let lines = map.lines().count();
    assert!(lines <= ARCHITECTURE_LINES_MAX, "{lines} lines");
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let page = read("docs/reliability.md");
    let mut tests = String::new();
    for folder in ["tests", "src"] {
        for path in files(folder, ".rs") {
            tests.push_str(&read(&path));
        }
    }
    let named = quoted(&page);
    let named: Vec<&String> = named
        .iter()
        .filter(|name| name.matches('_').count() >= 4 && !name.contains(' '))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let is_test = tests.contains(&format!("fn {name}("));
        assert!(
            is_test,
            "docs/reliability.md names {name}, which is no test"
        );
    }
}

#[test]
fn every_promise_names_a_test() {
    let page = read("docs/reliability.md");
    let section = page.split("## The promises").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let promises: Vec<Vec<&str>> = rows
        .map(|row| row.split('|').map(str::trim).collect())
        .filter(|cells: &Vec<&str>| !["", "---"].contains(&cells[1]))
        .collect();
    assert!(promises.len() >= 15, "{promises:?}");
    for cells in promises {
        assert!(cells[3].starts_with('`'), "{cells:?}");
    }
}
