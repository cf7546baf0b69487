//! What holds for every text, every path and every configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use raincheck::job::{Backoff, Millis, Priority};
use raincheck::policy::limits::MAX_PATH_PARAMETERS;
use raincheck::policy::{
    Defer, FIELDS, Forwarding, HeaderCondition, Idempotency, Origin, OriginAt, PathPattern, Policy,
    Rule, Variable, canonical_path, duration_text, parse_duration, parse_size, size_text,
};

use super::configuration;
use crate::render::render;
use crate::{read, top};

/// TOML that is close to a configuration: known fields with values of every kind.
fn nearly_a_configuration() -> impl Strategy<Value = String> {
    let names: Vec<&str> = FIELDS
        .iter()
        .flat_map(|(_, fields)| fields.iter().copied())
        .collect();
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:?}").replace("NaN", "nan")),
        any::<bool>().prop_map(|b| b.to_string()),
        "[ -~]{0,12}".prop_map(|text| format!("{text:?}")),
        "[0-9]{1,20}(ms|s|m|h|d|MiB|KB)".prop_map(|text| format!("{text:?}")),
        "/[a-z/{}*%.]{0,12}".prop_map(|text| format!("{text:?}")),
        "https?://[a-z@:/?#.]{0,12}".prop_map(|text| format!("{text:?}")),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[[]]".to_owned()),
        Just("[{}]".to_owned()),
    ];
    let line = (proptest::sample::select(names), value)
        .prop_map(|(name, value)| format!("{name} = {value}\n"));
    (vec(line.clone(), 0..8), vec(line, 0..8))
        .prop_map(|(top, rule)| format!("{}[[rules]]\n{}", top.concat(), rule.concat()))
}

