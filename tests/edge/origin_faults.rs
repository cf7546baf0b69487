//! An origin that misbehaves: how each fault affects a job.
//!
//! The common rule: an attempt of unknown outcome is retried only where that is safe, which means an
//! idempotent method or an origin that honours the key. An attempt on which the origin did not act
//! (a refused connection, 408, 425, 429, 503) is retried until the deadline.

use crate::client::Request;
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem};
use crate::rules;

/// A fault, and its effect on a POST: the number of attempts, and the code of the failure.
const ON_POST: [(&str, usize, &str); 15] = [
    ("/always/broken?when=before&how=reset", 1, "outcome_unknown"),
    ("/always/broken?when=after&how=reset", 1, "outcome_unknown"),
    ("/always/broken?when=after&how=close", 1, "outcome_unknown"),
    (
        "/always/broken?when=head&how=reset&bytes=10",
        1,
        "outcome_unknown",
    ),
    (
        "/always/broken?when=half&how=reset&bytes=1000",
        1,
        "outcome_unknown",
    ),
    (
        "/always/broken?when=half&how=close&bytes=1000",
        1,
        "outcome_unknown",
    ),
    (
        "/always/broken?when=half&how=close&bytes=300000",
        1,
        "outcome_unknown",
    ),
    (
        "/always/broken?when=half&how=close&bytes=300000&framing=chunked",
        1,
        "outcome_unknown",
    ),
    (
        "/impatient/broken?when=after&how=hang",
        1,
        "outcome_unknown",
    ),
    (
        "/impatient/broken?when=head&how=hang&bytes=10",
        1,
        "outcome_unknown",
    ),
    (
        "/impatient/broken?when=half&how=hang&bytes=100000",
        1,
        "outcome_unknown",
    ),
    (
        "/always/odd?kind=status&code=600",
        1,
        "origin_protocol_error",
    ),
    (
        "/always/odd?kind=status&code=999",
        1,
        "origin_protocol_error",
    ),
    ("/always/sequence?steps=500", 1, "origin_error"),
    ("/always/sequence?steps=502", 1, "origin_error"),
];

/// The same for PUT, which may be repeated.
const ON_PUT: [(&str, usize, &str); 8] = [
    ("/always/broken?when=after&how=reset", 3, "outcome_unknown"),
    (
        "/always/broken?when=half&how=close&bytes=300000",
        3,
        "outcome_unknown",
    ),
    (
        "/impatient/broken?when=after&how=hang",
        2,
        "outcome_unknown",
    ),
    (
        "/always/odd?kind=status&code=999",
        3,
        "origin_protocol_error",
    ),
    ("/always/sequence?steps=500", 3, "origin_error"),
    ("/always/sequence?steps=502", 3, "origin_error"),
    ("/always/sequence?steps=504", 3, "origin_error"),
    ("/always/sequence?steps=501", 1, "origin_error"),
];

/// Responses that HTTP forbids: the runtime does not show them, so it is unknown whether the origin acted.
const FORBIDDEN: [&str; 6] = [
    "/always/interim?code=100&then=close",
    "/always/interim?code=103&then=close",
    "/always/odd?kind=lengths",
    "/always/odd?kind=nul",
    "/always/broken?when=half&how=close&bytes=10&framing=chunked",
    "/always/odd?kind=huge&bytes=4000000",
];

