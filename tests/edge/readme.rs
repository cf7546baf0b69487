//! Runs the session in README.md in front of the demo origin, and compares the output with the page.
//! `…` on the page stands for any text.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::gateway::{Gateway, node, repository};

/// The gateway's address on the page; the test's gateway listens elsewhere.
const ON_THE_PAGE: &str = "http://127.0.0.1:8787";

/// The least time that a reader would need between two commands.
const PAUSE: Duration = Duration::from_secs(1);

/// A command of the page, and what it prints.
struct Exchange {
    command: String,
    printed: String,
}

/// The commands of all `console` blocks, in order.
fn session(page: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if !inside {
        } else if let Some(command) = line.strip_prefix("$ ") {
            exchanges.push(Exchange {
                command: command.to_owned(),
                printed: String::new(),
            });
        } else {
            let exchange = exchanges.last_mut().expect("a command comes first");
            exchange.printed.push_str(line);
            exchange.printed.push('\n');
        }
    }
    exchanges
}

/// Whether `text` is `pattern` with something in place of each `…`.
fn matches(pattern: &str, text: &str) -> bool {
    let pieces: Vec<&str> = pattern.trim().split('…').collect();
    let (first, others) = pieces.split_first().unwrap();
    let Some(mut rest) = text.trim().strip_prefix(first) else {
        return false;
    };
    let Some((last, middle)) = others.split_last() else {
        return rest.is_empty();
    };
    for piece in middle {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// The first job id in a text.
fn job_id(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("/jobs/")?;
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    Some(&after[..end.unwrap_or(after.len())])
}

/// The rules of wrangler.toml, in front of another origin.
fn configuration(origin: &str) -> String {
    let text = fs::read_to_string(repository().join("wrangler.toml")).unwrap();
    let wrangler: toml::Table = text.parse().unwrap();
    let mut configuration = wrangler["vars"]["RAINCHECK"].as_table().unwrap().clone();
    configuration.insert("origin".to_owned(), origin.into());
    configuration.to_string()
}

/// Starts the demo origin. It is stopped when the value is dropped.
async fn demo() -> (Child, String) {
    let mut command = Command::new(node());
    command
        .arg(repository().join("demo/origin.mjs"))
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let origin = first.strip_prefix("demo origin: ").unwrap().to_owned();
    // Its later output must be read, too.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, origin)
}

async fn run(command: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_in_the_readme_works_as_shown() {
    let page = fs::read_to_string(repository().join("README.md")).unwrap();
    let exchanges = session(&page);
    assert!(exchanges.len() >= 4, "the session has shrunk");
    let (_demo, origin) = demo().await;
    let gateway = Gateway::start(&configuration(&origin));
    let here = format!("http://{}", gateway.address);

    let mut ids: Vec<(String, String)> = Vec::new();
    for Exchange { command, printed } in exchanges {
        let mut actual_command = command.replace(ON_THE_PAGE, &here);
        for (on_the_page, actual) in &ids {
            actual_command = actual_command.replace(on_the_page, actual);
        }
        let mut output = run(&actual_command).await.replace(&here, ON_THE_PAGE);
        if let (Some(on_the_page), Some(actual)) = (job_id(&printed), job_id(&output)) {
            ids.push((on_the_page.to_owned(), actual.to_owned()));
        }
        for (on_the_page, actual) in &ids {
            output = output.replace(actual, on_the_page);
        }
        assert!(
            matches(&printed, &output),
            "$ {command}\nprinted:\n{output}\nbut README.md shows:\n{printed}"
        );
        tokio::time::sleep(PAUSE).await;
    }
    assert!(!ids.is_empty(), "no command made a job");
}

#[test]
fn only_an_ellipsis_matches_any_text() {
    for (pattern, text) in [
        ("a…d", "abcd"),
        ("…d", "abcd"),
        ("a…", "abcd"),
        ("ab", "ab\n"),
    ] {
        assert!(matches(pattern, text), "{pattern} is not {text}");
    }
    for (pattern, text) in [
        ("a…c", "abcd"),
        ("b…", "abcd"),
        ("ab", "abcd"),
        ("a…x…d", "abcd"),
    ] {
        assert!(!matches(pattern, text), "{pattern} is {text}");
    }
}
