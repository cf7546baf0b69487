//! The file that deploys the gateway (wrangler.toml), as far as Raincheck depends on it.
//!
//! A file comes in as the JSON of what it says; who reads it knows its syntax and where each field
//! stands. [`answer`] serves the npm commands, which run this code out of the built bundle.
//!
//! wrangler lets an environment inherit migrations, but no variable, binding or queue, so each must be
//! complete.

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
    /// Whether all is in order, for one environment (`""` is the top level) or for all of them.
    Check {
        file: Table,
        #[serde(default)]
        environment: Option<String>,
        #[serde(default)]
        deploy: bool,
        /// Names of secrets that are declared beside the file, in `.dev.vars`.
        #[serde(default)]
        declared: Vec<String>,
    },
    /// What a run on this machine needs.
    Local {
        file: Table,
        #[serde(default)]
        environment: String,
        #[serde(default)]
        origin: Option<String>,
    },
}

/// Answers one question, both in JSON. Whatever the question, the answer has `mistakes` and `warnings`, each
/// a list of `{ path, text }`; with mistakes nothing else need be there.
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
            said(
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
            Ok(answer) => said(&Report::default(), answer),
            Err(report) => said(&report, json!({})),
        },
    };
    answer.to_string()
}

/// One thing to be said about a field.
#[derive(Serialize)]
struct Note<'a> {
    path: &'a [super::Key],
    text: String,
}

fn said(report: &Report, mut answer: Value) -> Value {
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
