//! The result: the origin's final response, replayed.

use crate::behaviour::GZIP;
use crate::client::Request;
use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem};
use crate::pattern;

#[tokio::test]
async fn a_pending_result_is_202_with_the_status_document() {
    let job = Job::accepted(Case::new().post("/always/echo?ms=1500")).await;
    let reply = job.result().await;
    assert_eq!(reply.status, 202, "{reply}");
    assert!(
        reply.must("location").ends_with(&job.result_path()),
        "{reply}"
    );
    assert!(
        reply
            .must("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| seconds >= 1),
        "{reply}"
    );
    assert_eq!(reply.must("cache-control"), "no-store");
    assert_eq!(reply.json()["id"], job.id);
    assert_eq!(job.succeeded().await.status, 200);
}

#[tokio::test]
async fn bodies_of_every_size_come_back_byte_for_byte() {
    for length in [0, 1, 65_535, 65_536, 65_537, 1_000_000, 20_000_000] {
        let target = format!("/always/echo?bytes={length}&seed=5&type=application/x-data");
        let reply = Job::accepted(Case::new().post(&target))
            .await
            .succeeded()
            .await;
        assert_eq!((reply.status, reply.body.len() as u64), (200, length));
        assert_eq!(
            pattern::sha256(&reply.body),
            pattern::hash(5, length),
            "{length}"
        );
        assert_eq!(reply.must("content-type"), "application/x-data");
        assert_eq!(reply.must("content-length"), length.to_string());
    }
}

/// Around the sizes at which the buffer of a body of unknown length grows, too.
#[tokio::test]
async fn bodies_of_unknown_length_come_back_byte_for_byte() {
    for framing in ["chunked", "close"] {
        for length in [
            0, 10, 4_096, 4_097, 16_388, 16_389, 65_536, 65_537, 12_000_000,
        ] {
            let target = format!("/always/stream?bytes={length}&seed=6&framing={framing}");
            let reply = Job::accepted(Case::new().post(&target))
                .await
                .succeeded()
                .await;
            assert_eq!(reply.body.len() as u64, length, "{framing}");
            let unverified = reply.field("raincheck-length-unverified");
            assert_eq!(
                unverified,
                (framing == "close").then_some("true"),
                "{length}"
            );
            assert_eq!(
                pattern::sha256(&reply.body),
                pattern::hash(6, length),
                "{framing} {length}"
            );
        }
    }
}

#[tokio::test]
async fn the_origins_end_to_end_fields_come_back() {
    let target = "/always/echo?status=201&bytes=3&type=text/csv&h=X-Report:7&h=Set-Cookie:a%3D1&h=Set-Cookie:b%3D2\
        &h=Location:/reports/7&h=ETag:%22v1%22&h=Last-Modified:Wed,%2021%20Oct%202015%2007:28:00%20GMT\
        &h=Content-Disposition:attachment&h=Connection:X-Hop&h=X-Hop:1&h=Raincheck-Forged:1";
    let job = Job::accepted(Case::new().post(target)).await;
    let reply = job.succeeded().await;
    assert_eq!(reply.status, 201, "{reply}");
    for (name, value) in [
        ("content-type", "text/csv"),
        ("x-report", "7"),
        ("location", "/reports/7"),
        ("etag", "\"v1\""),
        ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("content-disposition", "attachment"),
    ] {
        assert_eq!(reply.field(name), Some(value), "{name}: {reply}");
    }
    assert_eq!(reply.field("set-cookie"), None, "{reply}");
    let link = format!("{}>; rel=\"status\"", job.path());
    assert!(reply.must("link").ends_with(&link), "{reply}");
    assert_eq!(reply.must("raincheck-job-status"), "succeeded");
    assert_eq!(reply.must("raincheck-result"), "origin");
    assert_eq!(reply.must("cache-control"), "no-store");
    assert_eq!(
        (reply.field("x-hop"), reply.field("raincheck-forged")),
        (None, None),
        "{reply}"
    );
}

#[tokio::test]
async fn statuses_come_back_unchanged_including_failures() {
    for (status, state) in [
        (201, "succeeded"),
        (204, "succeeded"),
        (205, "succeeded"),
        (301, "succeeded"),
        (302, "succeeded"),
        (304, "succeeded"),
        (400, "failed"),
        (404, "failed"),
        (409, "failed"),
        (418, "failed"),
        (500, "failed"),
        (502, "failed"),
        (599, "failed"),
    ] {
        let job =
            Job::accepted(Case::new().post(&format!("/always/echo?status={status}&bytes=9"))).await;
        assert_eq!(job.ended().await["status"], state, "{status}");
        let reply = job.result().await;
        assert_eq!(reply.status, status, "{reply}");
        let wanted = if [204, 205, 304].contains(&status) {
            Vec::new()
        } else {
            pattern::bytes(0, 9)
        };
        assert_eq!(reply.body, wanted, "{status}");
    }
}

#[tokio::test]
async fn a_final_202_does_not_look_pending() {
    let reply = Job::accepted(Case::new().post("/always/echo?status=202&bytes=4"))
        .await
        .succeeded()
        .await;
    assert_eq!(
        (reply.status, reply.must("raincheck-origin-status")),
        (200, "202"),
        "{reply}"
    );
    assert_eq!(reply.body, pattern::bytes(0, 4));
}

#[tokio::test]
async fn a_compressed_body_is_kept_as_it_was_sent() {
    let request = Case::new()
        .post("/always/gzip?type=text/plain")
        .field("Accept-Encoding", "gzip");
    let job = Job::accepted(request).await;
    job.ended().await;
    let reply = job
        .send(Request::get(&job.result_path()).field("Accept-Encoding", "gzip"))
        .await;
    assert_eq!(reply.must("content-encoding"), "gzip");
    assert_eq!(reply.body, GZIP);
}

/// Once from the record, once from the bucket; for a page, and for a client that waits, the response
/// is constructed again.
#[tokio::test]
async fn a_compressed_body_is_never_compressed_again() {
    for gateway in [Gateway::shared(), Gateway::for_pages()] {
        for length in [1_000, 100_000] {
            let bytes = pattern::hash(4, length);
            let target = format!(
                "/always/echo?bytes={length}&seed=4&type=text/plain&h=Content-Encoding:gzip"
            );
            let request = Case::new().post(&target).field("Accept-Encoding", "gzip");
            let held = request.clone().field("Prefer", "wait=20");
            let reply = held.send(gateway.address).await;
            assert_eq!(pattern::sha256(&reply.body), bytes, "held, {length}");
            let job = Job::accepted_by(gateway.address, request).await;
            job.ended().await;
            let read = Request::get(&job.result_path()).field("Accept-Encoding", "gzip");
            for prefer in ["wait=0", "wait=20"] {
                let reply = job.send(read.clone().field("Prefer", prefer)).await;
                assert_eq!(reply.must("content-encoding"), "gzip");
                assert_eq!(pattern::sha256(&reply.body), bytes, "{prefer}, {length}");
            }
            let whole = job.send(read.clone().field("Range", "bytes=10-19")).await;
            assert_eq!(whole.status, 200, "{whole}");
            assert_eq!(pattern::sha256(&whole.body), bytes, "{length}");
        }
    }
}

#[tokio::test]
async fn a_range_of_the_body_can_be_requested() {
    // Once from the record, once from the bucket.
    for length in [1_000, 200_000] {
        let whole = pattern::bytes(8, length);
        let target = format!("/always/echo?bytes={length}&seed=8");
        let job = Job::accepted(Case::new().post(&target)).await;
        job.succeeded().await;
        let end = usize::try_from(length).unwrap();
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=990-", 990, end),
            ("bytes=-5", end - 5, end),
            ("bytes=500-999999999", 500, end),
        ] {
            let reply = job
                .send(Request::get(&job.result_path()).field("Range", range))
                .await;
            assert_eq!(reply.status, 206, "{range}: {reply}");
            assert_eq!(
                reply.must("content-range"),
                format!("bytes {from}-{}/{end}", to - 1)
            );
            assert!(reply.body == whole[from..to], "{range} of {length}");
        }
        let beyond = Request::get(&job.result_path()).field("Range", &format!("bytes={end}-"));
        let reply = job.send(beyond).await;
        assert_problem(&reply, 416, "range_not_satisfiable");
        assert_eq!(reply.must("content-range"), format!("bytes */{end}"));
        for ignored in [
            "bytes=5-1",
            "lines=1-2",
            "bytes=x",
            "nonsense",
            "bytes=0-1,5-6",
        ] {
            let reply = job
                .send(Request::get(&job.result_path()).field("Range", ignored))
                .await;
            assert_eq!((reply.status, reply.body.len()), (200, end), "{ignored}");
        }
    }
}

