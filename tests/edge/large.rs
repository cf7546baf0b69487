//! Bodies larger than the runtime's memory limit, in both directions, with flat memory.
#![cfg(target_os = "linux")]

use std::fs;
use std::io;

use sha2::{Digest, Sha256};

use crate::client::{Exchange, Request};
use crate::gateway::{Gateway, Setup, with_main};
use crate::job::{Case, Job};
use crate::origin::Origin;
use crate::pattern::{self, Pattern};
use crate::rules;

/// The request body: the limit of the platform on most plans.
const REQUEST: u64 = 100_000_000;

/// The response body.
const RESPONSE: u64 = 1_000_000_000;

/// A first body, whose memory is not counted: the first job and the first megabytes cost more.
const WARM: u32 = 3_000_000;

/// How much more memory the runtime may use for 3.2 GB in and out than with a Worker that only stores one body
/// of [`RESPONSE`] bytes in the bucket. That Worker's 300 MB are garbage of the runtime's streams and of its
/// simulated bucket, which is collected late.
const MORE_THAN_BARE_MB: u64 = 100;

/// The peak of resident memory in MB of each process of the runtime, by id.
pub fn peaks(gateway: &Gateway) -> Vec<(u32, u64)> {
    let of_runtime = |process: &u32| {
        fs::read_to_string(format!("/proc/{process}/comm"))
            .is_ok_and(|name| name.trim() == "workerd")
    };
    let peak = |process: u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap_or_default();
        line.split_whitespace()
            .nth(1)
            .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
            .unwrap_or(0)
            / 1024
    };
    gateway
        .processes()
        .into_iter()
        .filter(of_runtime)
        .map(|process| (process, peak(process)))
        .collect()
}

/// By how many MB the peak has grown, of the process where it has grown most.
pub fn growth(gateway: &Gateway, before: &[(u32, u64)]) -> u64 {
    let after = peaks(gateway);
    assert_eq!(before.len(), after.len());
    let grown = before
        .iter()
        .zip(&after)
        .map(|((_, old), (_, new))| new - old);
    grown.max().expect("there is a runtime")
}

/// Prints and checks how much the peaks have grown.
fn assert_flat(what: &str, gateway: &Gateway, before: &[(u32, u64)], bare: u64) {
    let grown = growth(gateway, before);
    println!("{what}: {grown} MB more than before, {bare} MB with a bare Worker");
    assert!(
        grown < bare + MORE_THAN_BARE_MB,
        "{what}: grew by {grown} MB; a bare Worker by {bare} MB"
    );
}

/// The growth of a runtime with a Worker that does nothing but store one body.
async fn bare_growth() -> u64 {
    let setup = Setup {
        change: Some(|wrangler| with_main(wrangler, "tests/edge/bare.mjs")),
        ..Setup::default()
    };
    let gateway = Gateway::start_as(&rules::large(Origin::shared()), setup);
    let mut before = Vec::new();
    for length in [u64::from(WARM), RESPONSE] {
        before = peaks(&gateway);
        let request = Request::new("PUT", "/").field("Content-Length", &length.to_string());
        let mut exchange = upload(&request, gateway.address, length).await.unwrap();
        assert_eq!(exchange.read_head().await.unwrap().status, 200);
    }
    growth(&gateway, &before)
}

/// Sends a body without holding it in memory, and returns the response once its head is there.
async fn upload(
    request: &Request,
    peer: std::net::SocketAddr,
    length: u64,
) -> io::Result<Exchange> {
    let mut exchange = Exchange::open(request, peer).await?;
    let mut pattern = Pattern::new(1, length);
    while let Some(block) = pattern.next_block() {
        exchange.write(block).await?;
    }
    Ok(exchange)
}

/// Reads a body into a hash.
async fn download(exchange: &mut Exchange) -> (u64, String) {
    let (mut length, mut hasher) = (0, Sha256::new());
    while let Some(piece) = exchange.read_piece().await.unwrap() {
        length += piece.len() as u64;
        hasher.update(&piece);
    }
    (length, pattern::hex(&hasher.finalize()))
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_in_both_directions_with_flat_memory() {
    let bare = bare_growth().await;
    let gateway = Gateway::start(&rules::large(Origin::shared()));
    let warm = Case::new();
    let request = Request::new("PUT", &warm.target("/always/stream?bytes=3000000"))
        .body(vec![0; usize::try_from(WARM).unwrap()]);
    Job::accepted_by(gateway.address, request)
        .await
        .succeeded()
        .await;
    let before = peaks(&gateway);

    let case = Case::new();
    let target = case.target(&format!("/always/stream?bytes={RESPONSE}&seed=2"));
    let request = Request::new("PUT", &target).field("Content-Length", &REQUEST.to_string());
    let mut exchange = upload(&request, gateway.address, REQUEST).await.unwrap();
    let receipt = exchange.read_head().await.unwrap();
    let job = Job::of(gateway.address, &receipt);
    assert_flat("accepting 100 MB", &gateway, &before, bare);

    let document = job.ended().await;
    assert_eq!(document["status"], "succeeded", "{document:#}");
    let seen = case.seen_once();
    assert_eq!(
        (seen.length, seen.sha256),
        (REQUEST, Some(pattern::hash(1, REQUEST)))
    );
    assert_flat("replaying 100 MB and storing 1 GB", &gateway, &before, bare);

    let mut exchange = Exchange::open(&Request::get(&job.result_path()), gateway.address)
        .await
        .unwrap();
    let head = exchange.read_head().await.unwrap();
    assert_eq!(head.must("content-length"), RESPONSE.to_string());
    assert_eq!(
        download(&mut exchange).await,
        (RESPONSE, pattern::hash(2, RESPONSE))
    );
    assert_flat("reading 1 GB", &gateway, &before, bare);

    let passed = Case::new().get(&format!("/pass/stream?bytes={RESPONSE}&seed=2"));
    let mut exchange = Exchange::open(&passed, gateway.address).await.unwrap();
    assert_eq!(exchange.read_head().await.unwrap().status, 200);
    assert_eq!(
        download(&mut exchange).await,
        (RESPONSE, pattern::hash(2, RESPONSE))
    );
    assert_flat("passing 1 GB through", &gateway, &before, bare);
}
