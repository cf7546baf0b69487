//! Heads on their way to the origin and back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use proptest::prelude::*;
use raincheck::http::Headers;
use raincheck::http::forwarded::Forwarding;
use raincheck::http::hop::HOP_BY_HOP;
use raincheck::protocol::dropped::PLATFORM_REQUEST_FIELDS;
use raincheck::protocol::forwarding::{
    ForwardingInfo, JobFields, VIA, add_job, edits_to_origin, is_loop, request_to_store,
    response_to_pass, response_to_store,
};

#[path = "support/growth.rs"]
mod growth;
use growth::{LINEAR, excess};

/// A head as it is passed through.
fn passed(headers: Headers, info: &ForwardingInfo<'_>) -> Headers {
    edits_to_origin(&headers, info).apply(headers)
}

/// A head as an attempt of a job sends it.
fn replayed(headers: Headers, info: &ForwardingInfo<'_>, job: &JobFields<'_>) -> Headers {
    let mut sent = request_to_store(headers, info);
    add_job(&mut sent, job);
    sent
}

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
    name: "jID",
    attempt: 2,
    idempotency_key: "\"key-1\"",
    span: [1, 2, 3, 4, 5, 6, 7, 8],
    trace: None,
};

fn info() -> ForwardingInfo<'static> {
    ForwardingInfo {
        style: Forwarding::None,
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
        &passed(client, &info()),
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
fn a_replay_carries_the_job_fields_and_no_connection_fields() {
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
    assert_head(
        &replayed(client, &info(), &JOB),
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
        style: Forwarding::XForwarded,
        ..info()
    };
    assert_head(
        &replayed(client, &info, &JOB),
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
        let mut sent = passed(head(came), &info);
        sent.remove("via");
        sent
    };
    let ip = Some("203.0.113.7");
    assert_head(&send(Forwarding::None, false, ip), "");
    assert_head(&send(Forwarding::None, true, ip), came);
    assert_head(
        &send(Forwarding::XForwarded, false, ip),
        "x-forwarded-for: 203.0.113.7
        x-forwarded-host: api.example
        x-forwarded-proto: https",
    );
    assert_head(
        &send(Forwarding::XForwarded, true, ip),
        "x-forwarded-for: 10.0.0.1, 10.0.0.2, 203.0.113.7
        x-forwarded-host: api.example
        x-forwarded-proto: http
        forwarded: for=10.0.0.1",
    );
    assert_head(
        &send(Forwarding::Forwarded, true, Some("2001:db8::1")),
        "x-forwarded-for: 10.0.0.1
        x-forwarded-for: 10.0.0.2
        x-forwarded-proto: http
        forwarded: for=10.0.0.1, for=\"[2001:db8::1]\";host=api.example;proto=https",
    );
    assert_head(
        &send(Forwarding::Both, false, None),
        "x-forwarded-host: api.example
        x-forwarded-proto: https
        forwarded: for=unknown;host=api.example;proto=https",
    );
}

#[test]
fn a_host_with_a_port_or_a_quote_is_quoted_in_forwarded() {
    let info = ForwardingInfo {
        style: Forwarding::Forwarded,
        host: "h:1\";for=evil",
        ..info()
    };
    assert_eq!(
        passed(Headers::new(), &info).get("forwarded"),
        Some("for=203.0.113.7;host=\"h:1\\\";for=evil\";proto=https")
    );
}

#[test]
fn a_websocket_handshake_is_rebuilt_for_the_next_hop() {
    let client = head(
        "connection: Upgrade
        upgrade: websocket
        sec-websocket-key: k",
    );
    let dropped = passed(client.clone(), &info());
    assert!(!dropped.contains("upgrade"));
    let info = ForwardingInfo {
        websocket: true,
        ..info()
    };
    let kept = passed(client, &info);
    assert_eq!(kept.get("upgrade"), Some("websocket"));
    assert_eq!(kept.get("sec-websocket-key"), Some("k"));
}

#[test]
fn an_invalid_trace_is_left_alone_or_replaced_when_a_trace_is_given() {
    let client = head(
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01
        tracestate: vendor=1",
    );
    let send =
        |headers: &Headers, trace| replayed(headers.clone(), &info(), &JobFields { trace, ..JOB });
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
        &response_to_store(origin),
        "date: Sun, 22 Nov 2026 02:21:03 GMT
        content-type: text/csv
        content-encoding: gzip
        set-cookie: a=1
        set-cookie: b=2
        etag: \"x\"",
    );
}

#[test]
fn a_name_that_a_server_may_mistake_for_ours_does_not_reach_the_origin() {
    let client = head(
        "Raincheck_Job: forged
        Raincheck-Attempt_: 9
        RAINCHECK_ATTEMPT: 9
        X_Forwarded_For: 10.0.0.1
        X_Real_IP: 10.0.0.1
        X-Real_IP: 10.0.0.1
        X.Real.IP: 10.0.0.1
        Raincheck.Job: forged
        Transfer~Encoding: chunked
        CF_Connecting_IP: 10.0.0.1
        Content_Length: 3
        Transfer_Encoding: chunked
        my.field: kept
        my_field: kept",
    );
    for trust_incoming in [false, true] {
        let info = ForwardingInfo {
            trust_incoming,
            ..info()
        };
        assert_head(
            &passed(client.clone(), &info),
            "my.field: kept
            my_field: kept
            via: 1.1 raincheck",
        );
    }
    let mut keyed = client;
    keyed.push("Idempotency_Key", "other");
    let replay = replayed(keyed, &info(), &JOB);
    assert!(replay.iter().all(
        |(name, _)| ["my.field", "my_field"].contains(&name) || !name.contains(['_', '.', '~'])
    ));
}

