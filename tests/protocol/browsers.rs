//! What a browser on another origin may do.

use proptest::prelude::*;
use raincheck::http::Headers;
use raincheck::protocol::cors::{self, Cors, MAX_MIRRORED};

fn origins() -> Vec<String> {
    vec!["https://app.example".to_owned()]
}

fn cors(origins: &[String]) -> Cors<'_> {
    Cors {
        origins,
        headers: &[],
        exposed: &[],
    }
}

fn preflight(cors: Cors<'_>, request: &Headers) -> Option<Headers> {
    cors.preflight(request, |_| true)
}

/// The fields that a page that asks for `requested` is allowed in addition to the usual ones.
fn mirrored(cors: Cors<'_>, requested: &[&str]) -> Vec<String> {
    let mut request = Headers::from_iter([
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "POST"),
    ]);
    for field in requested {
        request.push("access-control-request-headers", field);
    }
    let answer = cors
        .preflight(&request, |name| name != "x-refused")
        .unwrap();
    let allowed = answer.get("access-control-allow-headers").unwrap();
    let (_, more) = allowed.split_once("Raincheck-Deadline").unwrap();
    let names = more.split(", ").filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[test]
fn a_preflight_allows_only_permitted_fields() {
    let origins = origins();
    let cases: [(&[&str], &[&str]); 8] = [
        (&["x-b,x-a"], &["x-a", "x-b"]),
        (&["X-A, x-a\t,x-A", "x-a"], &["x-a"]),
        (&["authorization, prefer, x-a"], &["x-a"]),
        (&["x-a, x-refused, X-Refused"], &["x-a"]),
        (&["*, x-a"], &["x-a"]),
        (&["", " , ,"], &[]),
        (&["x a, x-a\u{e9}, \"x-a\", x-b:c, x-c"], &["x-c"]),
        (&[], &[]),
    ];
    for (requested, expected) in cases {
        assert_eq!(
            mirrored(cors(&origins), requested),
            expected,
            "{requested:?}"
        );
    }
}

#[test]
fn names_beyond_a_bound_are_not_allowed() {
    let origins = origins();
    let many: Vec<String> = (0..5_000).map(|number| format!("x-{number}")).collect();
    let allowed = mirrored(cors(&origins), &[&many.join(",")]);
    assert_eq!(allowed.len(), MAX_MIRRORED);
    assert!(
        many[..MAX_MIRRORED]
            .iter()
            .all(|name| allowed.contains(name))
    );
    let long = [64, 65].map(|length| "x".repeat(length));
    assert_eq!(mirrored(cors(&origins), &[&long.join(",")]), long[..1]);
}

#[test]
fn configured_fields_are_allowed_and_exposed_beside_the_usual_ones() {
    let (origins, ours) = (origins(), ["x-tenant".to_owned(), "x-total".to_owned()]);
    let cors = Cors {
        origins: &origins,
        headers: &ours[..1],
        exposed: &ours[1..],
    };
    assert_eq!(mirrored(cors, &[]), ["x-tenant"]);
    assert_eq!(mirrored(cors, &["X-Tenant, x-a"]), ["x-tenant", "x-a"]);
    let mut response = Headers::new();
    cors.decorate(Some("https://app.example"), &mut response);
    let exposed = response.get("access-control-expose-headers").unwrap();
    assert!(exposed.contains("Content-Disposition, ") && exposed.ends_with(", x-total"));
}

