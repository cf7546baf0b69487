//! What a browser on another origin may do.

use raincheck::http::Headers;
use raincheck::protocol::cors;

#[test]
fn a_preflight_from_a_configured_origin_is_answered() {
    let origins = vec!["https://app.example".to_owned()];
    let request = Headers::from_iter([
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "POST"),
    ]);
    let answer = cors::preflight(&origins, &request).unwrap();
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
    assert_eq!(answer.get("vary"), Some("Origin"));
    assert!(!answer.contains("access-control-allow-credentials"));

    let mut stranger = request.clone();
    stranger.set("origin", "https://app.example.evil");
    assert_eq!(cors::preflight(&origins, &stranger), None);
    let mut plain_options = request.clone();
    plain_options.remove("access-control-request-method");
    assert_eq!(cors::preflight(&origins, &plain_options), None);
    assert_eq!(cors::preflight(&[], &request), None);
    assert_eq!(
        cors::preflight(&["*".to_owned()], &request)
            .unwrap()
            .get("access-control-allow-origin"),
        Some("*")
    );
}

#[test]
fn a_response_is_opened_to_configured_origins_only() {
    let origins = vec!["https://app.example".to_owned()];
    let mut response = Headers::from_iter([
        ("vary", "Prefer"),
        ("access-control-allow-origin", "https://other.example"),
    ]);
    cors::decorate(&origins, Some("https://app.example"), &mut response);
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
    cors::decorate(&origins, None, &mut same_origin);
    assert_eq!(same_origin, Headers::from_iter([("vary", "Origin")]));
    let mut off = Headers::new();
    cors::decorate(&[], Some("https://app.example"), &mut off);
    assert!(off.is_empty());
}
