//! The configuration for a local run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::check::Report;
use crate::policy::bindings::CONFIGURATION;
use crate::policy::fields::Table;
use crate::policy::{Origin, OriginAt, Variable};

/// What `npm start` needs of an environment (`""` is the top level), with the configured default origin or
/// with `origin` in its place:
///
/// - `mount`: the path of the Worker's own resources;
/// - `origin`: the URL of the default origin, `null` for a service binding; `origins`: those of the others,
///   by name;
/// - `vars`: the variables of the configuration for this run.
///
/// Fails with all errors of the configuration with this origin.
pub fn local(file: &Table, environment: &str, origin: Option<&str>) -> Result<Value, Report> {
    let mut report = Report::default();
    let Some(environment) = report.chosen(file, Some(environment)).pop() else {
        return Err(report);
    };
    let mut variables = environment.variables();
    for variable in &mut variables {
        for_this_machine(variable, origin);
    }
    let vars: Table = variables
        .iter()
        .map(|Variable { name, value }| (name.clone(), value.clone()))
        .collect();
    let Some(policy) = report.policy(&environment, variables) else {
        return Err(report);
    };
    let url = |origin: &Origin| match &origin.at {
        OriginAt::Url(url) => Some(url.clone()),
        OriginAt::Service(_) => None,
    };
    let origins: BTreeMap<_, _> = policy
        .origins
        .iter()
        .map(|(name, it)| (name, url(it)))
        .collect();
    Ok(json!({
        "mount": policy.mount,
        "origin": url(&policy.origin),
        "origins": origins,
        "vars": vars,
    }))
}

fn for_this_machine(variable: &mut Variable, origin: Option<&str>) {
    let Some(table) = variable.value.as_object_mut() else {
        return;
    };
    // The URLs in receipts must lead to this run, not to the deployment.
    table.remove("public_origin");
    if let Some(origin) = origin {
        table.remove("origin");
        if variable.name == CONFIGURATION {
            table.insert("origin".to_owned(), origin.into());
        }
    }
}
