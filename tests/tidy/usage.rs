//! The size of things, and what shipped code does not use.

use super::source::{Source, below};

/// The most lines of a file. A longer one is about more than one thing.
const LINES_MAX: usize = 400;

/// The most lines of a function, for the same reason.
const FUNCTION_LINES_MAX: usize = 70;

/// Clocks and randomness: only the edge has them.
const OUTSIDE_WORLD: [&str; 9] = [
    "SystemTime",
    "Instant",
    "std::time",
    "thread_rng",
    "new_v4",
    "Utc::now",
    "Local::now",
    "std::env",
    "std::net",
];

/// Ways to panic.
const PANICS: [&str; 7] = [
    ".unwrap()",
    ".expect(",
    "panic!(",
    "unreachable!(",
    "todo!(",
    "unimplemented!(",
    "unsafe ",
];

/// Functions with the line where they begin and how long they are. The code is formatted, so a
/// function ends with the brace under its first word.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.split(['(', '<']).next().unwrap_or_default();
        let is_function = words.split_whitespace().any(|word| word == "fn")
            && !line.trim_start().starts_with("//");
        if !is_function {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[index..].iter().position(|line| *line == end);
        found.push((index + 1, length.map_or(1, |length| length + 1)));
    }
    found
}

fn lines_with(words: &[&str], skip_layer: &str) -> Vec<String> {
    let mut found = Vec::new();
    for source in below("src") {
        if source.layer() == skip_layer {
            continue;
        }
        for (number, line) in source.shipped() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    found
}

#[test]
fn no_file_is_too_long() {
    for source in below("src") {
        let lines = source.text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", source.path);
    }
}

#[test]
fn no_function_is_too_long() {
    for folder in ["src", "tests"] {
        for source in below(folder) {
            for (line, length) in functions(&source) {
                let fine = length <= FUNCTION_LINES_MAX;
                assert!(
                    fine,
                    "{}:{line} is a function of {length} lines",
                    source.path
                );
            }
        }
    }
}

#[test]
fn the_core_has_no_clock_no_randomness_and_no_environment() {
    let found = lines_with(&OUTSIDE_WORLD, "edge");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_shipped_code_panics_on_purpose() {
    let found = lines_with(&PANICS, "");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn functions_are_measured() {
    let text = "fn a() {\n    x\n}\nimpl B {\n    pub fn b() {\n        y\n        z\n    }\n}\n";
    let source = Source {
        path: "src/job/id.rs".to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(functions(&source), [(1, 3), (5, 4)]);
}

/// Dependencies that only choose the version of what another one uses.
const CHOICES: [&str; 1] = ["idna_adapter"];

/// An unused dependency makes the build slower and must be kept up to date.
#[test]
fn every_dependency_is_used() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    for (table, folders) in [
        ("dependencies", &["src"][..]),
        ("dev-dependencies", &["src", "tests"][..]),
    ] {
        let sources: Vec<_> = folders.iter().flat_map(|folder| below(folder)).collect();
        for name in manifest[table].as_table().unwrap().keys() {
            let path = format!("{}::", name.replace('-', "_"));
            let is_used = || sources.iter().any(|source| source.text.contains(&path));
            assert!(
                CHOICES.contains(&name.as_str()) || is_used(),
                "{name} of [{table}] is in no source"
            );
        }
    }
}
