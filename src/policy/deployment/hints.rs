//! Finds what is valid but hardly intended: rules that never apply, the syntax of other routers, undeclared
//! secrets.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::Report;
use super::file::{Environment, tables};
use crate::policy::error::ConfigError;
use crate::policy::fields::Table;
use crate::policy::place::Place;
use crate::policy::{Defer, Idempotency, Policy, Rule, Variable, bindings};

impl Report {
    /// Checks a valid configuration. `declared` are names of secrets that are declared outside the file.
    pub(super) fn hints(
        &mut self,
        environment: &Environment<'_>,
        policy: &Policy,
        declared: &[String],
    ) {
        let places = places(environment);
        for (index, rule) in policy.rules.iter().enumerate() {
            let Some(place) = places.get(index) else {
                continue;
            };
            let mut earlier = policy.rules.iter().take(index);
            if let Some(first) = earlier.find(|first| first.covers(rule)) {
                let found = format!(
                    "{:?}, but the earlier rule {:?} matches all of these requests",
                    rule.path.as_str(),
                    first.name
                );
                self.mistake(
                    place,
                    "path",
                    found,
                    "a position before that rule, or other conditions",
                );
            }
            if let Some(meant) = other_router(rule.path.as_str()) {
                let found = format!(
                    "{:?}, in which every character is literal",
                    rule.path.as_str()
                );
                self.warning(
                    place,
                    "path",
                    found,
                    format!("parameters in braces: {meant:?}"),
                );
            }
        }
        let vars = environment.place.table("vars");
        let takes_keys =
            |rule: &Rule| rule.defer != Defer::Never && rule.idempotency != Idempotency::Off;
        let empty = policy.owner_headers.as_ref().is_some_and(Vec::is_empty);
        if empty && policy.rules.iter().any(takes_keys) {
            let allowed = "the headers by which your API knows its callers beside Authorization and Cookie; \
                           callers that none of them tells apart share their idempotency keys";
            self.warning(
                &vars.table(bindings::CONFIGURATION),
                "owner_headers",
                "an empty array",
                allowed,
            );
        }
        self.cors_without_origins(&vars.table(bindings::CONFIGURATION), policy);
        self.secrets(environment, policy, declared);
    }

    fn cors_without_origins(&mut self, place: &Place, policy: &Policy) {
        let lists = [
            ("cors_headers", &policy.cors_headers),
            ("cors_expose", &policy.cors_expose),
        ];
        for (key, _) in lists
            .into_iter()
            .filter(|(_, names)| policy.cors_origins.is_empty() && !names.is_empty())
        {
            let allowed = "cors_origins as well, which lists the pages that it is for";
            self.warning(place, key, "a list without effect", allowed);
        }
    }

    /// Finds Raincheck rules in wrangler's own `[[rules]]`, which are about modules.
    pub(super) fn stray_rules(&mut self, environment: &Environment<'_>) {
        for (index, table) in tables(environment.table, &["rules"])
            .into_iter()
            .enumerate()
        {
            let ours = ["path", "defer", "methods"]
                .into_iter()
                .find(|key| table.contains_key(*key));
            if let Some(key) = ours.filter(|_| !table.contains_key("globs")) {
                let label = format!("#{}", index.saturating_add(1));
                let place = environment.place.entry("rules", index, &label);
                let allowed = "rules of Raincheck belong under [[vars.RAINCHECK.rules]]; these are wrangler's";
                self.mistake(&place, key, "a field of Raincheck", allowed);
            }
        }
    }

    /// Finds tables of the configuration that are not below `vars`. The Worker would not see them.
    pub(super) fn outside_vars(&mut self, environment: &Environment<'_>) {
        let names = environment.table.keys();
        for name in names.filter(|name| bindings::is_configuration(name)) {
            let prefix = &environment.place.label;
            let allowed = format!(
                "[{prefix}vars.{name}] and [[{prefix}vars.{name}.rules]]: a Worker sees only what is below vars"
            );
            self.mistake(&environment.place, name, "it outside vars", allowed);
        }
    }

