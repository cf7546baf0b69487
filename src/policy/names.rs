//! The names of all fields, by table.

/// All fields, by table (`""` is the top level).
pub const FIELDS: [(&str, &[&str]); 5] = [
    ("", TOP_FIELDS),
    ("origin", ORIGIN_FIELDS),
    ("rules", RULE_FIELDS),
    ("rules.headers", HEADER_FIELDS),
    ("rules.backoff", BACKOFF_FIELDS),
];

pub(super) const TOP_FIELDS: &[&str] = &[
    "origin",
    "origins",
    "allow_http",
    "mount",
    "public_origin",
    "trusted_forwarded_host",
    "forwarding",
    "shards",
    "previous_shards",
    "owner_headers",
    "cors_origins",
    "cors_headers",
    "cors_expose",
    "operator_token_sha256",
    "wait_limit",
    "claim_patience",
    "lease",
    "tombstone",
    "retention",
    "body_limit",
    "result_limit",
    "rules",
];

/// The fields of the table form of an origin.
pub(super) const ORIGIN_FIELDS: &[&str] = &["url", "service", "headers", "allow_http"];

/// The fields of a rule.
pub(super) const RULE_FIELDS: &[&str] = &[
    "name",
    "methods",
    "path",
    "headers",
    "content_types",
    "origin",
    "defer",
    "hold",
    "priority",
    "client_priority",
    "client_deadline",
    "client_delay",
    "attempts",
    "backoff",
    "retry_statuses",
    "attempt_timeout",
    "deadline",
    "retention",
    "idempotency",
    "idempotency_window",
    "body_limit",
    "origin_honours_key",
];

/// The fields of an entry of `headers`.
pub(super) const HEADER_FIELDS: &[&str] = &["name", "value"];

/// The fields of `backoff`.
pub(super) const BACKOFF_FIELDS: &[&str] = &["initial", "factor", "max", "jitter"];
