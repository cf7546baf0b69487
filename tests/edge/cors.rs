//! Pages of configured web origins may call the gateway and read the responses.

use crate::client::{Reply, Request};
use crate::gateway::Gateway;
use crate::job::{Case, Job};
use crate::rules::WEB_ORIGIN;

async fn send(request: Request) -> Reply {
    request.send(Gateway::for_pages().address).await
}

fn preflight(target: &str, origin: &str) -> Request {
    Request::new("OPTIONS", target)
        .field("Origin", origin)
        .field("Access-Control-Request-Method", "POST")
        .field(
            "Access-Control-Request-Headers",
            "authorization, prefer, idempotency-key, x-request-id, x-real-ip",
        )
}

fn list(reply: &Reply, name: &str) -> Vec<String> {
    reply
        .must(name)
        .split(',')
        .map(|item| item.trim().to_ascii_lowercase())
        .collect()
}

#[tokio::test]
async fn a_preflight_from_a_configured_origin_is_answered_here() {
    for target in ["/always/echo", "/jobs/x", "/jobs/x/result"] {
        let reply = send(preflight(target, WEB_ORIGIN)).await;
        assert!(matches!(reply.status, 200 | 204), "{target}: {reply}");
        assert_eq!(reply.must("access-control-allow-origin"), WEB_ORIGIN);
        let allowed = list(&reply, "access-control-allow-headers");
        for name in [
            "authorization",
            "content-type",
            "prefer",
            "idempotency-key",
            "if-none-match",
            "last-event-id",
            "traceparent",
            // Of the configuration, and asked for.
            "x-tenant",
            "x-request-id",
        ] {
            assert!(allowed.iter().any(|it| it == name), "{name}: {reply}");
        }
        for name in ["x-real-ip", "*"] {
            assert!(allowed.iter().all(|it| it != name), "{name}: {reply}");
        }
        assert!(
            list(&reply, "access-control-allow-methods").contains(&"post".to_owned()),
            "{reply}"
        );
        let varies = list(&reply, "vary");
        for name in ["origin", "access-control-request-headers"] {
            assert!(varies.iter().any(|it| it == name), "{name}: {reply}");
        }
    }
}

#[tokio::test]
async fn the_fields_that_a_page_needs_are_exposed_on_every_kind_of_response() {
    let from_page = |request: Request| request.field("Origin", WEB_ORIGIN);
    let receipt = send(from_page(Case::new().post("/always/echo"))).await;
    let job = Job::of(Gateway::for_pages().address, &receipt);
    job.ended().await;
    let status = send(from_page(Request::get(&job.path()))).await;
    let result = send(from_page(Request::get(&job.result_path()))).await;
    let problem = send(from_page(Request::get("/jobs/x"))).await;
    for reply in [receipt, status, result, problem] {
        assert_eq!(
            reply.must("access-control-allow-origin"),
            WEB_ORIGIN,
            "{reply}"
        );
        let exposed = list(&reply, "access-control-expose-headers");
        for name in [
            "location",
            "content-location",
            "operation-location",
            "retry-after",
            "etag",
            "link",
            "preference-applied",
            "content-disposition",
            "raincheck-job-status",
            "raincheck-result",
            "raincheck-origin-status",
            "x-total",
        ] {
            assert!(exposed.iter().any(|it| it == name), "{name}: {reply}");
        }
    }
}

#[tokio::test]
async fn other_origins_get_nothing() {
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.evil.example",
        "http://app.example",
    ] {
        let receipt = send(Case::new().post("/always/echo").field("Origin", origin)).await;
        assert_eq!(
            receipt.field("access-control-allow-origin"),
            None,
            "{origin}: {receipt}"
        );
        let reply = send(preflight("/jobs/x", origin)).await;
        assert_eq!(
            reply.field("access-control-allow-origin"),
            None,
            "{origin}: {reply}"
        );
    }
}
