//! Parses a table under `[[rules]]` into a rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::attempts::{backoff, retry_statuses, spans};
use super::words::{is_field_value, is_media_range, is_name, is_token};
use super::{size_found, span_found};
use crate::job::{Millis, Priority};
use crate::policy::error::ConfigError;
use crate::policy::fields::{Fields, Table, shown_text};
use crate::policy::limits::{
    DEFAULT_ATTEMPTS, MAX_ATTEMPTS, MAX_BODY_LIMIT, MAX_NAME_BYTES, MAX_WAIT_LIMIT,
};
use crate::policy::names::{HEADER_FIELDS, RULE_FIELDS};
use crate::policy::origin::Origin;
use crate::policy::path::PathPattern;
use crate::policy::place::Place;
use crate::policy::rule::{Defer, HeaderCondition, Idempotency, Rule};

const DEFER: [(&str, Defer); 3] = [
    (Defer::Always.as_str(), Defer::Always),
    (Defer::Preferred.as_str(), Defer::Preferred),
    (Defer::Never.as_str(), Defer::Never),
];
const PRIORITY: [(&str, Priority); 3] = [
    (Priority::High.as_str(), Priority::High),
    (Priority::Normal.as_str(), Priority::Normal),
    (Priority::Low.as_str(), Priority::Low),
];
const IDEMPOTENCY: [(&str, Idempotency); 3] = [
    (Idempotency::Required.as_str(), Idempotency::Required),
    (Idempotency::Optional.as_str(), Idempotency::Optional),
    (Idempotency::Off.as_str(), Idempotency::Off),
];

/// Methods that the Fetch standard forbids, so requests with them cannot be replayed.
const FORBIDDEN_METHODS: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];
/// Methods whose lower-case spelling is certainly a mistake: method names are case-sensitive.
const USUAL_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What a rule inherits from the fields outside it.
pub(super) struct Inherited<'a> {
    pub(super) mount: &'a str,
    pub(super) origins: &'a BTreeMap<String, Origin>,
    pub(super) retention: Millis,
    pub(super) body_limit: u64,
    pub(super) wait_limit: Millis,
}

/// One entry of `rules`.
pub(super) struct Entry {
    /// The place of the table that has the array.
    pub(super) home: Place,
    /// Its index in that array.
    pub(super) index: usize,
    pub(super) table: Table,
}

/// Parses the rule at a position among all rules, counted from 1. `None` implies errors; with errors the
/// rule may also be one of defaults, which is not used.
pub(super) fn rule(
    entry: Entry,
    position: usize,
    inherited: &Inherited<'_>,
    names: &mut BTreeSet<String>,
) -> (Option<Rule>, Vec<ConfigError>) {
    let Entry { home, index, table } = entry;
    let written = table.get("name").and_then(Value::as_str);
    let label = match written {
        Some(name) if is_rule_name(name) => name.to_owned(),
        _ => format!("#{position}"),
    };
    let mut fields = Fields::new(table, home.entry("rules", index, &label), RULE_FIELDS);
    let name = name(&mut fields, names);
    let methods = methods(&mut fields);
    let path = path(&mut fields, inherited.mount);
    let headers = headers(&mut fields);
    let content_types = content_types(&mut fields);
    let origin = origin(&mut fields, inherited.origins);
    let defer = fields.choice("defer", &DEFER).unwrap_or(Defer::Always);
    let hold = hold(&mut fields, inherited.wait_limit);
    let priority = fields.choice("priority", &PRIORITY).unwrap_or_default();
    let client_priority = fields.flag("client_priority").unwrap_or(false);
    let client_deadline = fields.flag("client_deadline").unwrap_or(false);
    let client_delay = fields.flag("client_delay").unwrap_or(false);
    let attempts = fields
        .whole("attempts", &(1..=MAX_ATTEMPTS))
        .unwrap_or(DEFAULT_ATTEMPTS);
    let backoff = backoff(&mut fields);
    let retry_statuses = retry_statuses(&mut fields);
    let spans = spans(&mut fields, inherited.retention);
    let idempotency = fields
        .choice("idempotency", &IDEMPOTENCY)
        .unwrap_or(Idempotency::Optional);
    let body_limit = body_limit(&mut fields, inherited.body_limit);
    let origin_honours_key = fields.flag("origin_honours_key").unwrap_or(false);
    let rule = name.zip(path).map(|(name, path)| Rule {
        name,
        methods,
        path,
        headers,
        content_types,
        origin,
        defer,
        hold,
        priority,
        client_priority,
        client_deadline,
        client_delay,
        attempts,
        backoff,
        retry_statuses,
        attempt_timeout: spans.attempt_timeout,
        deadline: spans.deadline,
        retention: spans.retention,
        idempotency,
        idempotency_window: spans.idempotency_window,
        body_limit,
        origin_honours_key,
    });
    (rule, fields.finish())
}

pub(super) fn is_rule_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && is_name(text)
}

fn name(fields: &mut Fields, names: &mut BTreeSet<String>) -> Option<String> {
    let allowed = format!("1 to {MAX_NAME_BYTES} characters out of a-z, 0-9 and \"-\"");
    let Some(value) = fields.take("name") else {
        fields.refuse("name", "nothing", allowed);
        return None;
    };
    let Value::String(name) = value else {
        return fields.wrong("name", &value, &allowed);
    };
    if !is_rule_name(&name) {
        fields.refuse("name", shown_text(&name), allowed);
        return None;
    }
    if !names.insert(name.clone()) {
        let found = format!("{name:?} a second time");
        fields.refuse("name", found, "a name that no other rule has");
    }
    Some(name)
}

