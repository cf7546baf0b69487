//! Clients that stop sending a body half-way: the response, what remains stored, and how much memory they hold.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use raincheck::rpc::bounds::UPLOAD_TIMEOUT;

use crate::client::{Exchange, Reply, Request};
use crate::gateway::Gateway;
use crate::job::{Case, assert_problem};
use crate::large::{growth, peaks};
use crate::origin::Origin;
use crate::pattern;
use crate::rules;
use crate::store::Store;

/// How many clients stall at the same time.
const CLIENTS: usize = 40;

/// What each of them would hold if the gateway allocated memory for what may still arrive.
const PART_MB: u64 = 8;

/// Longest that the gateway may take to respond, beyond its own limit, on a busy machine.
const ANSWER_MAX: Duration = Duration::from_mins(1);

fn gateway() -> Gateway {
    Gateway::start(&rules::large(Origin::shared()))
}

fn chunked() -> Request {
    let target = Case::new().target("/always/echo");
    Request::new("POST", &target).field("Transfer-Encoding", "chunked")
}

/// A client that sends this many bytes in chunks, and then nothing.
async fn stalled(gateway: &Gateway, bytes: u64) -> Exchange {
    let mut exchange = Exchange::open(&chunked(), gateway.address).await.unwrap();
    for piece in pattern::bytes(1, bytes).chunks(16 * 1024) {
        exchange.write_chunk(piece).await.unwrap();
    }
    exchange
}

/// The response, which may come only after the gateway's time-out.
async fn answer(exchange: &mut Exchange) -> Reply {
    let start = Instant::now();
    loop {
        match exchange.read_head().await {
            Ok(mut reply) => {
                while let Some(piece) = exchange.read_piece().await.unwrap() {
                    reply.body.extend_from_slice(&piece);
                }
                return reply;
            }
            Err(error) => {
                let limit = Duration::from_millis(UPLOAD_TIMEOUT.0) + ANSWER_MAX;
                assert!(
                    error.kind() == std::io::ErrorKind::TimedOut && start.elapsed() < limit,
                    "{error} after {:?}",
                    start.elapsed()
                );
            }
        }
    }
}

/// By how many MB the runtime grows when this many clients send this much and stall.
async fn growth_under_stalled(gateway: &Gateway, bytes: u64) -> u64 {
    let before = peaks(gateway);
    let clients = join_all((0..CLIENTS).map(|_| stalled(gateway, bytes))).await;
    // By now everything that they sent has been read.
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(clients);
    growth(gateway, &before)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stall_hold_about_what_they_have_sent() {
    let gateway = gateway();
    // The cost of forty connections and their first bytes, whatever the gateway allocates for them.
    let bare = growth_under_stalled(&gateway, 1_000).await;
    let grown = growth_under_stalled(&gateway, 100_000).await;
    println!("{CLIENTS} stalled clients: {grown} MB after 100 KB each, {bare} MB after 1 KB each");
    let would_hold = CLIENTS as u64 * PART_MB;
    assert!(
        grown < bare + would_hold / 3,
        "grew by {grown} MB, after {bare} MB with almost nothing sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stalls_gets_its_problem_and_leaves_nothing_behind() {
    let gateway = gateway();
    let announced = |bytes: u64, length: u64| {
        let request = Request::new("POST", &Case::new().target("/always/echo"))
            .field("Content-Length", &length.to_string());
        let gateway = &gateway;
        async move {
            let mut exchange = Exchange::open(&request, gateway.address).await.unwrap();
            exchange.write(&pattern::bytes(1, bytes)).await.unwrap();
            exchange
        }
    };
    let (small, row, large) = tokio::join!(
        stalled(&gateway, 1_000),
        announced(1_000, 10_000),
        announced(100_000, 300_000),
    );
    let parts = join_all([100_000, 6_000_000].map(|bytes| stalled(&gateway, bytes))).await;
    let mut waiting: Vec<_> = [small, row, large].into_iter().chain(parts).collect();
    let start = Instant::now();
    // A client that sends slowly gets the same response.
    let drips = async {
        let mut exchange = stalled(&gateway, 100_000).await;
        while start.elapsed() < Duration::from_millis(UPLOAD_TIMEOUT.0) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if exchange.write_chunk(b"x").await.is_err() {
                break;
            }
        }
        answer(&mut exchange).await
    };
    let (mut replies, dripped) = tokio::join!(join_all(waiting.iter_mut().map(answer)), drips);
    replies.push(dripped);
    for reply in &replies {
        assert_problem(reply, 408, "body_timeout");
        assert_eq!(reply.json()["retryable"], true);
    }
    let left = Store::of(&gateway).contents();
    assert_eq!((left.jobs, left.objects), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_for_which_there_is_no_room_is_refused_until_there_is() {
    let gateway = gateway();
    // More than the limit: each holds a part of 5 MiB.
    let body = pattern::bytes(1, 4_000_000);
    let mut clients = join_all((0..14).map(|_| stalled(&gateway, body.len() as u64))).await;
    let early = join_all(clients.iter_mut().map(|client| async {
        let head = tokio::time::timeout(Duration::from_secs(15), client.read_head());
        head.await.ok().map(Result::unwrap)
    }));
    let refused: Vec<Reply> = early.await.into_iter().flatten().collect();
    assert!(
        !refused.is_empty() && refused.len() < 14,
        "{}",
        refused.len()
    );
    for reply in &refused {
        assert_eq!(reply.status, 503, "{reply}");
        assert_eq!(reply.must("retry-after"), "1");
    }
    assert_eq!(Store::of(&gateway).contents().jobs, 0);
    // Clients that continue to send get a receipt, and so does the next one when the others have disconnected.
    drop(clients);
    let start = Instant::now();
    let again = || Request::new("POST", &Case::new().target("/always/echo")).body(body.clone());
    loop {
        let reply = gateway.send(again().chunked()).await;
        if reply.status == 202 {
            break;
        }
        assert_problem(&reply, 503, "overloaded");
        assert!(start.elapsed() < Duration::from_mins(4), "{reply}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
