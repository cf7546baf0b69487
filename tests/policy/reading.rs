//! What is read, with which defaults, up to which limits.

use std::collections::BTreeMap;

use raincheck::job::{Backoff, Millis, Priority};
use raincheck::policy::{
    Defer, Forwarding, HeaderCondition, Idempotency, OriginAt, PathPattern, Policy, Rule, Template,
    duration_text, parse_duration, parse_size, size_text,
};

use crate::{ORIGIN, only_rule, read, top, with_rule};

#[test]
fn a_minimal_configuration_gets_every_default() {
    let policy = read(&with_rule(""));
    let day = Millis::from_secs(86_400);
    assert_eq!(
        policy,
        Policy {
            origin: OriginAt::Url("https://api.example.com".to_owned()).into(),
            origins: BTreeMap::new(),
            mount: "/jobs".to_owned(),
            public_origin: None,
            shards: 8,
            previous_shards: None,
            owner_headers: None,
            trusted_forwarded_host: false,
            forwarding: Forwarding::XForwarded,
            cors_origins: vec![],
            cors_headers: vec![],
            cors_expose: vec![],
            operator_token_sha256: None,
            body_limit: 100 << 20,
            result_limit: (5 << 30) - (5 << 20),
            wait_limit: Millis::from_secs(30),
            claim_patience: Millis::from_secs(30),
            lease: Millis::from_secs(60),
            tombstone: Millis::from_secs(3600),
            rules: vec![Rule {
                name: "r".to_owned(),
                methods: vec!["POST".to_owned()],
                path: PathPattern::parse("/r").unwrap(),
                headers: vec![],
                content_types: vec![],
                origin: String::new(),
                defer: Defer::Always,
                hold: Millis(0),
                priority: Priority::Normal,
                client_priority: false,
                client_deadline: false,
                client_delay: false,
                attempts: 5,
                backoff: Backoff {
                    initial: Millis::from_secs(1),
                    factor_permille: 2000,
                    max: Millis::from_secs(300),
                    jitter_permille: 500,
                },
                retry_statuses: None,
                attempt_timeout: Millis::from_secs(600),
                deadline: Millis::from_secs(3600),
                retention: day,
                idempotency: Idempotency::Optional,
                idempotency_window: day,
                body_limit: 100 << 20,
                origin_honours_key: false,
            }],
        }
    );
}

#[test]
fn explicit_values_override_defaults() {
    let short = only_rule("deadline = \"5m\"");
    assert_eq!(short.attempt_timeout, Millis::from_secs(300));
    let kept = only_rule("retention = \"2d\"");
    assert_eq!(kept.idempotency_window, Millis::from_secs(2 * 86_400));
    let policy = read(&format!(
        "retention = \"3d\"\nbody_limit = \"1MiB\"\n{}",
        with_rule("")
    ));
    assert_eq!(policy.rules[0].retention, Millis::from_secs(3 * 86_400));
    assert_eq!(
        policy.rules[0].idempotency_window,
        Millis::from_secs(3 * 86_400)
    );
    assert_eq!(policy.rules[0].body_limit, 1 << 20);
}

