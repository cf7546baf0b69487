//! Transcripts of HTTP: what clients send, and how Raincheck interprets it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

mod browsers;
mod targets;

use raincheck::http::conditional::{etag, if_match, if_none_match};
use raincheck::http::date::{parse_http_date, parse_rfc3339, retry_after, rfc3339};
use raincheck::http::range::{
    ByteRange, RangeOutcome, content_range, content_range_unsatisfied, if_range,
};
use raincheck::job::{Millis, Priority, UnixMillis};
use raincheck::protocol::idempotency::{IdempotencyKey, KeyError};
use raincheck::protocol::prefer::Prefer;
use raincheck::protocol::priority::{to_priority, urgency};

#[test]
fn preferences_are_read_as_rfc_7240_says() {
    let table: [(&[&str], bool, Option<u32>); 18] = [
        (&[], false, None),
        (&["respond-async"], true, None),
        (&["Respond-Async, WAIT=10"], true, Some(10)),
        (&["wait=10", "respond-async"], true, Some(10)),
        (&["respond-async; x=\"a, wait=5\""], true, None),
        (&["foo=\"respond-async, wait=9\", wait = 7"], false, Some(7)),
        (&["wait=\"10\""], false, Some(10)),
        (&["wait=1, wait=2"], false, Some(1)),
        // The first counts even when it says nothing usable.
        (&["wait, wait=2"], false, None),
        (&["wait"], false, None),
        (&["wait=-1"], false, None),
        (&["wait=1.5"], false, None),
        (&["wait=99999999999"], false, Some(u32::MAX)),
        (&["respond-sync, handling=lenient"], false, None),
        (&["respond-async=\"\""], true, None),
        (&["respond-async=false"], false, None),
        (&[",, ;respond-async, =, \t,respond-async\t;"], true, None),
        (&["\"respond-async", "respond-async"], true, None),
    ];
    for (values, respond_async, wait) in table {
        let expected = Prefer {
            respond_async,
            wait,
        };
        assert_eq!(
            Prefer::parse(values.iter().copied()),
            expected,
            "{values:?}"
        );
    }
}

