//! The mutants in `tests/mutants` still match the code: each changed place exists exactly once, and so do
//! its catchers. `npm run mutants` applies them.

#![allow(missing_docs, reason = "a test binary has no interface")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends at the first surprise"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Fewer than these would leave promises that no mutant breaks.
const FEWEST: usize = 30;

/// Fewer than these would not show that the simulation's checker sees what it looks for.
const FEWEST_FOR_THE_SIMULATION: usize = 10;

/// One mutant.
struct Mutant {
    name: String,
    /// What it breaks, in words that begin with the number of a promise.
    breaks: String,
    file: String,
    /// The commands that have to fail.
    catchers: Vec<String>,
    /// The text that each change looks for.
    finds: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths in a folder of the repository, in the order of their names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn mutants() -> Vec<Mutant> {
    let pages = entries(&root().join("tests/mutants"));
    let texts = pages
        .iter()
        .filter(|page| !page.ends_with("README.md"))
        .map(|page| fs::read_to_string(page).unwrap());
    texts
        .flat_map(|text| text.split("\n## ").skip(1).map(parse).collect::<Vec<_>>())
        .collect()
}

fn parse(section: &str) -> Mutant {
    let listed = |before: &str| -> Vec<String> {
        let lines = section.lines().filter_map(|line| line.strip_prefix(before));
        lines
            .map(|rest| rest.strip_suffix('`').unwrap().to_owned())
            .collect()
    };
    let find = |block: &str| -> String {
        let lines = block.split("\n```").next().unwrap().lines();
        let mut text = String::new();
        for line in lines.filter(|line| !line.starts_with('+')) {
            text.push_str(&line[1..]);
            text.push('\n');
        }
        text
    };
    Mutant {
        name: section.lines().next().unwrap().to_owned(),
        breaks: section.lines().nth(2).unwrap().to_owned(),
        file: listed("- in `").remove(0),
        catchers: listed("- caught by `"),
        finds: section.split("```diff\n").skip(1).map(find).collect(),
    }
}

/// All sources of a test program.
fn sources(target: &str) -> String {
    fn collect(folder: &Path, text: &mut String) {
        for path in entries(folder) {
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let alone = root().join(format!("tests/{target}.rs"));
    let mut text = fs::read_to_string(alone).unwrap_or_default();
    let folder = root().join("tests").join(target);
    if folder.is_dir() {
        collect(&folder, &mut text);
    }
    text
}

#[test]
fn there_are_enough_mutants_and_their_names_are_unique() {
    let mutants = mutants();
    let names: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
    assert_eq!(names.len(), mutants.len());
    assert!(names.len() >= FEWEST, "{names:?}");
    let simulated = mutants.iter().filter(|mutant| {
        let mut catchers = mutant.catchers.iter();
        catchers.any(|command| command.starts_with("npm run simulate"))
    });
    assert!(simulated.count() >= FEWEST_FOR_THE_SIMULATION);
}

#[test]
fn every_change_fits_in_exactly_one_place_of_its_file() {
    let mut wrong = Vec::new();
    for mutant in mutants() {
        let text = format!("\n{}", read(&mutant.file));
        assert!(!mutant.finds.is_empty(), "{} changes nothing", mutant.name);
        for find in &mutant.finds {
            let times = text.matches(&format!("\n{find}")).count();
            if times != 1 {
                wrong.push(format!("{}: {times} times in {}", mutant.name, mutant.file));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "to be written anew after the code: {wrong:#?}"
    );
}

#[test]
fn every_catcher_is_there() {
    for Mutant { name, catchers, .. } in mutants() {
        assert!(!catchers.is_empty(), "nothing catches {name}");
        for command in catchers {
            let words: Vec<&str> = command.split(' ').collect();
            match words[..] {
                ["cargo", "test", "--test", target, test] => {
                    let there = sources(target).contains(&format!(" fn {test}("))
                        || sources(target).contains(&format!("\nfn {test}("));
                    assert!(there, "{name}: there is no {command}");
                }
                [
                    "npm",
                    "run",
                    "simulate",
                    "--",
                    "--seed",
                    _,
                    "--histories",
                    _,
                ] => {}
                _ => panic!("{name}: {command}"),
            }
        }
    }
}

#[test]
fn every_mutant_breaks_an_existing_promise() {
    let promises = read("docs/reliability.md");
    for Mutant { name, breaks, .. } in mutants() {
        let (numbers, _) = breaks.split_once(':').unwrap();
        for number in numbers.split(", ") {
            assert!(
                promises.contains(&format!("| {number} |")),
                "{name}: {breaks}"
            );
        }
    }
}
