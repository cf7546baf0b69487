//! Numbers and names on the pages match the code.

use std::collections::BTreeSet;
use std::fs;

use raincheck::job::{MAY_HAVE_ACTED, NOT_ACTED_ON};
use raincheck::rpc::head::HEADERS_MAX;

use super::{read, root};

/// The cells of the only row of a page's tables that begins so.
fn row(page: &str, first: &str) -> Vec<String> {
    let text = read(page);
    let start = format!("| {first} |");
    let rows: Vec<&str> = text.lines().filter(|row| row.starts_with(&start)).collect();
    assert_eq!(rows.len(), 1, "{page}: rows that begin with {start}");
    let cells = rows[0].split('|').skip(1).map(str::trim);
    cells.map(str::to_owned).collect()
}

/// The statuses of errors that a text names.
fn statuses(text: &str) -> BTreeSet<u16> {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words
        .filter_map(|word| word.parse().ok())
        .filter(|status| (400..600).contains(status))
        .collect()
}

#[test]
fn the_documented_default_of_retry_statuses_names_every_retried_status() {
    let cells = row("docs/configuration.md", "`retry_statuses`");
    let meaning = cells[3].split_once("Without it").unwrap().1;
    let (always, where_safe) = meaning.split_once("where sending again is safe").unwrap();
    assert_eq!(statuses(always), NOT_ACTED_ON.into());
    assert_eq!(statuses(where_safe), MAY_HAVE_ACTED.into());
}

#[test]
fn the_limit_of_header_fields_is_documented_for_requests_and_responses() {
    let limit = format!("{} KiB", HEADERS_MAX / 1024);
    for what in ["a deferred request", "a stored response"] {
        let cells = row("docs/operations.md", &format!("header fields of {what}"));
        assert!(cells[1].starts_with(&limit), "{cells:?}");
    }
    for page in ["docs/problems/result_too_large.md", "docs/http.md"] {
        assert!(read(page).contains(&limit), "{page} does not name {limit}");
    }
}

#[test]
fn contributing_names_every_folder_of_the_source_as_a_layer() {
    let page = read("CONTRIBUTING.md");
    let rule = page.split("**Layers look down only**:").nth(1).unwrap();
    let rule = rule.split('.').next().unwrap();
    let named: BTreeSet<String> = rule
        .split(|c: char| !c.is_alphabetic() && c != '_')
        .filter(|word| !["", "then", "and"].contains(word))
        .map(str::to_owned)
        .collect();
    let folders: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("bin"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, folders);
}

#[test]
fn the_pages_about_operators_name_the_field_of_their_token() {
    for page in ["forbidden", "unauthorized"] {
        let text = read(&format!("docs/problems/{page}.md"));
        assert!(text.contains("`operator_token_sha256`"), "{page}");
    }
}
