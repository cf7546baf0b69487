//! From a policy back to text, for the properties.

use raincheck::policy::{OriginAt, Policy, Rule, duration_text, size_text};

/// A policy as configuration text with every field written out.
pub fn render(policy: &Policy) -> String {
    let mut top = toml::Table::new();
    let mut set = |key: &str, value: toml::Value| top.insert(key.to_owned(), value);
    match &policy.origin.at {
        OriginAt::Url(url) => set("origin", url.as_str().into()),
        OriginAt::Service(name) => set(
            "origin",
            toml::Table::from_iter([("service".to_owned(), name.as_str().into())]).into(),
        ),
    };
    set("mount", policy.mount.as_str().into());
    if let Some(public) = &policy.public_origin {
        set("public_origin", public.as_str().into());
    }
    set("shards", i64::from(policy.shards).into());
    if let Some(previous) = policy.previous_shards {
        set("previous_shards", i64::from(previous).into());
    }
    if let Some(names) = &policy.owner_headers {
        set("owner_headers", names.clone().into());
    }
    set(
        "trusted_forwarded_host",
        policy.trusted_forwarded_host.into(),
    );
    let forwarding = match (
        policy.forwarding.sends_x_forwarded(),
        policy.forwarding.sends_forwarded(),
    ) {
        (false, false) => "none",
        (true, false) => "x-forwarded",
        (false, true) => "forwarded",
        (true, true) => "both",
    };
    set("forwarding", forwarding.into());
    set("cors_origins", policy.cors_origins.clone().into());
    set("cors_headers", policy.cors_headers.clone().into());
    set("cors_expose", policy.cors_expose.clone().into());
    if let Some(digest) = &policy.operator_token_sha256 {
        set("operator_token_sha256", digest.as_str().into());
    }
    set("body_limit", size_text(policy.body_limit).into());
    set("result_limit", size_text(policy.result_limit).into());
    set("wait_limit", duration_text(policy.wait_limit).into());
    set(
        "claim_patience",
        duration_text(policy.claim_patience).into(),
    );
    set("lease", duration_text(policy.lease).into());
    set("tombstone", duration_text(policy.tombstone).into());
    set(
        "rules",
        policy
            .rules
            .iter()
            .map(render_rule)
            .collect::<Vec<_>>()
            .into(),
    );
    toml_text(&top)
}

fn render_rule(rule: &Rule) -> toml::Value {
    let mut table = toml::Table::new();
    let mut set = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
    set("name", rule.name.as_str().into());
    set("methods", rule.methods.clone().into());
    set("path", rule.path.as_str().into());
    let headers = rule.headers.iter().map(|header| {
        let mut table = toml::Table::from_iter([("name".to_owned(), header.name.as_str().into())]);
        table.extend(
            header
                .value
                .iter()
                .map(|value| ("value".to_owned(), value.as_str().into())),
        );
        table
    });
    set(
        "headers",
        headers.map(toml::Value::Table).collect::<Vec<_>>().into(),
    );
    set("content_types", rule.content_types.clone().into());
    set("defer", rule.defer.as_str().into());
    set("hold", duration_text(rule.hold).into());
    set("priority", rule.priority.as_str().into());
    set("client_priority", rule.client_priority.into());
    set("client_deadline", rule.client_deadline.into());
    set("client_delay", rule.client_delay.into());
    set("attempts", i64::from(rule.attempts).into());
    let backoff = toml::Table::from_iter([
        (
            "initial".to_owned(),
            duration_text(rule.backoff.initial).into(),
        ),
        (
            "factor".to_owned(),
            (f64::from(rule.backoff.factor_permille) / 1000.0).into(),
        ),
        ("max".to_owned(), duration_text(rule.backoff.max).into()),
        (
            "jitter".to_owned(),
            (f64::from(rule.backoff.jitter_permille) / 1000.0).into(),
        ),
    ]);
    set("backoff", backoff.into());
    if let Some(statuses) = &rule.retry_statuses {
        let statuses: Vec<toml::Value> = statuses
            .iter()
            .map(|status| i64::from(*status).into())
            .collect();
        set("retry_statuses", statuses.into());
    }
    set(
        "attempt_timeout",
        duration_text(rule.attempt_timeout).into(),
    );
    set("deadline", duration_text(rule.deadline).into());
    set("retention", duration_text(rule.retention).into());
    set("idempotency", rule.idempotency.as_str().into());
    set(
        "idempotency_window",
        duration_text(rule.idempotency_window).into(),
    );
    set("body_limit", i64::try_from(rule.body_limit).unwrap().into());
    set("origin_honours_key", rule.origin_honours_key.into());
    table.into()
}

/// Inline TOML; the crate is built without its own writer.
fn toml_text(top: &toml::Table) -> String {
    let lines = top
        .iter()
        .map(|(key, value)| format!("{key} = {}", inline(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn inline(value: &toml::Value) -> String {
    let join = |items: Vec<String>| items.join(", ");
    match value {
        toml::Value::String(text) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        toml::Value::Float(number) => format!("{number:?}"),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(_) => panic!("no field is a date"),
        toml::Value::Array(items) => format!("[{}]", join(items.iter().map(inline).collect())),
        toml::Value::Table(table) => {
            let fields = table
                .iter()
                .map(|(key, value)| format!("{key} = {}", inline(value)));
            format!("{{ {} }}", join(fields.collect()))
        }
    }
}
