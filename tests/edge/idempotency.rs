//! One key, one job.

use std::collections::HashSet;
use std::time::Duration;

use crate::client::{Reply, Request};
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem, send};
use crate::pattern;

fn keyed(case: &Case, target: &str, key: &str) -> Request {
    case.post(target).field("Idempotency-Key", key)
}

#[tokio::test]
async fn a_thousand_concurrent_requests_with_one_key_make_one_job() {
    let case = Case::new();
    let request = keyed(&case, "/always/echo?ms=300", &format!("\"{}\"", case.0));
    let gateway = Gateway::shared().address;
    let sending: Vec<_> = (0..1000)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move { request.send(gateway).await })
        })
        .collect();
    let mut locations = HashSet::new();
    for reply in sending {
        let reply: Reply = reply.await.unwrap();
        assert_eq!(reply.status, 202, "{reply}");
        locations.insert(reply.must("location").to_owned());
    }
    assert_eq!(locations.len(), 1);
    let job = Job::of(gateway, &send(request).await);
    assert_eq!(job.succeeded().await.status, 200);
    assert_eq!(case.seen().len(), 1);
}

#[tokio::test]
async fn a_repeated_request_finds_its_job_after_that_has_ended() {
    for length in [10, 100_000] {
        let case = Case::new();
        let request = keyed(&case, "/always/echo", &case.0).body(pattern::bytes(1, length));
        let first = Job::accepted(request.clone()).await;
        first.succeeded().await;
        let again = send(request.clone()).await;
        assert_eq!(Job::of(Gateway::shared().address, &again).id, first.id);
        assert_eq!(again.json()["status"], "succeeded");
        assert_eq!(case.seen().len(), 1, "{length}");
    }
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused() {
    let case = Case::new();
    let key = format!("\"{}\"", case.0);
    let job = Job::accepted(keyed(&case, "/always/echo?a=1", &key)).await;
    job.succeeded().await;
    for other in [
        keyed(&case, "/always/echo?a=1", &key).body("another body"),
        keyed(&case, "/always/echo?a=1", &key).body(pattern::bytes(1, 100_000)),
        keyed(&case, "/always/echo?a=2", &key),
        case.request("PUT", "/always/echo?a=1")
            .field("Idempotency-Key", &key)
            .body("{\"report\":1}"),
    ] {
        assert_problem(&send(other).await, 422, "idempotency_key_reused");
    }
    assert_eq!(case.seen().len(), 1);
}

#[tokio::test]
async fn concurrent_different_requests_with_one_key_make_one_job() {
    let case = Case::new();
    let gateway = Gateway::shared().address;
    let sending: Vec<_> = (0..40)
        .map(|number| {
            let request = keyed(&case, "/always/echo", "race").body(format!("body {}", number % 4));
            tokio::spawn(async move { request.send(gateway).await })
        })
        .collect();
    let mut locations = HashSet::new();
    for reply in sending {
        let reply: Reply = reply.await.unwrap();
        match reply.status {
            202 => drop(locations.insert(reply.must("location").to_owned())),
            _ => assert_problem(&reply, 422, "idempotency_key_reused"),
        }
    }
    assert_eq!(locations.len(), 1);
}

#[tokio::test]
async fn keys_of_two_owners_are_independent() {
    let case = Case::new();
    let request =
        |owner: &str| keyed(&case, "/always/echo", "shared").field("Authorization", owner);
    let one = Job::accepted(request("Bearer one")).await;
    let two = Job::accepted(request("Bearer two")).await;
    let none = Job::accepted(keyed(&case, "/always/echo", "shared")).await;
    let again = Job::accepted(request("Bearer one")).await;
    let ids: HashSet<&str> = [&one, &two, &none].map(|job| job.id.as_str()).into();
    assert_eq!(ids.len(), 3);
    assert_eq!(again.id, one.id);
}

#[tokio::test]
async fn both_spellings_of_a_key_are_the_same_key() {
    let case = Case::new();
    let quoted = Job::accepted(keyed(&case, "/always/echo", "\"8e03978e-40d5\"")).await;
    let plain = Job::accepted(keyed(&case, "/always/echo", "8e03978e-40d5")).await;
    assert_eq!(quoted.id, plain.id);
}

#[tokio::test]
async fn without_a_key_every_request_is_a_job() {
    let case = Case::new();
    let one = Job::accepted(case.post("/always/echo")).await;
    let two = Job::accepted(case.post("/always/echo")).await;
    assert_ne!(one.id, two.id);
}

#[tokio::test]
async fn a_rule_can_require_a_key() {
    let case = Case::new();
    assert_problem(
        &send(case.post("/keyed/echo")).await,
        400,
        "idempotency_key_required",
    );
    assert!(case.seen().is_empty());
    Job::accepted(keyed(&case, "/keyed/echo", &case.0))
        .await
        .succeeded()
        .await;
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_refused() {
    let long = format!("\"{}\"", "k".repeat(256));
    for key in ["", "\"\"", "\"unclosed", "two words", "a,b", long.as_str()] {
        let case = Case::new();
        let reply = send(keyed(&case, "/always/echo", key)).await;
        assert_problem(&reply, 400, "idempotency_key_invalid");
        assert!(case.seen().is_empty(), "{key:?}");
    }
    // Bytes that the runtime does not pass on unchanged are rejected in every field that is stored.
    let latin1 = send(keyed(&Case::new(), "/always/echo", "\"caf\u{e9}\"")).await;
    assert_problem(&latin1, 400, "bad_request");
    let case = Case::new();
    let longest = format!("\"{}\"", "k".repeat(255));
    Job::accepted(keyed(&case, "/always/echo", &longest)).await;
    let twice = keyed(&case, "/always/echo", "one").field("Idempotency-Key", "two");
    assert_problem(&send(twice).await, 400, "idempotency_key_invalid");
}

#[tokio::test]
async fn the_window_of_a_key_is_published_and_ends() {
    let case = Case::new();
    let request = keyed(&case, "/window/echo", "\"soon free\"");
    let receipt = send(request.clone()).await;
    let first = Job::of(Gateway::shared().address, &receipt);
    let document = receipt.json();
    let moment = |member: &str| {
        let text = document[member].as_str().unwrap_or_default();
        chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("{member}: {receipt}"))
    };
    let window = moment("idempotency_expires") - moment("created");
    assert_eq!(window.num_milliseconds(), 1500);
    assert_eq!(Job::accepted(request.clone()).await.id, first.id);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_ne!(Job::accepted(request).await.id, first.id);
}

/// Otherwise one caller could read the other's result, or prevent the other from using the key.
#[tokio::test]
async fn the_same_key_with_another_cookie_api_key_or_token_makes_another_job() {
    for (name, one, other) in [
        ("Cookie", "session=one", "session=other"),
        ("X-Api-Key", "one", "other"),
        ("X_Api_Key", "one", "other"),
        ("X-Auth-Token", "one", "other"),
        ("Ocp-Apim-Subscription-Key", "one", "other"),
        ("Client-Id", "one", "other"),
    ] {
        let case = Case::new();
        let request = |value| {
            let request = keyed(&case, "/always/echo", &case.0).body("the same");
            request.field(name, value)
        };
        let mine = Job::accepted(request(one)).await;
        mine.succeeded().await;
        let theirs = Job::accepted(request(other)).await;
        assert_ne!(theirs.id, mine.id, "{name}");
        theirs.succeeded().await;
        for (value, own, foreign) in [(one, &mine, &theirs), (other, &theirs, &mine)] {
            let again = send(request(value)).await;
            assert_eq!(Job::of(Gateway::shared().address, &again).id, own.id);
            assert!(!again.to_string().contains(&foreign.id), "{name}: {again}");
        }
        assert_eq!(case.seen().len(), 2, "{name}");
    }
}

/// They may be new in a repeated request, which must find its job.
#[tokio::test]
async fn the_same_key_with_a_new_csrf_token_or_client_hint_finds_the_job() {
    for name in ["X-Csrf-Token", "User-Agent", "Sec-Session-Id"] {
        let case = Case::new();
        let request = |value| {
            let request = keyed(&case, "/always/echo", &case.0).body("the same");
            Job::accepted(request.field(name, value))
        };
        let (first, again) = (request("one").await, request("other").await);
        assert_eq!(first.id, again.id, "{name}");
        first.succeeded().await;
        assert_eq!(case.seen().len(), 1, "{name}");
    }
}
