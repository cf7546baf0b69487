//! Requests that match no rule are streamed to the origin, and the responses back, unchanged.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;

use crate::behaviour::GZIP;
use crate::client::{Exchange, Request};
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem, send};
use crate::pattern;

#[tokio::test]
async fn a_request_passes_as_it_was_sent() {
    let case = Case::new();
    let target = case.target("/pass/a%2Fb//c;p/echo?x=%20%C3%A9&y=a+b&empty=&");
    let request = Request::new("PATCH", &target)
        .field("X-Unknown", "kept, as it \"is\"")
        .field("Content-Type", "text/weird; a=b")
        .field("Authorization", "Bearer x")
        .field("Cookie", "a=1; b=2")
        .field("Range", "bytes=0-1")
        .field("If-None-Match", "\"x\"")
        .field("Idempotency-Key", "mine")
        .body("hello");
    let reply = send(request).await;
    assert_eq!(reply.status, 200, "{reply}");
    let seen = case.seen_once();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PATCH", target.as_str())
    );
    assert_eq!(seen.body, b"hello");
    for (name, value) in [
        ("x-unknown", "kept, as it \"is\""),
        ("content-type", "text/weird; a=b"),
        ("authorization", "Bearer x"),
        ("cookie", "a=1; b=2"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"x\""),
        ("idempotency-key", "mine"),
        ("content-length", "5"),
    ] {
        assert_eq!(seen.field(name), Some(value), "{name}: {seen:#?}");
    }
    assert!(
        seen.field("via")
            .is_some_and(|via| via.ends_with("1.1 raincheck")),
        "{seen:#?}"
    );
    assert_eq!(
        (seen.field("raincheck-job"), seen.field("raincheck-attempt")),
        (None, None)
    );
}

#[tokio::test]
async fn a_response_passes_as_it_was_sent() {
    let target = "/pass/echo?status=418&bytes=70000&seed=3&type=x/y&h=X-Odd:1&h=Set-Cookie:a%3D1\
        &h=Set-Cookie:b%3D2&h=ETag:W/%22e%22&h=Cache-Control:public&h=Link:%3C/a%3E";
    let reply = send(Case::new().get(target)).await;
    assert_eq!(reply.status, 418);
    assert_eq!(pattern::sha256(&reply.body), pattern::hash(3, 70_000));
    for (name, value) in [
        ("content-type", "x/y"),
        ("x-odd", "1"),
        ("etag", "W/\"e\""),
        ("cache-control", "public"),
        ("link", "</a>"),
    ] {
        assert_eq!(reply.field(name), Some(value), "{name}: {reply}");
    }
    assert_eq!(
        reply
            .fields
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .count(),
        2
    );
}

#[tokio::test]
async fn unusual_methods_pass_through() {
    for method in [
        "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "REPORT", "PROPFIND", "PURGE",
    ] {
        let case = Case::new();
        let reply = send(case.request(method, "/pass/echo")).await;
        assert_eq!(reply.status, 200, "{method}: {reply}");
        assert_eq!(case.seen_once().method, method);
    }
    let case = Case::new();
    let reply = send(case.request("HEAD", "/pass/echo?bytes=1234")).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0), "{reply}");
    assert_eq!(reply.must("content-length"), "1234");
    assert_eq!(case.seen_once().method, "HEAD");
}

#[tokio::test]
async fn no_request_to_send_its_own_fields_back_passes_through() {
    for target in ["/pass/echo", "/always/echo", "/"] {
        let case = Case::new();
        let reply = send(case.request("TRACE", target)).await;
        assert_problem(&reply, 405, "method_not_allowed");
        assert!(reply.must("allow").contains("GET"), "{reply}");
        assert!(case.seen().is_empty(), "{target}");
    }
}

/// The runtime cannot construct a GET request with a body.
#[tokio::test]
async fn a_body_passes_with_every_method() {
    for body in ["", "query"] {
        let case = Case::new();
        let reply = send(case.get("/pass/echo").body(body)).await;
        assert_eq!(reply.status, 200, "{body}: {reply}");
        let seen = case.seen_once();
        assert_eq!(
            (seen.method.as_str(), seen.length),
            ("GET", body.len() as u64)
        );
    }
}

/// The local runtime's entry rejects such a status and says so. The gateway must not reject it before.
#[tokio::test]
async fn an_invalid_status_passes_through_on_the_route_of_a_rule() {
    for code in [600, 999] {
        let [free, ruled] = ["pass", "preferred"].map(|route| {
            let target = format!("/{route}/odd?kind=status&code={code}");
            send(Case::new().post(&target))
        });
        let (free, ruled) = (free.await, ruled.await);
        assert_eq!((ruled.status, ruled.text()), (free.status, free.text()));
        assert!(!ruled.text().contains("internal_error"), "{ruled}");
    }
}

