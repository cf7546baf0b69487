//! Heads with which one side impersonates another: a client a proxy or the gateway, an origin the gateway;
//! and heads that the runtime does not pass on unchanged.

use crate::client::Request;
use crate::job::{Case, Job, assert_problem, send};

#[tokio::test]
async fn an_origin_cannot_speak_for_the_gateway() {
    let target = "/pass/echo?h=Raincheck-Job-Status:succeeded&h=RAINCHECK-RESULT:origin&h=X-Kept:1";
    let passed = send(Case::new().get(target)).await;
    assert_eq!((passed.status, passed.must("x-kept")), (200, "1"));
    let target = target.replace("/pass/", "/preferred/");
    let of_rule = send(Case::new().get(&target)).await;
    assert_eq!((of_rule.status, of_rule.must("x-kept")), (200, "1"));
    for reply in [passed, of_rule] {
        let ours = |name: &str| name.to_ascii_lowercase().starts_with("raincheck-");
        assert!(!reply.fields.iter().any(|(name, _)| ours(name)), "{reply}");
    }
}

#[tokio::test]
async fn a_client_cannot_speak_for_a_proxy_or_for_the_gateway() {
    for target in ["/pass/echo", "/always/echo"] {
        let case = Case::new();
        let forged = [
            "X-Real-IP",
            "True-Client-IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X_Forwarded_For",
            "Raincheck_Job",
            "Raincheck-Anything",
        ];
        let mut request = case.post(target).field("X_Own", "kept");
        for name in forged {
            request = request.field(name, "forged");
        }
        let reply = send(request).await;
        if reply.status == 202 {
            Job::of(crate::gateway::Gateway::shared().address, &reply)
                .succeeded()
                .await;
        }
        let seen = case.seen_once();
        assert_eq!(seen.field("x_own"), Some("kept"), "{target}");
        for (name, value) in &seen.fields {
            assert_ne!(value, "forged", "{target} {name}");
        }
    }
}

/// The tests' client and origin write and read each byte of a field as one character.
#[tokio::test]
async fn the_bytes_of_a_field_reach_the_origin_or_the_request_is_rejected() {
    // "café" in Latin-1, and in UTF-8.
    for (value, status) in [("caf\u{e9}", 400), ("caf\u{c3}\u{a9}", 202)] {
        let case = Case::new();
        let reply = send(case.post("/always/echo").field("X-Name", value)).await;
        assert_eq!(reply.status, status, "{reply}");
        if status == 202 {
            Job::of(crate::gateway::Gateway::shared().address, &reply)
                .succeeded()
                .await;
            assert_eq!(case.seen_once().field("x-name"), Some(value));
        } else {
            assert_problem(&reply, 400, "bad_request");
            assert_eq!(reply.json()["field"], "x-name");
        }
        let case = Case::new();
        let passed = send(case.post("/pass/echo").field("X-Name", value)).await;
        assert_eq!(passed.status, 200);
        assert_eq!(case.seen_once().field("x-name"), Some(value));
    }
}

#[tokio::test]
async fn a_problems_type_is_its_page_and_no_spelling_of_the_mount_reaches_the_origin() {
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    for path in [format!("/%6aobs/{}", job.id), format!("//jobs/{}", job.id)] {
        let reply = send(Request::get(&path)).await;
        assert_eq!(reply.json()["id"], job.id, "{path}");
    }
    for path in ["/jobs/x", "/jobs%2fx", "//jobs/x/result"] {
        let reply = send(Request::get(path)).await;
        assert_problem(&reply, 404, "not_found");
        assert_eq!(reply.json()["type"], "/jobs/problems/not_found");
    }
    let page = send(Request::get("/jobs/problems/not_found")).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.must("content-type"), "text/plain; charset=utf-8");
    assert!(page.text().starts_with("# not_found\n"), "{page}");
}

/// Earlier, they were removed before the size was checked, in time quadratic in their number.
#[tokio::test]
async fn thousands_of_fields_are_refused() {
    for target in ["/pass/echo", "/always/echo", "/jobs/x"] {
        let case = Case::new();
        let mut request = case.post(target);
        for number in 0..2_000 {
            request = request.field(&format!("Raincheck-{number}"), "1");
        }
        assert_problem(&send(request).await, 431, "headers_too_large");
        assert!(case.seen().is_empty(), "{target}");
    }
}
