//! Heads on their way to the origin and back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use proptest::prelude::*;
use raincheck::http::Headers;
use raincheck::http::hop::HOP_BY_HOP;
use raincheck::protocol::forwarding::{
    ForwardedStyle, ForwardingInfo, JobFields, PLATFORM_REQUEST_FIELDS, VIA, edits_to_origin,
    is_loop, request_to_origin, response_to_client, response_to_store,
};

/// A head from lines of `name: value`.
fn head(text: &str) -> Headers {
    text.lines()
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect()
}

/// Fields in order of their names, so that transcripts do not depend on the order of additions.
fn sorted(headers: &Headers) -> Vec<String> {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.sort();
    lines
}

fn assert_head(actual: &Headers, expected: &str) {
    assert_eq!(sorted(actual), sorted(&head(expected)));
}

const JOB: JobFields<'static> = JobFields {
    id: "jID",
    attempt: 2,
    idempotency_key: "\"key-1\"",
    span: [1, 2, 3, 4, 5, 6, 7, 8],
    trace: None,
};

fn info() -> ForwardingInfo<'static> {
    ForwardingInfo {
        client_ip: Some("203.0.113.7"),
        scheme: "https",
        host: "api.example",
        ..ForwardingInfo::default()
    }
}

#[test]
fn a_request_that_is_passed_through_changes_only_where_it_must() {
    let client = head(
        "Host: api.example
        Connection: close, X-Secret-Hop
        X-Secret-Hop: 1
        Keep-Alive: timeout=5
        TE: trailers
        Prefer: wait=5
        Idempotency-Key: abc
        CF-Ray: 8abc
        Content-Length: 3
        Raincheck-Job: forged
        X-Unknown: kept
        X-Unknown: twice
        X-Forwarded-For: 198.51.100.1",
    );
    assert_head(
        &request_to_origin(client, &info()),
        "prefer: wait=5
        idempotency-key: abc
        cf-ray: 8abc
        content-length: 3
        x-unknown: kept
        x-unknown: twice
        via: 1.1 raincheck",
    );
}

#[test]
fn a_replay_carries_its_job_and_nothing_of_a_connection_that_is_gone() {
    let client = head(
        "host: api.example
        authorization: Bearer t
        content-type: application/json
        content-length: 12
        cf-connecting-ip: 203.0.113.7
        cf-ray: 8abc
        cdn-loop: cloudflare
        expect: 100-continue
        idempotency-key: key-1
        raincheck-attempt: 9
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
        tracestate: vendor=1
        via: 1.0 fred, 1.1 p.example (Apache/1.1)",
    );
    let info = ForwardingInfo {
        job: Some(JOB),
        ..info()
    };
    assert_head(
        &request_to_origin(client, &info),
        "authorization: Bearer t
        content-type: application/json
        idempotency-key: \"key-1\"
        raincheck-attempt: 2
        raincheck-job: jID
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0102030405060708-01
        tracestate: vendor=1
        via: 1.0 fred, 1.1 p.example (Apache/1.1), 1.1 raincheck",
    );
}

#[test]
fn a_client_cannot_remove_what_is_added_for_the_origin() {
    let client = head(
        "connection: via, idempotency-key, raincheck-job, x-forwarded-for, authorization
        authorization: Bearer t
        idempotency-key: abc",
    );
    let info = ForwardingInfo {
        style: ForwardedStyle::XForwarded,
        job: Some(JOB),
        ..info()
    };
    assert_head(
        &request_to_origin(client, &info),
        "idempotency-key: \"key-1\"
        raincheck-attempt: 2
        raincheck-job: jID
        via: 1.1 raincheck
        x-forwarded-for: 203.0.113.7
        x-forwarded-host: api.example
        x-forwarded-proto: https",
    );
}