#[tokio::test]
async fn fields_of_one_connection_stop_at_the_gateway() {
    // The runtime removes Connection from a request, but not from a response.
    let case = Case::new();
    let request = case
        .get("/pass/echo?h=Connection:X-Hop&h=X-Hop:1&h=Keep-Alive:timeout%3D5&h=Proxy-Authenticate:Basic")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("Proxy-Authorization", "Basic x")
        .field("TE", "trailers")
        .field("Raincheck-Job", "forged");
    let reply = send(request).await;
    let seen = case.seen_once();
    let of_the_client = [
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "raincheck-job",
    ];
    for name in of_the_client {
        assert_eq!(seen.field(name), None, "{seen:#?}");
    }
    for name in ["x-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(reply.field(name), None, "{reply}");
    }
}

#[tokio::test]
async fn keep_alive_of_the_origin_ends_at_the_gateway() {
    // The gateway returns such a response unchanged; the runtime removes these.
    let case = Case::new();
    let target = "/pass/echo?h=Connection:keep-alive&h=Keep-Alive:timeout%3D5&h=X-End:1";
    let reply = send(case.get(target)).await;
    assert_eq!(
        (reply.field("keep-alive"), reply.must("x-end")),
        (None, "1"),
        "{reply}"
    );
}

#[tokio::test]
async fn an_invalid_connection_field_of_the_origin_does_no_harm() {
    // "a b" and "@" are not field names (RFC 9110 section 5.1).
    let case = Case::new();
    let target = "/pass/echo?h=Connection:a%20b,%20@,%20X-Hop&h=X-Hop:1&h=X-End:1";
    let reply = send(case.get(target)).await;
    assert_eq!((reply.status, reply.must("x-end")), (200, "1"), "{reply}");
    assert_eq!(reply.field("x-hop"), None, "{reply}");
}

#[tokio::test]
async fn redirects_are_responses() {
    let case = Case::new();
    let reply = send(case.get("/pass/redirect")).await;
    assert_eq!(reply.status, 302, "{reply}");
    assert_eq!(reply.must("location"), case.target("/pass/redirect"));
    assert_eq!(case.seen().len(), 1);
}

#[tokio::test]
async fn compressed_bodies_pass_as_they_are() {
    let reply = send(
        Case::new()
            .get("/pass/gzip")
            .field("Accept-Encoding", "gzip"),
    )
    .await;
    assert_eq!(reply.must("content-encoding"), "gzip");
    assert_eq!(reply.body, GZIP);
}

#[tokio::test]
async fn a_response_streams_while_the_origin_still_sends() {
    let request = Case::new().get("/pass/slow?bytes=60&pieces=6&gap=200");
    let mut exchange = Exchange::open(&request, Gateway::shared().address)
        .await
        .unwrap();
    exchange.read_head().await.unwrap();
    let mut pieces = 0;
    while exchange.read_piece().await.unwrap().is_some() {
        pieces += 1;
    }
    assert!(pieces >= 3, "held back: {pieces} pieces");
}

#[tokio::test]
async fn a_request_streams_while_the_client_still_sends() {
    let case = Case::new();
    let request =
        Request::new("POST", &case.target("/pass/echo")).field("Transfer-Encoding", "chunked");
    let mut exchange = Exchange::open(&request, Gateway::shared().address)
        .await
        .unwrap();
    let start = Instant::now();
    while case.seen().first().is_none_or(|seen| seen.length == 0) {
        exchange.write_chunk(&[b'x'; 4096]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the origin has seen nothing yet"
        );
    }
    assert_eq!(case.seen_once().sha256, None);
    exchange.write_chunk(b"").await.unwrap();
    assert_eq!(exchange.read_head().await.unwrap().status, 200);
}

#[tokio::test]
async fn event_streams_pass_event_by_event() {
    let request = Case::new()
        .get("/pass/sse?events=5&gap=200")
        .field("Accept", "text/event-stream");
    let mut exchange = Exchange::open(&request, Gateway::shared().address)
        .await
        .unwrap();
    let head = exchange.read_head().await.unwrap();
    assert_eq!(head.must("content-type"), "text/event-stream");
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(piece) = exchange.read_piece().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&piece));
        pieces += 1;
    }
    assert!(pieces >= 3, "held back: {pieces} pieces");
    assert_eq!(text.matches("\n\n").count(), 5, "{text}");
}

#[tokio::test]
async fn web_sockets_pass() {
    let address = Gateway::shared().address;
    let stream = TcpStream::connect(address).await.unwrap();
    let request = format!("ws://{address}{}", Case::new().target("/pass/ws"));
    let (mut socket, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    let long = "x".repeat(100_000);
    for text in ["hello", "", long.as_str()] {
        socket.send(text.into()).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        assert_eq!(message.to_text().unwrap(), text);
    }
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn a_web_socket_of_the_origin_does_not_speak_for_the_gateway() {
    let address = Gateway::shared().address;
    for target in ["/pass/ws", "/never/ws"] {
        let target = Case::new().target(&format!(
            "{target}?h=Raincheck-Job-Status:succeeded&h=X-Other:kept"
        ));
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, response) =
            tokio_tungstenite::client_async(format!("ws://{address}{target}"), stream)
                .await
                .unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers().get("x-other").unwrap(), "kept");
        assert!(!response.headers().contains_key("raincheck-job-status"));
        socket.send("hello".into()).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        assert_eq!(message.to_text().unwrap(), "hello");
        socket.close(None).await.unwrap();
    }
}