    fn secrets(&mut self, environment: &Environment<'_>, policy: &Policy, declared: &[String]) {
        let mut known: BTreeSet<&str> = declared.iter().map(String::as_str).collect();
        let vars = environment.table.get("vars").and_then(Value::as_object);
        known.extend(vars.into_iter().flatten().map(|(name, _)| name.as_str()));
        let required = environment
            .table
            .get("secrets")
            .and_then(|it| it.get("required"));
        let required = required.and_then(Value::as_array).into_iter().flatten();
        known.extend(required.filter_map(Value::as_str));
        let others = policy.origins.iter().map(|(name, it)| (Some(name), it));
        for (of, origin) in std::iter::once((None, &policy.origin)).chain(others) {
            let path = match of {
                Some(name) => vec!["origins", name],
                None => vec!["origin"],
            };
            for header in &origin.headers {
                let unknown = header.value.names().filter(|name| !known.contains(name));
                for secret in unknown {
                    self.unknown_secret(environment, &path, &header.name, secret);
                }
            }
        }
    }

    /// Warns about a secret in a header of the origin at `path`.
    fn unknown_secret(
        &mut self,
        environment: &Environment<'_>,
        path: &[&str],
        header: &str,
        secret: &str,
    ) {
        let (place, headers) = origin_headers(environment, path);
        let spelled = headers.keys().find(|key| key.eq_ignore_ascii_case(header));
        let to = match environment.name {
            "" => String::new(),
            name => format!(" --env {name}"),
        };
        let warning = ConfigError {
            advice: format!(
                "for local runs, put {secret} = \"…\" into .dev.vars; before a deploy, run \
                 `npx wrangler secret put {secret}{to}` and list it: secrets = {{ required = [{secret:?}] }}"
            ),
            ..ConfigError::new(
                &place,
                spelled.map_or(header, String::as_str),
                format!("{secret:?}, a secret that nothing declares"),
                "",
            )
        };
        self.warn(warning);
    }

    fn warning(
        &mut self,
        place: &Place,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        self.warn(ConfigError::new(place, key, found, allowed));
    }

    fn warn(&mut self, warning: ConfigError) {
        // A header may name a secret twice.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// The place and the content of the `headers` of the origin at this path in one of the variables.
fn origin_headers(environment: &Environment<'_>, path: &[&str]) -> (Place, Table) {
    let vars = environment.place.table("vars");
    let found = environment.variables().into_iter().find_map(|it| {
        let origin = path
            .iter()
            .try_fold(&it.value, |value, key| value.get(key))?;
        let headers = origin.get("headers").and_then(Value::as_object);
        Some((it.name, headers.cloned().unwrap_or_default()))
    });
    let (variable, headers) =
        found.unwrap_or_else(|| (bindings::CONFIGURATION.to_owned(), Table::new()));
    let keys = path.iter().chain(&["headers"]);
    let place = keys.fold(vars.table(&variable), |place, key| place.table(key));
    (place, headers)
}

/// The place of each rule, in the order of matching.
fn places(environment: &Environment<'_>) -> Vec<Place> {
    let vars = environment.place.table("vars");
    let mut variables = environment.variables();
    variables.sort_by_key(|variable| {
        (
            variable.name != bindings::CONFIGURATION,
            variable.name.clone(),
        )
    });
    let rules = |Variable { name, value }: Variable| {
        let home = vars.table(&name);
        let rules = value.get("rules").and_then(Value::as_array).cloned();
        let rules = rules.unwrap_or_default().into_iter().enumerate();
        rules.map(move |(index, rule)| {
            let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
            home.entry("rules", index, name)
        })
    };
    variables.into_iter().flat_map(rules).collect()
}

/// The pattern that was probably intended, if a path has another router's wildcards: `*`, `**`, `:name`.
fn other_router(path: &str) -> Option<String> {
    let mut changed = false;
    let segments = path
        .split('/')
        .map(|segment| match segment.strip_prefix(':') {
            _ if matches!(segment, "*" | "**") => {
                changed = true;
                "{*rest}".to_owned()
            }
            Some(name) if !name.is_empty() => {
                changed = true;
                format!("{{{name}}}")
            }
            _ => segment.to_owned(),
        });
    let meant = segments.collect::<Vec<_>>().join("/");
    changed.then_some(meant)
}