#[tokio::test]
async fn if_range_serves_a_part_of_the_named_version_only() {
    let job = Job::accepted(Case::new().post("/always/echo?bytes=100&h=ETag:%22own%22")).await;
    job.succeeded().await;
    for (tag, status) in [("\"own\"", 206), ("\"other\"", 200), ("W/\"own\"", 200)] {
        let request = Request::get(&job.result_path()).field("Range", "bytes=0-9");
        let reply = job.send(request.field("If-Range", tag)).await;
        assert_eq!(reply.status, status, "{tag}: {reply}");
    }
}

#[tokio::test]
async fn a_deferred_head_has_the_origins_fields_and_no_content() {
    let case = Case::new();
    let receipt =
        crate::job::send(case.request("HEAD", "/always/echo?bytes=1234&h=X-Report:7")).await;
    assert_eq!((receipt.status, receipt.body.len()), (202, 0), "{receipt}");
    let job = Job::of(crate::gateway::Gateway::shared().address, &receipt);
    let reply = job.succeeded().await;
    assert_eq!((reply.status, reply.body.len()), (200, 0), "{reply}");
    assert_eq!(reply.must("x-report"), "7");
    assert_eq!(case.seen_once().method, "HEAD");
}

#[tokio::test]
async fn head_of_a_result_is_get_without_the_content() {
    for length in [10, 200_000] {
        let target = format!("/always/echo?bytes={length}&h=X-Report:7");
        let job = Job::accepted(Case::new().post(&target)).await;
        let get = job.succeeded().await;
        let head = job.send(Request::new("HEAD", &job.result_path())).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["content-type", "x-report", "etag", "content-length"] {
            assert_eq!(head.field(name), get.field(name), "{name} {length}");
        }
    }
}