fn span(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Millis> {
    prop_oneof![
        range.clone().prop_map(Millis),
        range.prop_map(|ms| Millis((ms / 1000).max(1) * 1000)),
    ]
}

fn backoff() -> impl Strategy<Value = Backoff> {
    (
        span(1..=43_200_000),
        span(1..=43_200_000),
        1000..=100_000_u32,
        0..=1000_u32,
    )
        .prop_map(|(a, b, factor_permille, jitter_permille)| Backoff {
            initial: a.min(b),
            factor_permille,
            max: a.max(b),
            jitter_permille,
        })
}

fn header() -> impl Strategy<Value = HeaderCondition> {
    ("[a-z][a-z0-9-]{0,8}", option::of("[!-~]([ -~]{0,8}[!-~])?"))
        .prop_map(|(name, value)| HeaderCondition { name, value })
}

type Matching = (
    Vec<String>,
    PathPattern,
    Vec<HeaderCondition>,
    Vec<String>,
    Defer,
    Millis,
);

fn matching() -> impl Strategy<Value = Matching> {
    let path = "/[a-z]{1,6}(/[a-z0-9.]{0,3}[a-z]\\{[a-z]{1,4}\\}){0,2}(/\\{\\*rest\\})?"
        .prop_filter("under the mount", |path| !path.starts_with("/jobs"))
        .prop_map(|path| PathPattern::parse(&path).unwrap());
    (
        vec("[A-Z]{1,4}-[A-Z]{1,4}|GET|POST", 1..4),
        path,
        vec(header(), 0..3),
        vec("[a-z]{1,5}/([a-z+.]{1,5}|\\*)", 0..3),
        proptest::sample::select(vec![Defer::Always, Defer::Preferred, Defer::Never]),
        span(0..=10_000),
    )
}

type Working = (
    Priority,
    [bool; 4],
    u32,
    Backoff,
    Option<Vec<u16>>,
    [Millis; 4],
    Idempotency,
    u64,
);

fn working() -> impl Strategy<Value = Working> {
    let spans = [
        span(1..=840_000),
        span(1..=86_400_000),
        span(1..=86_400_000),
        span(1..=86_400_000),
    ];
    (
        proptest::sample::select(Priority::ALL.to_vec()),
        any::<[bool; 4]>(),
        1..=100_u32,
        backoff(),
        option::of(
            proptest::collection::btree_set(400..=599_u16, 0..=32)
                .prop_map(|set| set.into_iter().collect()),
        ),
        spans.prop_map(|mut spans| {
            spans.sort();
            spans[0] = spans[0].min(Millis(840_000));
            spans
        }),
        proptest::sample::select(vec![
            Idempotency::Required,
            Idempotency::Optional,
            Idempotency::Off,
        ]),
        1..=1_000_000_u64,
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    (matching(), working()).prop_map(|(matching, working)| {
        let (methods, path, headers, content_types, defer, hold) = matching;
        let (priority, flags, attempts, backoff, retry_statuses, spans, idempotency, body_limit) =
            working;
        Rule {
            name: String::new(),
            methods,
            path,
            headers,
            content_types,
            origin: String::new(),
            defer,
            hold,
            priority,
            client_priority: flags[0],
            client_deadline: flags[1],
            client_delay: flags[2],
            attempts,
            backoff,
            retry_statuses,
            attempt_timeout: spans[0],
            deadline: spans[1],
            retention: spans[3],
            idempotency,
            idempotency_window: spans[2],
            body_limit,
            origin_honours_key: flags[3],
        }
    })
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    proptest::sample::select(vec![
        Forwarding::None,
        Forwarding::XForwarded,
        Forwarding::Forwarded,
        Forwarding::Both,
    ])
}

/// Names of fields.
fn fields() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set("[a-z]{1,3}-[a-z]{1,5}", 0..3)
}

fn policy() -> impl Strategy<Value = Policy> {
    let origin = prop_oneof![
        "[A-Z_]{1,8}".prop_map(|name| Origin::from(OriginAt::Service(name))),
        "https://[a-z]{1,8}\\.example(:8[0-9]{3})?(/[a-z]{1,5}){0,2}"
            .prop_map(|url| Origin::from(OriginAt::Url(url))),
    ];
    let site = || "https://[a-z]{1,8}\\.test(:8[0-9]{3})?";
    let outside = (
        origin,
        "/jobs(/[a-z]{1,3}){0,2}",
        option::of(site()),
        (1..=1024_u16, option::of(1..=1024_u16)),
        option::of(fields()),
        any::<bool>(),
        forwarding(),
        (
            prop_oneof![vec(site(), 0..3), Just(vec!["*".to_owned()])],
            fields(),
            fields(),
        ),
        option::of("[0-9a-f]{64}"),
        (1_000_000..=500_u64 << 20, 1..=5_363_466_240_u64),
        [
            span(10_000..=60_000),
            span(1_000..=3_600_000),
            span(1_000..=840_000),
            span(0..=604_800_000),
        ],
    );
    (outside, vec(rule(), 0..5)).prop_map(|(outside, mut rules)| {
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("rule-{number}");
        }
        let (
            origin,
            mount,
            public_origin,
            shards,
            owner_headers,
            trusted,
            forwarding,
            (cors_origins, cors_headers, cors_expose),
            operator,
            sizes,
            spans,
        ) = outside;
        Policy {
            origin,
            origins: BTreeMap::new(),
            mount,
            public_origin,
            shards: shards.0,
            previous_shards: shards.1.filter(|previous| *previous != shards.0),
            owner_headers: owner_headers.map(|names| names.into_iter().collect()),
            trusted_forwarded_host: trusted,
            forwarding,
            cors_origins,
            cors_headers: cors_headers.into_iter().collect(),
            cors_expose: cors_expose.into_iter().collect(),
            operator_token_sha256: operator,
            body_limit: sizes.0,
            result_limit: sizes.1,
            wait_limit: spans[0],
            claim_patience: spans[1],
            lease: spans[2],
            tombstone: spans[3],
            rules,
        }
    })
}

/// The canonical path with some characters spelled in another way.
fn respelled(path: &str, choices: &[u8]) -> String {
    let mut out = String::new();
    for (character, choice) in path.chars().zip(choices.iter().cycle()) {
        match (character, choice % 5) {
            ('/', 1) => out.push_str("//"),
            ('/', 2) => out.push_str("/./"),
            ('/', 3) => out.push_str("/x/%2e%2E/"),
            ('/', 4) => out.push('\\'),
            (letter, 1 | 2) if letter != '/' => {
                write!(out, "%{:02x}", u32::from(letter)).unwrap();
            }
            (letter, _) => out.push(letter),
        }
    }
    out
}