/// The name of one of the origins; empty for the default one.
fn origin(fields: &mut Fields, origins: &BTreeMap<String, Origin>) -> String {
    let names: Vec<String> = origins.keys().map(|name| format!("{name:?}")).collect();
    let allowed = if names.is_empty() {
        "one of the configured origins, but there are none: [vars.RAINCHECK.origins.NAME]"
            .to_owned()
    } else {
        names.join(", ")
    };
    let Some(name) = fields.text("origin", &allowed) else {
        return String::new();
    };
    if !origins.contains_key(&name) {
        fields.refuse("origin", shown_text(&name), allowed);
    }
    name
}

fn methods(fields: &mut Fields) -> Vec<String> {
    const ALLOWED: &str =
        "an array of method names such as [\"POST\"], or [\"*\"] for all but OPTIONS and TRACE";
    let Some(methods) = fields.texts("methods", ALLOWED) else {
        return vec!["POST".to_owned()];
    };
    if methods.is_empty() {
        fields.refuse("methods", "an empty array", ALLOWED);
    }
    for method in &methods {
        let upper = method.to_ascii_uppercase();
        if FORBIDDEN_METHODS.contains(&upper.as_str()) {
            let allowed = "methods that a Worker can send: not CONNECT, TRACE or TRACK";
            fields.refuse("methods", shown_text(method), allowed);
        } else if *method != upper && USUAL_METHODS.contains(&upper.as_str()) {
            let allowed = format!("{upper:?}; method names are case-sensitive");
            fields.refuse("methods", shown_text(method), allowed);
        } else if !is_token(method) || (method == "*" && methods.len() > 1) {
            fields.refuse("methods", shown_text(method), ALLOWED);
        }
    }
    methods
}

fn path(fields: &mut Fields, mount: &str) -> Option<PathPattern> {
    const ALLOWED: &str = "a path such as \"/reports/{id}\"";
    let Some(value) = fields.take("path") else {
        fields.refuse("path", "nothing", ALLOWED);
        return None;
    };
    let Value::String(text) = value else {
        return fields.wrong("path", &value, ALLOWED);
    };
    let pattern = match PathPattern::parse(&text) {
        Ok(pattern) => pattern,
        Err(allowed) => {
            fields.refuse("path", shown_text(&text), allowed);
            return None;
        }
    };
    // The grammar of a mount makes it canonical. The prefix ends before the first parameter.
    let under = pattern.prefix().strip_prefix(mount).is_some_and(|rest| {
        rest.starts_with('/') || (rest.is_empty() && pattern.as_str() == mount)
    });
    if under {
        let allowed = format!("a path outside the mount {mount:?}, where jobs live");
        fields.refuse("path", shown_text(&text), allowed);
    }
    Some(pattern)
}

fn headers(fields: &mut Fields) -> Vec<HeaderCondition> {
    const ALLOWED: &str = "an array of tables such as [{ name = \"x-mode\", value = \"slow\" }]";
    const NAME: &str = "the name of a request header";
    const VALUE: &str = "a header value without control characters or surrounding white space";
    let mut conditions = Vec::new();
    let tables = fields.tables("headers", ALLOWED).unwrap_or_default();
    for (index, table) in tables.into_iter().enumerate() {
        let label = format!("#{}", index.saturating_add(1));
        let place = fields.home_of("headers").entry("headers", index, &label);
        let mut inner = Fields::new(table, place, HEADER_FIELDS);
        let name = inner.text("name", NAME);
        let value = inner.text("value", VALUE);
        if let Some(value) = value.as_ref().filter(|value| !is_field_value(value)) {
            inner.refuse("value", shown_text(value), VALUE);
        }
        match name {
            Some(name) if is_token(&name) => conditions.push(HeaderCondition {
                name: name.to_ascii_lowercase(),
                value,
            }),
            Some(name) => inner.refuse("name", shown_text(&name), NAME),
            None if inner.is_sound("name") => inner.refuse("name", "nothing", NAME),
            None => {}
        }
        fields.absorb(inner.finish());
    }
    conditions
}

fn content_types(fields: &mut Fields) -> Vec<String> {
    const ALLOWED: &str =
        "an array of media types without parameters, such as [\"application/json\", \"image/*\"]";
    let texts = fields.texts("content_types", ALLOWED).unwrap_or_default();
    for text in &texts {
        if !is_media_range(text) {
            fields.refuse("content_types", shown_text(text), ALLOWED);
        }
    }
    texts
        .into_iter()
        .map(|text| text.to_ascii_lowercase())
        .collect()
}

fn hold(fields: &mut Fields, wait_limit: Millis) -> Millis {
    let hold = fields
        .duration("hold", &(Millis(0)..=MAX_WAIT_LIMIT))
        .unwrap_or_default();
    if hold > wait_limit {
        let limit = span_found(wait_limit, true);
        fields.refuse(
            "hold",
            span_found(hold, true),
            format!("at most the wait_limit of {limit}"),
        );
    }
    hold
}

fn body_limit(fields: &mut Fields, inherited: u64) -> u64 {
    let limit = fields
        .size("body_limit", MAX_BODY_LIMIT)
        .unwrap_or(inherited);
    if limit > inherited {
        let allowed = format!(
            "at most the body_limit outside the rules, {}",
            size_found(inherited, true)
        );
        fields.refuse("body_limit", size_found(limit, true), allowed);
    }
    limit
}