#[tokio::test]
async fn the_origins_entity_tag_revalidates_the_result() {
    for length in [10, 100_000] {
        let target = format!("/always/echo?bytes={length}&h=ETag:%22own%22");
        let job = Job::accepted(Case::new().post(&target)).await;
        assert_eq!(job.succeeded().await.must("etag"), "\"own\"");
        for (field, status) in [("\"own\"", 304), ("W/\"own\"", 304), ("\"x\"", 200)] {
            let request = Request::get(&job.result_path()).field("If-None-Match", field);
            let reply = job.send(request).await;
            assert_eq!(reply.status, status, "{field}: {reply}");
            assert_eq!(reply.body.is_empty(), status == 304);
        }
    }
}

#[tokio::test]
async fn a_stored_result_cannot_run_script_in_the_gateways_origin() {
    let html = "/always/echo?type=text/html&bytes=10&h=Content-Security-Policy:default-src%20*";
    let reply = Job::accepted(Case::new().post(html))
        .await
        .succeeded()
        .await;
    assert_eq!(reply.must("x-content-type-options"), "nosniff");
    let policies: Vec<&str> = reply
        .fields
        .iter()
        .filter(|(name, _)| name == "content-security-policy")
        .map(|(_, value)| value.as_str())
        .collect();
    assert!(
        policies.iter().any(|policy| policy.contains("sandbox")),
        "{reply}"
    );
    assert!(
        policies
            .iter()
            .all(|policy| !policy.contains("allow-scripts")),
        "{reply}"
    );
}