/// Any JSON, with fields that the configuration has among others.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let names = FIELDS.iter().flat_map(|(_, fields)| fields.iter().copied());
        let name = prop_oneof![
            proptest::sample::select(names.collect::<Vec<_>>()).prop_map(str::to_owned),
            any::<String>(),
        ];
        let fields = proptest::collection::btree_map(name, inner.clone(), 0..6);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_any_values_gives_a_policy_or_errors_and_never_panics(values in vec(("RAINCHECK(_[AB])?", any_value()), 0..4)) {
        let variables = values.into_iter().map(|(name, value)| Variable { name, value });
        if let Err(errors) = Policy::read(variables.collect()) {
            prop_assert!(!errors.as_slice().is_empty());
        }
    }

    #[test]
    fn reading_what_is_nearly_a_configuration_never_panics(text in nearly_a_configuration()) {
        if toml::from_str::<Value>(&text).is_err() {
            return Ok(());
        }
        if let Err(errors) = configuration::parse(&text) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn a_policy_that_is_written_out_reads_as_itself(policy in policy()) {
        let text = render(&policy);
        match configuration::parse(&text) {
            Ok(read) => prop_assert_eq!(read, policy),
            Err(errors) => prop_assert!(false, "{}\n{}", text, errors),
        }
    }

    #[test]
    fn deciding_never_panics(policy in policy(), method in any::<String>(), path in any::<String>(), value in option::of(any::<String>())) {
        for path in [path.clone(), format!("/{path}")] {
            policy.decide(&method, &path, &mut |_| value.clone());
            policy.decide("POST", &path, &mut |_| value.clone());
        }
    }

    #[test]
    fn any_pattern_is_read_or_refused(text in "/?[a-z/{}*%._]{0,20}", path in "/[a-z/{}*%._]{0,20}") {
        if let Ok(pattern) = PathPattern::parse(&text) {
            let path = canonical_path(&path).unwrap();
            prop_assert!(!pattern.matches(&path) || path.starts_with(pattern.prefix()));
        }
    }

    #[test]
    fn any_number_of_parameters_is_read_or_refused(
        parts in vec("[a-z.-]{0,2}\\{\\*?[a-zA-Z_0-9]{1,3}\\}[a-z.-]{0,2}", 0..40),
        path in "(/[a-z.]{0,4}){0,40}",
    ) {
        if let Ok(pattern) = PathPattern::parse(&format!("/{}", parts.join("/"))) {
            prop_assert!(!pattern.matches(&path) || path.starts_with(pattern.prefix()));
        }
        let plain: Vec<String> = (0..parts.len()).map(|number| format!("{{p{number}}}")).collect();
        let plain = format!("/{}", plain.join("/"));
        prop_assert_eq!(PathPattern::parse(&plain).is_ok(), parts.len() <= MAX_PATH_PARAMETERS);
    }

    #[test]
    fn a_canonical_path_is_its_own_canonical_path(path in "[/\\\\][ -~é%./\\\\]{0,24}") {
        let canonical = canonical_path(&path).unwrap().into_owned();
        let again = canonical_path(&canonical).unwrap();
        prop_assert_eq!(&again, &canonical);
        prop_assert!(canonical.starts_with('/') && canonical.is_ascii());
        prop_assert!(!canonical.contains("//") && !canonical.split('/').any(|part| part == "." || part == ".."));
    }

    #[test]
    fn every_spelling_of_a_path_matches_the_same_rule(
        path in "/[a-zA-Z0-9._~-]{2,5}(/[a-z]{1,4}){0,3}",
        choices in vec(any::<u8>(), 1..12),
    ) {
        prop_assume!(!path.split('/').any(|part| part == "." || part == ".."));
        let policy = read(&top(&format!("[[rules]]\nname = \"r\"\npath = \"{path}\"")));
        let other = respelled(&path, &choices);
        prop_assert!(policy.decide("POST", &other, &mut |_| None).is_some(), "{}", other);
    }

    #[test]
    fn durations_and_sizes_read_as_they_are_written(number in any::<u64>()) {
        prop_assert_eq!(parse_duration(&duration_text(Millis(number))), Some(Millis(number)));
        prop_assert_eq!(parse_size(&size_text(number)), Some(number));
    }
}