#[test]
fn forwarding_fields_are_replaced_unless_their_writer_is_trusted() {
    let came = "x-forwarded-for: 10.0.0.1
        x-forwarded-for: 10.0.0.2
        x-forwarded-proto: http
        forwarded: for=10.0.0.1";
    let send = |style, trust_incoming, client_ip| {
        let info = ForwardingInfo {
            style,
            trust_incoming,
            client_ip,
            ..info()
        };
        let mut sent = request_to_origin(head(came), &info);
        sent.remove("via");
        sent
    };
    let ip = Some("203.0.113.7");
    assert_head(&send(ForwardedStyle::None, false, ip), "");
    assert_head(&send(ForwardedStyle::None, true, ip), came);
    assert_head(
        &send(ForwardedStyle::XForwarded, false, ip),
        "x-forwarded-for: 203.0.113.7
        x-forwarded-host: api.example
        x-forwarded-proto: https",
    );
    assert_head(
        &send(ForwardedStyle::XForwarded, true, ip),
        "x-forwarded-for: 10.0.0.1, 10.0.0.2, 203.0.113.7
        x-forwarded-host: api.example
        x-forwarded-proto: http
        forwarded: for=10.0.0.1",
    );
    assert_head(
        &send(ForwardedStyle::Forwarded, true, Some("2001:db8::1")),
        "x-forwarded-for: 10.0.0.1
        x-forwarded-for: 10.0.0.2
        x-forwarded-proto: http
        forwarded: for=10.0.0.1, for=\"[2001:db8::1]\";host=api.example;proto=https",
    );
    assert_head(
        &send(ForwardedStyle::Both, false, None),
        "x-forwarded-host: api.example
        x-forwarded-proto: https
        forwarded: for=unknown;host=api.example;proto=https",
    );
}

#[test]
fn a_host_with_a_port_or_a_quote_is_quoted_in_forwarded() {
    let info = ForwardingInfo {
        style: ForwardedStyle::Forwarded,
        host: "h:1\";for=evil",
        ..info()
    };
    assert_eq!(
        request_to_origin(Headers::new(), &info).get("forwarded"),
        Some("for=203.0.113.7;host=\"h:1\\\";for=evil\";proto=https")
    );
}

#[test]
fn a_websocket_handshake_is_made_again_for_the_next_hop() {
    let client = head(
        "connection: Upgrade
        upgrade: websocket
        sec-websocket-key: k",
    );
    let dropped = request_to_origin(client.clone(), &info());
    assert!(!dropped.contains("upgrade"));
    let info = ForwardingInfo {
        websocket: true,
        ..info()
    };
    let kept = request_to_origin(client, &info);
    assert_eq!(kept.get("upgrade"), Some("websocket"));
    assert_eq!(kept.get("sec-websocket-key"), Some("k"));
}

#[test]
fn an_invalid_trace_is_left_alone_or_replaced_when_a_trace_is_given() {
    let client = head(
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01
        tracestate: vendor=1",
    );
    let send = |headers: &Headers, trace| {
        let info = ForwardingInfo {
            job: Some(JobFields { trace, ..JOB }),
            ..info()
        };
        request_to_origin(headers.clone(), &info)
    };
    let alone = send(&client, None);
    assert_eq!(alone.get("traceparent"), client.get("traceparent"));
    assert!(!send(&Headers::new(), None).contains("traceparent"));
    let started = send(&client, Some([0xab; 16]));
    assert_eq!(
        started.get("traceparent"),
        Some("00-abababababababababababababababab-0102030405060708-00")
    );
    assert!(!started.contains("tracestate"));
}

#[test]
fn a_loop_is_a_via_member_that_names_this_gateway() {
    let table = [
        ("1.1 raincheck", true),
        ("1.0 fred, HTTP/1.1 RainCheck (v2)", true),
        ("1.1\t raincheck", true),
        ("1.1 a (b, c), 1.1 raincheck", true),
        ("1.1 raincheck.example", false),
        ("1.1 a (seen by, 1.1 raincheck, first)", false),
        ("1.1 a, raincheck", false),
        ("raincheck 1.1", false),
        ("", false),
    ];
    for (via, expected) in table {
        let headers = Headers::from_iter([("via", via)]);
        assert_eq!(is_loop(&headers), expected, "{via}");
    }
    assert!(!is_loop(&Headers::new()));
    assert!(is_loop(&head("via: 1.0 fred\nvia: 1.1 raincheck")));
}