#[test]
fn values_at_their_limits_are_accepted() {
    for lines in [
        "mount = \"/a/b_c.d~e-1\"",
        "shards = 1",
        "shards = 1024",
        "previous_shards = 1024",
        "wait_limit = \"0s\"",
        "wait_limit = \"60s\"",
        "claim_patience = \"1s\"",
        "claim_patience = \"1h\"",
        "lease = \"1s\"",
        "lease = \"14m\"",
        "tombstone = \"0s\"",
        "tombstone = \"7d\"",
        "retention = \"365d\"",
        "body_limit = 1",
        "body_limit = \"500MiB\"",
        "result_limit = 5363466240",
        "cors_origins = [\"*\"]",
        "cors_origins = [\"http://localhost:3000\", \"https://app.example.com/\"]",
        "cors_origins = [\"https://xn--bcher-kva.example\"]",
        "public_origin = \"https://XN--Bcher-KVA.example\"",
        "public_origin = \"http://127.0.0.1:8787\"",
        "public_origin = \"https://api.example.com:8443\"",
    ] {
        read(&top(lines));
    }
    for lines in [
        "attempts = 1",
        "attempts = 100",
        "attempt_timeout = \"14m\"",
        "attempt_timeout = \"1ms\"",
        "deadline = \"1h\"\nattempt_timeout = \"14m\"\nretention = \"1h\"\nidempotency_window = \"1h\"",
        "deadline = \"365d\"\nretention = \"365d\"",
        "hold = \"30s\"",
        "backoff = { initial = \"12h\", max = \"12h\", factor = 1, jitter = 0 }",
        "backoff = { factor = 100.0, jitter = 1.0 }",
        "retry_statuses = []",
        "retry_statuses = [400, 599]",
        "methods = [\"*\"]",
        "methods = [\"PROPFIND\", \"x-own\"]",
        "body_limit = \"100MiB\"",
        "headers = [{ name = \"a\", value = \"b\\tc\" }]",
    ] {
        only_rule(lines);
    }
    let most: Vec<String> = (400..432).map(|status| status.to_string()).collect();
    only_rule(&format!("retry_statuses = [{}]", most.join(",")));
    read(&top(&format!("mount = \"/{}\"", "a".repeat(127))));
    read(&format!(
        "{ORIGIN}{}",
        "#".repeat(128 * 1024 - ORIGIN.len())
    ));
    let longest = "a".repeat(64);
    read(&format!(
        "{ORIGIN}[[rules]]\nname = \"{longest}\"\npath = \"/r\""
    ));
    let many: Vec<String> = (0..256)
        .map(|n| format!("[[rules]]\nname = \"r{n}\"\npath = \"/r\"\n"))
        .collect();
    assert_eq!(read(&top(&many.concat())).rules.len(), 256);
}

#[test]
fn rules_name_one_of_several_origins() {
    let policy = read(
        "origin = 'https://h'\n[origins]\nplain = 'https://plain/base/'\n\
         [origins.ml]\nservice = 'ML'\nheaders = { Authorization = 'Bearer ${ML_TOKEN}', x-fixed = 'a' }\n\
         [origins.old]\nurl = 'http://old'\nallow_http = true\n\
         [[rules]]\nname = 'r'\npath = '/r'\norigin = 'ml'\n",
    );
    assert_eq!(policy.rules[0].origin, "ml");
    assert_eq!(policy.origin("").unwrap(), &policy.origin);
    assert_eq!(policy.origin("gone"), None);
    let plain = policy.origin("plain").unwrap();
    assert_eq!(plain.at, OriginAt::Url("https://plain/base".to_owned()));
    let ml = policy.origin("ml").unwrap();
    assert_eq!(ml.at, OriginAt::Service("ML".to_owned()));
    let filled = ml.filled_headers(|name| (name == "ML_TOKEN").then(|| "t0ken".to_owned()));
    let expected = [
        ("authorization", "Bearer t0ken".to_owned()),
        ("x-fixed", "a".to_owned()),
    ];
    assert_eq!(filled.unwrap(), expected);
    let shown = format!("{policy:?}");
    assert!(!shown.contains("Bearer"), "{shown}");
}

#[test]
fn a_missing_or_unusable_secret_is_reported_by_name() {
    let template = Template::parse("Bearer ${A}-${B}").unwrap();
    assert_eq!(template.names().collect::<Vec<_>>(), ["A", "B"]);
    for value in [None, Some(""), Some("a\nx-evil: 1"), Some("é")] {
        let of_b = |name: &str| match name {
            "B" => value.map(str::to_owned),
            _ => Some("a".to_owned()),
        };
        assert_eq!(template.fill(of_b), Err("B".to_owned()), "{value:?}");
    }
    for text in ["${", "${}", "${a-b}", "${1}", "x${A"] {
        assert_eq!(Template::parse(text), None, "{text}");
    }
    assert_eq!(
        Template::parse("$A $ {A}").unwrap().fill(|_| None).unwrap(),
        "$A $ {A}"
    );
}