#[tokio::test]
async fn a_response_of_an_odd_status_is_rejected_where_it_speaks_for_the_gateway() {
    // A field cannot be removed from a response with such a status. Without that field the response passes, though
    // not through wrangler's proxy.
    for route in ["pass", "never"] {
        for status in [600, 999] {
            let target =
                format!("/{route}/odd?kind=status&code={status}&h=Raincheck-Result:origin");
            let reply = send(Case::new().get(&target)).await;
            assert_problem(&reply, 502, "origin_protocol_error");
            assert_eq!(reply.field("raincheck-result"), None, "{reply}");
        }
    }
}

#[tokio::test]
async fn a_response_field_that_is_no_utf_8_passes_byte_for_byte_but_cannot_be_stored_so() {
    // The client of this test shows each byte as the character of that number.
    for target in [
        "/pass/odd?kind=latin1",
        "/never/odd?kind=latin1",
        "/pass/odd?kind=latin1&h=Raincheck-Result:x",
    ] {
        let reply = send(Case::new().get(target)).await;
        assert_eq!((reply.status, reply.must("x-name")), (200, "caf\u{e9}"));
    }
    // The runtime shows a Worker U+FFFD in the place of such a byte, here in UTF-8.
    let job = Job::accepted(Case::new().post("/always/odd?kind=latin1")).await;
    let stored = job.succeeded().await;
    assert_eq!(stored.must("x-name"), "caf\u{ef}\u{bf}\u{bd}");
}

#[tokio::test]
async fn a_request_that_already_passed_this_gateway_is_rejected() {
    for via in [
        "1.1 raincheck",
        "1.0 fred, 1.1 raincheck",
        "2 RainCheck (a comment)",
    ] {
        for target in ["/pass/echo", "/always/echo"] {
            let case = Case::new();
            let reply = send(case.post(target).field("Via", via)).await;
            assert_problem(&reply, 508, "loop_detected");
            assert!(case.seen().is_empty());
        }
    }
    let case = Case::new();
    let reply = send(case.post("/pass/echo").field("Via", "1.1 other")).await;
    assert_eq!(reply.status, 200, "{reply}");
    assert_eq!(
        case.seen_once().field("via"),
        Some("1.1 other, 1.1 raincheck")
    );
}

#[tokio::test]
async fn a_rule_that_never_defers_passes_requests_through() {
    let case = Case::new();
    let reply = send(case.post("/never/echo?status=207")).await;
    assert_eq!(reply.status, 207);
    assert_eq!(case.seen_once().field("raincheck-job"), None);
}

#[tokio::test]
async fn a_response_that_breaks_off_is_a_502_or_a_broken_body() {
    for target in [
        "/pass/broken?when=before&how=reset",
        "/pass/broken?when=after&how=reset",
        "/pass/broken?when=after&how=close",
        "/pass/odd?kind=nul",
        "/pass/odd?kind=lengths",
    ] {
        let reply = send(Case::new().post(target)).await;
        assert_eq!(reply.status, 502, "{target}: {reply}");
        assert_eq!(
            reply.field("content-type"),
            Some("application/problem+json"),
            "{target}"
        );
    }
    for target in [
        "/pass/broken?when=half&how=reset&bytes=100000",
        "/pass/broken?when=half&how=close&bytes=100000",
        "/pass/broken?when=half&how=close&bytes=100000&framing=chunked",
    ] {
        let reply = Case::new()
            .get(target)
            .try_send(Gateway::shared().address)
            .await;
        // The head may already have been sent; then only a broken body shows the fault.
        assert!(
            reply.as_ref().map_or(true, |reply| reply.status >= 500),
            "{target}: whole"
        );
    }
}

#[tokio::test]
async fn no_target_leads_away_from_the_origin() {
    for target in [
        "//evil.example/echo",
        "//127.0.0.1:1/echo",
        "/\\evil.example/echo",
        "/@evil.example/echo",
    ] {
        let case = Case::new();
        let reply = send(case.get(target)).await;
        assert_eq!(reply.status, 200, "{target}: {reply}");
        case.seen_once();
    }
    for target in [
        "http://evil.example/pass/echo",
        "http://127.0.0.1:1/pass/echo",
    ] {
        let case = Case::new();
        let reply = send(case.get(target)).await;
        assert!(
            reply.status == 200 || reply.status == 400,
            "{target}: {reply}"
        );
        assert_eq!(
            case.seen().len(),
            usize::from(reply.status == 200),
            "{target}"
        );
    }
}
