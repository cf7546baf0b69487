//! What a result URL adds to the origin's response, and what it removes.

use raincheck::http::Headers;
use raincheck::job::Outcome;
use raincheck::protocol::forwarding::response_to_store;
use raincheck::rpc::call::{Call, Held, View, ViewCall};
use raincheck::rpc::{Content, Reply};

use super::support::jobs::{LIFE, object_body};
use super::{Desk, view};

fn read(desk: &mut Desk, change: impl FnOnce(&mut ViewCall)) -> Reply {
    let mut call = view(View::Result);
    change(&mut call);
    desk.call(Call::View(call), b"")
}

fn field<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name)
}

/// The result of a job whose origin responded with these fields.
fn replayed(fields: &[(&str, &str)]) -> Reply {
    let mut desk = Desk::new();
    desk.answered(200, fields, b"<p>");
    desk.result()
}

/// The response to the request that made the job, which was held for it.
fn held(fields: &[(&str, &str)]) -> Reply {
    let mut desk = Desk::new();
    desk.answered(200, fields, b"<p>");
    read(&mut desk, |call| call.held = Some(Held::Created))
}

#[test]
fn every_result_is_sandboxed_unless_its_type_is_inert() {
    let cases = [
        ("text/html", true),
        ("TEXT/HTML; charset=utf-8", true),
        ("text/xsl", true),
        ("text/xml", true),
        ("image/svg+xml", true),
        ("application/xhtml+xml", true),
        ("text/javascript", true),
        ("application/javascript", true),
        ("multipart/x-mixed-replace; boundary=x", true),
        ("text/x-unheard-of", true),
        ("", true),
        ("text/plain, text/html", true),
        ("application/json", false),
        ("application/problem+json; charset=utf-8", false),
        ("text/plain;charset=utf-8", false),
        ("Text/CSV", false),
        ("application/pdf", false),
        ("application/octet-stream", false),
        ("image/png", false),
        ("video/mp4", false),
    ];
    for (kind, sandboxed) in cases {
        let reply = replayed(&[
            ("content-type", kind),
            ("content-security-policy", "default-src *"),
        ]);
        let policies: Vec<&str> = reply.headers.get_all("content-security-policy").collect();
        assert_eq!(
            policies.len(),
            usize::from(sandboxed),
            "{kind}: {policies:?}"
        );
        assert!(
            policies.iter().all(|it| it.starts_with("sandbox;")),
            "{kind}"
        );
        assert_eq!(field(&reply, "x-content-type-options"), Some("nosniff"));
    }
    assert!(
        replayed(&[]).headers.contains("content-security-policy"),
        "a response without a type"
    );
    let two = [
        ("content-type", "text/plain"),
        ("content-type", "text/html"),
    ];
    assert!(
        replayed(&two).headers.contains("content-security-policy"),
        "a response with two types"
    );
}

#[test]
fn no_cache_may_store_a_result() {
    let reply = replayed(&[
        ("cache-control", "public, max-age=9"),
        ("cache-control", "No-Transform"),
        ("expires", "Wed, 21 Oct 2037 07:28:00 GMT"),
        ("pragma", "cache"),
        ("age", "7"),
        ("cdn-cache-control", "max-age=9"),
        ("cloudflare-cdn-cache-control", "max-age=9"),
        ("surrogate-control", "max-age=9"),
    ]);
    let all: Vec<&str> = reply.headers.get_all("cache-control").collect();
    assert_eq!(all, ["no-store, no-transform"]);
    for name in [
        "expires",
        "pragma",
        "age",
        "cdn-cache-control",
        "cloudflare-cdn-cache-control",
        "surrogate-control",
    ] {
        assert_eq!(field(&reply, name), None, "{name}");
    }
    assert_eq!(field(&replayed(&[]), "cache-control"), Some("no-store"));
}

#[test]
fn fields_that_affect_the_web_origin_in_a_browser_are_not_replayed() {
    let names = [
        "set-cookie",
        "set-cookie2",
        "clear-site-data",
        "refresh",
        "service-worker-allowed",
        "strict-transport-security",
        "public-key-pins",
        "public-key-pins-report-only",
        "expect-ct",
        "alt-svc",
        "nel",
        "report-to",
        "reporting-endpoints",
        "content-security-policy-report-only",
        "accept-ch",
        "critical-ch",
        "origin-agent-cluster",
        "speculation-rules",
        "use-as-dictionary",
        "attribution-reporting-register-source",
        "attribution-reporting-register-trigger",
        "observe-browsing-topics",
        "shared-storage-write",
        "ad-auction-signals",
        "ad-auction-allowed",
        "delegate-ch",
        "integrity-policy",
        "integrity-policy-report-only",
        "timing-allow-origin",
        "sourcemap",
        "x-sourcemap",
    ];
    let mut fields: Vec<(&str, &str)> = names.iter().map(|name| (*name, "x")).collect();
    fields.push(("x-frame-options", "DENY"));
    let reply = replayed(&fields);
    for name in names {
        assert_eq!(field(&reply, name), None, "{name}");
    }
    assert_eq!(field(&reply, "x-frame-options"), Some("DENY"));
}

