//! Code that reads input of any length takes time in proportion to it. A client or an origin may send a head of
//! 128 KB.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "support/configuration.rs"]
mod configuration;
#[path = "support/growth.rs"]
mod growth;

use growth::{LINEAR, excess};
use raincheck::http::Headers;
use raincheck::http::conditional::if_none_match;
use raincheck::http::range::ByteRange;
use raincheck::http::target::{Target, join};
use raincheck::ingress::{FIELDS_MAX, Head, Isolate, decide};
use raincheck::job::UnixMillis;
use raincheck::policy::canonical_path;
use raincheck::protocol::forwarding::is_loop;
use raincheck::protocol::idempotency::IdempotencyKey;
use raincheck::protocol::prefer::{Prefer, left_for_origin};
use raincheck::protocol::priority::urgency;

/// The function that reads a text, and the pieces from which the text is made.
type Reader<'a> = (&'a str, &'a [&'a str], &'a dyn Fn(&str));

#[test]
fn reading_a_value_takes_time_in_proportion_to_its_length() {
    let via = |text: &str| {
        let headers = Headers::from_iter([("via", text)]);
        assert!(!is_loop(&headers));
    };
    let prefer = |text: &str| {
        let _ = (
            Prefer::parse([text].into_iter()),
            left_for_origin([text].into_iter()),
        );
    };
    let vary = |text: &str| Headers::from_iter([("vary", text)]).add_vary("Prefer");
    let target = |text: &str| {
        let _ = Target::parse(text).map(|target| join("https://h/base", &target));
    };
    let readers: [Reader<'_>; 9] = [
        ("via", &["1.1 a, ", "(", "\\", "\"", "a ", " "], &via),
        (
            "prefer",
            &["a, ", "a;b=\"", "wait=1,", "\\\"", ";", " "],
            &prefer,
        ),
        ("vary", &["a, ", "\"", ",", " "], &vary),
        (
            "if-none-match",
            &["\"a\", ", "\"", "W/", ",", " "],
            &|text| {
                let _ = if_none_match(text, "\"b\"");
            },
        ),
        ("range", &["1-2,", "-", ",", " "], &|text| {
            let _ = ByteRange::parse(&format!("bytes={text}"), 10);
        }),
        ("idempotency-key", &["a", "\\\"", " "], &|text| {
            let _ = IdempotencyKey::parse(&format!("\"{text}\""));
        }),
        ("priority", &["u=1,", "a;b;", "(", "\"", " "], &|text| {
            let _ = urgency(text);
        }),
        (
            "path",
            &["/", "/..", "/a", "%2e", "/%", "{", "\\"],
            &|text| {
                let _ = canonical_path(&format!("/{text}"));
            },
        ),
        ("target", &["/", "/..", "/a/%2e", "\\", "?"], &target),
    ];
    for (name, pieces, read) in readers {
        for piece in pieces {
            let excess = excess(|count| piece.repeat(4 * count), |text| read(text));
            assert!(excess < LINEAR, "{name} {piece:?}: {excess}");
        }
    }
}

/// Priority is a dictionary: of members with the same name, the last counts.
#[test]
fn many_different_members_cost_no_more_than_many_equal_ones() {
    let members = |count: usize| {
        (0..count)
            .map(|number| format!("k{number}=1, "))
            .collect::<Vec<_>>()
            .concat()
    };
    let excess = excess(members, |text| {
        let _ = (urgency(text), Prefer::parse([text.as_str()].into_iter()));
    });
    assert!(excess < LINEAR, "{excess}");
}

#[test]
fn unpacking_and_changing_fields_takes_time_in_proportion_to_their_number() {
    let packed = |count: usize| {
        let fields = (0..count).map(|number| format!("X-{number}\nvalue"));
        fields.collect::<Vec<_>>().join("\n")
    };
    let excess = excess(packed, |packed| {
        let mut headers = Headers::from_packed(packed);
        headers.set("x-new", "1");
        headers.remove("x-1");
        headers.retain(|name, _| !name.ends_with('7'));
        assert!(headers.joined("x-2").is_some());
    });
    assert!(excess < LINEAR, "{excess}");
}

/// Every decision about a head, for the largest allowed head and for a small one.
#[test]
fn deciding_takes_time_in_proportion_to_the_head() {
    let policy = configuration::parse(
        "origin = \"https://api.example\"\n[[rules]]\nname = \"slow\"\npath = \"/slow\"\n",
    )
    .unwrap();
    for target in ["/slow", "/other", "/jobs/x"] {
        let head = |count: usize| {
            // As long as the largest that excess() makes is within the limit.
            let count = (count / 4).clamp(1, FIELDS_MAX - 1);
            let names: Vec<String> = (0..count).map(|number| format!("f{number}")).collect();
            let mut headers: Headers = names.iter().map(|name| (name, "1")).collect();
            headers.push("connection", names.join(","));
            Head {
                method: "POST".to_owned(),
                scheme: "https".to_owned(),
                host: "h".to_owned(),
                target: target.to_owned(),
                headers,
                has_body: false,
            }
        };
        let excess = excess(head, |head| {
            drop(decide(&policy, head.clone(), UnixMillis(1), Isolate(1)));
        });
        assert!(excess < LINEAR, "{target}: {excess}");
    }
}
