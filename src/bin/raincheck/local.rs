//! What `npm start` must know: where the Worker itself answers, and the configuration for a run on
//! this machine.

use serde_json::json;
use toml::{Table, Value};

use crate::check::Report;

/// The configuration of the top level with this origin, as one line of JSON:
///
/// - `mount`: the path below which the Worker answers itself;
/// - `variable`: the value of `RAINCHECK` that has this origin, `null` when the file's own does.
///
/// Fails with everything that is wrong with the configuration, or with this origin in it.
pub fn local(wrangler: &Table, origin: &str) -> Result<String, Report> {
    let mut report = Report::default();
    let text = report.variable("", wrangler);
    let changed = text.and_then(|text| with_origin(text, origin));
    // What is no TOML cannot be changed; the parser says why.
    let text = text.unwrap_or_default();
    let policy = report.policy("", changed.as_deref().unwrap_or(text));
    match policy {
        Some(policy) if report.mistakes.is_empty() => {
            let own = raincheck::policy::Policy::parse(text);
            let is_own =
                own.is_ok_and(|own| own.origin == policy.origin && own.public_origin.is_none());
            let variable = changed.filter(|_| !is_own);
            Ok(json!({ "mount": policy.mount, "variable": variable }).to_string())
        }
        _ => Err(report),
    }
}

/// Written anew rather than edited: `origin` has several forms, and a rule may have a line that
/// looks like one.
fn with_origin(text: &str, origin: &str) -> Option<String> {
    let mut table = text.parse::<Table>().ok()?;
    table.insert("origin".to_owned(), Value::String(origin.to_owned()));
    // The URLs of receipts are to lead to this run, and not to the deployment.
    table.remove("public_origin");
    Some(table.to_string())
}