#[test]
fn origins_come_in_three_forms() {
    let origin = |line: &str| read(line).origin.at;
    let url = |text: &str| OriginAt::Url(text.to_owned());
    assert_eq!(
        origin("origin = \"https://API.example.com/\""),
        url("https://api.example.com")
    );
    assert_eq!(
        origin("origin = \"https://h:8443/base/\""),
        url("https://h:8443/base")
    );
    assert_eq!(origin("origin = { url = \"https://h\" }"), url("https://h"));
    assert_eq!(
        origin("origin = { service = \"API\" }"),
        OriginAt::Service("API".to_owned())
    );
    assert_eq!(origin("[origin]\nurl = \"https://h\""), url("https://h"));
    for loopback in ["localhost:1", "x.localhost", "127.9.0.1", "[::1]:80"] {
        read(&format!("origin = \"http://{loopback}\""));
    }
    read("allow_http = true\norigin = \"http://api.internal\"");
}

#[test]
fn names_that_ignore_case_are_kept_in_one_form() {
    let policy = read(&top(&format!(
        "owner_headers = [\"X-Tenant\", \"x-a\", \"x-tenant\"]\noperator_token_sha256 = \"{}\"\n\
         public_origin = \"https://Gate.Example/\"\ncors_origins = [\"https://App.Example:443\"]\n\
         cors_headers = [\"X-Tenant\", \"x-a\", \"x-tenant\"]\ncors_expose = [\"X-Total\", \"X-total\"]",
        "AB".repeat(32)
    )));
    let listed = policy.owner_headers.unwrap();
    assert_eq!(listed, ["x-a", "x-tenant"]);
    assert_eq!(policy.operator_token_sha256, Some("ab".repeat(32)));
    assert_eq!(
        policy.public_origin.as_deref(),
        Some("https://gate.example")
    );
    assert_eq!(policy.cors_origins, ["https://app.example"]);
    assert_eq!(policy.cors_headers, ["x-a", "x-tenant"]);
    assert_eq!(policy.cors_expose, ["x-total"]);
    let rule = only_rule(
        "headers = [{ name = \"X-Mode\", value = \"Slow\" }]\ncontent_types = [\"Text/CSV\"]",
    );
    let condition = HeaderCondition {
        name: "x-mode".to_owned(),
        value: Some("Slow".to_owned()),
    };
    assert_eq!(rule.headers, [condition]);
    assert_eq!(rule.content_types, ["text/csv"]);
}

#[test]
fn a_priority_is_written_as_it_is_called() {
    for priority in Priority::ALL {
        let rule = only_rule(&format!("priority = {:?}", priority.as_str()));
        assert_eq!(rule.priority, priority);
    }
}

#[test]
fn a_pattern_is_shown_as_it_was_written() {
    let written = "/reports/{id}/{*rest}";
    let pattern = PathPattern::parse(written).unwrap();
    assert_eq!(pattern.as_str(), written);
    assert_eq!(pattern.to_string(), written);
    assert_eq!(format!("{pattern:?}"), format!("PathPattern({written:?})"));
}

#[test]
fn statuses_to_retry_are_sorted_and_counted_once() {
    let rule = only_rule("retry_statuses = [503, 429, 503]");
    assert_eq!(rule.retry_statuses, Some(vec![429, 503]));
}

#[test]
fn durations_and_sizes_are_read_and_written_in_whole_units() {
    for (text, ms) in [
        ("250ms", 250),
        ("0s", 0),
        ("30s", 30_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
    ] {
        assert_eq!(parse_duration(text), Some(Millis(ms)), "{text}");
    }
    for text in [
        "",
        "5",
        "s",
        "1.5s",
        "-1s",
        "+1s",
        "1 s",
        "1S",
        "1m30s",
        "1w",
        "99999999999999999999s",
        "300000000000d",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
    for (text, bytes) in [
        ("0B", 0),
        ("1B", 1),
        ("64KiB", 65_536),
        ("100MB", 100_000_000),
        ("5GiB", 5 << 30),
        ("1KB", 1000),
        ("2GB", 2_000_000_000),
        ("3MiB", 3 << 20),
    ] {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for text in ["", "1", "1kb", "1K", "KB", "1 KB", "0x1B", "99999999999GiB"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
    for (ms, text) in [
        (0, "0s"),
        (90_000, "90s"),
        (86_400_000, "1d"),
        (3_600_001, "3600001ms"),
        (25 * 3_600_000, "25h"),
    ] {
        assert_eq!(duration_text(Millis(ms)), text);
    }
    for (bytes, text) in [
        (0, "0B"),
        (1000, "1000B"),
        (2048, "2KiB"),
        (1 << 30, "1GiB"),
    ] {
        assert_eq!(size_text(bytes), text);
    }
}
