//! Slow bodies in both directions: nothing of them is lost, and no response is sent early.

use std::time::Duration;

use crate::client::{Exchange, Request};
use crate::gateway::Gateway;
use crate::job::{Case, Job};
use crate::pattern;

/// Between two pieces.
const GAP: Duration = Duration::from_millis(100);

/// Into how many pieces a client divides its body.
const PIECES: usize = 15;

/// The body that an origin reads slowly: more than the sockets in between hold.
const LARGE: u64 = 20_000_000;

/// Sends a body piece by piece, and returns the job. Until the last piece the origin must see nothing.
async fn trickled(case: &Case, body: &[u8], chunked: bool) -> Job {
    let request = Request::new("POST", &case.target("/always/echo"));
    let request = if chunked {
        request.field("Transfer-Encoding", "chunked")
    } else {
        request.field("Content-Length", &body.len().to_string())
    };
    let address = Gateway::shared().address;
    let mut exchange = Exchange::open(&request, address).await.unwrap();
    for piece in body.chunks(body.len().div_ceil(PIECES)) {
        tokio::time::sleep(GAP).await;
        assert!(case.seen().is_empty());
        if chunked {
            exchange.write_chunk(piece).await.unwrap();
        } else {
            exchange.write(piece).await.unwrap();
        }
    }
    if chunked {
        tokio::time::sleep(GAP).await;
        assert!(case.seen().is_empty());
        exchange.write_chunk(&[]).await.unwrap();
    }
    Job::of(address, &exchange.read_head().await.unwrap())
}

#[tokio::test]
async fn a_client_that_sends_slowly_gets_its_receipt_and_the_origin_the_whole_body() {
    let uploads = [
        (1_000, false),
        (1_000, true),
        (300_000, false),
        (300_000, true),
    ];
    let uploads = uploads.map(|(length, chunked)| async move {
        let case = Case::new();
        let body = pattern::bytes(6, length);
        let job = trickled(&case, &body, chunked).await;
        assert_eq!(job.succeeded().await.status, 200);
        let seen = case.seen_once();
        assert!(seen.body == body, "{length}, chunked {chunked}");
        assert_eq!(seen.sha256, Some(pattern::hash(6, length)));
        assert_eq!(
            seen.field("content-length"),
            Some(length.to_string().as_str())
        );
    });
    futures_util::future::join_all(uploads).await;
}

#[tokio::test]
async fn an_origin_that_reads_slowly_gets_the_whole_body_once() {
    // It reads for longer than the lease, which must be renewed meanwhile.
    let case = Case::new();
    let target = case.target("/always/slow-read?gap=20");
    let request = Request::new("POST", &target).body(pattern::bytes(8, LARGE));
    let job = Job::accepted(request).await;
    job.until(|_| case.seen().first().is_some_and(|seen| seen.length > 0))
        .await;
    assert_eq!(job.document().await["status"], "running");
    assert_eq!(case.seen_once().sha256, None, "all of it was there at once");
    assert_eq!(job.succeeded().await.status, 200);
    let seen = case.seen_once();
    assert_eq!(
        (seen.length, seen.sha256),
        (LARGE, Some(pattern::hash(8, LARGE)))
    );
    assert_eq!(job.document().await["attempt"], 1);
}
