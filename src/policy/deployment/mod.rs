//! Checks the file that deploys the gateway (wrangler.toml), as far as Raincheck depends on it.
//!
//! The file comes in as JSON; the caller knows its syntax and the position of each field. [`answer`]
//! serves the npm commands, which run this code as a WebAssembly module of its own.
//!
//! In wrangler an environment inherits migrations, but no variable, binding or queue, so each environment
//! must be complete.

mod behind;
mod check;
mod file;
mod hints;
mod local;
mod queues;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use check::{Report, Scope, check};
pub use local::local;

use super::error::ConfigError;
use super::fields::Table;

/// What the npm commands ask about a file.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
enum Question {
    /// Check one environment (`""` is the top level) or all of them.
    Check {
        file: Table,
        #[serde(default)]
        environment: Option<String>,
        #[serde(default)]
        deploy: bool,
        /// Names of secrets that are declared outside the file, in `.dev.vars`.
        #[serde(default)]
        declared: Vec<String>,
    },
    /// Prepare a local run.
    Local {
        file: Table,
        #[serde(default)]
        environment: String,
        #[serde(default)]
        origin: Option<String>,
    },
}

/// Answers a question; both are JSON. Every answer has `mistakes` and `warnings`, lists of `{ path, text }`.
/// With mistakes, the rest may be absent.
#[must_use]
pub fn answer(question: &str) -> String {
    let answer = match serde_json::from_str(question) {
        Err(error) => json!({ "unanswerable": error.to_string() }),
        Ok(Question::Check {
            file,
            environment,
            deploy,
            declared,
        }) => {
            let environment = environment.as_deref();
            with_notes(
                &check(
                    &file,
                    Scope {
                        environment,
                        deploy,
                        declared: &declared,
                    },
                ),
                json!({}),
            )
        }
        Ok(Question::Local {
            file,
            environment,
            origin,
        }) => match local(&file, &environment, origin.as_deref()) {
            Ok(answer) => with_notes(&Report::default(), answer),
            Err(report) => with_notes(&report, json!({})),
        },
    };
    answer.to_string()
}

/// Adds mistakes and warnings to an answer.
#[derive(Serialize)]
struct Note<'a> {
    path: &'a [super::Key],
    text: String,
}

fn with_notes(report: &Report, mut answer: Value) -> Value {
    let notes = |errors: &[ConfigError]| {
        let notes = errors.iter().map(|error| {
            let note = Note {
                path: &error.path,
                text: error.to_string(),
            };
            json!(note)
        });
        notes.collect::<Vec<Value>>()
    };
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("lines".to_owned(), json!(report.lines));
        answer.insert("mistakes".to_owned(), json!(notes(&report.mistakes)));
        answer.insert("warnings".to_owned(), json!(notes(&report.warnings)));
    }
    answer
}