#[test]
fn fields_of_a_proxy_pass_only_from_a_trusted_proxy() {
    let claims = "true-client-ip: 10.0.0.1
        x-real-ip: 10.0.0.1
        x-client-ip: 10.0.0.1
        x-cluster-client-ip: 10.0.0.1
        x-original-url: /admin
        x-rewrite-url: /admin
        x-forwarded-port: 1
        x-forwarded-prefix: /admin
        front-end-https: on";
    let send = |trust_incoming| {
        let info = ForwardingInfo {
            trust_incoming,
            ..info()
        };
        let mut sent = passed(head(claims), &info);
        sent.remove("via");
        sent
    };
    assert_head(&send(false), "");
    assert_head(&send(true), claims);
    let mut replay = replayed(head(claims), &info(), &JOB);
    replay.retain(|name, _| claims.contains(name));
    assert!(replay.is_empty(), "{replay:?}");
}

/// A step with its name.
type Step<'a> = (&'a str, &'a dyn Fn(&Headers));

#[test]
fn editing_a_head_takes_time_in_proportion_to_its_size() {
    let many = |prefix: &str, count: usize| -> Headers {
        let names = (0..count).map(|number| format!("{prefix}{number}"));
        names.map(|name| (name, "1")).collect()
    };
    let ours = |count| many("raincheck-", count);
    let named = |count| {
        let mut headers = many("f", count);
        let names: Vec<String> = (0..count).map(|number| format!("f{number}")).collect();
        headers.push("connection", names.join(", "));
        headers
    };
    let pass = |headers: &Headers| drop(passed(headers.clone(), &info()));
    let store = |headers: &Headers| drop(request_to_store(headers.clone(), &info()));
    let answer = |headers: &Headers| drop(response_to_store(headers.clone()));
    let steps: [Step<'_>; 3] = [("pass", &pass), ("store", &store), ("answer", &answer)];
    for (what, step) in steps {
        for (kind, excess) in [("ours", excess(ours, step)), ("named", excess(named, step))] {
            assert!(excess < LINEAR, "{what} {kind}: {excess}");
        }
    }
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

#[test]
fn a_response_passes_without_fields_of_the_connection_or_of_the_gateway() {
    let came = head(
        "connection: x-hop, close\nx-hop: 1\nproxy-authenticate: Basic\nraincheck-result: origin\n\
         set-cookie: a\nset-cookie: b\nx-other: kept",
    );
    let left = response_to_pass(&came, false).apply(came);
    assert_head(&left, "set-cookie: a\nset-cookie: b\nx-other: kept");
}

#[test]
fn a_response_on_the_route_of_a_rule_varies_with_prefer_once() {
    for (came, vary) in [
        ("", "Prefer"),
        ("vary: Accept\nvary: Origin", "Accept, Origin, Prefer"),
        ("vary: prefer", "prefer"),
        ("vary: *", "*"),
    ] {
        let came = head(came);
        let passed = response_to_pass(&came, true).apply(came);
        assert_head(&passed, &format!("vary: {vary}"));
    }
}

proptest! {
    #[test]
    fn every_second_pass_through_this_gateway_is_detected_as_a_loop(
        headers in fields(),
        via in "[a-z()\\\\, 1.\"]{0,30}",
        is_replay: bool,
    ) {
        let mut headers = headers;
        headers.push("via", via);
        let sent = if is_replay {
            replayed(headers, &info(), &JOB)
        } else {
            passed(headers, &info())
        };
        prop_assert!(is_loop(&sent), "{:?}", sent.get("via"));
        prop_assert!(sent.get("via").unwrap().ends_with(VIA));
    }

    #[test]
    fn the_same_history_gives_the_same_record(headers in fields()) {
        let mut once = replayed(headers, &info(), &JOB);
        once.remove("via");
        let mut twice = replayed(once.clone(), &info(), &JOB);
        twice.remove("via");
        prop_assert_eq!(sorted(&twice), sorted(&once));
    }

    #[test]
    fn a_field_is_removed_or_set_but_never_both_and_what_is_removed_came(headers in fields()) {
        let edits = edits_to_origin(&headers, &info());
        for name in &edits.removed {
            prop_assert!(headers.contains(name) && !edits.set.contains(name), "{}", name);
        }
        let edited = edits.clone().apply(headers.clone());
        for (name, value) in edits.set.iter() {
            prop_assert_eq!(edited.get_all(name).collect::<Vec<_>>(), [value]);
        }
        let kept = |name: &str| !edits.removed.iter().any(|removed| removed == name) && !edits.set.contains(name);
        let expected: Vec<_> = headers.iter().filter(|(name, _)| kept(name)).collect();
        prop_assert_eq!(edited.iter().filter(|(name, _)| kept(name)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_field_of_ours_can_be_forged(headers in fields(), value in "[ -~]{0,10}") {
        let mut headers = headers;
        headers.push("Raincheck-Anything", value.clone());
        headers.push("raincheck-job", value);
        let through = passed(headers.clone(), &info());
        prop_assert!(through.iter().all(|(name, _)| !name.starts_with("raincheck-")));
        let replay = replayed(headers, &info(), &JOB);
        prop_assert_eq!(replay.get_all("raincheck-job").collect::<Vec<_>>(), ["jID"]);
    }
}
