//! The log lines, configuration and fields on the pages match the code.

use std::collections::BTreeSet;

use raincheck::job::{
    AttemptNote, Backoff, BodyRef, Failure, FailureCode, JobId, JobSpec, KeyRef, Lease, Millis,
    Plan, Priority, RECORD_VERSION, Record, RowKey, Secret, State, Status, UnixMillis,
};
use raincheck::protocol::cors;
use raincheck::protocol::document::Document;

use super::configuration;
use super::{files, read};

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

/// The lines that the page explains, as they stand in its table.
fn explained() -> Vec<String> {
    let page = read("docs/operations.md");
    let section = page.split("\n## The log\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|row| row.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_log_line_is_explained() {
    let explained = explained();
    let mut lines = log_lines();
    for path in files("src", ".js") {
        let text = read(&path);
        for call in ["console.error(\"", "console.warn(\""] {
            let calls = text.split(call).skip(1);
            lines.extend(calls.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    for line in lines {
        assert!(
            explained.iter().any(|row| row.contains(&line)),
            "docs/operations.md does not explain: {line}"
        );
    }
}

#[test]
fn every_explained_log_line_can_be_logged() {
    let mut source = String::new();
    for ending in [".rs", ".js"] {
        for path in files("src", ending) {
            source.push_str(&read(&path));
        }
    }
    for row in explained() {
        // Placeholders are not in the source: a number, and what follows it.
        let said = row.trim_end_matches(" …").trim_start_matches("N ");
        let said = said.strip_prefix("shard: ").unwrap_or(said);
        let said = said.replace("shard-N:", "shard-{shard}");
        assert!(source.contains(&said), "no code logs: {row}");
    }
}

#[test]
fn the_configuration_in_the_readme_is_valid() {
    let page = read("README.md");
    let block = page.split("```toml\n").nth(1).unwrap();
    let wrangler: toml::Table = block.split("```").next().unwrap().parse().unwrap();
    let policy = configuration::parse(
        &wrangler["vars"]["RAINCHECK"]
            .as_table()
            .unwrap()
            .to_string(),
    )
    .unwrap();
    assert_eq!(policy.rules.len(), 2);
}

/// The state of that name, with every field set.
fn state(status: Status) -> State {
    let (finished, due) = (UnixMillis(1), UnixMillis(5));
    let result = BodyRef {
        len: 0,
        sha256: String::new(),
        object: None,
    };
    let failure = Failure {
        code: FailureCode::OriginError,
        status: Some(500),
    };
    match status {
        Status::Queued => State::Queued { due },
        Status::Succeeded => State::Succeeded { finished, result },
        Status::Failed => State::Failed {
            finished,
            failure,
            result: Some(result),
        },
        Status::Canceled => State::Canceled { finished },
        Status::Running => State::Running {
            lease: Lease {
                token: 1,
                began: due,
                ends: due,
            },
        },
    }
}

/// A record with every field set, which never occurs in practice.
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
        version: 1,
        spec: JobSpec {
            rule: "reports".to_owned(),
            origin: String::new(),
            priority: Priority::Normal,
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
            deadline: Millis(8),
            retention: Millis(8),
            delay: Millis(0),
            owner: String::new(),
        },
        created: UnixMillis(1),
        updated: UnixMillis(1),
        started: Some(UnixMillis(1)),
        expires: UnixMillis(9),
        attempt: 2,
        not_acted: 1,
        key: Some(KeyRef {
            hash: "00".to_owned(),
            ends: UnixMillis(9),
        }),
        payload: None,
        state: state(status),
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
        secret: Secret::from_bytes([7; 16]),
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
fn the_status_document_has_exactly_the_documented_fields() {
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
fn the_documented_cors_fields_are_the_ones_that_are_sent() {
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