/// The URL of a result gives access to its job.
#[test]
fn a_result_tells_its_url_to_no_other_site() {
    let policies = [
        ("referrer-policy", "unsafe-url"),
        ("referrer-policy", "origin"),
    ];
    let reply = replayed(&policies);
    let found: Vec<&str> = reply.headers.get_all("referrer-policy").collect();
    assert_eq!(found, ["no-referrer"]);
    assert_eq!(
        field(&held(&policies), "referrer-policy"),
        Some("unsafe-url")
    );
}

#[test]
fn links_that_make_a_browser_load_something_are_not_replayed() {
    let links = |given: &[&str]| {
        let fields: Vec<(&str, &str)> = given.iter().map(|link| ("link", *link)).collect();
        let reply = replayed(&fields);
        let all = reply.headers.joined("link").unwrap().into_owned();
        all.split_once("; rel=\"status\"").unwrap().1.to_owned()
    };
    for dropped in [
        "<https://evil.example/a>; rel=preload; as=image",
        "<https://evil.example/a>; rel=\"preload\"; as=image",
        "<https://evil.example/a>; as=image ; REL = PRELOAD",
        "<a>;rel='preload'",
        "<a>; rel=\"next prefetch\"",
        "<a>; rel=\"next\tprefetch\"",
        "<a>; rel=\"pre\\load\"",
        "<a>; title=\"a, b; c\"; rel=modulepreload",
        "<a>; rel=next; rel=preconnect",
        "<a>; rel=dns-prefetch",
        "<a>; rel=\"alternate stylesheet\"",
        "<a>; rel=icon",
        "<a>; rel=manifest",
        "<a>; rel=prerender",
        "<a>; rel=compression-dictionary",
        // None of these is well formed, and browsers interpret them differently.
        "<a; rel=preload",
        "<a>; title=\"x; rel=preload",
    ] {
        assert_eq!(links(&[dropped]), "", "{dropped}");
    }
    for kept in [
        "</next>; rel=next",
        "</a,b;c>; rel=last",
        "<preload>; rel=\"next\"; title=\"all, of it\"",
        "</x>; rel=\"https://example.com/preload\"",
        "<odd",
    ] {
        assert_eq!(links(&[kept]), format!(", {kept}"), "{kept}");
    }
    assert_eq!(
        links(&[
            "</1>; rel=next, <a>; rel=preload",
            "<b>; rel=prefetch, </9>; rel=last"
        ]),
        ", </1>; rel=next, </9>; rel=last"
    );
}

#[test]
fn an_origin_cannot_imitate_the_gateways_fields_in_another_spelling() {
    for name in [
        "raincheck-result",
        "raincheck_result",
        "raincheck.job-status",
    ] {
        let headers = Headers::from_iter([(name, "origin"), ("raincheckish", "kept")]);
        let stored = response_to_store(headers);
        assert_eq!(stored.get(name), None, "{name}");
        assert_eq!(stored.get("raincheckish"), Some("kept"));
    }
}

