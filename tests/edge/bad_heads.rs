//! Bad heads: who responds to them, and how. Many never reach the gateway, because the runtime's HTTP
//! server rejects them. The tables mark these responses as the runtime's.

use std::time::Duration;

use crate::bad_input::assert_still_works;
use crate::client::{Reply, Request};
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem, send};

/// Who responds, and how.
#[derive(Clone, Copy)]
enum Answer {
    /// The runtime, before the gateway runs, with its own text.
    Runtime(u16),
    /// The gateway, with this problem.
    Problem(u16, &'static str),
    /// The gateway, with the receipt of a job that succeeds.
    Job,
    /// The origin.
    Origin,
}

use Answer::{Origin, Problem, Runtime};

impl Answer {
    async fn check(self, what: &str, reply: &Reply) {
        match self {
            Runtime(status) => {
                assert_eq!(reply.status, status, "{what}: {reply}");
                assert_runtimes_own(what, reply);
            }
            Problem(status, code) => {
                assert_eq!(reply.status, status, "{what}: {reply}");
                assert_problem(reply, status, code);
            }
            Answer::Job => {
                assert_eq!(reply.status, 202, "{what}: {reply}");
                let job = Job::of(Gateway::shared().address, reply);
                assert_eq!(job.succeeded().await.status, 200, "{what}");
            }
            Origin => {
                assert_eq!(reply.status, 200, "{what}: {reply}");
                assert!(reply.json()["target"].is_string(), "{what}: {reply}");
            }
        }
    }
}

/// It is plain text. The gateway would respond with a problem, and the origin's response has a type.
#[track_caller]
pub fn assert_runtimes_own(what: &str, reply: &Reply) {
    let kind = reply.field("content-type");
    assert!(matches!(kind, None | Some("text/plain")), "{what}: {reply}");
}

/// A target, who responds to it, and the target that the origin sees. The runtime's URL parser resolves
/// segments of dots, encodes braces, treats `\` as `/` and drops the fragment.
const TARGETS: [(&str, Answer, &[&str]); 22] = [
    ("/always/%2e%2e/echo", Origin, &["/echo"]),
    ("/always/../pass/echo", Origin, &["/pass/echo"]),
    (
        "/always/%2e%2e%2fjobs/echo",
        Answer::Job,
        &["/always/%2e%2e%2fjobs/echo"],
    ),
    ("/pass/%00/echo", Origin, &["/pass/%00/echo"]),
    ("/pass/%/echo", Origin, &["/pass/%/echo"]),
    ("/pass/%zz/echo", Origin, &["/pass/%zz/echo"]),
    ("/pass/a b/echo", Runtime(400), &[]),
    ("/pass/\u{e9}/echo", Runtime(400), &[]),
    ("/always/\u{e9}/echo", Runtime(400), &[]),
    ("/pass/{x}/echo", Origin, &["/pass/%7Bx%7D/echo"]),
    ("/pass/<>\"/echo", Runtime(400), &[]),
    ("/pass/|^`/echo", Runtime(400), &[]),
    ("//always/echo", Answer::Job, &["//always/echo"]),
    ("/./always/echo", Answer::Job, &["/always/echo"]),
    ("/always/./echo", Answer::Job, &["/always/echo"]),
    ("/pass/echo#fragment", Origin, &["/pass/echo"]),
    ("/pass/\\echo", Origin, &["/pass//echo"]),
    ("/pass/echo?%00", Origin, &["/pass/echo?%00"]),
    ("/pass/echo??a=b?c", Origin, &["/pass/echo??a=b?c"]),
    ("*", Runtime(500), &[]),
    ("pass/echo", Runtime(400), &[]),
    ("?x", Runtime(400), &[]),
];

#[tokio::test]
async fn odd_targets_reach_the_origin_in_one_form_or_are_refused() {
    for (target, answer, wanted) in TARGETS {
        let case = Case::new();
        let request = Request::new("POST", target)
            .field("X-Case", &case.0)
            .body("x");
        answer.check(target, &send(request).await).await;
        let seen = case.seen();
        let seen: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
        assert_eq!(seen, wanted, "{target}");
    }
    assert_still_works().await;
}

#[tokio::test]
async fn a_target_that_is_too_long_is_refused() {
    let too_long = Problem(414, "target_too_long");
    for path in ["/always/", "/pass/", "/jobs/"] {
        for (length, answer) in [(16 * 1024, too_long), (64 * 1024, Runtime(414))] {
            let case = Case::new();
            let target = format!("{path}{}", "a".repeat(length));
            let request = Request::new("POST", &target).field("X-Case", &case.0);
            let reply = send(request.body("x")).await;
            answer.check(&format!("{path} {length}"), &reply).await;
            assert!(case.seen().is_empty(), "{path} {length}");
        }
    }
    let target = format!("/always/{}/echo", "a".repeat(15_000));
    assert_eq!(send(Case::new().post(&target)).await.status, 202);
}

#[tokio::test]
async fn fields_that_are_too_large_to_keep_are_refused() {
    for (length, answer) in [
        (30_000, Answer::Job),
        (40_000, Problem(431, "headers_too_large")),
        (100_000, Problem(431, "headers_too_large")),
        (1_000_000, Runtime(431)),
    ] {
        let case = Case::new();
        let request = case
            .post("/always/echo")
            .field("X-Huge", &"x".repeat(length));
        answer
            .check(&length.to_string(), &send(request).await)
            .await;
        let seen = case.seen();
        let seen: Vec<_> = seen
            .iter()
            .map(|seen| seen.field("x-huge").map(str::len))
            .collect();
        let kept = matches!(answer, Answer::Job);
        assert_eq!(seen, vec![Some(length); usize::from(kept)]);
    }
    assert_still_works().await;
}

/// What happens to a field on the routes where it may matter.
const USUAL: [(&str, Answer); 4] = [
    ("/always/echo", Answer::Job),
    ("/preferred/echo", Origin),
    ("/pass/echo", Origin),
    ("/jobs/x", Problem(405, "method_not_allowed")),
];

/// Where that differs.
const OTHERWISE: [(&str, &str, Answer); 8] = [
    ("Prefer", "/preferred/echo", Answer::Job),
    (
        "Raincheck-Not-Before",
        "/always/echo",
        Problem(400, "bad_request"),
    ),
    (
        "Idempotency-Key",
        "/always/echo",
        Problem(400, "idempotency_key_invalid"),
    ),
    // Bytes that the runtime would change are not stored.
    ("X-Bytes", "/always/echo", Problem(400, "bad_request")),
    ("X-Nul", "/always/echo", Runtime(400)),
    ("X-Nul", "/preferred/echo", Runtime(400)),
    ("X-Nul", "/pass/echo", Runtime(400)),
    ("X-Nul", "/jobs/x", Runtime(400)),
];

#[tokio::test]
async fn odd_fields_are_ignored_or_refused() {
    for (name, value) in [
        (
            "Prefer",
            "respond-async=, wait=, wait=-1, wait=99999999999999999999, ;;;,,,\"unclosed",
        ),
        ("Priority", "u=99, u=-1, i=?9, ((("),
        ("If-None-Match", "\"unclosed, W/, *, \"\""),
        ("Range", "bytes=99999999999999999999999-, bytes=--1"),
        ("Traceparent", "00-zz-zz-zz"),
        ("Via", "((((("),
        ("Content-Type", "/;;;="),
        ("Accept", "\u{1}"),
        ("Origin", "null, null"),
        ("Raincheck-Not-Before", "yesterday"),
        ("Forwarded", "for=\"[::\""),
        ("Idempotency-Key", "\"\\x\""),
        ("X-Bytes", "\u{80}\u{ff}\u{e9}"),
        ("X-Nul", "a\0b"),
        ("X-Empty", ""),
        ("Expect", "200-ok"),
        ("Content-Encoding", "nonsense"),
        ("Accept-Encoding", "nonsense;q=x"),
    ] {
        for (target, usual) in USUAL {
            let otherwise = OTHERWISE.iter().find(|it| (it.0, it.1) == (name, target));
            let answer = otherwise.map_or(usual, |it| it.2);
            let reply = send(Case::new().post(target).field(name, value)).await;
            answer.check(&format!("{target} {name}"), &reply).await;
        }
    }
    assert_still_works().await;
}

#[tokio::test]
async fn methods_that_the_runtime_does_not_know_never_reach_the_gateway() {
    for (method, answer) in [
        ("TRACK", Runtime(501)),
        ("CONNECT", Runtime(500)),
        ("BREW", Runtime(501)),
        ("get", Runtime(501)),
        ("G\u{e9}T", Runtime(400)),
        ("A-METHOD-OF-MANY-WORDS", Runtime(501)),
    ] {
        for target in ["/always/echo", "/pass/echo", "/jobs/x"] {
            let case = Case::new();
            let request = Request::new(method, target).field("X-Case", &case.0);
            let reply = send(request).await;
            answer.check(&format!("{method} {target}"), &reply).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(case.seen().is_empty(), "{method} {target}");
        }
    }
    assert_still_works().await;
}

#[tokio::test]
async fn broken_messages_are_refused_by_the_runtime() {
    for (rest, answer) in [
        (
            "Host: h\r\nContent-Length: x\r\n\r\n",
            "400 Bad Request\r\n",
        ),
        (
            "Host: h\r\nContent-Length: -1\r\n\r\n",
            "400 Bad Request\r\n",
        ),
        ("No colon here\r\nHost: h\r\n\r\n", "400 Bad Request\r\n"),
        // The head is well-formed and is passed on. The body is not, and breaks the connection to the origin.
        (
            "Host: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
            "500 Internal Server Error\r\n",
        ),
    ] {
        let case = Case::new();
        let target = case.target("/always/echo");
        let reply = raw(&format!("POST {target} HTTP/1.1\r\n{rest}")).await;
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {answer}")),
            "{rest:?}: {reply}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(case.seen().is_empty(), "{rest:?}");
    }
    let reply = raw("\x01\x02\x03\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
    assert_still_works().await;
}

async fn raw(message: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(Gateway::shared().address)
        .await
        .unwrap();
    stream.write_all(message.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    let _ = crate::wire::in_time(stream.read_to_end(&mut reply)).await;
    String::from_utf8_lossy(&reply).into_owned()
}