#[test]
fn idempotency_keys_are_accepted_quoted_or_plain() {
    let accepted = [
        (
            r#""8e03978e-40d5-43dd-bc93-6894a57f9324""#,
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
        ),
        (
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
        ),
        (r#"  "a b" "#, "a b"),
        (r#""say \"hi\" \\""#, r#"say "hi" \"#),
        (r#""key";version=1"#, "key"),
        ("order:17;retry", "order:17;retry"),
        ("KG5LxwFBepaKHyUD=", "KG5LxwFBepaKHyUD="),
    ];
    for (value, key) in accepted {
        let parsed = IdempotencyKey::parse(value).unwrap();
        assert_eq!(parsed.as_str(), key, "{value}");
        assert_eq!(parsed.to_header(), value.trim());
    }
    let refused = [
        ("", KeyError::Empty),
        ("\"\"", KeyError::Empty),
        ("\"open", KeyError::NotAString),
        ("\"a\", \"b\"", KeyError::NotAString),
        ("\"é\"", KeyError::NotAString),
        ("\"a\u{7}\"", KeyError::NotAString),
        ("a b", KeyError::NotVisible),
        ("a, b", KeyError::NotVisible),
        ("a,b", KeyError::NotVisible),
        ("a\"b", KeyError::NotVisible),
        ("clé", KeyError::NotVisible),
        ("a\0", KeyError::NotVisible),
    ];
    for (value, error) in refused {
        assert_eq!(IdempotencyKey::parse(value), Err(error), "{value:?}");
        assert!(error.to_string().starts_with("the key") || error == KeyError::NotVisible);
    }
    assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
    assert_eq!(
        IdempotencyKey::parse(&"k".repeat(256)),
        Err(KeyError::TooLong)
    );
}

#[test]
fn the_urgency_of_priority_selects_the_queue() {
    let table = [
        ("u=0", Some(0)),
        ("u=7, i", Some(7)),
        ("i, u=3;x", Some(3)),
        ("u=1, u=5", Some(5)),
        ("u=8", None),
        ("u=-1", None),
        ("u=1.0", None),
        ("u=\"1\"", None),
        ("u=(1)", None),
        ("u=2, u=(1)", None),
        ("u", None),
        ("U=1", None),
        ("u=1,", None),
        ("", None),
    ];
    for (value, expected) in table {
        assert_eq!(urgency(value), expected, "{value}");
    }
    let queues: Vec<_> = (0..=7).map(to_priority).collect();
    assert_eq!(queues[..3], [Priority::High; 3]);
    assert_eq!(queues[3..5], [Priority::Normal; 2]);
    assert_eq!(queues[5..], [Priority::Low; 3]);
}

#[test]
fn conditions_compare_entity_tags_weakly_or_strongly() {
    let tag = etag(3, "");
    assert_eq!(tag, "\"v3\"");
    assert_eq!(etag(3, "html"), "\"v3-html\"");
    //  value, if_none_match, if_match
    let table = [
        ("\"v3\"", true, true),
        ("W/\"v3\"", true, false),
        ("*", true, true),
        (" * ", true, true),
        ("\"v1\", \"v3\"", true, true),
        ("\"a,b\",W/\"v3\",\"c\"", true, false),
        (",, \"v3\"", true, true),
        ("\"v33\"", false, false),
        ("v3", false, false),
        ("w/\"v3\"", false, false),
        ("\"v3", false, false),
        ("x, \"v3\"", false, false),
        ("\"*\"", false, false),
        ("", false, false),
    ];
    for (value, none_match, matches) in table {
        assert_eq!(
            if_none_match(value, &tag),
            none_match,
            "If-None-Match: {value}"
        );
        assert_eq!(if_match(value, &tag), matches, "If-Match: {value}");
    }
}

#[test]
fn one_range_is_served_and_everything_else_is_whole_or_416() {
    use RangeOutcome::{Part, Unsatisfiable, Whole};
    let part = |first, last| Part { first, last };
    let table = [
        ("bytes=0-0", 10, part(0, 0)),
        ("bytes=2-", 10, part(2, 9)),
        ("bytes=-3", 10, part(7, 9)),
        ("bytes=-30", 10, part(0, 9)),
        ("Bytes = 5-99", 10, part(5, 9)),
        ("bytes=0-99999999999999999999", 10, part(0, 9)),
        ("bytes= 1-2 ,", 10, part(1, 2)),
        ("bytes=10-", 10, Unsatisfiable),
        ("bytes=99999999999999999999-", 10, Unsatisfiable),
        ("bytes=-0", 10, Unsatisfiable),
        ("bytes=0-", 0, Unsatisfiable),
        ("bytes=-5", 0, Whole),
        ("bytes=5-2", 10, Whole),
        ("bytes=0-1,4-5", 10, Whole),
        ("bytes=-", 10, Whole),
        ("bytes=a-b", 10, Whole),
        ("bytes=+1-2", 10, Whole),
        ("bytes=1 - 2", 10, Whole),
        ("bytes", 10, Whole),
        ("items=0-1", 10, Whole),
        ("", 10, Whole),
    ];
    for (header, len, expected) in table {
        assert_eq!(
            ByteRange::parse(header, len),
            expected,
            "{header:?} of {len}"
        );
    }
    assert_eq!(content_range(2, 9, 10), "bytes 2-9/10");
    assert_eq!(content_range_unsatisfied(10), "bytes */10");
    assert!(if_range(" \"v1\" ", "\"v1\""));
    assert!(!if_range("W/\"v1\"", "W/\"v1\""));
    assert!(!if_range(
        "Sun, 22 Nov 2026 02:21:03 GMT",
        "Sun, 22 Nov 2026 02:21:03 GMT"
    ));
}

#[test]
fn times_are_written_and_read_in_every_form() {
    let at = UnixMillis(1_795_314_063_123);
    assert_eq!(rfc3339(at), "2026-11-22T02:21:03.123Z");
    assert_eq!(rfc3339(UnixMillis(0)), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(UnixMillis(u64::MAX)), "9999-12-31T23:59:59.999Z");
    for text in [
        "2026-11-22T02:21:03.123Z",
        "2026-11-22t02:21:03.1239z",
        "2026-11-22T03:51:03.123+01:30",
    ] {
        assert_eq!(parse_rfc3339(text), Some(at), "{text}");
    }
    for text in [
        "1969-12-31T23:59:59Z",
        "2026-11-22",
        "2026-02-30T00:00:00Z",
        "",
    ] {
        assert_eq!(parse_rfc3339(text), None, "{text}");
    }
    let second = UnixMillis(1_795_314_063_000);
    for text in [
        "Sun, 22 Nov 2026 02:21:03 GMT",
        "Sunday, 22-Nov-26 02:21:03 GMT",
        "Sun Nov 22 02:21:03 2026",
    ] {
        assert_eq!(parse_http_date(text), Some(second), "{text}");
    }
    for text in [
        "Mon, 22 Nov 2026 02:21:03 GMT",
        "Sun, 22 Nov 2026 02:21:03",
        "Thu, 01 Jan 1969 00:00:00 GMT",
        "1795314063",
    ] {
        assert_eq!(parse_http_date(text), None, "{text}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = UnixMillis(1_795_314_063_500);
    let table = [
        ("120", Some(Millis(120_000))),
        ("0", Some(Millis(0))),
        ("99999999999999999999", Some(Millis(u64::MAX))),
        ("Sun, 22 Nov 2026 02:21:13 GMT", Some(Millis(9_500))),
        ("Sun, 22 Nov 2026 02:20:00 GMT", Some(Millis(0))),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ];
    for (value, expected) in table {
        assert_eq!(retry_after(value, now), expected, "{value}");
    }
}