#[test]
fn a_held_response_is_what_would_have_passed_through() {
    let reply = held(&[
        ("content-type", "text/html"),
        ("content-security-policy", "default-src 'self'"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("strict-transport-security", "max-age=9"),
    ]);
    assert_eq!(
        field(&reply, "content-security-policy"),
        Some("default-src 'self'")
    );
    assert_eq!(reply.headers.get_all("set-cookie").count(), 2);
    assert_eq!(
        field(&reply, "strict-transport-security"),
        Some("max-age=9")
    );
}

#[test]
fn a_held_response_names_its_job_so_shared_caches_must_not_store_it() {
    let cases = [
        (None, "private"),
        (
            Some("public, max-age=60, s-maxage=90"),
            "max-age=60, private",
        ),
        (Some("private, max-age=60"), "max-age=60, private"),
        (Some("no-store"), "no-store, private"),
    ];
    for (theirs, expected) in cases {
        let fields: Vec<(&str, &str)> = theirs
            .map(|value| ("cache-control", value))
            .into_iter()
            .collect();
        assert_eq!(
            field(&held(&fields), "cache-control"),
            Some(expected),
            "{theirs:?}"
        );
    }
    let reply = held(&[
        ("cdn-cache-control", "max-age=9"),
        ("surrogate-control", "max-age=9"),
    ]);
    assert_eq!(field(&reply, "cdn-cache-control"), None);
    assert_eq!(field(&reply, "surrogate-control"), None);
}

/// Job status, source of the response, and the link to the status document.
fn marks(reply: &Reply) -> (Option<&str>, Option<&str>, Option<&str>) {
    (
        field(reply, "raincheck-job-status"),
        field(reply, "raincheck-result"),
        field(reply, "link"),
    )
}

fn status_link() -> String {
    format!("<https://h/jobs/{}>; rel=\"status\"", super::ID)
}

#[test]
fn a_pending_result_says_so() {
    let mut desk = Desk::new();
    assert_eq!(
        marks(&desk.result()),
        (Some("pending"), None, Some(status_link().as_str()))
    );
    desk.claimed();
    assert_eq!(
        field(&desk.result(), "raincheck-job-status"),
        Some("pending")
    );
}

#[test]
fn a_replayed_response_says_that_it_comes_from_the_origin() {
    for (status, job_status) in [
        (200, "succeeded"),
        (204, "succeeded"),
        (404, "failed"),
        (410, "failed"),
        (500, "failed"),
    ] {
        let mut desk = Desk::new();
        desk.answered(
            status,
            &[("link", "</next>; rel=next"), ("link", "</x>; rel=status")],
            b"x",
        );
        let reply = desk.result();
        assert_eq!(reply.status, status);
        let link = format!("{}, </next>; rel=next, </x>; rel=status", status_link());
        assert_eq!(
            marks(&reply),
            (Some(job_status), Some("origin"), Some(link.as_str())),
            "{status}"
        );
        let held = read(&mut desk, |call| call.held = Some(Held::Created));
        assert_eq!(marks(&held), marks(&reply), "held, {status}");
    }
}

#[test]
fn a_problem_about_a_job_says_that_it_comes_from_the_gateway() {
    let link = status_link();
    let of_gateway = |job_status| (Some(job_status), Some("gateway"), Some(link.as_str()));
    let mut canceled = Desk::new();
    canceled.call(Call::Cancel(view(View::Status)), b"");
    assert_eq!(marks(&canceled.result()), of_gateway("canceled"));
    let mut unknown = Desk::new();
    unknown.claimed().finished(Outcome::Unknown, None);
    assert_eq!(marks(&unknown.result()), of_gateway("failed"));
    let mut desk = Desk::new();
    desk.answered(200, &[("etag", "\"e\"")], b"0123456789");
    let beyond = read(&mut desk, |call| call.range = Some("bytes=10-".to_owned()));
    assert_eq!(
        (beyond.status, marks(&beyond)),
        (416, of_gateway("succeeded"))
    );
    let changed = read(&mut desk, |call| call.if_match = Some("\"x\"".to_owned()));
    assert_eq!(
        (changed.status, marks(&changed)),
        (412, of_gateway("succeeded"))
    );
    let same = read(&mut desk, |call| {
        call.if_none_match = Some("\"e\"".to_owned());
    });
    assert_eq!(
        (same.status, marks(&same)),
        (
            304,
            (Some("succeeded"), Some("origin"), Some(link.as_str()))
        )
    );
}

#[test]
fn a_status_document_has_no_marks_of_a_result() {
    let mut desk = Desk::new();
    desk.answered(200, &[], b"x");
    assert_eq!(marks(&desk.status()), (None, None, None));
}

#[test]
fn responses_about_expired_and_unknown_ids_reveal_nothing_about_a_job() {
    let mut desk = Desk::new();
    desk.answered(200, &[], b"x");
    desk.later(LIFE.0);
    let gone = desk.result();
    assert_eq!(
        (gone.status, field(&gone, "raincheck-job-status")),
        (410, None)
    );
    desk.later(60_000);
    assert_eq!(desk.result(), desk.status(), "unknown");
}

#[test]
fn a_compressed_result_is_sent_whole_because_a_part_of_it_cannot_be_decoded() {
    for (coding, ranges) in [
        ("gzip", false),
        ("br", false),
        ("GZIP, br", false),
        ("identity", true),
        ("", true),
    ] {
        let mut desk = Desk::new();
        desk.answered(200, &[("content-encoding", coding)], b"0123456789");
        let reply = read(&mut desk, |call| call.range = Some("bytes=2-3".to_owned()));
        let expected: (u16, &[u8]) = if ranges {
            (206, b"23")
        } else {
            (200, b"0123456789")
        };
        assert_eq!(
            (reply.status, &reply.content),
            (expected.0, &Content::Bytes(expected.1.to_vec())),
            "{coding}"
        );
        assert_eq!(
            field(&reply, "accept-ranges"),
            ranges.then_some("bytes"),
            "{coding}"
        );
        let vary = field(&reply, "vary").unwrap_or_default();
        assert_eq!(vary.contains("Accept-Encoding"), !ranges, "{coding}");
    }
    let mut desk = Desk::new();
    desk.answered_from_the_bucket(object_body("results/3/x", 100_000));
    assert_eq!(field(&desk.result(), "accept-ranges"), Some("bytes"));
}

#[test]
fn a_partial_response_does_not_carry_the_digest_of_the_whole() {
    let fields = [
        ("content-digest", "sha-256=:eA==:"),
        ("content-md5", "eA=="),
        ("repr-digest", "sha-256=:eA==:"),
    ];
    let mut desk = Desk::new();
    desk.answered(200, &fields, b"0123456789");
    let part = read(&mut desk, |call| call.range = Some("bytes=2-3".to_owned()));
    assert_eq!(part.status, 206);
    assert_eq!(
        (field(&part, "content-digest"), field(&part, "content-md5")),
        (None, None)
    );
    assert!(part.headers.contains("repr-digest"));
    assert!(desk.result().headers.contains("content-digest"));
}