#[test]
fn a_stored_response_keeps_what_belongs_to_it_end_to_end() {
    let origin = head(
        "Date: Sun, 22 Nov 2026 02:21:03 GMT
        Content-Type: text/csv
        Content-Length: 12
        Content-Encoding: gzip
        Connection: X-Hop
        X-Hop: 1
        Transfer-Encoding: chunked
        Set-Cookie: a=1
        Set-Cookie: b=2
        Alt-Svc: h3=\":443\"
        CF-Ray: 8abc
        Raincheck-Origin-Status: 202
        Access-Control-Allow-Origin: https://app.example
        Access-Control-Allow-Credentials: true
        ETag: \"x\"",
    );
    assert_head(
        &response_to_store(origin.clone()),
        "date: Sun, 22 Nov 2026 02:21:03 GMT
        content-type: text/csv
        content-encoding: gzip
        set-cookie: a=1
        set-cookie: b=2
        etag: \"x\"",
    );
    let through = response_to_client(origin);
    assert!(through.contains("content-length") && through.contains("alt-svc"));
    assert!(!through.contains("x-hop") && !through.contains("transfer-encoding"));
}

fn fields() -> impl Strategy<Value = Headers> {
    let name = prop_oneof![
        "[a-z-]{1,10}",
        prop::sample::select(HOP_BY_HOP.to_vec()).prop_map(str::to_owned),
        prop::sample::select(PLATFORM_REQUEST_FIELDS.to_vec()).prop_map(str::to_owned),
        Just("via".to_owned()),
        Just("raincheck-job".to_owned()),
        Just("host".to_owned()),
    ];
    prop::collection::vec((name, "[ -~]{0,16}"), 0..10).prop_map(Headers::from)
}

proptest! {
    #[test]
    fn whatever_a_client_sends_the_next_hop_through_this_gateway_is_a_loop(
        headers in fields(),
        via in "[a-z()\\\\, 1.\"]{0,30}",
        is_replay: bool,
    ) {
        let mut headers = headers;
        headers.push("via", via);
        let info = ForwardingInfo { job: is_replay.then_some(JOB), ..info() };
        let sent = request_to_origin(headers, &info);
        prop_assert!(is_loop(&sent), "{:?}", sent.get("via"));
        prop_assert!(sent.get("via").unwrap().ends_with(VIA));
    }

    #[test]
    fn what_is_sent_twice_through_the_same_steps_is_the_same(headers in fields()) {
        let info = ForwardingInfo { job: Some(JOB), ..info() };
        let mut once = request_to_origin(headers, &info);
        once.remove("via");
        let mut twice = request_to_origin(once.clone(), &info);
        twice.remove("via");
        prop_assert_eq!(sorted(&twice), sorted(&once));
    }

    #[test]
    fn a_field_is_removed_or_set_but_never_both_and_what_is_removed_came(headers in fields()) {
        let edits = edits_to_origin(&headers, &info());
        for name in &edits.removed {
            prop_assert!(headers.contains(name) && !edits.set.contains(name), "{}", name);
        }
        prop_assert_eq!(edits.apply(headers.clone()), request_to_origin(headers, &info()));
    }

    #[test]
    fn no_field_of_ours_can_be_forged(headers in fields(), value in "[ -~]{0,10}") {
        let mut headers = headers;
        headers.push("Raincheck-Anything", value.clone());
        headers.push("raincheck-job", value);
        let through = request_to_origin(headers.clone(), &info());
        prop_assert!(through.iter().all(|(name, _)| !name.starts_with("raincheck-")));
        let info = ForwardingInfo { job: Some(JOB), ..info() };
        let replay = request_to_origin(headers, &info);
        prop_assert_eq!(replay.get_all("raincheck-job").collect::<Vec<_>>(), ["jID"]);
    }
}
