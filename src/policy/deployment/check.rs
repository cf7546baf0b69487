//! The check before a deploy: the configuration, read exactly as the Worker reads it at start, and the
//! bindings that the Worker uses.

use super::file::{Environment, environments};
use crate::policy::bindings::{CONFIGURATION, CONSUMER};
use crate::policy::error::ConfigError;
use crate::policy::fields::{Table, shown};
use crate::policy::limits::MAX_VARIABLE_BYTES;
use crate::policy::place::{Key, Place};
use crate::policy::{Defer, OriginAt, Policy, Rule, Variable, duration_text};

/// What to check.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The name of an environment, `""` for the top level. `None`: all of them.
    pub environment: Option<&'a str>,
    /// It is to be deployed, so Cloudflare must be able to reach its origins.
    pub deploy: bool,
    /// Names of secrets that are declared outside the file.
    pub declared: &'a [String],
}

/// The findings.
#[derive(Debug, Default)]
pub struct Report {
    /// One line for each environment and each of its rules.
    pub lines: Vec<String>,
    /// All errors.
    pub mistakes: Vec<ConfigError>,
    /// What is allowed, but probably not intended.
    pub warnings: Vec<ConfigError>,
    pub(super) deploy: bool,
}

/// Checks a file.
#[must_use]
pub fn check(file: &Table, scope: Scope<'_>) -> Report {
    let mut report = Report {
        deploy: scope.deploy,
        ..Report::default()
    };
    for environment in report.chosen(file, scope.environment) {
        report.environment(&environment, scope.declared);
    }
    report
}

impl Report {
    /// The chosen environment, or all of them.
    pub(super) fn chosen<'a>(
        &mut self,
        file: &'a Table,
        name: Option<&str>,
    ) -> Vec<Environment<'a>> {
        let mut chosen = environments(file);
        let known = chosen.iter().filter(|it| !it.name.is_empty());
        let known: Vec<String> = known.map(|it| format!("{:?}", it.name)).collect();
        if let Some(name) = name {
            chosen.retain(|it| it.name == name);
            if chosen.is_empty() {
                let allowed = if known.is_empty() {
                    "none, the file has no environment".to_owned()
                } else {
                    known.join(", ")
                };
                self.mistake(&Place::default(), "env", format!("no {name:?}"), allowed);
            }
        }
        chosen
    }

    fn environment(&mut self, environment: &Environment<'_>, declared: &[String]) {
        let variables = environment.variables();
        self.sizes(environment, &variables);
        if let Some(policy) = self.policy(environment, variables) {
            let place = &environment.place.label;
            self.lines.push(format!("{place}{}", headline(&policy)));
            for rule in &policy.rules {
                self.lines.push(format!("{place}{}", line(rule)));
            }
            self.behind(environment, &policy);
            self.hints(environment, &policy, declared);
        }
        self.stray_rules(environment);
        self.outside_vars(environment);
        self.consumer(environment);
        self.shards(environment);
        self.bucket(environment);
        self.queues(environment);
    }

    /// Checks that Cloudflare accepts the size of the variables.
    fn sizes(&mut self, environment: &Environment<'_>, variables: &[Variable]) {
        for Variable { name, value } in variables {
            let length = value.to_string().len();
            if length > MAX_VARIABLE_BYTES {
                self.mistake(
                    &environment.place.table("vars"),
                    name,
                    format!("{length} bytes as JSON"),
                    format!(
                        "{MAX_VARIABLE_BYTES} bytes, the most that Cloudflare accepts; further variables, such as \
                         {CONFIGURATION}_MORE, may hold more rules"
                    ),
                );
            }
        }
    }

    /// Reads the configuration from these variables.
    pub(super) fn policy(
        &mut self,
        environment: &Environment<'_>,
        variables: Vec<Variable>,
    ) -> Option<Policy> {
        let errors = match Policy::read(variables) {
            Ok(policy) => return Some(policy),
            Err(errors) => errors,
        };
        let vars = environment.place.table("vars");
        for error in errors.as_slice() {
            self.mistakes.push(within(&vars, error));
        }
        None
    }

    /// Rejects the detached consumer: on the platform it would acknowledge messages whose jobs may be cut off.
    fn consumer(&mut self, environment: &Environment<'_>) {
        let vars = environment.table.get("vars");
        if let Some(value) = vars.and_then(|vars| vars.get(CONSUMER)) {
            self.mistake(
                &environment.place.table("vars"),
                CONSUMER,
                shown(value),
                "nothing; it is for local runs, and `start` sets it there",
            );
        }
    }

    pub(super) fn mistake(
        &mut self,
        place: &Place,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        let error = ConfigError::new(place, key, found, allowed);
        self.mistakes.push(error);
    }
}

/// Turns an error of the configuration into one of the file, where variables are in the table `vars`.
pub(super) fn within(vars: &Place, error: &ConfigError) -> ConfigError {
    let in_main = error.path.len() > 1 && error.path.first() == Some(&Key::from(CONFIGURATION));
    let variable = if in_main {
        format!("{CONFIGURATION}.")
    } else {
        String::new()
    };
    ConfigError {
        path: vars.path.iter().chain(&error.path).cloned().collect(),
        field: format!("{}{variable}{}", vars.label, error.field),
        ..error.clone()
    }
}

fn headline(policy: &Policy) -> String {
    let origin = match &policy.origin.at {
        OriginAt::Url(url) => url.clone(),
        OriginAt::Service(binding) => format!("the service binding {binding}"),
    };
    let count = match policy.rules.len() {
        0 => "no rules, everything passes through".to_owned(),
        1 => "1 rule".to_owned(),
        count => format!("{count} rules"),
    };
    format!("{count}, to {origin}, jobs under {}", policy.mount)
}

fn line(rule: &Rule) -> String {
    let to = match rule.origin.as_str() {
        "" => String::new(),
        name => format!(" to {name}"),
    };
    let what = format!(
        "{}: {} {}{to}",
        rule.name,
        rule.methods.join("|"),
        rule.path
    );
    if rule.defer == Defer::Never {
        return format!("{what}: passed through");
    }
    format!(
        "{what}: {}, priority {}, at most {} attempts of {}, deadline {}, kept for {}",
        rule.defer.as_str(),
        rule.priority.as_str(),
        rule.attempts,
        duration_text(rule.attempt_timeout),
        duration_text(rule.deadline),
        duration_text(rule.retention),
    )
}