#[test]
fn a_preflight_from_a_configured_origin_is_answered() {
    let origins = origins();
    let request = Headers::from_iter([
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "POST"),
    ]);
    let answer = preflight(cors(&origins), &request).unwrap();
    assert_eq!(
        answer.get("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert_eq!(
        answer.get("access-control-allow-headers"),
        Some(
            "Authorization, Content-Type, Prefer, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, traceparent, Priority, Range, If-Range, Raincheck-Not-Before, Raincheck-Deadline"
        )
    );
    assert_eq!(
        answer.get("vary"),
        Some("Origin, Access-Control-Request-Headers")
    );
    assert!(!answer.contains("access-control-allow-credentials"));

    let mut stranger = request.clone();
    stranger.set("origin", "https://app.example.evil");
    assert_eq!(preflight(cors(&origins), &stranger), None);
    let mut plain_options = request.clone();
    plain_options.remove("access-control-request-method");
    assert_eq!(preflight(cors(&origins), &plain_options), None);
    assert_eq!(preflight(cors(&[]), &request), None);
    assert_eq!(
        preflight(cors(&["*".to_owned()]), &request)
            .unwrap()
            .get("access-control-allow-origin"),
        Some("*")
    );
}

#[test]
fn only_configured_origins_may_read_a_response() {
    let origins = origins();
    let mut response = Headers::from_iter([
        ("vary", "Prefer"),
        ("access-control-allow-origin", "https://other.example"),
    ]);
    cors(&origins).decorate(Some("https://app.example"), &mut response);
    assert_eq!(response.get("vary"), Some("Prefer, Origin"));
    assert_eq!(
        response
            .get_all("access-control-allow-origin")
            .collect::<Vec<_>>(),
        ["https://app.example"]
    );
    assert_eq!(
        response.get("access-control-expose-headers"),
        Some(
            "Location, Content-Location, Operation-Location, Retry-After, ETag, Link, \
             Preference-Applied, Accept-Ranges, Content-Range, Content-Disposition, Raincheck-Job-Status, \
             Raincheck-Result, Raincheck-Origin-Status, Raincheck-Origin-Content-Length, \
             Raincheck-Length-Unverified"
        )
    );

    let mut same_origin = Headers::new();
    cors(&origins).decorate(None, &mut same_origin);
    assert_eq!(same_origin, Headers::from_iter([("vary", "Origin")]));
    let mut off = Headers::new();
    cors(&[]).decorate(Some("https://app.example"), &mut off);
    assert!(off.is_empty());
}

/// Any text that a field may contain, including names that are always allowed.
fn requested() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "[!-~]{0,70}",
        "[ \t]{0,2}[A-Za-z_-]{1,9}[ \t]{0,2}",
        Just("*".to_owned()),
        Just("Prefer".to_owned()),
        Just("X-Ours".to_owned()),
        Just("x-refused".to_owned()),
    ];
    proptest::collection::vec(name, 0..60).prop_map(|names| names.join(","))
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(proper)
}

proptest! {
    #[test]
    fn whatever_a_preflight_asks_for_a_bounded_list_of_names_is_allowed(
        fields in proptest::collection::vec(requested(), 0..3)
    ) {
        let origins = ["https://app.example".to_owned()];
        let ours = ["x-ours".to_owned()];
        let cors = Cors { origins: &origins, headers: &ours, exposed: &[] };
        let mut request = Headers::from_iter([
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
        ]);
        for field in &fields {
            request.push("access-control-request-headers", field);
        }
        let answer = cors.preflight(&request, |name| name != "x-refused").unwrap();
        let allowed = answer.get("access-control-allow-headers").unwrap();
        let names: Vec<String> = allowed.split(", ").map(str::to_ascii_lowercase).collect();
        // These, and the usual ones.
        let always = cors::ALLOWED_HEADERS.split(", ").count().saturating_add(1);
        prop_assert!(names.len() <= always.saturating_add(MAX_MIRRORED));
        prop_assert!(allowed.len() <= 4 * 1024);
        let asked = fields.join(",").to_ascii_lowercase();
        let asked: Vec<&str> = asked.split(',').map(str::trim).collect();
        for (index, name) in names.iter().enumerate() {
            prop_assert!(is_token(name) && name != "*" && name != "x-refused", "{}", name);
            prop_assert!(index < always || asked.contains(&name.as_str()), "{}", name);
            prop_assert_eq!(names.iter().filter(|other| *other == name).count(), 1);
        }
    }
}