/// Runs a job into each fault, all concurrently, and returns those that ended differently.
async fn fates(method: &str, faults: &[(&str, usize, &str)]) -> Vec<String> {
    let jobs = faults.iter().map(|&(target, attempts, code)| async move {
        let case = Case::new();
        let request = case.request(method, target).body("{}");
        let job = Job::accepted(request).await;
        let document = job.ended().await;
        let got = document["error"]["code"]
            .as_str()
            .unwrap_or("success")
            .to_owned();
        let seen = case.seen().len();
        let same = case.seen().windows(2).all(|pair| {
            (&pair[0].target, pair[0].field("idempotency-key"))
                == (&pair[1].target, pair[1].field("idempotency-key"))
        });
        (got != code || seen != attempts || !same || document["attempt"] != attempts).then(|| {
            format!("{method} {target}: wanted {attempts} × {code}, got {seen} × {got}: {document}")
        })
    });
    futures_util::future::join_all(jobs)
        .await
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test]
async fn a_post_is_retried_only_if_the_origin_did_not_act() {
    let wrong = fates("POST", &ON_POST).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_post_is_retried_beyond_its_attempts_if_the_origin_did_not_act() {
    let statuses = [503, 429, 408, 425].map(|status| async move {
        let case = Case::new();
        let steps = [status; 5].map(|status: u16| status.to_string()).join(",");
        let job = Job::accepted(case.post(&format!("/always/sequence?steps={steps},200"))).await;
        assert_eq!(job.succeeded().await.status, 200, "{status}");
        let document = job.document().await;
        assert_eq!(
            (&document["attempt"], &document["not_acted"]),
            (&6.into(), &5.into()),
            "{document:#}"
        );
        assert_eq!(case.seen().len(), 6, "{status}");
    });
    futures_util::future::join_all(statuses).await;
}

#[tokio::test]
async fn a_post_is_retried_if_a_response_that_says_not_acted_on_breaks_off() {
    let targets = [
        "/always/sequence?steps=503-close,429-close,408-close,503-close,200",
        "/impatient/sequence?steps=503-hang,429-hang,503-hang,200",
    ];
    let jobs = targets.map(|target| async move {
        let case = Case::new();
        let job = Job::accepted(case.post(target)).await;
        assert_eq!(job.succeeded().await.status, 200, "{target}");
        let document = job.document().await;
        let repeated = case.seen().len() - 1;
        assert!(repeated >= 3, "{target}");
        assert_eq!(document["not_acted"], repeated, "{document:#}");
    });
    futures_util::future::join_all(jobs).await;
}

#[tokio::test]
async fn a_put_is_retried_after_an_unknown_outcome() {
    let wrong = fates("PUT", &ON_PUT).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_post_is_retried_if_the_origin_honours_the_key_after_an_unknown_outcome() {
    let case = Case::new();
    let job = Job::accepted(case.post("/honours/sequence?steps=reset,close,200")).await;
    assert_eq!(job.succeeded().await.status, 200);
    let seen = case.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter()
            .all(|attempt| attempt.identity() == seen[0].identity()),
        "{seen:#?}"
    );
}

#[tokio::test]
async fn a_put_succeeds_after_failures() {
    let case = Case::new();
    let target = case.target("/always/sequence?steps=reset,500,200");
    let job = Job::accepted(Request::new("PUT", &target).body("x")).await;
    assert_eq!(job.succeeded().await.status, 200);
    assert_eq!(case.seen().len(), 3);
}

#[tokio::test]
async fn invalid_responses_never_succeed() {
    for target in FORBIDDEN {
        let case = Case::new();
        let job = Job::accepted(case.post(target)).await;
        assert_eq!(job.failed().await, "outcome_unknown", "{target}");
        assert_eq!(case.seen().len(), 1, "{target}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_a_problem_that_says_so() {
    let job = Job::accepted(Case::new().post("/always/broken?when=after&how=reset")).await;
    assert_eq!(job.failed().await, "outcome_unknown");
    let reply = job.result().await;
    assert_problem(&reply, 500, "outcome_unknown");
    assert_eq!(reply.json()["retryable"], false);
    let job = Job::accepted(Case::new().post("/always/odd?kind=status&code=999")).await;
    assert_eq!(job.failed().await, "origin_protocol_error");
    assert_problem(&job.result().await, 502, "origin_protocol_error");
}

#[tokio::test]
async fn interim_responses_are_not_taken_for_the_final_response() {
    for code in [100, 102, 103] {
        let case = Case::new();
        let job = Job::accepted(case.post(&format!("/always/interim?code={code}"))).await;
        let reply = job.succeeded().await;
        let ours = format!("http://{}{}", Gateway::shared().address, job.path());
        let link = format!("<{ours}>; rel=\"status\"");
        assert_eq!(reply.status, 200, "{code}");
        assert_eq!(reply.field("link"), Some(link.as_str()), "{code}");
        assert_eq!(reply.json()["body"], "{\"report\":1}", "{code}");
        assert_eq!(case.seen().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn bytes_beyond_content_length_are_not_part_of_the_result() {
    let job = Job::accepted(Case::new().post("/always/long?bytes=50&seed=1")).await;
    let reply = job.succeeded().await;
    assert_eq!(reply.must("content-length"), "50");
    assert_eq!(reply.body, crate::pattern::bytes(1, 50));
}

#[tokio::test]
async fn bad_compression_is_kept_as_it_is() {
    let request = Case::new()
        .post("/always/odd?kind=gzip")
        .field("Accept-Encoding", "gzip");
    let job = Job::accepted(request).await;
    job.succeeded().await;
    let reply = job
        .send(Request::get(&job.result_path()).field("Accept-Encoding", "gzip"))
        .await;
    assert_eq!(
        (reply.status, reply.must("content-encoding")),
        (200, "gzip")
    );
    assert_eq!(reply.body, b"ok");
}

#[tokio::test]
async fn large_response_fields_are_kept_up_to_the_limit() {
    let job = Job::accepted(Case::new().post("/always/odd?kind=huge&bytes=30000")).await;
    let reply = job.succeeded().await;
    assert_eq!(reply.must("x-huge"), "x".repeat(30_000));
    assert_eq!(reply.body, b"ok");
    let case = Case::new();
    let job = Job::accepted(case.post("/always/odd?kind=huge&bytes=131072")).await;
    assert_eq!(job.failed().await, "result_too_large");
    assert_problem(&job.result().await, 502, "result_too_large");
    assert_eq!(case.seen().len(), 1);
}

#[tokio::test]
async fn a_response_over_the_limit_fails_the_job_and_is_not_kept() {
    for framing in ["length", "chunked"] {
        let case = Case::new();
        let bytes = crate::rules::RESULT_LIMIT + 1;
        let target = format!("/always/stream?bytes={bytes}&framing={framing}");
        let job = Job::accepted(case.post(&target)).await;
        assert_eq!(job.failed().await, "result_too_large", "{framing}");
        assert_problem(&job.result().await, 502, "result_too_large");
        assert_eq!(case.seen().len(), 1);
    }
}

#[tokio::test]
async fn the_history_shows_the_outcome_of_each_attempt() {
    let job = Job::accepted(Case::new().post("/always/sequence?steps=503,429,201")).await;
    job.succeeded().await;
    let reply = job
        .send(Request::get(&format!("{}?include=attempts", job.path())))
        .await;
    let document = reply.json();
    let history = document["history"].as_array().expect("a history");
    let statuses: Vec<_> = history.iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, [503, 429, 201], "{document:#}");
    for (number, attempt) in (1..).zip(history) {
        assert_eq!(attempt["attempt"], number);
        assert!(attempt["started"].is_string() && attempt["duration_ms"].is_number());
    }
    assert!(job.document().await.get("history").is_none());
}

#[tokio::test]
async fn redirects_are_final_responses() {
    let case = Case::new();
    let reply = Job::accepted(case.post("/always/redirect"))
        .await
        .succeeded()
        .await;
    assert_eq!(
        (reply.status, reply.must("location")),
        (302, case.target("/always/redirect").as_str())
    );
    assert_eq!(case.seen().len(), 1);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let case = Case::new();
    let job = Job::accepted(case.post("/always/sequence?steps=503:1,200")).await;
    let document = job
        .until(|it| it["attempt"] == 1 && it["next_attempt"].is_string())
        .await;
    let at = |member: &str| {
        chrono::DateTime::parse_from_rfc3339(document[member].as_str().unwrap()).unwrap()
    };
    assert!(
        (at("next_attempt") - at("started")).num_milliseconds() >= 1000,
        "{document:#}"
    );
    assert_eq!(job.succeeded().await.status, 200);
}

#[tokio::test]
async fn a_failed_status_that_was_retried_to_the_end_is_the_result() {
    for (method, target, status) in [
        ("PUT", "/always/sequence?steps=500", 500),
        ("POST", "/doomed/sequence?steps=503", 503),
    ] {
        let request = Case::new().request(method, target).body("{}");
        let job = Job::accepted(request).await;
        assert_eq!(job.failed().await, "origin_error");
        let reply = job.result().await;
        assert_eq!(
            (reply.status, &reply.json()["method"]),
            (status, &method.into()),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn a_job_that_does_not_end_fails_at_its_deadline() {
    let job = Job::accepted(
        Case::new()
            .request("PUT", "/doomed/broken?when=after&how=hang")
            .body(""),
    )
    .await;
    assert_eq!(job.failed().await, "deadline_exceeded");
    assert_problem(&job.result().await, 504, "deadline_exceeded");
}

#[tokio::test]
async fn a_refused_connection_is_retried_until_the_deadline_and_then_unreachable() {
    // The port was free a moment ago, so nothing listens on it.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let preferred = "[[rules]]\nname = \"preferred\"\nmethods = [\"GET\"]\n\
                     path = \"/preferred/{*rest}\"\ndefer = \"preferred\"\n\
                     attempt_timeout = \"5s\"\ndeadline = \"60s\"\n";
    let text = rules::plain(&format!("http://127.0.0.1:{port}"))
        .replace("attempt_timeout = \"60s\"", "attempt_timeout = \"5s\"")
        .replace("deadline = \"120s\"", "deadline = \"12s\"");
    let gateway = Gateway::start(&format!("{text}{preferred}"));
    let case = Case::new();
    let job = Job::accepted_by(gateway.address, case.post("/always/echo")).await;
    let document = job.ended().await;
    assert_eq!(
        document["error"]["code"], "origin_unreachable",
        "{document:#}"
    );
    assert!(document["attempt"].as_u64() > Some(3), "{document:#}");
    assert_eq!(document["attempt"], document["not_acted"], "{document:#}");
    assert_problem(&job.result().await, 502, "origin_unreachable");
    for (target, vary) in [("/pass/echo", None), ("/preferred/echo", Some("Prefer"))] {
        let passed = gateway.send(case.get(target)).await;
        assert_problem(&passed, 502, "origin_unreachable");
        assert_eq!(passed.field("vary"), vary, "{passed}");
        assert_eq!(passed.json()["retryable"], true, "{passed}");
    }
    for (method, safe) in [("OPTIONS", true), ("POST", false), ("DELETE", false)] {
        let passed = gateway.send(case.request(method, "/pass/echo")).await;
        assert_problem(&passed, 502, "origin_unreachable");
        assert_eq!(passed.json()["retryable"], safe, "{method}: {passed}");
    }
}
