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

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use raincheck::job::{
    AttemptNote, Backoff, BodyRef, Failure, FailureCode, JobId, KeyRef, Millis, Plan, Priority,
    RECORD_VERSION, Record, RowKey, Secret, Status, UnixMillis,
};
use raincheck::policy::Policy;
use raincheck::protocol::cors;
use raincheck::protocol::document::Document;

/// Folders whose files nobody here wrote.
const NOT_OURS: [&str; 7] = [
    "node_modules",
    "target",
    "build",
    "dist",
    ".git",
    ".wrangler",
    ".cache",
];

/// Longest ARCHITECTURE.md that somebody reads to its end.
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
fn every_link_leads_to_something() {
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
fn every_file_that_a_page_names_exists() {
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
fn every_test_that_a_promise_rests_on_exists() {
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
fn every_promise_rests_on_a_test() {
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

/// The first piece of every text that goes to the log, up to where something is filled in.
fn log_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for path in files("src", ".rs") {
        let text = read(&path);
        for macro_name in [
            "console_error!(",
            "console_warn!(",
            "console_log!(",
            "ports.log(",
        ] {
            for rest in text.split(macro_name).skip(1) {
                let literal = rest.split('"').nth(1).unwrap();
                let pieces = literal.split(['{', '}']).step_by(2).map(str::trim);
                lines.extend(pieces.filter(|piece| piece.len() > 2).map(str::to_owned));
            }
        }
    }
    assert!(lines.len() > 8, "{lines:?}");
    lines
}

#[test]
fn every_line_of_the_log_is_explained() {
    let page = read("docs/operations.md");
    for line in log_lines() {
        assert!(
            page.contains(&line),
            "docs/operations.md does not explain: {line}"
        );
    }
    for path in files("src", ".js") {
        let text = read(&path);
        for call in ["console.error(\"", "console.warn(\""] {
            for rest in text.split(call).skip(1) {
                let line = rest.split('"').next().unwrap();
                assert!(
                    page.contains(line),
                    "docs/operations.md does not explain: {line}"
                );
            }
        }
    }
}

#[test]
fn the_configuration_in_the_readme_can_be_used_as_it_stands() {
    let page = read("README.md");
    let block = page.split("```toml\n").nth(1).unwrap();
    let wrangler: toml::Table = block.split("```").next().unwrap().parse().unwrap();
    let policy = Policy::parse(wrangler["vars"]["RAINCHECK"].as_str().unwrap()).unwrap();
    assert_eq!(policy.rules.len(), 2);
}

/// A record with every field set, as it never occurs.
fn full(status: Status) -> Record {
    let note = AttemptNote {
        attempt: 1,
        began: UnixMillis(1),
        ended: UnixMillis(2),
        status: Some(500),
        code: Some(FailureCode::OriginError),
    };
    Record {
        v: RECORD_VERSION,
        status,
        version: 1,
        rule: "reports".to_owned(),
        priority: Priority::Normal,
        created: UnixMillis(1),
        updated: UnixMillis(1),
        started: Some(UnixMillis(1)),
        finished: Some(UnixMillis(1)),
        deadline: UnixMillis(9),
        expires: UnixMillis(9),
        due: UnixMillis(5),
        attempt: 1,
        lease: None,
        plan: Plan {
            attempts: 5,
            backoff: Backoff {
                initial: Millis(1),
                factor_permille: 2000,
                max: Millis(1),
                jitter_permille: 0,
            },
            retry_statuses: None,
            attempt_timeout: Millis(1),
            repeatable: false,
        },
        owner: String::new(),
        key: Some(KeyRef {
            hash: "00".to_owned(),
            ends: UnixMillis(9),
        }),
        payload: None,
        result: Some(BodyRef {
            len: 0,
            sha256: String::new(),
            object: None,
        }),
        failure: Some(Failure {
            code: FailureCode::OriginError,
            status: Some(500),
        }),
        history: vec![note],
        dead_letters: 1,
        redrive_of: Some("j".to_owned()),
    }
}

/// The names of all fields that a status document can have, `urls` with theirs.
fn document_fields() -> BTreeSet<String> {
    let id = JobId {
        shard: 0,
        key: RowKey(1),
        secret: Secret::from_random([7; 16]),
    };
    let output = serde_json::value::RawValue::from_string("{}".to_owned()).unwrap();
    let mut names = BTreeSet::new();
    for status in Status::ALL {
        let record = full(status);
        let document = Document {
            id: &id,
            record: &record,
            base: "https://h.example/jobs",
            output: Some(&output),
            attempts: true,
        };
        let value: serde_json::Value = serde_json::from_str(&document.to_json()).unwrap();
        for (name, value) in value.as_object().unwrap() {
            if name == "urls" {
                names.extend(
                    value
                        .as_object()
                        .unwrap()
                        .keys()
                        .map(|of| format!("urls.{of}")),
                );
            } else {
                names.insert(name.clone());
            }
        }
    }
    names
}

#[test]
fn the_status_document_has_the_fields_that_are_described_and_no_others() {
    let page = read("docs/http.md");
    let section = page.split("## Status document").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let described: BTreeSet<String> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            line.split('|')
                .nth(1)
                .unwrap()
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .map(str::to_owned)
        .collect();
    assert_eq!(described, document_fields());
}

#[test]
fn the_cors_fields_on_the_page_are_those_that_are_sent() {
    let page = read("docs/http.md");
    let section = page.split("## CORS").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    assert!(section.contains(&format!("`{}`", cors::ALLOWED_METHODS)));
    for list in [cors::ALLOWED_HEADERS, cors::EXPOSED] {
        for name in list.split(", ") {
            assert!(section.contains(&format!("`{name}`")), "{name}");
        }
    }
}