#[tokio::test]
async fn the_same_result_can_be_read_many_times() {
    let job = Job::accepted(Case::new().post("/always/echo?bytes=100000")).await;
    let first = job.succeeded().await;
    for _ in 0..5 {
        let again = job.result().await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
    }
}

#[tokio::test]
async fn a_slow_response_is_kept_whole() {
    let target = "/always/slow?bytes=100000&pieces=10&gap=100&seed=4";
    let reply = Job::accepted(Case::new().post(target))
        .await
        .succeeded()
        .await;
    assert_eq!(reply.body, pattern::bytes(4, 100_000));
}

/// The runtime decodes it for clients that cannot read the coding, and could not decode a part.
#[tokio::test]
async fn a_compressed_result_is_sent_whole_even_if_a_range_is_requested() {
    let request = Case::new()
        .post("/always/gzip?type=text/plain")
        .field("Accept-Encoding", "gzip");
    let job = Job::accepted(request).await;
    job.ended().await;
    for (coding, expected) in [("gzip", Some("gzip")), ("identity", None)] {
        let read = Request::get(&job.result_path())
            .field("Accept-Encoding", coding)
            .field("Range", "bytes=3-9");
        let reply = job.send(read).await;
        assert_eq!(reply.status, 200, "{coding}: {reply}");
        assert_eq!(reply.field("content-encoding"), expected, "{reply}");
        assert_eq!(reply.field("accept-ranges"), None, "{reply}");
        assert!(reply.must("vary").contains("Accept-Encoding"), "{reply}");
        if coding == "gzip" {
            assert_eq!(reply.body, GZIP);
        } else {
            assert_eq!(reply.body.len(), 132, "{reply}");
        }
    }
    // A client that names no coding accepts any (RFC 9110 section 12.5.3).
    let bare = job.send(Request::get(&job.result_path())).await;
    assert_eq!(bare.must("content-encoding"), "gzip", "{bare}");
    assert_eq!(bare.body, GZIP);
}

#[tokio::test]
async fn the_origins_content_length_of_a_head_is_kept() {
    let case = Case::new();
    let held = case
        .request("HEAD", "/always/echo?bytes=1234")
        .field("Prefer", "wait=20");
    let reply = crate::job::send(held).await;
    assert_eq!(reply.status, 200, "{reply}");
    assert_eq!(reply.must("content-length"), "1234", "{reply}");
    let receipt = crate::job::send(Case::new().request("HEAD", "/always/echo?bytes=1234")).await;
    let job = Job::of(Gateway::shared().address, &receipt);
    job.ended().await;
    let later = job.send(Request::new("HEAD", &job.result_path())).await;
    assert_eq!(later.must("content-length"), "1234", "{later}");
    let get = job.result().await;
    assert_eq!((get.status, get.body.len()), (200, 0), "{get}");
    assert_eq!(get.must("raincheck-origin-content-length"), "1234", "{get}");
}

#[tokio::test]
async fn a_stored_script_is_no_service_worker() {
    let job = Job::accepted(Case::new().post("/always/echo?type=text/javascript&bytes=9")).await;
    let reply = job.succeeded().await;
    assert!(
        reply.must("content-security-policy").starts_with("sandbox"),
        "{reply}"
    );
    let script = Request::get(&job.result_path()).field("Service-Worker", "script");
    assert_problem(&job.send(script).await, 403, "service_worker_refused");
}
