//! Parses a rule's attempts, waits and spans.

use std::collections::BTreeSet;

use serde_json::Value;

use super::span_found;
use crate::job::{Backoff, Millis};
use crate::policy::fields::Fields;
use crate::policy::limits::{
    DEFAULT_ATTEMPT_TIMEOUT, DEFAULT_BACKOFF_FACTOR_PERMILLE, DEFAULT_BACKOFF_INITIAL,
    DEFAULT_BACKOFF_JITTER_PERMILLE, DEFAULT_BACKOFF_MAX, DEFAULT_DEADLINE, MAX_ATTEMPT_TIMEOUT,
    MAX_BACKOFF, MAX_BACKOFF_FACTOR_PERMILLE, MAX_RETENTION, MAX_RETRY_STATUSES, MIN_SPAN,
};
use crate::policy::names::BACKOFF_FIELDS;

pub(super) fn backoff(fields: &mut Fields) -> Backoff {
    const ALLOWED: &str =
        "a table such as { initial = \"1s\", factor = 2, max = \"5m\", jitter = 0.5 }";
    let defaults = Backoff {
        initial: DEFAULT_BACKOFF_INITIAL,
        factor_permille: DEFAULT_BACKOFF_FACTOR_PERMILLE,
        max: DEFAULT_BACKOFF_MAX,
        jitter_permille: DEFAULT_BACKOFF_JITTER_PERMILLE,
    };
    let Some(mut inner) = fields.table("backoff", BACKOFF_FIELDS, ALLOWED) else {
        return defaults;
    };
    let range = MIN_SPAN..=MAX_BACKOFF;
    let initial = inner.duration("initial", &range);
    let factor = inner.permille("factor", &(1_000..=MAX_BACKOFF_FACTOR_PERMILLE));
    let max = inner.duration("max", &range);
    let jitter = inner.permille("jitter", &(0..=1_000));
    let backoff = Backoff {
        initial: initial.unwrap_or(defaults.initial),
        factor_permille: factor.unwrap_or(defaults.factor_permille),
        max: max.unwrap_or(defaults.max),
        jitter_permille: jitter.unwrap_or(defaults.jitter_permille),
    };
    if backoff.initial > backoff.max && inner.is_sound("initial") && inner.is_sound("max") {
        let limit = span_found(backoff.max, max.is_some());
        let found = span_found(backoff.initial, initial.is_some());
        inner.refuse("initial", found, format!("at most max, {limit}"));
    }
    fields.absorb(inner.finish());
    backoff
}

pub(super) fn retry_statuses(fields: &mut Fields) -> Option<Vec<u16>> {
    let allowed = format!("an array of at most {MAX_RETRY_STATUSES} statuses from 400 to 599");
    let value = fields.take("retry_statuses")?;
    let Value::Array(items) = &value else {
        return fields.wrong("retry_statuses", &value, &allowed);
    };
    let mut statuses = BTreeSet::new();
    for item in items {
        let status = item.as_u64().and_then(|status| u16::try_from(status).ok());
        match status.filter(|status| (400..=599).contains(status)) {
            Some(status) => statuses.insert(status),
            None => return fields.wrong("retry_statuses", item, &allowed),
        };
    }
    if statuses.len() > MAX_RETRY_STATUSES {
        let found = format!("{} statuses", statuses.len());
        fields.refuse("retry_statuses", found, allowed);
    }
    Some(statuses.into_iter().collect())
}

/// The spans of a rule that depend on each other.
pub(super) struct Spans {
    pub(super) attempt_timeout: Millis,
    pub(super) deadline: Millis,
    pub(super) retention: Millis,
    pub(super) idempotency_window: Millis,
}

pub(super) fn spans(fields: &mut Fields, inherited_retention: Millis) -> Spans {
    let timeout = fields.duration("attempt_timeout", &(MIN_SPAN..=MAX_ATTEMPT_TIMEOUT));
    let range = MIN_SPAN..=MAX_RETENTION;
    let deadline = fields.duration("deadline", &range);
    let retention = fields.duration("retention", &range);
    let window = fields.duration("idempotency_window", &range);
    let deadline_written = deadline.is_some();
    let deadline = deadline.unwrap_or(DEFAULT_DEADLINE);
    let spans = Spans {
        // A short deadline shortens the default attempt_timeout.
        attempt_timeout: timeout.unwrap_or(DEFAULT_ATTEMPT_TIMEOUT.min(deadline)),
        deadline,
        retention: retention.unwrap_or(inherited_retention),
        idempotency_window: window.or(retention).unwrap_or(inherited_retention),
    };
    let sound = |fields: &Fields, keys: [&str; 2]| keys.iter().all(|key| fields.is_sound(key));
    if spans.deadline < spans.attempt_timeout && sound(fields, ["deadline", "attempt_timeout"]) {
        let least = span_found(spans.attempt_timeout, true);
        let allowed = format!("at least the attempt_timeout of {least}");
        fields.refuse("deadline", span_found(deadline, deadline_written), allowed);
    }
    if spans.retention < spans.deadline && sound(fields, ["retention", "deadline"]) {
        let least = span_found(spans.deadline, deadline_written);
        let allowed = format!("at least the deadline of {least}");
        fields.refuse(
            "retention",
            span_found(spans.retention, retention.is_some()),
            allowed,
        );
    }
    if spans.idempotency_window > spans.retention
        && sound(fields, ["idempotency_window", "retention"])
    {
        let most = span_found(spans.retention, retention.is_some());
        let allowed = format!("at most the retention of {most}");
        fields.refuse(
            "idempotency_window",
            span_found(spans.idempotency_window, true),
            allowed,
        );
    }
    spans
}
